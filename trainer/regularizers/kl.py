"""KL to the base model, on the tokens of chosen rows only.

The base runs forward on those rows and no others, so KL on 25% replay rows costs a quarter of one forward pass and of
one head, not a second model's worth; without its adapters a LoRA model is its own base; from a cache the base does not
run at all.

A sample takes whole rows, since a row costs the base all its layers however few of its tokens are compared. Each row
is drawn by a hash of its tokens, the step and the seed, so the curve is the same however rows are dealt to ranks and
micro-batches and wherever a run is resumed. With n_r the nats and t_r the tokens of a row that may be drawn,

    kl = Σ_{drawn r} n_r / (share · Σ_r t_r),   whose expectation is the mean over all these rows, Σ_r n_r / Σ_r t_r.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import xxhash
from torch import Tensor, nn

from mixing.batch import IGNORE
from trainer.head.divergence import HiddenReference, LogitsReference, Reference
from trainer.head.fused import KlTerm
from trainer.model.packed import PackedModel
from trainer.regularizers.hooks import MicroBatch
from trainer.regularizers.settings import Direction


class Base(Protocol):
    """Where the base's distribution comes from. `everywhere` says that every rank must ask, held tokens or not."""

    everywhere: bool

    def reference(self, micro: MicroBatch, rows: Tensor, held: Tensor) -> Reference:
        """That of the tokens `held` bool [rows, sequence], in their order; `rows` bool [rows] has theirs."""
        ...


class FrozenBase:
    """A second copy of the base model."""

    everywhere = False

    def __init__(self, model: PackedModel) -> None:
        self.model = model

    def reference(self, micro: MicroBatch, rows: Tensor, held: Tensor) -> Reference:
        out = self.model.states(micro.input_ids[rows], micro.position_ids[rows])[held[rows]]
        if self.model.linear_head:
            return HiddenReference(out, self.model.head_weight.detach())
        return LogitsReference(out)


class AdaptersOff:
    """The model in training with its LoRA switched off. Where its weights are in shards, `model` is the wrapped one and
    every rank runs it equally often (`everywhere`)."""

    def __init__(self, model: nn.Module, linear_head: bool, everywhere: bool) -> None:
        self.model, self.linear_head, self.everywhere = model, linear_head, everywhere

    def reference(self, micro: MicroBatch, rows: Tensor, held: Tensor) -> Reference:
        if not rows.any():
            rows = torch.arange(len(rows), device=rows.device) == 0  # others wait for this rank's part of the weights
        out = self.model(micro.input_ids[rows], micro.position_ids[rows])[held[rows]]
        return HiddenReference(out, None) if self.linear_head else LogitsReference(out)


@dataclass
class KlToBase:
    """`sources` bool [sources] says which sources' rows are held near the base, `share` which part of these rows is
    drawn at a step; `weight` multiplies the mean KL and may be changed between steps."""

    base: Base
    sources: Tensor
    weight: float
    direction: Direction
    share: float = 1.0
    seed: int = 0

    def held(self, micro: MicroBatch) -> Tensor:
        """bool [rows, sequence]: predicted tokens of the chosen sources' rows, drawn or not."""
        return (micro.labels != IGNORE) & self.sources[micro.source_ids][:, None]

    def drawn(self, micro: MicroBatch) -> Tensor:
        """bool [rows, sequence]: those of `held` that KL is taken on at this step."""
        held = self.held(micro)
        return held if self.share == 1 else held & (_chance(micro, self.seed) < self.share)[:, None]

    @torch.no_grad()
    def term(self, micro: MicroBatch, scale: float) -> KlTerm | None:
        """The head's KL term for one micro-batch, every token weighted by `scale` over the share drawn; None without
        tokens to hold."""
        drawn = self.drawn(micro)
        if not (self.base.everywhere or drawn.any()):
            return None
        reference = self.base.reference(micro, drawn.any(1), drawn)
        tokens = drawn.flatten().nonzero().squeeze(1)
        weights = torch.full((len(tokens),), scale / self.share, device=drawn.device)
        return KlTerm(tokens, reference, weights, self.direction)


def _chance(micro: MicroBatch, seed: int) -> Tensor:
    """A number in [0, 1) per row, float64 [rows]: a hash of its tokens, keyed by seed and step."""
    key = xxhash.xxh3_64_intdigest(f"{seed} {micro.step}")
    rows = micro.input_ids.cpu().numpy().astype("<i8")
    chances = [xxhash.xxh3_64_intdigest(row.tobytes(), seed=key) / 2**64 for row in rows]
    return torch.tensor(chances, dtype=torch.float64, device=micro.input_ids.device)
