"""The regularizers a recipe asks for, as one step applies them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from corpus.artifact import Manifest, RunLock, current
from corpus.errors import TrainingError
from corpus.tokens.store import TokenStore
from trainer.batches.planned import Loader, Plan
from trainer.model.packed import (
    PackedModel,
    build_model,
    deterministic,
    head_is_linear,
    load_causal,
    model_hash,
    quiet,
    resolve_model,
    resolve_precision,
    tokenizer_hash,
)
from trainer.record.progress import Progress, Report
from trainer.regularizers import das, ewc
from trainer.regularizers.anchor import Anchor
from trainer.regularizers.contrast import Contrast
from trainer.regularizers.ema import Average
from trainer.regularizers.hooks import WeightRegularizer, Weights
from trainer.regularizers.kl import AdaptersOff, Base, FrozenBase, KlToBase
from trainer.regularizers.measured import BaseModel, earlier, function_of, general_rows, given, stored
from trainer.regularizers.reference import CachedBase, build_reference
from trainer.regularizers.settings import DasSettings, EwcSettings
from trainer.settings import TrainSettings


@dataclass
class Regularizers:
    """What acts on tokens (`kl`, `contrast`) and what on weights, the average last: it follows the finished step."""

    kl: KlToBase | None = None
    contrast: Contrast | None = None
    on_weights: list[WeightRegularizer] = field(default_factory=list)
    average: Average | None = None

    def tensors(self, weights: Weights) -> dict[str, Tensor]:
        """What a checkpoint must keep, whole; all ranks must ask."""
        return {name: value for each in self.on_weights for name, value in each.tensors(weights).items()}

    def load(self, tensors: Mapping[str, Tensor], weights: Weights) -> None:
        for each in self.on_weights:
            each.load(tensors, weights)

    def averaged(self, weights: Weights) -> AbstractContextManager[None]:
        """The weights to evaluate and export, for the duration."""
        return self.average.in_place_of(weights) if self.average is not None else nullcontext()


@dataclass(frozen=True)
class Ground:
    """What regularizers are built from besides the settings: the base, the general sets, and where the run lies."""

    base: BaseModel
    tokenizer: str | None
    plan: str
    roles: Sequence[str]
    texts: Mapping[str, TokenStore]
    length: int
    run: Path
    report: Report
    lock: RunLock | None = None


def assemble(settings: TrainSettings, ground: Ground, accelerator: Accelerator, model: nn.Module) -> Regularizers:
    """Build what the recipe asks for around the wrapped `model`. Raises TrainingError when it does not fit the plan."""
    packed: PackedModel = accelerator.unwrap_model(model)
    made = Regularizers()
    frozen: PackedModel | None = None
    needs_copy = settings.ewc or settings.l2sp or (settings.kl is not None and settings.kl.reference == "frozen")
    if needs_copy:
        frozen = load_frozen(settings, ground.base)
    if settings.kl is not None:
        made.kl = KlToBase(
            _base(settings, ground, packed, model, frozen),
            torch.tensor(held_sources(settings, ground.roles), device=ground.base.device),
            settings.kl.weight,
            settings.kl.direction,
            settings.kl.sample,
            settings.seed,
        )
    start = frozen.weights() if frozen is not None else {}
    if settings.l2sp is not None:
        made.on_weights.append(Anchor(settings.l2sp, start, None))
    with accelerator.main_process_first():
        if settings.ewc is not None:
            fisher = fisher_of(settings, settings.ewc, ground)
            made.on_weights.append(Anchor(settings.ewc.weight, start, fisher, settings.ewc.apply))
        if settings.das is not None:
            scores = importance_of(settings, settings.das, ground)
            made.on_weights.append(das.SoftMask(packed, scores, settings.das.apply))
            if settings.das.contrast:
                made.contrast = Contrast(settings.das.contrast, settings.das.temperature, scores)
    if settings.ema is not None:
        made.average = Average(settings.ema.decay, packed.weights())
        made.on_weights.append(made.average)
    return made


def held_sources(settings: TrainSettings, roles: Sequence[str]) -> list[bool]:
    """Which sources' rows KL is taken on. Raises TrainingError when that is none of them."""
    if settings.kl is None:
        raise TrainingError("the recipe asks for no KL", where="train.kl", todo="set train.kl")
    held = [settings.kl.on == "all" or role == "replay" for role in roles]
    if not any(held):
        raise TrainingError(
            "KL on replay rows, but the plan replays nothing",
            where="train.kl",
            todo="give a source the role replay, or set train.kl.on to all",
        )
    return held


def reference_function(settings: TrainSettings, base: BaseModel, tokenizer: str | None, plan: str) -> dict[str, Any]:
    """What a cached reference is a function of."""
    assert settings.kl is not None
    return {
        "model": base.hash,
        "tokenizer": tokenizer,
        "plan": plan,
        "on": settings.kl.on,
        "top_k": settings.kl.top_k,
        "precision": base.precision,
    }


def reference_folder(settings: TrainSettings, run: Path) -> Path:
    assert settings.kl is not None
    return settings.kl.path if settings.kl.path is not None else run / "reference"


