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
