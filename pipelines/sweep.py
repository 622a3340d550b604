"""`provender mix sweep`: a design of small runs, each trained by the trainer, and what came out as one table.

    design × models × steps × seeds ─► a plan each ─► train in sweep-runs/<run>/.work-… ─► rows, published
                                                                 sweeps/<run>/sweep.parquet ◄─┘

A run is an artefact: it is made again when and only when its fingerprint (mixture, model, settings, stores, trainer)
differs. Killed while it trains, it goes on from its last checkpoint; its weights go when its rows are published.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import polars as pl
from pydantic import Field
from rich.console import RenderableType
from rich.table import Table

from corpus.artifact import RunLock, code_version, current, fingerprint, publish, read_parquet, write_parquet
from corpus.errors import ArtifactError, TrainingError
from corpus.settings import Settings
from mixing.laws.design import Design, GridDesign
from mixing.laws.runs import SWEEP
from pipelines import progress
from trainer.model.fresh import FreshModel

if TYPE_CHECKING:
    from corpus.tokens.store import TokenStore
    from mixing.budget import MixSettings
    from mixing.plan import MixturePlan
    from mixing.sequences import Sequences
    from pipelines.recipe import Recipe
    from trainer.record.progress import Progress
    from trainer.settings import TrainSettings

TABLE = "sweep.parquet"


class GivenModel(Settings):
    """A model that exists: continued pre-training in small."""

    kind: Literal["given"] = "given"
    path: str | None = Field(None, description="a folder or a name on the hub; default: the recipe's train.model")


Model = Annotated[GivenModel | FreshModel, Field(discriminator="kind")]


class SweepSettings(Settings):
    """Which small runs to make. What is not said here is as in `mix` and `train` of the recipe."""

    design: Design = Field(default=GridDesign(shares=(0.1, 0.25, 0.5, 0.75, 0.9)), description="which mixtures")
    models: tuple[Model, ...] = Field((GivenModel(),), min_length=1, description="what is trained")
    steps: tuple[Annotated[int, Field(ge=1)], ...] = Field((100,), min_length=1, description="lengths of the runs")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0,), min_length=1, description="repeats of every run")
    learning_rate: float | None = Field(None, gt=0, description="peak for these runs; default: train.learning_rate")
    evaluation_tokens: int | None = Field(None, gt=0, description="per set; default: train.evaluation_tokens")


@dataclass(frozen=True)
class SmallRun:
    """One run of a sweep: its model folder and settings, and its mixture as the settings of a plan."""

    model: str
    folder: Path
    train: "TrainSettings"
    mix: "MixSettings"
    asked: Mapping[str, float]

    @property
    def steps(self) -> int:
        return self.mix.steps or 0


def run_sweep(recipe: "Recipe") -> Path:
    """Make every run of the recipe's sweep that is not there yet; the path of `sweep.parquet`.

    Raises TrainingError when it is stopped by a signal, which leaves what is done; ConfigError and ArtifactError as the
    mixture and the trainer do.
    """
    from pipelines.stages import pack_sources, training_stores, validation_stores, workspace

    with workspace(recipe) as lock:
        pack_sources(recipe, lock)
        stores, evaluation = training_stores(recipe), validation_stores(recipe)
        runs = list(small_runs(recipe, stores))
        tables, prints = [], []
        with progress.stage(f"sweep {recipe.run}", "runs", 1) as meter:
            for number, run in enumerate(runs):
                meter.note(number, len(runs), f"run {number + 1} of {len(runs)}")
                folder, function = _train(recipe, run, stores, evaluation, lock)
                tables.append(read_parquet(folder / "rows.parquet"))
                prints.append(fingerprint(function))
            function = {"runs": prints}
            target = recipe.folder / "sweeps" / recipe.run
            if current(target, function) is None:
                table = pl.concat([_frame(each) for each in tables]).sort("run", "source", maintain_order=True)
                with publish(target, kind="pipelines.sweep", function=function, lock=lock) as draft:
                    draft.rows[TABLE] = write_parquet(draft.path / TABLE, table.to_arrow().cast(SWEEP))
                    draft.totals |= {"runs": len(runs), "rows": draft.rows[TABLE]}
            meter.close(f"{len(runs)} runs, {target / TABLE}")
    return target / TABLE


def design_table(recipe: "Recipe") -> RenderableType:
    """The runs that a sweep would make; trains nothing."""
    from pipelines.stages import token_stores

    stores, settings = token_stores(recipe), recipe.sweep
    names = sorted(recipe.need("mix").sources)
    table = Table(title=f"Sweep {recipe.run}", title_justify="left")
    for column in ("model", "steps", "seeds", *names):
        table.add_column(column, justify="left" if column == "model" else "right")
    for model in settings.models:
        for steps in settings.steps:
            for shares in design_mixtures(recipe, stores, steps):
                cells = [f"{shares[name]:.3f}" for name in names]
                table.add_row(_named(model, recipe), f"{steps:,}", str(len(settings.seeds)), *cells)
    return table


def _named(model: "GivenModel | FreshModel", recipe: "Recipe") -> str:
    if isinstance(model, FreshModel):
        return f"fresh {model.layers}x{model.hidden_size} seed {model.seed}"
    return Path(model.path or recipe.need("train").model).name


def _frame(table: Any) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def small_runs(recipe: "Recipe", stores: "Mapping[str, TokenStore | Sequences]") -> Iterator[SmallRun]:
    """The runs of the sweep in order: models, lengths, mixtures, seeds."""
    settings, mix, train = recipe.sweep, recipe.need("mix"), recipe.need("train")
    for name, folder in _models(recipe):
        for steps in settings.steps:
            for asked in design_mixtures(recipe, stores, steps):
                for seed in settings.seeds:
                    changes: dict[str, Any] = {
                        "model": str(folder),
                        "seed": seed,
                        "warmup_steps": train.warmup_steps and min(train.warmup_steps, max(steps // 10, 1)),
                        "evaluate_every": steps,
                        "keep_last": 1,
                        "gate": train.gate.model_copy(update={"action": "warn"}),
                    }
                    for key in ("learning_rate", "evaluation_tokens"):
                        if (stated := getattr(settings, key)) is not None:
                            changes[key] = stated
                    plan = mixed(mix, asked, steps, seed)
                    yield SmallRun(name, folder, train.model_copy(update=changes), plan, asked)


def design_mixtures(
    recipe: "Recipe", stores: "Mapping[str, TokenStore | Sequences]", steps: int
) -> list[dict[str, float]]:
    """The design's mixtures for runs of so many steps, within the sources' caps, each a share by source name."""
    import numpy as np

    from mixing.laws.design import caps_of
    from mixing.sequences import Sequences

    settings, mix = recipe.sweep, recipe.need("mix")
    names = sorted(mix.sources)
    length = mix.sequence_length
    have = {name: float(Sequences.of(stores[name], length).sequences * length) for name in names}
    caps = caps_of(have, {n: mix.sources[n].max_epochs for n in names}, float(steps * mix.global_batch * length))
    prior = np.array([have[name] for name in names])
    roles = [mix.sources[name].role for name in names]
    found = settings.design.mixtures(names, roles, prior / prior.sum(), caps)
    return [dict(zip(names, map(float, row), strict=True)) for row in found]


def mixed(mix: "MixSettings", shares: Mapping[str, float], steps: int, seed: int) -> "MixSettings":
    """The recipe's mix with these shares from the first step to the last."""
    from mixing.schedule import Constant

    sources = {}
    for name, budget in mix.sources.items():
        plain = {"weight": shares[name], "share": None, "tokens": None, "epochs": None}
        sources[name] = budget.model_copy(update=plain)
    domain = sum(share for name, share in shares.items() if mix.sources[name].role == "domain")
    replay = any(budget.role == "replay" for budget in mix.sources.values())
    changes: dict[str, Any] = {
        "steps": steps,
        "total_tokens": None,
        "schedule": Constant(share=min(1.0, domain)),
        "replay_floor": 0.0 if replay else None,
        "sources": sources,
        "seed": seed,
    }
    return mix.model_copy(update=changes)


