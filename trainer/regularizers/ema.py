"""An exponential moving average of the weights: θ̄ ← d θ̄ + (1 − d) θ after every step.

The average starts at the base model, and no bias is corrected: the base is what should be remembered. It is what is
evaluated and exported, while training goes on from θ. Costs one copy of the trained weights and a pass over them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from trainer.processes.shards import local, part_of, whole_of
from trainer.regularizers.hooks import WeightRegularizer, Weights


class Average(WeightRegularizer):
    """θ̄ of the trained weights, by name, as this rank holds them."""

    def __init__(self, decay: float, weights: Weights) -> None:
        self.decay = decay
        self.mean = {name: local(weight).detach().clone() for name, weight in weights.items() if weight.requires_grad}

    @torch.no_grad()
    def after_step(self, weights: Weights, rate: float) -> float:
        for name, mean in self.mean.items():
            mean.lerp_(local(weights[name]), 1 - self.decay)
        return 0.0

    def tensors(self, weights: Weights) -> dict[str, Tensor]:
        return {name: whole_of(mean, weights[name]) for name, mean in self.mean.items()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], weights: Weights) -> None:
        for name, mean in self.mean.items():
            mean.copy_(part_of(tensors[name], weights[name]))

    @contextmanager
    def in_place_of(self, weights: Weights) -> Iterator[None]:
        """θ̄ instead of θ for the duration, by exchanging their contents twice."""
        self._exchange(weights)
        try:
            yield
        finally:
            self._exchange(weights)

    @torch.no_grad()
    def _exchange(self, weights: Weights) -> None:
        for name, mean in self.mean.items():
            weight = local(weights[name])
            kept = weight.clone()
            weight.copy_(mean)
            mean.copy_(kept)
