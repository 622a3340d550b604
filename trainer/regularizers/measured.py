"""What is measured on the base model and general text once, before training: the Fisher information of EWC, the
importance of DAS. Each is an artefact of safetensors beside the run, or of an earlier run.

The general evaluation sets serve as text: a plan without replay has no other, and as labels are drawn from the model
nothing is learnt of how these texts go on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from corpus.artifact import Manifest, RunLock, current, publish
from corpus.errors import TrainingError
from corpus.tokens.store import TokenStore
from trainer.evaluation.evaluate import batches, pack_evaluation
from trainer.model.packed import Precision

Rows = tuple[Tensor, Tensor, Tensor]  # input_ids, position_ids, labels [rows, sequence]


@dataclass(frozen=True)
class BaseModel:
    """The model a run starts from: its folder and hash, and how it is computed with."""

    folder: Path
    hash: str
    precision: Precision
    device: torch.device


def general_rows(texts: Mapping[str, TokenStore], tokens: int, length: int, device: torch.device) -> list[Rows]:
    """About `tokens` tokens of the sets, equal shares, one packed row at a time: the smaller the batch, the more
    squares are averaged for the same work."""
    share = tokens // max(len(texts), 1)
    packed = [pack_evaluation(name, store, share, length) for name, store in sorted(texts.items())]
    return [
        (input_ids, position_ids, labels)
        for each in packed
        for _, input_ids, position_ids, labels in batches(each, 1, device)
    ]


def function_of(
    base: BaseModel, texts: Mapping[str, TokenStore], tokens: int, length: int, seed: int
) -> dict[str, Any]:
    """What such an artefact is a function of."""
    return {
        "model": base.hash,
        "stores": {name: store.manifest.fingerprint for name, store in sorted(texts.items())},
        "tokens": tokens,
        "sequence_length": length,
        "precision": base.precision,
        "seed": seed,
    }


def stored(
    folder: Path, kind: str, function: dict[str, Any], compute: Callable[[], dict[str, Tensor]], lock: RunLock | None
) -> dict[str, Tensor]:
    """The tensors of `folder` if they are those of `function`, else computed and published there."""
    file = f"{kind.rpartition('.')[2]}.safetensors"
    if current(folder, function) is None:
        with publish(folder, kind=kind, function=function, lock=lock) as draft:
            save_file(compute(), draft.path / file)
    return load_file(folder / file)


def given(folder: Path, kind: str, model_hash: str, key: str) -> dict[str, Tensor]:
    """Tensors made before, for the recipe's `key`. Raises TrainingError when they are another model's, ArtifactError
    when they are damaged."""
    manifest = Manifest.read(folder)
    manifest.verify(folder)
    if manifest.kind != kind or manifest.function.get("model") != model_hash:
        raise TrainingError(
            "this was measured on another model",
            where=folder,
            found=f"{manifest.kind} of model {str(manifest.function.get('model'))[:12]}, the run starts from "
            f"{model_hash[:12]}",
            todo=f"leave {key} out to have it made",
        )
    return load_file(folder / f"{kind.rpartition('.')[2]}.safetensors")


def earlier(folder: Path, kind: str, now: Mapping[str, Tensor], key: str) -> dict[str, Tensor]:
    """Tensors of the stage before, of the same architecture and any weights, on the devices of `now`. Raises
    TrainingError when names or shapes differ, ArtifactError when they are damaged."""
    Manifest.read(folder).verify(folder)
    before = load_file(folder / f"{kind.rpartition('.')[2]}.safetensors")
    if strange := sorted(name for name in now if name not in before or before[name].shape != now[name].shape):
        raise TrainingError(
            "what the stage before measured is of another architecture",
            where=folder,
            found=f"{len(strange)} names without a match, {strange[0]} the first",
            todo=f"give the folder of a stage of this same model as {key}, or leave it out",
        )
    return {name: before[name].to(value.device) for name, value in now.items()}