def _models(recipe: "Recipe") -> Iterator[tuple[str, Path]]:
    """Name and folder of each model of the sweep; fresh ones are made."""
    from corpus.tokens.tokenize import Tokenizer
    from trainer.model.fresh import make_model
    from trainer.model.packed import resolve_model

    mix = recipe.need("mix")
    for settings in recipe.sweep.models:
        name = _named(settings, recipe)
        if isinstance(settings, FreshModel):
            folder = recipe.folder / "sweep-models" / name.replace(" ", "-")
            yield name, make_model(settings, Tokenizer(recipe.tokenizer).file.parent, folder, mix.sequence_length)
        else:
            yield name, resolve_model(settings.path or recipe.need("train").model)


def _train(
    recipe: "Recipe",
    run: SmallRun,
    stores: "Mapping[str, TokenStore | Sequences]",
    evaluation: "dict[str, TokenStore]",
    lock: RunLock,
) -> tuple[Path, dict[str, Any]]:
    """The published rows of a run and what they are a function of; trained here if they are not there yet."""
    from mixing.compile import compile_plan
    from trainer.model.packed import model_hash

    plan = compile_plan(stores, run.mix)
    function = {
        "plan": plan.fingerprint,
        "asked": dict(run.asked),
        "model": model_hash(run.folder),
        "name": run.model,
        "base": None if run.train.base is None else run.train.base.model_dump(mode="json"),
        "train": run.train.identity(),
        "evaluation": {name: store.manifest.fingerprint for name, store in sorted(evaluation.items())},
        "code": code_version("trainer"),
    }
    name = fingerprint(function)[:16]
    folder = recipe.folder / "sweep-runs" / recipe.run / name
    work = folder.with_name(f".work-{name}")
    if current(folder, function) is None:
        rows = list(_measured(run, plan, stores, evaluation, work, lock, name))
        with publish(folder, kind="pipelines.sweep-run", function=function, lock=lock) as draft:
            table = pl.DataFrame(rows, infer_schema_length=None).to_arrow().cast(SWEEP)
            draft.rows["rows.parquet"] = write_parquet(draft.path / "rows.parquet", table)
            shutil.copy(work / "metrics.jsonl", draft.path / "metrics.jsonl")
    shutil.rmtree(work, ignore_errors=True)
    return folder, function