def _base(
    settings: TrainSettings, ground: Ground, packed: PackedModel, model: nn.Module, frozen: PackedModel | None
) -> Base:
    assert settings.kl is not None
    if settings.kl.reference == "cached":
        expected = reference_function(settings, ground.base, ground.tokenizer, ground.plan)
        return CachedBase.open(reference_folder(settings, ground.run), expected)
    if settings.kl.reference == "lora_off":
        shared_out = settings.parallel.kind != "ddp"
        return AdaptersOff(model if shared_out else packed, packed.linear_head, shared_out)
    assert frozen is not None
    return FrozenBase(frozen)


def load_frozen(settings: TrainSettings, base: BaseModel) -> PackedModel:
    """A frozen copy of the base model, in the precision of the trained one."""
    causal = load_causal(base.folder, settings.attention).requires_grad_(False)
    frozen = PackedModel(causal, precision=base.precision, chunk=settings.chunk)
    frozen.linear_head = head_is_linear(frozen)
    return frozen.eval().to(base.device)


def fisher_of(settings: TrainSettings, asked: EwcSettings, ground: Ground) -> dict[str, Tensor]:
    """The base model's Fisher, read from `asked.path` or made on the general sets and kept in the run's folder."""
    base = ground.base
    if asked.path is not None:
        return _placed(given(asked.path, ewc.KIND, base.hash, "train.ewc.path"), base)
    function = function_of(base, ground.texts, asked.fisher_tokens, ground.length, settings.seed)
    if asked.previous is not None:
        function |= {"previous": asked.identity()["previous"], "decay": asked.decay}

    def compute() -> dict[str, Tensor]:
        model = _plain(settings, base)
        rows = general_rows(ground.texts, asked.fisher_tokens, ground.length, base.device)
        named = list(model.weights().items())
        losses = _reported(ewc.fisher_losses(model, rows, settings.seed), asked.fisher_tokens, ground.report)
        now = ewc.diagonal_fisher(model, losses, named)
        if asked.previous is None:
            return now
        return ewc.consolidated(now, earlier(asked.previous, ewc.KIND, now, "train.ewc.previous"), asked.decay)

    return _placed(stored(ground.run / "fisher", ewc.KIND, function, compute, ground.lock), base)


def importance_of(settings: TrainSettings, asked: DasSettings, ground: Ground) -> dict[str, Tensor]:
    """The importance of the base model's units, read from `asked.path` or made on the general sets."""
    base = ground.base
    if asked.path is not None:
        return _placed(given(asked.path, das.KIND, base.hash, "train.das.path"), base)
    function = function_of(base, ground.texts, asked.importance_tokens, ground.length, settings.seed)
    if asked.previous is not None:
        function |= {"previous": asked.identity()["previous"]}

    def compute() -> dict[str, Tensor]:
        model = _plain(settings, base)
        rows = general_rows(ground.texts, asked.importance_tokens, ground.length, base.device)
        now = das.importance(model, rows, settings.seed)
        if asked.previous is None:
            return now
        return das.larger(now, earlier(asked.previous, das.KIND, now, "train.das.previous"))

    return _placed(stored(ground.run / "importance", das.KIND, function, compute, ground.lock), base)


def _plain(settings: TrainSettings, base: BaseModel) -> PackedModel:
    """The base with all its weights trainable, whatever the run freezes."""
    bare = settings.model_copy(update={"lora": None, "freeze": None, "compile": False, "z_loss": 0.0})
    return build_model(base.folder, bare, base.precision).eval().to(base.device)


def _placed(tensors: Mapping[str, Tensor], base: BaseModel) -> dict[str, Tensor]:
    return {name: value.to(base.device) for name, value in tensors.items()}


def _reported(
    losses: Iterator[tuple[Callable[[], Tensor], int]], total: int, report: Report
) -> Iterator[tuple[Callable[[], Tensor], int]]:
    done = 0
    for loss, tokens in losses:
        yield loss, tokens
        done += tokens
        report(Progress("fisher", done, max(total, done)))


def cache_reference(
    settings: TrainSettings, plan: Plan, loader: Loader, run: Path, *, report: Report, lock: RunLock | None = None
) -> Manifest:
    """Write down the base's likeliest tokens on the plan's rows that KL is taken on, for a run in the folder `run`; at
    once when that is done already. `loader` gives the rows of all ranks. Raises TrainingError without such rows."""
    held = held_sources(settings, [source.role for source in plan.sources])
    assert settings.kl is not None
    folder = resolve_model(settings.model)
    device = Accelerator().device
    base = BaseModel(folder, model_hash(folder), resolve_precision(settings.precision, device), device)
    function = reference_function(settings, base, tokenizer_hash(folder), plan.fingerprint)
    place = reference_folder(settings, run)
    if (ready := current(place, function)) is not None:
        return ready
    with quiet(), deterministic(), closing(loader.iterate(0)) as batches:
        return build_reference(
            place,
            function,
            load_frozen(settings, base),
            batches,
            held,
            k=settings.kl.top_k,
            rows_at_once=settings.micro_batch,
            steps=plan.steps,
            report=report,
            lock=lock,
        )
