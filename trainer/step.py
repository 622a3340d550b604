"""One optimizer step from the rows of one plan step.

Micro-batches weigh by their tokens: the loss of a step is Σ CE over all its predicted tokens, on all ranks, divided by
their number, whatever way the rows are cut. KL is the mean over the tokens it is taken on, so its pull does not fade
with the share of replay.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from mixing.batch import IGNORE, TokenBatch
from trainer.model import PackedModel
from trainer.parallel import Replicas
from trainer.regularizers.anchor import Anchor
from trainer.regularizers.kl import KlToBase
from trainer.settings import TrainSettings

NOT_FINITE = "loss or gradient not finite"


@dataclass(frozen=True)
class StepOutcome:
    """What a step did, over all ranks. `skipped` says why its update was passed over, None when it was made. `loss` and
    `kl` are nats per token before regularization weights, `penalty` the quadratic one after the step; by source: input
    tokens, sequences and nats per predicted token."""

    skipped: str | None
    loss: float
    kl: float
    penalty: float
    grad_norm: float
    tokens: int
    predicted: int
    source_tokens: dict[str, int]
    source_sequences: dict[str, int]
    source_loss: dict[str, float]


def make_optimizer(model: PackedModel, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW with decay on matrices only (Loshchilov & Hutter 2019)."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)


class TrainStep:
    """Applies steps to a prepared (wrapped) model."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        settings: TrainSettings,
        sources: Sequence[str],
        sharing: Replicas | None = None,
        *,
        kl: KlToBase | None = None,
        anchors: Sequence[Anchor] = (),
    ) -> None:
        self.accelerator, self.model, self.optimizer, self.settings = accelerator, model, optimizer, settings
        self.sources, self.kl, self.anchors = list(sources), kl, list(anchors)
        self.packed: PackedModel = accelerator.unwrap_model(model)
        self.sharing = sharing or Replicas(accelerator, settings.clip)
        self.kl_scale = 1.0  # what the gate has made of the KL weight

    def __call__(self, batch: TokenBatch, rate: float, bound: float | None = None) -> StepOutcome:
        """Forward, backward and update with learning rate `rate`; without a finite loss and gradient, or with a loss
        above `bound`, the weights stay as they are."""
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        # Random numbers (dropout) are a function of (seed, step, rank): a resumed run needs no stored state.
        torch.manual_seed(int(np.random.SeedSequence([self.settings.seed, batch.step, rank]).generate_state(1)[0]))
        self.model.train()
        parts = self._micro_batches(batch)
        predicted, held = self._sum(
            [
                float((batch.labels != IGNORE).sum()),
                float(sum(self.kl.tokens(labels, ids) for _, _, labels, ids in parts)) if self.kl else 0.0,
            ]
        )
        nats_by_source = torch.zeros(len(self.sources), dtype=torch.float64, device=self.accelerator.device)
        kl_sum = torch.zeros((), dtype=torch.float64, device=self.accelerator.device)
        for index, (input_ids, position_ids, labels, source_ids) in enumerate(parts):
            term = None
            if self.kl is not None and held:
                term = self.kl.term(
                    input_ids, position_ids, labels, source_ids, ranks * self.kl_scale * self.kl.weight / held
                )
            # DDP averages gradients over ranks, hence the factor; only the last micro-batch exchanges them.
            weights = torch.full(labels.shape, ranks / max(predicted, 1.0), device=labels.device)
            last = index == len(parts) - 1
            with self.sharing.accumulate(self.model, last):
                result = self.model(input_ids, position_ids, labels, weights, term)
                self.sharing.backward(result.loss, last)
            # Sums stay on the device until the last micro-batch: reading one would wait for it.
            nats_by_source.index_add_(0, source_ids, result.ce.view(labels.shape).sum(1, dtype=torch.float64))
            kl_sum += result.kl.sum(dtype=torch.float64)

        counts = self._by_source(batch)
        sums = np.array(self._sum([*nats_by_source.tolist(), *counts.ravel(), float(kl_sum)]))
        nats, (tokens, sequences, targets), kl_total = (
            sums[: len(self.sources)],
            sums[len(self.sources) : -1].reshape(3, -1),
            float(sums[-1]),
        )
        loss = float(nats.sum()) / max(predicted, 1.0)
        grad_norm = self.sharing.clipped_norm(self.model)
        skipped = None
        if not (math.isfinite(loss) and math.isfinite(grad_norm) and math.isfinite(kl_total)):
            skipped = NOT_FINITE
        elif bound is not None and loss > bound:
            skipped = f"loss {loss:.4g} above {bound:.4g}"
        penalty = self._update(rate) if skipped is None else 0.0
        self.sharing.clear(self.optimizer)
        return StepOutcome(
            skipped=skipped,
            loss=loss,
            kl=kl_total / held if held else 0.0,
            penalty=penalty,
            grad_norm=grad_norm,
            tokens=int(tokens.sum()),
            predicted=int(predicted),
            source_tokens=dict(zip(self.sources, map(int, tokens), strict=True)),
            source_sequences=dict(zip(self.sources, map(int, sequences), strict=True)),
            source_loss={
                name: float(total / count)
                for name, total, count in zip(self.sources, nats, targets, strict=True)
                if count
            },
        )

    def _micro_batches(self, batch: TokenBatch) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """input_ids, position_ids, labels [rows, sequence] and source_ids [rows] of each micro-batch.

        Where the ranks must run the model equally often, one with fewer rows runs its last row again, predicting
        nothing."""
        arrays = batch.input_ids, batch.position_ids, batch.labels, batch.source_ids
        tensors = [torch.from_numpy(np.ascontiguousarray(array)).to(self.accelerator.device) for array in arrays]
        size = self.settings.micro_batch
        parts = [tuple(tensor[start : start + size] for tensor in tensors) for start in range(0, len(batch), size)]
        if self.sharing.even_rounds and self.accelerator.num_processes > 1:
            input_ids, position_ids, labels, source_ids = (tensor[-1:] for tensor in tensors)
            nothing = input_ids, position_ids, torch.full_like(labels, IGNORE), source_ids
            own = torch.tensor([len(parts)], device=self.accelerator.device)
            parts += [nothing] * (int(self.accelerator.gather(own).max()) - len(parts))  # type: ignore[list-item,union-attr]
        return parts  # type: ignore[return-value]

    def _by_source(self, batch: TokenBatch) -> np.ndarray:
        """float [3, sources]: input tokens without padding, sequences, predicted tokens of this rank's rows."""
        per_row = (
            (batch.document_ids >= 0).sum(1),
            np.ones(len(batch)),
            (batch.labels != IGNORE).sum(1),
        )
        size = len(self.sources)
        return np.stack([np.bincount(batch.source_ids, weights=row, minlength=size) for row in per_row])

    def _update(self, rate: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.sharing.update(self.optimizer)
        named = list(self.packed.causal.named_parameters())
        return sum(anchor.pull(named, rate) for anchor in self.anchors)

    def _sum(self, values: Sequence[float]) -> list[float]:
        """Sums over the ranks, in float64."""
        if self.accelerator.num_processes == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.accelerator.device)
        return self.accelerator.reduce(tensor, reduction="sum").tolist()
