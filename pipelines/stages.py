"""The stages a person runs: corpus, mix, train, audit, each from a recipe, each skipped when nothing changed."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.artifact import MANIFEST, Manifest, RunLock, current, write_atomic
from corpus.errors import ArtifactError
from corpus.lock import JoinedLock
from corpus.tokens.store import TokenStore
from corpus.tokens.tokenize import Tokenizer
from pipelines import progress
from pipelines.expect import hold
from pipelines.recipe import Recipe

if TYPE_CHECKING:
    from mixing.plan import MixturePlan
    from mixing.sequences import Sequences
    from trainer.record.progress import TrainResult


@contextmanager
def workspace(recipe: Recipe, rank: int = 0) -> Iterator[RunLock]:
    """The recipe's folder, locked for one run; of a run of several processes the first takes the lock for all."""
    if recipe.phi:
        os.umask(0o077)  # what is written may hold health information: for its owner only
    if rank:
        yield JoinedLock(recipe.folder)
        return
    with RunLock(recipe.folder) as lock:
        write_atomic(recipe.folder / "recipe.json", recipe.model_dump_json(indent=1).encode())
        progress.RECORD.start(recipe.folder)
        yield lock


def prepare_corpus(recipe: Recipe, *, stored: bool = False) -> Manifest:
    """Raw files → kept shards, ledger and token stores; `stored`: from the columns of an earlier run instead."""
    from corpus.prepare import Preparation
    from pipelines.audit.identities import publish_index
    from pipelines.croissant import publish_croissant

    description = {
        "name": recipe.name,
        "phi": recipe.phi,
        "licenses": {source.name: source.license for source in recipe.corpus.sources},
        "steps": {s.name: [step.kind for step in recipe.corpus.steps_of(s)] for s in recipe.corpus.sources},
    }
    with workspace(recipe) as lock:
        preparation = Preparation(
            recipe.corpus,
            recipe.tokenizer,
            recipe.folder,
            executor=recipe.executor,
            seed=recipe.seed,
            phi=recipe.phi,
            lock=lock,
            watch=progress.stage,
            stored=stored,
        )
        manifest = preparation.run(_card, description)
        publish_index(recipe.folder, lock)
        publish_croissant(recipe.folder, lock)
    hold(recipe.expect, "corpus", recipe.folder, recipe.run)
    return manifest


def _card(totals: dict[str, Any]) -> str:
    """README.md of the corpus folder, from its totals and description."""
    from pipelines.cards import CardSource, dataset_card

    sources = [
        CardSource(name, source, tuple(source["splits"]), totals["licenses"][name])
        for name, source in totals["sources"].items()
    ]
    steps = [f"{name}: {', '.join(kinds)}" for name, kinds in totals["steps"].items()]
    dropped = not totals["phi"] and any(source["dropped"]["documents"] for source in totals["sources"].values())
    return dataset_card(totals["name"], sources, steps=steps, dropped=dropped)


def training_stores(recipe: Recipe) -> "dict[str, TokenStore | Sequences]":
    """The training tokens of the mixed sources, as they are packed for the run. Raises ArtifactError naming the first
    that cannot be used."""
    from mixing.sequences import Sequences

    stores: dict[str, TokenStore | Sequences] = dict(token_stores(recipe))
    for name, source in recipe.need("mix").sources.items():
        if not source.packing.plain:
            stores[name] = Sequences.open(source_store(recipe, name), packing_folder(recipe, name))
    return stores


def token_stores(recipe: Recipe) -> dict[str, TokenStore]:
    """The token stores of the mixed sources, whatever packing the run has."""
    return {name: source_store(recipe, name) for name in recipe.need("mix").sources}


def source_store(recipe: Recipe, source: str) -> TokenStore:
    """The training tokens of a source of the mixture: those of the corpus, or a store made elsewhere (`store:`). What
    has no manifest, as datatrove leaves it, is taken to be of the recipe's tokenizer."""
    named = recipe.need("mix").sources[source].store
    if named is None:
        return _open_store(recipe.folder / "tokens" / source / "train", source)
    return TokenStore.open(named, Tokenizer(recipe.tokenizer).identity())


def packing_folder(recipe: Recipe, source: str) -> Path:
    return recipe.folder / "packings" / recipe.run / source


def validation_stores(recipe: Recipe) -> dict[str, TokenStore]:
    """The held-out tokens of every source of the corpus, mixed or not; a small source may hold none out."""
    folders = {source.name: recipe.folder / "tokens" / source.name / "validation" for source in recipe.corpus.sources}
    return {name: _open_store(folder, name) for name, folder in folders.items() if (folder / MANIFEST).exists()}


def _open_store(folder: Path, source: str) -> TokenStore:
    try:
        return TokenStore.open(folder)
    except ArtifactError as error:
        raise ArtifactError(
            f'the tokens of source "{source}" cannot be used',
            where=folder,
            found=error.what,
            todo="run `provender corpus` with this recipe first",
        ) from None


