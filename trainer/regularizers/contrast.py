"""The contrastive term of DAS (Ke et al. 2023): what is learnt should be told apart from what general text knows.

A row's representation is the mean of its hidden states. With o the whole network's and g the network's whose units are
multiplied by their importance for general text,

    L = −mean_n log  e^{cos(o_n, o_n⁺)/τ} / Σ_m (e^{cos(o_n, o_m⁺)/τ} + e^{cos(o_n, g_m)/τ})

In the paper o and o⁺ are two passes with different dropout. Models of today have none: here they are the means over two
halves of the row's tokens, drawn by chance, so the term costs one more forward and backward pass (that of g), not two.
It compares rows with each other, so unlike the other losses it depends on how rows are cut into micro-batches.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from trainer.model.packed import PackedModel
from trainer.regularizers.units import gated, layers_of


@dataclass(frozen=True)
class Contrast:
    """The term with factor `weight`, `importance` being I per unit by layer; drawn from torch's generator, which every
    step seeds."""

    weight: float
    temperature: float
    importance: Mapping[str, Tensor]

    def __call__(self, model: PackedModel, input_ids: Tensor, position_ids: Tensor, hidden: Tensor) -> Tensor:
        """The weighted mean over the rows, for hidden [rows, sequence, D]."""
        with gated(layers_of(model), dict(self.importance)):
            general = model.decode(input_ids, position_ids)
        first = torch.rand(input_ids.shape, device=input_ids.device) < 0.5
        view, other = _mean(hidden, first), _mean(hidden, ~first)
        return self.weight * contrast(view, other, _mean(general, torch.ones_like(first)), self.temperature)


def contrast(view: Tensor, other: Tensor, general: Tensor, temperature: float) -> Tensor:
    """The mean loss of representations [rows, D]."""
    view, other, general = (normalize(part.float(), dim=1) for part in (view, other, general))
    similar = torch.cat([view @ other.T, view @ general.T], 1) / temperature
    return cross_entropy(similar, torch.arange(len(view), device=view.device))


def _mean(hidden: Tensor, tokens: Tensor) -> Tensor:
    chosen = tokens[:, :, None].to(hidden.dtype)
    return (hidden * chosen).sum(1) / chosen.sum(1).clamp(min=1)
