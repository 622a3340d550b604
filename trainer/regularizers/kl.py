"""KL to the frozen base model, on the tokens of chosen rows only.

The base runs forward on those rows and no others, so KL on 25% replay rows costs a quarter of one forward pass and of
one head, not a second model's worth.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mixing.batch import IGNORE
from trainer.head import Direction, KlTerm
from trainer.model import PackedModel


@dataclass(frozen=True)
class KlToBase:
    """`sources` bool [sources] says which sources' rows are held near the base; `weight` multiplies the mean KL."""

    base: PackedModel
    sources: Tensor
    weight: float
    direction: Direction

    def rows(self, source_ids: Tensor) -> Tensor:
        """bool [rows]: the rows held near the base."""
        return self.sources[source_ids]

    def tokens(self, labels: Tensor, source_ids: Tensor) -> int:
        """The tokens KL is taken on: predicted ones of the chosen rows."""
        return int((labels[self.rows(source_ids)] != IGNORE).sum())

    @torch.no_grad()
    def term(
        self, input_ids: Tensor, position_ids: Tensor, labels: Tensor, source_ids: Tensor, scale: float
    ) -> KlTerm | None:
        """The head's KL term for one micro-batch [rows, sequence], every token weighted by `scale`; None without rows
        to hold."""
        chosen = self.rows(source_ids)
        held = (labels != IGNORE) & chosen[:, None]
        if not held.any():
            return None
        hidden = self.base.decode(input_ids[chosen], position_ids[chosen])
        hidden_KD = hidden[held[chosen]]
        tokens = held.flatten().nonzero().squeeze(1)
        weights = torch.full((len(tokens),), scale, device=labels.device)
        return KlTerm(tokens, hidden_KD, self.base.head_weight.detach(), weights, self.direction)
