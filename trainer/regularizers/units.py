"""The units of a decoder that DAS weighs: attention heads and feed-forward neurons, and the weights that are theirs.

A unit is a block of the input of an output projection: head h the columns [h·d, (h+1)·d) of the attention's, neuron i
column i of the feed-forward's. Its weights are these columns and the rows of the projections that fill them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from corpus.errors import TrainingError
from trainer.model.packed import PackedModel

# Output projection → the projections that fill its input, as siblings in the same block.
PROJECTIONS: dict[str, tuple[str, ...]] = {
    "self_attn.o_proj": ("q_proj", "k_proj", "v_proj"),  # Llama, Mistral, Qwen, Gemma, SmolLM, OLMo
    "mlp.down_proj": ("gate_proj", "up_proj"),
    "self_attn.out_proj": ("q_proj", "k_proj", "v_proj"),  # OPT
    "fc2": ("fc1",),
    "self_attn.dense": ("q_proj", "k_proj", "v_proj"),  # Phi
    "mlp.fc2": ("fc1",),
    "mlp.dense_4h_to_h": ("dense_h_to_4h",),  # GPT-NeoX, whose fused query-key-value stays unmasked
    "attention.dense": (),
}


@dataclass(frozen=True)
class Layer:
    """One output projection: `units` of them, each `width` columns wide; `fillers` are parameter prefixes."""

    name: str
    projection: nn.Linear
    units: int
    width: int
    fillers: tuple[str, ...]


def layers_of(model: PackedModel) -> list[Layer]:
    """The maskable layers. Raises TrainingError when the architecture has none that is known here."""
    config: Any = model.causal.config
    found = []
    for name, module in model.causal.named_modules():
        # The longest ending decides: mlp.fc2 before fc2.
        ending = max((end for end in PROJECTIONS if name.endswith("." + end)), key=len, default=None)
        if ending is None or not isinstance(module, nn.Linear):
            continue
        block = name.removesuffix(ending.rpartition(".")[2])
        fillers = tuple(block + filler for filler in PROJECTIONS[ending])
        attention = "attn" in ending or "attention" in ending
        units = int(config.num_attention_heads) if attention else module.in_features
        found.append(Layer(name, module, units, module.in_features // units, fillers))
    if not found:
        raise TrainingError(
            "soft-masking does not know this architecture",
            where="train.das",
            found=type(model.causal).__name__,
            todo=f"it looks for {', '.join(PROJECTIONS)}: leave das out for this model",
        )
    return found


def by_weight(
    layers: list[Layer], shapes: Mapping[str, torch.Size], per_unit: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """A factor per unit [units], by layer → one per row or column of each weight of these units, broadcastable to it.

    With fewer key and value heads than query heads (grouped queries) a shared head takes the smallest factor of those
    that read it.
    """
    factors: dict[str, Tensor] = {}
    for layer in layers:
        unit = per_unit[layer.name]
        factors[f"{layer.name}.weight"] = unit.repeat_interleave(layer.width)[None, :]
        for filler in layer.fillers:
            if f"{filler}.weight" not in shapes:
                continue
            heads = shapes[f"{filler}.weight"][0] // layer.width
            rows = unit.view(heads, -1).amin(1).repeat_interleave(layer.width)
            factors[f"{filler}.weight"] = rows[:, None]
            if f"{filler}.bias" in shapes:
                factors[f"{filler}.bias"] = rows
    return factors


@contextmanager
def gated(layers: list[Layer], gates: dict[str, Tensor]) -> Iterator[None]:
    """The model with the inputs of its output projections multiplied by a gate per unit [units], by layer name."""
    handles = []
    for layer in layers:

        def multiply(module: nn.Module, arguments: tuple[Tensor], layer: Layer = layer) -> tuple[Tensor]:
            (inputs,) = arguments
            return (inputs * gates[layer.name].repeat_interleave(layer.width).to(inputs.dtype),)

        handles.append(layer.projection.register_forward_pre_hook(multiply))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
