"""A quadratic pull of the weights to where they started, applied in closed form after the optimizer's step.

The minimiser of ‖θ' − θ‖²/2 + η·λ/2 Σ F_i (θ'_i − θ*_i)² is θ' = (θ + a θ*)/(1 + a), a = ηλF: stable for any λF, where
the gradient of the penalty would need a step below 2/λF, and untouched by Adam's normalisation.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class Anchor:
    """λ/2 Σ F (θ − θ*)² with θ* the `start` weights by name; `importance` is F by name (EWC) or None for F = 1
    (L2-SP). Costs one pass over the weights per step."""

    def __init__(self, strength: float, start: Mapping[str, Tensor], importance: Mapping[str, Tensor] | None) -> None:
        self.strength, self.start, self.importance = strength, start, importance

    @torch.no_grad()
    def pull(self, parameters: Iterable[tuple[str, nn.Parameter]], rate: float) -> float:
        """Apply the prox with step size `rate` in place; returns the penalty that is left."""
        penalty = 0.0
        for name, weight in parameters:
            importance = self.importance[name] if self.importance is not None else weight.new_ones(())
            pull = importance * (rate * self.strength)
            start = self.start[name]
            # (θ + aθ*)/(1 + a) = θ + (θ* − θ) · a/(1 + a)
            weight.addcmul_(start - weight, pull / (1 + pull))
            penalty += float((importance * (weight - start).square()).sum(dtype=torch.float64))
        return self.strength / 2 * penalty