def _measured(
    run: SmallRun,
    plan: "MixturePlan",
    stores: "Mapping[str, TokenStore | Sequences]",
    evaluation: "dict[str, TokenStore]",
    work: Path,
    lock: RunLock,
    name: str,
) -> Iterator[dict[str, Any]]:
    """Train a run to its end and give its rows: one for every source that is mixed or measured."""
    from mixing.loader import Loader
    from trainer.loop import train
    from trainer.record.metrics import read_metrics

    roles = {source.name: source.role for source in plan.sources}
    general = {each for each in evaluation if roles.get(each) != "domain"}
    with progress.stage(f"run {name[:8]}", "steps", 1) as meter:

        def heard(state: "Progress") -> None:
            meter.note(state.step, state.steps, f"{state.phase} {state.step:,} of {state.steps:,}")

        loader = Loader(plan, stores)
        result = train(run.train, plan, loader, evaluation, general, work, on_progress=heard, lock=lock)
        meter.close(f"{run.model}, {run.steps:,} steps, {_spelled(run.asked)}")
    if result.reason != "finished":
        raise TrainingError("the sweep was stopped", where=work, todo="run the same command to go on")
    events = read_metrics(work / "metrics.jsonl")
    start = next(event for event in events if event["event"] == "start")
    scores = {event["step"]: event["sets"] for event in events if event["event"] == "eval"}
    if plan.steps not in scores or 0 not in scores:
        raise ArtifactError("a run has no evaluation of its last step", where=work, todo="delete it and run again")
    given = dict(zip(plan.names, plan.cumulative[:, -1].tolist(), strict=True))
    unique = {source.name: source.sequences * plan.sequence_length for source in plan.sources}
    for source in sorted({*plan.names, *evaluation}):
        before, after = scores[0].get(source), scores[plan.steps].get(source)
        tokens = given.get(source, 0) * plan.sequence_length
        yield {
            "run": name,
            "model": run.model,
            "parameters": start["parameters"],
            "steps": plan.steps,
            "tokens": plan.tokens,
            "sequence_length": plan.sequence_length,
            "global_batch": plan.global_batch,
            "seed": run.train.seed,
            "source": source,
            "role": roles.get(source),
            "asked_share": run.asked.get(source, 0.0),
            "share": tokens / plan.tokens,
            "source_tokens": tokens,
            "unique_tokens": unique.get(source, 0),
            "loss": after and after["nats"] / after["tokens"],
            "bits_per_byte": after and after["bits_per_byte"],
            "base_loss": before and before["nats"] / before["tokens"],
            "base_bits_per_byte": before and before["bits_per_byte"],
            "delta_se": after and after["delta_se"],
            "measured_tokens": after and after["tokens"],
            "measured_bytes": after and after["bytes"],
        }


def _spelled(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