def compile_mixture(recipe: Recipe) -> "MixturePlan":
    """Token stores → the plan of the recipe's run."""
    from mixing.compile import compile_plan, plan_function, supplies_of
    from mixing.phase import follow_learning_rate
    from mixing.plan import MixturePlan

    settings, folder = recipe.need("mix"), plan_folder(recipe)
    with workspace(recipe) as lock, progress.stage(f"plan {recipe.run}") as meter:
        pack_sources(recipe, lock)
        stores = training_stores(recipe)
        if recipe.train is not None:
            supplies = supplies_of(stores, settings.sequence_length)
            settings = follow_learning_rate(settings, supplies, recipe.train.rate)
        function = plan_function(stores, settings)
        if current(folder, function) is not None:
            plan = MixturePlan.load(folder)
            meter.close("unchanged, skipped")
        else:
            plan = compile_plan(stores, settings)
            plan.save(folder, lock=lock, function=function)
            meter.close(f"{plan.steps:,} steps, {settings.global_batch} × {settings.sequence_length} tokens a step")
    hold(recipe.expect, "mix", recipe.folder, recipe.run)
    return plan


def pack_sources(recipe: Recipe, lock: RunLock) -> None:
    """The mixed sources' documents cut into sequences, as the recipe packs them."""
    from mixing.packing import pack

    settings = recipe.need("mix")
    for name, store in token_stores(recipe).items():
        pack(
            store,
            settings.sources[name].packing,
            settings.sequence_length,
            packing_folder(recipe, name),
            source=name,
            seed=settings.seed,
            lock=lock,
        )


def plan_folder(recipe: Recipe) -> Path:
    return recipe.folder / "plans" / recipe.run


def train_model(recipe: Recipe, *, resume: bool = True) -> "TrainResult":
    """The plan → checkpoints and a model in `runs/<run>/`."""
    from mixing.loader import Loader
    from mixing.plan import MixturePlan
    from trainer.batches.replan import MixtureReplanner
    from trainer.loop import rank_and_world_size, train
    from trainer.peak import peak_advice

    settings = recipe.need("train")
    domain = {name for name, source in recipe.need("mix").sources.items() if source.role == "domain"}
    rank, world_size = rank_and_world_size()
    with workspace(recipe, rank) as lock, progress.stage(f"train {recipe.run}", "tokens", 1) as meter:
        plan = MixturePlan.load(plan_folder(recipe))
        stores = training_stores(recipe)
        loader = Loader(plan, stores, rank, world_size)
        batch_tokens = plan.global_batch * plan.sequence_length
        if rank == 0 and (advice := peak_advice(settings.base, settings.learning_rate, plan.tokens, batch_tokens)):
            progress.console.print(advice, soft_wrap=True)
        evaluation = validation_stores(recipe)
        if rank == 0 and settings.verify_tokens:
            verify_all([*stores.values(), *evaluation.values()])
        general = set(evaluation) - domain
        result = train(
            settings,
            plan,
            loader,
            evaluation,
            general,
            recipe.folder / "runs" / recipe.run,
            resume=resume,
            on_progress=Reporter(meter),
            lock=lock,
            replanner=MixtureReplanner(plan, stores, rank, world_size),
        )
        meter.close(f"{result.reason} at step {result.step:,}, {sum(result.tokens_by_source.values()):,} tokens")
    if result.reason != "signal":
        hold(recipe.expect, "train", recipe.folder, recipe.run)
    return result


def verify_all(stores: "Sequence[TokenStore | Sequences]") -> None:
    """Hash the files of stores and packings, several at a time. Raises ArtifactError naming the first that differs."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda store: store.verify(), stores))


def audit_workspace(recipe: Recipe) -> tuple[Path, bool]:
    """Check everything, print the tables, write the report; its path, and whether every check passed."""
    from pipelines.audit.everything import ask
    from pipelines.report.publish import write_report
    from pipelines.report.terminal import render_text

    with workspace(recipe) as lock:
        with progress.stage("audit") as meter:
            audit = ask(recipe.folder)
            folder = write_report(recipe.folder, audit, lock)
            meter.close(f"{len(audit.checks)} checks")
        console = progress.table_console()
        for part in render_text(audit):
            console.print(part)
    return folder / "report.html", audit.passed


class Reporter:
    """The trainer's progress on the meter."""

    def __init__(self, meter: progress.Meter) -> None:
        self.meter = meter

    def __call__(self, state: Any) -> None:
        if state.phase == "train":
            losses = " ".join(f"{name} {loss:.3f}" for name, loss in state.losses.items())
            note = f"step {state.step:,} of {state.steps:,}, {state.tokens_per_second:,.0f} tokens/s, loss {losses}"
            if state.mfu is not None:
                note += f", MFU {state.mfu:.1%}"
        else:
            note = f"{state.phase} {state.step:,} of {state.steps:,} tokens"
        if state.eta is not None:
            note += f", {state.eta:,.0f} s left"
        self.meter.note(state.step, state.steps, note)
