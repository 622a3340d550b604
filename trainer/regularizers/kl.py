"""KL to the base model, on the tokens of chosen rows only.

The base runs forward on those rows and no others, so KL on 25% replay rows costs a quarter of one forward pass and of
one head, not a second model's worth; without its adapters a LoRA model is its own base; from a cache the base does not
run at all.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from mixing.batch import IGNORE
from trainer.divergence import HiddenReference, LogitsReference, Reference
from trainer.head import KlTerm
from trainer.model import PackedModel
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
    """The model in training with its LoRA switched off; `model` is the wrapped one, for its weights may be sharded."""

    everywhere = True

    def __init__(self, model: nn.Module, linear_head: bool) -> None:
        self.model, self.linear_head = model, linear_head

    def reference(self, micro: MicroBatch, rows: Tensor, held: Tensor) -> Reference:
        if not rows.any():
            rows = torch.ones_like(rows)  # the other ranks wait for this one's part of the weights
        out = self.model(micro.input_ids[rows], micro.position_ids[rows])[held[rows]]
        return HiddenReference(out, None) if self.linear_head else LogitsReference(out)


@dataclass
class KlToBase:
    """`sources` bool [sources] says which sources' rows are held near the base, `sample` which share of their tokens;
    `weight` multiplies the mean KL and may be changed between steps."""

    base: Base
    sources: Tensor
    weight: float
    direction: Direction
    sample: float = 1.0
    seed: int = 0

    def held(self, micro: MicroBatch) -> Tensor:
        """bool [rows, sequence]: predicted tokens of the chosen rows, or a sample of them."""
        held = (micro.labels != IGNORE) & self.sources[micro.source_ids][:, None]
        return held if self.sample == 1 else held & (_uniform(micro, self.seed) < self.sample)

    def tokens(self, micro: MicroBatch) -> int:
        """How many tokens of a micro-batch KL is taken on."""
        return int(self.held(micro).sum())

    @torch.no_grad()
    def term(self, micro: MicroBatch, scale: float) -> KlTerm | None:
        """The head's KL term for one micro-batch, every token weighted by `scale`; None without tokens to hold."""
        held = self.held(micro)
        if not (self.base.everywhere or held.any()):
            return None
        reference = self.base.reference(micro, held.any(1), held)
        tokens = held.flatten().nonzero().squeeze(1)
        return KlTerm(tokens, reference, torch.full((len(tokens),), scale, device=held.device), self.direction)


def _uniform(micro: MicroBatch, seed: int) -> Tensor:
    """A number in [0, 1) per token, float64 [rows, sequence]: a hash of seed, step, source, document and position, so
    the sample is the same however rows are dealt to ranks and micro-batches (SplitMix64's finaliser)."""
    x = micro.document_ids * -7046029254386353131 + micro.position_ids * -4658895280553007687
    x = (
        x
        + (micro.source_ids * 1442695040888963407)[:, None]
        + (seed * 1_000_003 + micro.step) * 3935559000370003845 % 2**62
    )
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        x = (x ^ ((x >> shift) & (2 ** (64 - shift) - 1))) * factor
    x = x ^ ((x >> 31) & (2**33 - 1))
    return ((x >> 11) & (2**53 - 1)).double() / 2**53
