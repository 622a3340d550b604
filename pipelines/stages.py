"""The stages a person runs: corpus, mix, train, audit, each from a recipe, each skipped when nothing changed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.artifact import Manifest, RunLock
from corpus.errors import ArtifactError
from corpus.tokens import TokenStore
from pipelines import progress
from pipelines.recipe import Recipe

if TYPE_CHECKING:
    from mixing.plan import MixturePlan
    from trainer.progress import TrainResult


@contextmanager
def workspace(recipe: Recipe) -> Iterator[RunLock]:
    """The recipe's folder, locked for one run."""
    if recipe.phi:
        os.umask(0o077)  # what is written may hold health information: for its owner only
    with RunLock(recipe.folder) as lock:
        yield lock


def prepare_corpus(recipe: Recipe) -> Manifest:
    """Raw files → kept shards, ledger and token stores."""
    from corpus.prepare import Preparation
    from pipelines.cards import dataset_card

    description = {
        "name": recipe.name,
        "phi": recipe.phi,
        "licenses": {source.name: source.license for source in recipe.corpus.sources},
        "steps": {s.name: [step.identity() for step in recipe.corpus.steps_of(s)] for s in recipe.corpus.sources},
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
        )
        return preparation.run(dataset_card, description)


def open_stores(recipe: Recipe, split: str) -> dict[str, TokenStore]:
    """The token stores of the mixed sources. Raises ArtifactError naming the first that is missing."""
    stores = {}
    for name in recipe.need("mix").sources:
        folder = recipe.folder / "tokens" / name / split
        if split == "validation" and not (folder / "manifest.json").exists():
            continue  # a small source may have no document held out
        try:
            stores[name] = TokenStore.open(folder)
        except ArtifactError as error:
            raise ArtifactError(
                f'the {split} tokens of source "{name}" cannot be used',
                where=folder,
                found=error.what,
                todo="run `provender corpus` with this recipe first",
            ) from None
    return stores


def compile_mixture(recipe: Recipe) -> "MixturePlan":
    """Token stores → the plan of the recipe's run."""
    from mixing.plan import compile_plan

    settings = recipe.need("mix")
    with workspace(recipe) as lock, progress.stage("plan") as meter:
        plan = compile_plan(open_stores(recipe, "train"), settings)
        plan.save(plan_folder(recipe), lock=lock)
        meter.close(f"{plan.steps:,} steps of {settings.global_batch} sequences of {settings.sequence_length} tokens")
    return plan


def plan_folder(recipe: Recipe) -> Path:
    return recipe.folder / "plans" / recipe.run


def train_model(recipe: Recipe, *, resume: bool = True) -> "TrainResult":
    """The plan → checkpoints and a model in `runs/<run>/`."""
    from mixing.loader import Loader
    from mixing.plan import MixturePlan
    from trainer.loop import train

    settings = recipe.need("train")
    roles = {name: source.role for name, source in recipe.need("mix").sources.items()}
    with workspace(recipe) as lock, progress.stage("train", "tokens", 1) as meter:
        plan = MixturePlan.load(plan_folder(recipe))
        loader = Loader(plan, open_stores(recipe, "train"), **_world())
        evaluation = open_stores(recipe, "validation")
        general = {name for name in evaluation if roles[name] == "replay"}
        result = train(
            settings,
            plan,
            loader,
            evaluation,
            general,
            recipe.folder / "runs" / recipe.run,
            resume=resume,
            on_progress=_Reporter(meter),
            lock=lock,
        )
        meter.close(f"{result.reason} at step {result.step:,}, {sum(result.tokens_by_source.values()):,} tokens")
    return result


def _world() -> dict[str, int]:
    """This process's place among those that `accelerate launch` started."""
    return {"rank": int(os.environ.get("RANK", 0)), "world_size": int(os.environ.get("WORLD_SIZE", 1))}


class _Reporter:
    """The trainer's progress on the meter."""

    def __init__(self, meter: progress.Meter) -> None:
        self.meter = meter

    def __call__(self, state: Any) -> None:
        losses = " ".join(f"{name} {loss:.3f}" for name, loss in state.losses.items())
        note = f"{state.phase} {state.tokens_per_second:,.0f} tokens/s {losses}"
        if state.eta is not None:
            note += f", {state.eta:,.0f} s left"
        self.meter.note(state.step, state.steps, note)
