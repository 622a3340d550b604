"""`provender train …`."""

from pipelines.cli.arguments import DryRun, Overrides, RecipeName, Resume, group, load_to_run, show

commands = group("The plan → continued pre-training, checkpoints and a model.")


@commands.command("run")
def train_run(recipe: RecipeName, set_: Overrides = None, dry_run: DryRun = False, resume: Resume = True) -> None:
    """Train the recipe's model on its plan. SIGTERM or Ctrl-C finishes the step, saves, and says how to go on."""
    loaded = load_to_run(recipe, set_, "train", dry_run)
    from pipelines.stages import train_model

    result = train_model(loaded, resume=resume)
    if result.reason == "signal":
        words = " ".join(f"--set {override}" for override in set_ or ())
        show(f"stopped and saved; to go on: provender train {recipe} {words}".rstrip())
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
