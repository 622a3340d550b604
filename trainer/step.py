"""One optimizer step from the rows of one plan step.

Micro-batches weigh by their tokens: the loss of a step is Σ CE over all its predicted tokens, on all ranks, divided by
their number, whatever way the rows are cut. KL is the mean over the tokens it is taken on, so its pull does not fade
with the share of replay.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from mixing.batch import IGNORE, TokenBatch
from trainer.model.packed import PackedModel
from trainer.processes.parallel import Replicas
from trainer.processes.shards import is_sharded
from trainer.regularizers.assemble import Regularizers
from trainer.regularizers.hooks import MicroBatch
from trainer.settings import TrainSettings

NOT_FINITE = "loss or gradient not finite"


@dataclass(frozen=True)
class StepOutcome:
    """What a step did, over all ranks. `skipped` says why its update was passed over, None when it was made. `loss` and
    `kl` are nats per token before regularization weights, `kl` of the tokens it was taken on: 0 without KL, None at a
    step without a row for it. `penalty` is the quadratic one after the step; by source: input tokens, sequences and
    nats per predicted token."""

    skipped: str | None
    loss: float
    kl: float | None
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


def _predicting_nothing(part: MicroBatch) -> MicroBatch:
    """The last row of a micro-batch without a token to predict."""
    row = {name: getattr(part, name)[-1:] for name in ("input_ids", "position_ids", "document_ids", "source_ids")}
    return replace(part, labels=torch.full_like(part.labels[-1:], IGNORE), **row)


class TrainStep:
    """Applies steps to a prepared (wrapped) model."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        settings: TrainSettings,
        sources: Sequence[str],
        regularizers: Regularizers | None = None,
        sharing: Replicas | None = None,
    ) -> None:
        self.accelerator, self.model, self.optimizer, self.settings = accelerator, model, optimizer, settings
        self.sources, self.regularizers = list(sources), regularizers or Regularizers()
        self.packed: PackedModel = accelerator.unwrap_model(model)
        self.sharing = sharing or Replicas(accelerator, settings.clip)

    @property
    def kl_weight(self) -> float | None:
        """The factor of the mean KL, which may be changed between steps; None without KL."""
        return self.regularizers.kl.weight if self.regularizers.kl is not None else None

    @kl_weight.setter
    def kl_weight(self, weight: float) -> None:
        if self.regularizers.kl is not None:
            self.regularizers.kl.weight = weight

    def averaged(self) -> AbstractContextManager[None]:
        """The weights to evaluate and export in place of those in training, for the duration."""
        return self.regularizers.averaged(self.packed.weights())

    def state_tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps of the regularizers, whole; all ranks must ask."""
        return self.regularizers.tensors(self.packed.weights())

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        self.regularizers.load(tensors, self.packed.weights())

    def __call__(self, batch: TokenBatch, rate: float, bound: float | None = None) -> StepOutcome:
        """Forward, backward and update with learning rate `rate`; without a finite loss and gradient, or with a loss
        above `bound`, the weights stay as they are."""
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        # Random numbers (dropout) are a function of (seed, step, rank): a resumed run needs no stored state.
        torch.manual_seed(int(np.random.SeedSequence([self.settings.seed, batch.step, rank]).generate_state(1)[0]))
        self.model.train()
        parts, kl, contrast = self.micro_batches(batch), self.regularizers.kl, self.regularizers.contrast
        own = len(parts)
        parts += [_predicting_nothing(parts[-1])] * self._missing_rounds(own)
        predicted, held, drawn, rows = self._sum(
            [
                float((batch.labels != IGNORE).sum()),
                float(sum(int(kl.held(part).sum()) for part in parts)) if kl is not None else 0.0,
                float(sum(int(kl.drawn(part).sum()) for part in parts)) if kl is not None else 0.0,
                float(len(batch)),
            ]
        )
        nats_by_source = torch.zeros(len(self.sources), dtype=torch.float64, device=self.accelerator.device)
        kl_sum = torch.zeros((), dtype=torch.float64, device=self.accelerator.device)
        for index, part in enumerate(parts):
            # DDP averages gradients over ranks, hence the factor; only the last micro-batch exchanges them.
            last = index == len(parts) - 1
            weights = torch.full(part.labels.shape, ranks / max(predicted, 1.0), device=part.labels.device)
            term = kl.term(part, ranks * kl.weight / held) if kl is not None and held else None
            share = ranks * len(part.labels) / rows if index < own else 0.0
            on_hidden = replace(contrast, weight=contrast.weight * share) if contrast is not None else None
            with self.sharing.accumulate(self.model, last):
                result = self.model(part.input_ids, part.position_ids, part.labels, weights, term, on_hidden)
                self.sharing.backward(result.loss, last)
            # Sums stay on the device until the last micro-batch: reading one would wait for it.
            row_nats = result.ce.view(part.labels.shape).sum(1, dtype=torch.float64)
            nats_by_source.index_add_(0, part.source_ids, row_nats)
            kl_sum += result.kl.sum(dtype=torch.float64)

        counts = self._by_source(batch)
        sums = np.array(self._sum([*nats_by_source.tolist(), *counts.ravel(), float(kl_sum)]))
        nats, (tokens, sequences, targets), kl_total = (
            sums[: len(self.sources)],
            sums[len(self.sources) : -1].reshape(3, -1),
            float(sums[-1]),
        )
        loss = float(nats.sum()) / max(predicted, 1.0)
        named = self.packed.weights()
        for regularizer in self.regularizers.on_weights:
            regularizer.on_gradients(named)
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
            kl=kl_total / drawn if drawn else (0.0 if kl is None else None),
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

    def micro_batches(self, batch: TokenBatch) -> list[MicroBatch]:
        names = ("input_ids", "position_ids", "labels", "document_ids", "source_ids")
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(getattr(batch, name))).to(self.accelerator.device)
            for name in names
        }
        size = self.settings.micro_batch
        return [
            MicroBatch(**{name: tensor[start : start + size] for name, tensor in tensors.items()}, step=batch.step)
            for start in range(0, len(batch), size)
        ]

    def _missing_rounds(self, own: int) -> int:
        """How many micro-batches the rank with the most has more, where all must run the model equally often."""
        if not self.sharing.even_rounds or self.accelerator.num_processes == 1:
            return 0
        counts: Any = self.accelerator.gather(torch.tensor([own], device=self.accelerator.device))
        return int(counts.max()) - own

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
        named = self.packed.weights()
        penalty = sum(regularizer.after_step(named, rate) for regularizer in self.regularizers.on_weights)
        sharded = any(is_sharded(weight) for weight in named.values())
        return self._sum([penalty])[0] if sharded else penalty

    def _sum(self, values: Sequence[float]) -> list[float]:
        """Sums over the ranks, in float64."""
        if self.accelerator.num_processes == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.accelerator.device)
        return self.accelerator.reduce(tensor, reduction="sum").tolist()
