"""Layer freezing: the weights that a run leaves as they are."""

from collections.abc import Mapping
from fnmatch import fnmatch

from torch import nn
from transformers import PreTrainedModel

from corpus.errors import ConfigError
from trainer.regularizers.settings import FreezeSettings


def freeze(causal: PreTrainedModel, weights: Mapping[str, nn.Parameter], settings: FreezeSettings) -> None:
    """Take weights out of the training; `weights` are the model's by name. Raises ConfigError for a pattern without
    parameters, for more layers than there are, and when nothing is left to train."""
    chosen: set[int] = set()
    if settings.embeddings:
        chosen |= {id(weight) for weight in causal.get_input_embeddings().parameters()}
    stacks = [module for module in causal.modules() if isinstance(module, nn.ModuleList)]
    layers = max(stacks, key=len, default=nn.ModuleList())
    if settings.layers > len(layers):
        raise ConfigError(
            "more layers are to be frozen than the decoder has",
            where="train.freeze.layers",
            found=f"{settings.layers}, the decoder has {len(layers)}",
            todo="lower it",
        )
    for layer in layers[: settings.layers]:
        chosen |= {id(weight) for weight in layer.parameters()}
    for pattern in settings.parameters:
        fitting = {id(weight) for name, weight in weights.items() if fnmatch(name, pattern)}
        if not fitting:
            raise ConfigError(
                "no parameter has such a name",
                where="train.freeze.parameters",
                found=pattern,
                todo=f"names look like {next(iter(weights))}",
            )
        chosen |= fitting
    if all(id(weight) in chosen for weight in weights.values()):
        raise ConfigError("every weight is frozen", where="train.freeze", todo="leave something to train")
    for weight in weights.values():
        weight.requires_grad_(id(weight) not in chosen)
