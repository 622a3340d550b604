"""`provender train …`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.arguments import DryRun, Overrides, RecipeName, Resume, group, load, load_to_run, show

commands = group("The plan → continued pre-training, checkpoints and a model.")


@commands.command("run")
def train_run(recipe: RecipeName, set_: Overrides = None, dry_run: DryRun = False, resume: Resume = True) -> None:
    """Train the recipe's model on its plan. SIGTERM or Ctrl-C finishes the step, saves, and says how to go on."""
    loaded = load_to_run(recipe, set_, "train", dry_run)
    from pipelines.stages import train_model

    result = train_model(loaded, resume=resume)
    if result.resume is not None:
        show(f"stopped and saved; to go on: {result.resume}")
    else:
        show(f"model: {result.model_path}")


@commands.command("cache-reference")
def train_cache_reference(recipe: RecipeName, set_: Overrides = None, dry_run: DryRun = False) -> None:
    """Write down the base model's likeliest tokens on the plan's rows, so that KL runs without the base (train.kl)."""
    loaded = load_to_run(recipe, set_, "train", dry_run)
    from pipelines.models import cache_reference

    cache_reference(loaded)


@commands.command("merge")
def train_merge(recipe: RecipeName, set_: Overrides = None, dry_run: DryRun = False) -> None:
    """Go back towards the base as far as evaluation says it pays (train.merge), into runs/<run>/merged."""
    loaded = load_to_run(recipe, set_, "train", dry_run)
    from pipelines.models import merge_model

    folder, manifest = merge_model(loaded)
    for entry in manifest.totals["tried"]:
        target = f"{entry['target']:.4f}" if entry["target"] is not None else "none"
        rise = f"{entry['rise']:+.4f}" if entry["rise"] is not None else "none"
        mark = " ← chosen" if entry["alpha"] == manifest.totals["alpha"] else ""
        show(f"α {entry['alpha']:<5} target {target} bits per byte, largest rise of general text {rise}{mark}")
    show(f"model: {folder}")


@commands.command("export")
def train_export(
    recipe: RecipeName,
    to: Annotated[Path | None, typer.Option(help="Where to write it; default: <workspace>/export/<run>.")] = None,
    push_to_hub: Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="Also upload it, private.")] = None,
    set_: Overrides = None,
) -> None:
    """Write the run's model with its tokenizer and a model card: data, tokens, evaluation, licences."""
    from pipelines.export import export_run
    from pipelines.hub import push_model

    loaded = load(recipe, set_)
    folder = export_run(loaded, to)
    show(f"model: {folder}")
    if push_to_hub is not None:
        show(f"uploaded: {push_model(loaded.folder, push_to_hub, folder)}")


@commands.command("matrix")
def train_matrix(recipe: RecipeName, set_: Overrides = None) -> None:
    """Bits per byte of every evaluation set at every evaluated step, backward transfer and forgetting."""
    from pipelines.export import matrix_table

    show(matrix_table(load(recipe, set_)))
