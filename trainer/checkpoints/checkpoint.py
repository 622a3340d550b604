"""Checkpoints: a Hugging Face model, its optimizer and the run's state in one published folder.

    step-000100/  model.safetensors, config.json, tokenizer files   loadable by from_pretrained
                  optimizer.safetensors                             "<parameter>/<moment>"; no pickle
                  regularizers.safetensors                          averaged weights, when there are any
                  state.json                                        step, plan, best, tokens by source, baseline
                  manifest.json                                     hashes; the function is the run's identity and step

A folder is whole or absent (corpus.artifact.publish). Saving has two halves: `capture` copies what is to be saved to
the host (all ranks take part when the model is in shards), `write_checkpoint` publishes the copy, in a thread of its
own if so asked. Older checkpoints go only after the new one is whole, and never the best one or the only whole one.
Random numbers need no state: every step seeds itself from (seed, step, rank).
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from corpus.artifact import Manifest, RunLock, canonical_json, current, publish
from corpus.errors import ArtifactError, TrainingError
from trainer.evaluation.gate import Best
from trainer.model.packed import TOKENIZER_FILES, PackedModel
from trainer.processes.parallel import Replicas
from trainer.processes.shards import placed_like, whole

KIND = "trainer.checkpoint"
REGULARIZERS = "regularizers.safetensors"


@dataclass
class TrainState:
    """Where a run stands. `step` counts finished steps; `baseline` holds step 0's nats per document by set; `skipped`
    and `skipped_in_a_row` count steps that were passed over; `recent` are the losses of the last steps taken;
    `kl_weight` is the KL weight that the gate raised and `raises` are the (step, share) of replay; `gated` says that
    the gate stopped the run."""

    step: int = 0
    tokens_by_source: dict[str, int] = field(default_factory=dict)
    best: Best | None = None
    baseline: dict[str, list[float]] = field(default_factory=dict)
    skipped: int = 0
    skipped_in_a_row: int = 0
    recent: list[float] = field(default_factory=list)
    kl_weight: float | None = None
    raises: list[tuple[int, float]] = field(default_factory=list)
    gated: bool = False

    def to_json(self, **context: Any) -> bytes:
        return json.dumps(context | asdict(self), indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        body = json.loads(data)
        fields = {name: body[name] for name in cls.__dataclass_fields__}
        fields["raises"] = [(step, share) for step, share in body["raises"]]
        return cls(**fields | {"best": Best(**body["best"]) if body["best"] else None})


def checkpoint_folder(run: Path, step: int) -> Path:
    return run / f"step-{step:06d}"


def checkpoint_steps(run: Path) -> list[int]:
    """Steps with a folder, ascending, whether it is valid or not."""
    return sorted(int(path.name.removeprefix("step-")) for path in run.glob("step-[0-9]*") if path.is_dir())


@dataclass(frozen=True)
class Snapshot:
    """What a checkpoint is made of, on the host: weights, moments and what regularizers keep, by name; the state as
    JSON, and the folder of an engine that writes its moments itself. Weights share memory where the model's do."""

    step: int
    weights: dict[str, Tensor]
    moments: dict[str, Tensor]
    regularizers: dict[str, Tensor]
    state: bytes
    totals: dict[str, Any]
    engine_files: Path | None = None


def capture(
    sharing: Replicas,
    model: nn.Module,
    packed: PackedModel,
    optimizer: torch.optim.Optimizer,
    state: TrainState,
    regularizers: Mapping[str, Tensor],
    *,
    run: Path,
    identity: Mapping[str, Any],
    world_size: int,
) -> Snapshot:
    """A copy of the run as it stands; the training may go on and change the original. Every rank must call it."""
    gathered = sharing.whole_weights(model)
    entries = gathered if gathered is not None else packed.causal.state_dict(keep_vars=True)
    copies: dict[int, Tensor] = {}
    weights = {}
    for name, tensor in entries.items():
        if id(tensor) not in copies:
            copies[id(tensor)] = _copy(tensor)
        weights[name.removeprefix("causal.")] = copies[id(tensor)]
    files = sharing.optimizer_files(model, run)
    moments = {} if files is not None else optimizer_tensors(optimizer, packed)
    totals = {"step": state.step, "tokens": sum(state.tokens_by_source.values())}
    kept = {name: _copy(tensor) for name, tensor in regularizers.items()}
    body = state.to_json(plan=identity["plan"], world_size=world_size)
    return Snapshot(state.step, weights, moments, kept, body, totals, files)


