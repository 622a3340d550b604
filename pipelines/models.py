"""What is done with a base or a trained model beside training: a cached reference, a merge."""

from typing import TYPE_CHECKING

from corpus.artifact import MANIFEST, Manifest
from corpus.errors import ConfigError
from pipelines import progress
from pipelines.recipe import Recipe
from pipelines.stages import Reporter, plan_folder, training_stores, validation_stores, workspace

if TYPE_CHECKING:
    from pathlib import Path


def cache_reference(recipe: Recipe) -> Manifest:
    """The base model's likeliest tokens on the plan's rows, for `train.kl.reference: cached`."""
    from mixing.loader import Loader
    from mixing.plan import MixturePlan
    from trainer.regularizers.assemble import cache_reference

    settings = recipe.need("train")
    with workspace(recipe) as lock, progress.stage(f"reference {recipe.run}", "steps", 1) as meter:
        plan = MixturePlan.load(plan_folder(recipe))
        loader = Loader(plan, training_stores(recipe))
        run = recipe.folder / "runs" / recipe.run
        manifest = cache_reference(settings, plan, loader, run, report=Reporter(meter), lock=lock)
        size = sum(entry.bytes for entry in manifest.files)
        meter.close(f"{manifest.totals['rows']:,} rows, top {manifest.totals['k']}, {size / 1e6:,.1f} MB")
    return manifest


def merge_model(recipe: Recipe) -> "tuple[Path, Manifest]":
    """Between base and trained model, the share chosen by evaluation, in `runs/<run>/merged`."""
    from mixing.plan import MixturePlan
    from trainer.checkpoints.merge import merge

    settings = recipe.need("train")
    domain = {name for name, source in recipe.need("mix").sources.items() if source.role == "domain"}
    run = recipe.folder / "runs" / recipe.run
    if not (run / "model" / MANIFEST).is_file():
        raise ConfigError("no trained model to merge", where=run / "model", todo="run `provender train` first")
    with workspace(recipe) as lock, progress.stage(f"merge {recipe.run}", "models", 1) as meter:
        evaluation = validation_stores(recipe)
        manifest = merge(
            settings,
            run / "model",
            evaluation,
            set(evaluation) - domain,
            run / "merged",
            length=MixturePlan.load(plan_folder(recipe)).sequence_length,
            report=Reporter(meter),
            lock=lock,
        )
        meter.close(f"α = {manifest.totals['alpha']} of {len(manifest.totals['tried']) - 1} tried")
    return run / "merged", manifest
