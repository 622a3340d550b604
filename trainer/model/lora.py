"""Low-rank adapters (LoRA, Hu et al. 2021) by peft, put inside a causal LM in place.

The model keeps its class, so the decoder, the head and the checkpoints work as without; a checkpoint's
model.safetensors holds the merged weights W + (α/r) B A, and adapter.safetensors the adapters themselves, which a
resumed run puts back on the base.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch import Tensor, nn

from corpus.errors import ConfigError
from trainer.regularizers.settings import LoraSettings

ADAPTER = "adapter.safetensors"
_MARK = ".lora_"


def add_adapters(causal: nn.Module, decoder: nn.Module, settings: LoraSettings, seed: int) -> None:
    """Inject adapters that change nothing yet and freeze all other weights. Raises ConfigError when no module fits."""
    linear = {name for name, module in decoder.named_modules() if isinstance(module, nn.Linear)}
    found = {name.rpartition(".")[2] for name in linear}
    if unknown := set(settings.targets) - found:
        raise ConfigError(
            "no linear map of the decoder has this name",
            where="train.lora.targets",
            found=", ".join(sorted(unknown)),
            todo=f"choose from {', '.join(sorted(found))}",
        )
    torch.manual_seed(seed)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=sorted(settings.targets or found),
        use_rslora=settings.rank_stabilized,
    )
    inject_adapter_in_model(config, causal)
    for name, parameter in causal.named_parameters():
        parameter.requires_grad_(_MARK in name)


def _layers(model: nn.Module) -> list[tuple[str, LoraLayer]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """The model without its adapters for the duration; inert when it has none."""
    layers = _layers(model)
    for _, layer in layers:
        layer._disable_adapters = True  # enable_adapters() would also switch requires_grad, which DDP must not see
    try:
        yield
    finally:
        for _, layer in layers:
            layer._disable_adapters = False


def adapter_tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The adapters' part of a state dict; empty without LoRA."""
    return {name: tensor.detach().contiguous() for name, tensor in state.items() if _MARK in name}


@torch.no_grad()
def merged(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the adapters of `model` added to the weights they adapt, under the names of a plain model."""
    plain = {name.replace(".base_layer.", "."): tensor for name, tensor in state.items() if _MARK not in name}
    for name, layer in _layers(model):
        down, up = (state[f"{name}.lora_{side}.default.weight"] for side in "AB")
        weight = plain[f"{name}.weight"]
        plain[f"{name}.weight"] = weight + layer.scaling["default"] * (up @ down).to(weight.dtype)
    return plain


def load_adapters(causal: nn.Module, checkpoint: Path) -> None:
    """Put a checkpoint's adapters back."""
    tensors = load_file(checkpoint / ADAPTER)
    missing = [name for name in causal.load_state_dict(tensors, strict=False).missing_keys if _MARK in name]
    if missing:
        raise KeyError(f"{checkpoint / ADAPTER} lacks {missing[0]}")
