"""The three places in a step where a regularizer acts.

    micro-batch ─► token weights ─► forward, backward ─► gradient hook ─► clipping, optimizer ─► post-step hook

KL sets weights per token (kl.py); a `WeightRegularizer` has the other two. Weights are given by name as this rank holds
them; under FSDP2 these are sharded, and processes/shards.py has the ways to and fro.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

Weights = Mapping[str, nn.Parameter]


@dataclass(frozen=True)
class MicroBatch:
    """Rows of one forward pass: int64 [rows, sequence], `source_ids` [rows]; `step` is the plan's."""

    input_ids: Tensor
    position_ids: Tensor
    labels: Tensor
    document_ids: Tensor
    source_ids: Tensor
    step: int


class WeightRegularizer:
    """A term on the weights; each kind overrides the hooks it needs."""

    def on_gradients(self, weights: Weights) -> None:
        """Change the gradients in place, once a step, when they are complete and not yet clipped."""

    def after_step(self, weights: Weights, rate: float) -> float:
        """Change the weights in place after the optimizer's step of learning rate `rate`; returns this rank's part of
        the penalty that is left, in nats."""
        return 0.0

    def tensors(self, weights: Weights) -> dict[str, Tensor]:
        """What a checkpoint must keep of it, whole, by name; all ranks must ask."""
        return {}

    def load(self, tensors: Mapping[str, Tensor], weights: Weights) -> None:
        """Put back what `tensors` gave."""
