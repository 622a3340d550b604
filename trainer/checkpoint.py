"""Checkpoints: a Hugging Face model, its optimizer and the run's state in one published folder.

    step-000100/  model.safetensors, config.json, tokenizer files   loadable by from_pretrained
                  optimizer.safetensors                             "<parameter>/<moment>"; no pickle anywhere
                  regularizers.safetensors                          averaged weights, when there are any
                  state.json                                        step, plan, best, tokens by source, baseline
                  manifest.json                                     hashes; the function is the run's identity and step

A folder is whole or absent (corpus.artifact.publish). Older ones go only after the new one is whole, and never the
best. Random numbers need no state: every step seeds itself from (seed, step, rank).
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file, save_file

from corpus.artifact import Manifest, RunLock, canonical_json, publish
from corpus.errors import ArtifactError, TrainingError
from trainer.gate import Best
from trainer.model import TOKENIZER_FILES, PackedModel

KIND = "trainer.checkpoint"
REGULARIZERS = "regularizers.safetensors"


@dataclass
class TrainState:
    """Where a run stands. `step` counts finished steps; `baseline` holds step 0's nats per document by set; `skipped`
    and `skipped_in_a_row` count
    steps without a finite loss; `gated` says that the gate stopped the run."""

    step: int = 0
    tokens_by_source: dict[str, int] = field(default_factory=dict)
    best: Best | None = None
    baseline: dict[str, list[float]] = field(default_factory=dict)
    skipped: int = 0
    skipped_in_a_row: int = 0
    gated: bool = False

    def to_json(self, **context: Any) -> bytes:
        return json.dumps(context | asdict(self), indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        body = json.loads(data)
        fields = {name: body[name] for name in cls.__dataclass_fields__}
        return cls(**fields | {"best": Best(**body["best"]) if body["best"] else None})


def checkpoint_folder(run: Path, step: int) -> Path:
    return run / f"step-{step:06d}"


def checkpoint_steps(run: Path) -> list[int]:
    """Steps with a folder, ascending, whether it is valid or not."""
    return sorted(int(path.name.removeprefix("step-")) for path in run.glob("step-[0-9]*") if path.is_dir())


def save_checkpoint(
    run: Path,
    model: PackedModel,
    optimizer: torch.optim.Optimizer,
    state: TrainState,
    *,
    base: Path,
    identity: Mapping[str, Any],
    world_size: int,
    regularizers: Mapping[str, torch.Tensor] | None = None,
    lock: RunLock | None = None,
) -> Path:
    """Publish a checkpoint of `state.step`; `base` is the folder the tokenizer files come from."""
    folder = checkpoint_folder(run, state.step)
    with publish(folder, kind=KIND, function={**identity, "step": state.step}, lock=lock) as draft:
        write_model(draft.path, model, base)
        save_file(optimizer_tensors(optimizer, model), draft.path / "optimizer.safetensors")
        if regularizers:
            save_file(dict(regularizers), draft.path / REGULARIZERS)
        (draft.path / "state.json").write_bytes(state.to_json(plan=identity["plan"], world_size=world_size))
        draft.totals |= {"step": state.step, "tokens": sum(state.tokens_by_source.values())}
    return folder


def write_model(folder: Path, model: PackedModel, base: Path) -> None:
    """The model in Hugging Face layout, with the tokenizer files of `base`."""
    model.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: PackedModel) -> dict[str, torch.Tensor]:
    """The optimizer's state as "<parameter>/<moment>" → tensor."""
    return {
        f"{name}/{moment}": value
        for name, parameter in model.causal.named_parameters()
        for moment, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, model: PackedModel, folder: Path, device: torch.device) -> None:
    """Put a checkpoint's moments back."""
    parameters = dict(model.causal.named_parameters())
    for key, value in load_file(folder / "optimizer.safetensors").items():
        name, _, moment = key.rpartition("/")
        place = value if moment == "step" else value.to(device)
        optimizer.state[parameters[name]][moment] = place


def load_regularizers(folder: Path) -> dict[str, torch.Tensor]:
    """What a checkpoint keeps of the regularizers; nothing where they keep nothing."""
    path = folder / REGULARIZERS
    return load_file(path) if path.is_file() else {}


def newest_valid(run: Path, identity: Mapping[str, Any]) -> Path | None:
    """The newest checkpoint that is whole, hashes included; damaged ones are passed over.

    Raises TrainingError when it is of another run: resuming it would not give what this run asks for.
    """
    for step in reversed(checkpoint_steps(run)):
        folder = checkpoint_folder(run, step)
        try:
            manifest = Manifest.read(folder)
            manifest.verify(folder)
        except ArtifactError:
            continue
        refuse_another_run(run, {key: manifest.function.get(key) for key in identity}, identity)
        return folder
    return None


def refuse_another_run(run: Path, found: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Raise TrainingError naming what differs between a stored identity and the one asked for."""
    changed = [key for key in identity if canonical_json(found.get(key)) != canonical_json(identity[key])]
    if not changed:
        return
    details = [_difference(key, found.get(key), identity[key]) for key in changed]
    raise TrainingError(
        f"this run was started with another {' and '.join(changed)}",
        where=run,
        found="; ".join(details),
        todo="put it back, give the run another name, or start over without resuming",
    )


def _difference(key: str, before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        return ", ".join(f"{key}.{name} was {before.get(name)}, now {now.get(name)}" for name in names)
    return f"{key} was {str(before)[:12]}, now {str(now)[:12]}"


def prune(run: Path, *, keep_last: int, best: Best | None) -> None:
    """Delete all but the newest `keep_last` checkpoints and the best one. Call it after a whole one was published."""
    steps = checkpoint_steps(run)
    keep = set(steps[-keep_last:]) | ({best.step} if best is not None else set())
    for step in steps:
        if step not in keep:
            # Renamed first, so that a kill within the deletion leaves no half folder under a checkpoint's name.
            doomed = run / f".step-{step:06d}.old-pruned"
            shutil.rmtree(doomed, ignore_errors=True)
            checkpoint_folder(run, step).rename(doomed)
            shutil.rmtree(doomed)
