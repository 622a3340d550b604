"""One optimizer step from the rows of one plan step.

Micro-batches weigh by their tokens: the loss of a step is Σ CE over all its predicted tokens, on all ranks, divided by
their number, whatever way the rows are cut. KL is the mean over the tokens it is taken on, so its pull does not fade
with the share of replay.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from mixing.batch import IGNORE, TokenBatch
from trainer.model import PackedModel
from trainer.regularizers.assemble import Regularizers
from trainer.regularizers.hooks import MicroBatch
from trainer.regularizers.shards import is_sharded
from trainer.settings import TrainSettings


@dataclass(frozen=True)
class StepOutcome:
    """What a step did, over all ranks. `loss` and `kl` are nats per token before regularization weights, `penalty` the
    quadratic one after the step; by source: input tokens, sequences and nats per predicted token."""

    finite: bool
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
        regularizers: Regularizers | None = None,
    ) -> None:
        self.accelerator, self.model, self.optimizer, self.settings = accelerator, model, optimizer, settings
        self.sources, self.regularizers = list(sources), regularizers or Regularizers()
        self.packed: PackedModel = accelerator.unwrap_model(model)

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

    def __call__(self, batch: TokenBatch, rate: float) -> StepOutcome:
        """Forward, backward and update with learning rate `rate`; without a finite loss and gradient the weights stay
        as they are."""
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        # Random numbers (dropout) are a function of (seed, step, rank): a resumed run needs no stored state.
        torch.manual_seed(int(np.random.SeedSequence([self.settings.seed, batch.step, rank]).generate_state(1)[0]))
        self.model.train()
        parts, kl, contrast = list(self._micro_batches(batch)), self.regularizers.kl, self.regularizers.contrast
        predicted, held, rows = self._sum(
            [
                float((batch.labels != IGNORE).sum()),
                float(sum(kl.tokens(part) for part in parts)) if kl is not None else 0.0,
                float(len(batch)),
            ]
        )
        ce_sums, kl_sum = np.zeros(len(self.sources)), 0.0
        for index, part in enumerate(parts):
            # DDP averages gradients over ranks, hence the factor; only the last micro-batch exchanges them.
            last = index == len(parts) - 1
            weights = torch.full(part.labels.shape, ranks / max(predicted, 1.0), device=part.labels.device)
            term = kl.term(part, ranks * kl.weight / held) if kl is not None and held else None
            share = ranks * len(part.labels) / rows
            on_hidden = replace(contrast, weight=contrast.weight * share) if contrast is not None else None
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                result = self.model(part.input_ids, part.position_ids, part.labels, weights, term, on_hidden)
                self.accelerator.backward(result.loss)
            row_nats = result.ce.view(part.labels.shape).sum(1, dtype=torch.float64).cpu().numpy()
            ce_sums += np.bincount(part.source_ids.cpu().numpy(), weights=row_nats, minlength=len(self.sources))
            kl_sum += float(result.kl.sum(dtype=torch.float64))

        counts = self._by_source(batch)
        sums = np.array(self._sum([*ce_sums, *counts.ravel(), kl_sum]))
        nats, (tokens, sequences, targets), kl_total = (
            sums[: len(self.sources)],
            sums[len(self.sources) : -1].reshape(3, -1),
            float(sums[-1]),
        )
        loss = float(nats.sum()) / max(predicted, 1.0)
        named = self.packed.weights()
        for regularizer in self.regularizers.on_weights:
            regularizer.on_gradients(named)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        grad_norm = float(norm) if norm is not None else 0.0
        finite = math.isfinite(loss) and math.isfinite(grad_norm) and math.isfinite(kl_total)
        penalty = self._update(rate) if finite else 0.0
        self.optimizer.zero_grad(set_to_none=True)
        return StepOutcome(
            finite=finite,
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

    def _micro_batches(self, batch: TokenBatch) -> Iterator[MicroBatch]:
        names = ("input_ids", "position_ids", "labels", "document_ids", "source_ids")
        tensors = [
            torch.from_numpy(np.ascontiguousarray(getattr(batch, name))).to(self.accelerator.device) for name in names
        ]
        for start in range(0, len(batch), self.settings.micro_batch):
            rows = slice(start, start + self.settings.micro_batch)
            yield MicroBatch(*(tensor[rows] for tensor in tensors), step=batch.step)

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
        self.optimizer.step()
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
