"""Soft-masking after Ke et al. 2023 (Continual Pre-training of Language Models, ICLR): units that general text needs
are changed less.

The importance of a unit is how much the loss would change with it: a gate of 1 stands before every head and neuron, and

    I_l = |tanh(norm(mean over batches of |∂L/∂gate|))|,   norm: mean 0, deviation 1 within the layer

where L is the loss under labels the model draws itself. (The paper compares two passes with different dropout; models
of today have none, and drawn labels need none.) Over several stages the larger importance of a unit counts.

Training multiplies what happens to a unit's weights by 1 − I. The paper scales the gradient; AdamW divides a gradient
by its own running size, so a constant factor on it almost cancels, and by default the finished update is scaled.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor

from mixing.batch import IGNORE
from trainer.model.packed import PackedModel
from trainer.processes.shards import local, part_of
from trainer.regularizers.hooks import WeightRegularizer, Weights
from trainer.regularizers.units import by_weight, gated, layers_of

KIND = "trainer.importance"


def importance(model: PackedModel, rows: Iterable[tuple[Tensor, Tensor, Tensor]], seed: int) -> dict[str, Tensor]:
    """I in [0, 1) per unit [units], by layer, on packed (input_ids, position_ids, labels) [rows, sequence]: labels say
    where, the model draws what. Costs two forward passes and a backward pass over the tokens."""
    layers = layers_of(model)
    gates = {
        layer.name: torch.ones(layer.units, device=layer.projection.weight.device, requires_grad=True)
        for layer in layers
    }
    summed = {name: torch.zeros_like(gate) for name, gate in gates.items()}
    for index, (input_ids, position_ids, labels) in enumerate(rows):
        generator = torch.Generator(device=input_ids.device).manual_seed(seed + index)
        drawn = model.sample_labels(input_ids, position_ids, generator)
        drawn = torch.where(labels == IGNORE, IGNORE, drawn)
        with gated(layers, gates):
            loss = model(input_ids, position_ids, drawn, torch.ones(labels.shape, device=labels.device)).loss
            gradients = torch.autograd.grad(loss, list(gates.values()))
        for name, gradient in zip(gates, gradients, strict=True):
            summed[name] += gradient.abs()
    return {name: normalised(total.detach()) for name, total in summed.items()}


def normalised(scores: Tensor) -> Tensor:
    """|tanh| of the scores of one layer [units], centred and divided by their deviation; 0 where all are equal."""
    centred = scores - scores.mean()
    return (centred / centred.square().mean().sqrt().clamp(min=torch.finfo(scores.dtype).tiny)).tanh().abs()


def larger(now: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The elementwise maximum with the importance of the stage before."""
    return {name: torch.maximum(scores, before[name]) for name, scores in now.items()}


class SoftMask(WeightRegularizer):
    """(1 − I) on the update or on the gradient of the units' weights."""

    def __init__(
        self, model: PackedModel, scores: Mapping[str, Tensor], apply: Literal["update", "gradient"] = "update"
    ) -> None:
        self.apply = apply
        shapes = {name: weight.shape for name, weight in model.weights().items()}
        self._whole = by_weight(layers_of(model), shapes, {name: 1 - score for name, score in scores.items()})
        self._factors: dict[str, Tensor] = {}
        self._before: dict[str, Tensor] = {}

    def _factor(self, name: str, weight: Tensor) -> Tensor:
        if name not in self._factors:
            # Cut as the weight is: a factor per column is the same for all rows, but rows are what ranks share out.
            whole = self._whole[name].to(weight.device)
            self._factors[name] = whole if local(weight) is weight else part_of(whole.expand(weight.shape), weight)
        return self._factors[name]

    @torch.no_grad()
    def on_gradients(self, weights: Weights) -> None:
        for name in self._whole:
            weight = weights[name]
            if weight.grad is None:
                continue
            if self.apply == "gradient":
                local(weight.grad).mul_(self._factor(name, weight))
            else:
                self._before[name] = local(weight).clone()

    @torch.no_grad()
    def after_step(self, weights: Weights, rate: float) -> float:
        for name, before in self._before.items():
            mine = local(weights[name])
            mine.copy_(torch.lerp(before, mine, self._factor(name, weights[name]).expand_as(mine)))
        self._before.clear()
        return 0.0
