"""A quadratic pull of the weights to where they started: λ/2 Σ F (θ − θ*)², L2-SP for F = 1 and EWC for the Fisher.

As a prox it is applied in closed form after the optimizer's step: the minimiser of
‖θ' − θ‖²/2 + η·λ/2 Σ F_i (θ'_i − θ*_i)² is θ' = (θ + a θ*)/(1 + a), a = ηλF: stable for any λF, where the gradient of
the penalty would need a step below 2/λF, and untouched by Adam's normalisation. As a loss its gradient λF(θ − θ*) joins
the others before clipping, as the papers have it. Costs one pass over the weights per step.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from trainer.processes.shards import local, part_of
from trainer.regularizers.hooks import WeightRegularizer, Weights


class Anchor(WeightRegularizer):
    """λ/2 Σ F (θ − θ*)² with θ* the `start` weights by name; `importance` is F by name (EWC) or None for F = 1
    (L2-SP). Weights that `start` does not name, or that are not trained, are free."""

    def __init__(
        self,
        strength: float,
        start: Mapping[str, Tensor],
        importance: Mapping[str, Tensor] | None,
        apply: Literal["prox", "loss"] = "prox",
    ) -> None:
        self.strength, self.start, self.importance, self.apply = strength, start, importance, apply
        self._parts: dict[str, tuple[Tensor, Tensor]] = {}

    def _held(self, name: str, weight: Tensor) -> tuple[Tensor, Tensor]:
        """θ* and F of a weight as this rank holds it."""
        if name not in self._parts:
            start = part_of(self.start[name], weight)
            importance = part_of(self.importance[name], weight) if self.importance is not None else start.new_ones(())
            self._parts[name] = start, importance
        return self._parts[name]

    @torch.no_grad()
    def on_gradients(self, weights: Weights) -> None:
        if self.apply != "loss":
            return
        for name, weight in weights.items():
            if weight.grad is not None and name in self.start:
                start, importance = self._held(name, weight)
                local(weight.grad).addcmul_(importance, local(weight) - start, value=self.strength)

    @torch.no_grad()
    def after_step(self, weights: Weights, rate: float) -> float:
        penalty = 0.0
        for name, weight in weights.items():
            if not weight.requires_grad or name not in self.start:
                continue
            start, importance = self._held(name, weight)
            mine = local(weight)
            if self.apply == "prox":
                pull = importance * (rate * self.strength)
                # (θ + aθ*)/(1 + a) = θ + (θ* − θ) · a/(1 + a)
                mine.addcmul_(start - mine, pull / (1 + pull))
            penalty += float((importance * (mine - start).square()).sum(dtype=torch.float64))
        return self.strength / 2 * penalty