def _copy(tensor: Tensor) -> Tensor:
    return whole(tensor.detach()).to("cpu", copy=True)


def write_checkpoint(
    run: Path,
    snapshot: Snapshot,
    model: PackedModel,
    *,
    base: Path,
    identity: Mapping[str, Any],
    lock: RunLock | None = None,
) -> Path:
    """Publish a snapshot; `model` says how it is laid out, `base` is the folder of the tokenizer files."""
    folder = checkpoint_folder(run, snapshot.step)
    with publish(folder, kind=KIND, function={**identity, "step": snapshot.step}, lock=lock) as draft:
        write_model(draft.path, model, base, snapshot.weights)
        if snapshot.engine_files is not None:
            snapshot.engine_files.rename(draft.path / "deepspeed")
        else:
            save_file(snapshot.moments, draft.path / "optimizer.safetensors")
        if snapshot.regularizers:
            save_file(snapshot.regularizers, draft.path / REGULARIZERS)
        (draft.path / "state.json").write_bytes(snapshot.state)
        draft.totals |= snapshot.totals
    return folder


def write_model(folder: Path, model: PackedModel, base: Path, weights: Mapping[str, Tensor] | None = None) -> None:
    """The model in Hugging Face layout, with the tokenizer files of `base`; `weights` instead of the model's own."""
    model.save_pretrained(folder, weights)
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: PackedModel) -> dict[str, Tensor]:
    """The optimizer's state as "<parameter>/<moment>" → whole tensor on the host."""
    return {
        f"{name}/{moment}": _copy(value)
        for name, parameter in model.causal.named_parameters()
        for moment, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, model: PackedModel, folder: Path) -> None:
    """Put a checkpoint's moments back, each where and in the shards its parameter is in."""
    parameters = dict(model.causal.named_parameters())
    with safe_open(folder / "optimizer.safetensors", framework="pt") as stored:
        for key in stored.keys():  # noqa: SIM118 (not a mapping)
            name, _, moment = key.rpartition("/")
            value = stored.get_tensor(key)
            parameter = parameters[name]
            optimizer.state[parameter][moment] = value if moment == "step" else placed_like(value, parameter)


def load_regularizers(folder: Path) -> dict[str, Tensor]:
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
    """Delete all but the newest `keep_last` whole checkpoints and the best one; damaged ones that are older go too.

    Without a whole checkpoint nothing is deleted.
    """
    for left in run.glob(".step-*.old-pruned"):  # by a kill within a deletion
        shutil.rmtree(left)
    steps = checkpoint_steps(run)
    sound = [step for step in steps if _whole(checkpoint_folder(run, step))]
    if not sound:
        return
    keep = set(sound[-keep_last:]) | ({best.step} if best is not None else set())
    for step in steps:
        if step not in keep and step < sound[-1]:
            # Renamed first, so that a kill within the deletion leaves no half folder under a checkpoint's name.
            doomed = run / f".step-{step:06d}.old-pruned"
            shutil.rmtree(doomed, ignore_errors=True)
            checkpoint_folder(run, step).rename(doomed)
            shutil.rmtree(doomed)


def _whole(folder: Path) -> bool:
    """Whether the manifest is sound and all files are there in full size; hashing them is left to who resumes."""
    try:
        return current(folder, Manifest.read(folder).function) is not None
    except ArtifactError:
        return False
