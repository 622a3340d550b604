"""The command line: `provender setup-check | corpus | mix | train | audit | demo | schema`.

Commands import what they need when they run, so that `--help` is quick. A user's mistake prints what, where, what was
found and what to do, and exits with the error's code; there is no traceback.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from corpus.errors import ProvenderError

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value of the recipe: --set seed=3.")
]
RecipeName = Annotated[str, typer.Argument(help="A recipe file, or demo, medical or code.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the recipe and say what would be done.")]
Resume = Annotated[bool, typer.Option("--resume/--restart", help="Go on from the last checkpoint, or begin again.")]


class DefaultRun(TyperGroup):
    """A group whose `run` command may be left out: `provender corpus demo` is `provender corpus run demo`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        asks_help = any(argument in ("--help", "-h") for argument in args[:1])
        if args and not asks_help and args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Turn your own documents into a better language model, and account for every token on the way.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _group(name: str, text: str) -> typer.Typer:
    group = typer.Typer(cls=DefaultRun, help=text, no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name=name)
    return group


corpus_app = _group("corpus", "Raw files → de-identified, filtered, deduplicated shards, a ledger and token stores.")
mix_app = _group("mix", "Token stores → a mixture plan that is exact to the sequence, and questions about it.")
train_app = _group("train", "The plan → continued pre-training, checkpoints and a model.")
audit_app = _group("audit", "What became of every document and token: tables, parquet files and one HTML page.")


@corpus_app.command("run")
def corpus_run(recipe: RecipeName, set_: Overrides = None, dry_run: DryRun = False) -> None:
    """Prepare the corpus of a recipe; what has not changed since the last run is skipped."""
    loaded = _load(recipe, set_)
    if dry_run:
        _outline(loaded, "corpus")
        return
    from pipelines.outline import corpus_summary
    from pipelines.stages import prepare_corpus

    _print(corpus_summary(prepare_corpus(loaded)))


@corpus_app.command("deid-eval")
def corpus_deid_eval(
    cases: Annotated[Path, typer.Argument(help="JSON lines of {text, spans: [[start, end, type]]}.")],
    profile: Annotated[str, typer.Option(help="The de-identification profile to score.")] = "hipaa_safe_harbor",
) -> None:
    """Score de-identification on labelled text: precision, recall and leak-free recall by type."""
    from pipelines.outline import deidentification_scores

    _print(deidentification_scores(cases, profile))


@corpus_app.command("forget")
def corpus_forget(
    recipe: RecipeName,
    subject: Annotated[str, typer.Option(help="The patient or author, as the metadata name them.")],
    field: Annotated[str, typer.Option(help="The metadata field that names them.")] = "subject",
    set_: Overrides = None,
) -> None:
    """Remove every document of one subject from shards, ledger and token stores; say what has seen them."""
    from pipelines.forget import forget_subject
    from pipelines.outline import forgetting_summary

    _print(forgetting_summary(forget_subject(_load(recipe, set_), subject, field)))


@mix_app.command("run")
def mix_run(recipe: RecipeName, set_: Overrides = None, dry_run: DryRun = False) -> None:
    """Compile the mixture plan of a recipe."""
    loaded = _load(recipe, set_)
    if dry_run:
        _outline(loaded, "mix")
        return
    from pipelines.outline import plan_table
    from pipelines.stages import compile_mixture

    _print(plan_table(compile_mixture(loaded)))


@mix_app.command("show")
def mix_show(
    recipe: RecipeName,
    step: Annotated[int, typer.Option(help="A step of the plan, from 0.")],
    set_: Overrides = None,
) -> None:
    """The documents of one step, without a log."""
    from pipelines.outline import step_table

    _print(step_table(_load(recipe, set_), step))


@mix_app.command("where")
def mix_where(
    recipe: RecipeName, document: Annotated[str, typer.Argument(help="A document's id.")], set_: Overrides = None
) -> None:
    """All steps that train on one document, without a log."""
    from pipelines.outline import where_table

    _print(where_table(_load(recipe, set_), document))


@train_app.command("run")
def train_run(recipe: RecipeName, set_: Overrides = None, dry_run: DryRun = False, resume: Resume = True) -> None:
    """Train the recipe's model on its plan. SIGTERM or Ctrl-C finishes the step, saves, and says how to go on."""
    loaded = _load(recipe, set_)
    if dry_run:
        _outline(loaded, "train")
        return
    from pipelines.stages import train_model

    result = train_model(loaded, resume=resume)
    if result.reason == "signal":
        words = " ".join(f"--set {override}" for override in set_ or ())
        _print(f"stopped and saved; to go on: provender train {recipe} {words}".rstrip())
    else:
        _print(f"model: {result.model_path}")


@audit_app.command("run")
def audit_run(recipe: RecipeName, set_: Overrides = None) -> None:
    """Check everything, print the tables and write the report."""
    from pipelines.stages import audit_workspace

    loaded = _load(recipe, set_)
    report, passed = audit_workspace(loaded)
    _print(f"report: {report}")
    if not passed:
        raise typer.Exit(4)


@app.command("demo")
def demo(
    fast: Annotated[bool, typer.Option(help="A small slice, in under three minutes.")] = False,
    workspace: Annotated[Path, typer.Option(help="Where to work.")] = Path("work"),
) -> None:
    """The whole line on real text and a real model, ending with the report and the model."""
    from pipelines.demo.line import run_demo

    run_demo(workspace, fast=fast)


@app.command("generate")
def generate(
    model: Annotated[Path, typer.Argument(help="A model folder, such as runs/main/model.")],
    prompt: Annotated[str, typer.Option(help="The text to go on from.")],
    tokens: Annotated[int, typer.Option(help="Tokens to add at the most.")] = 60,
) -> None:
    """Continue a prompt with a trained model, greedily."""
    from trainer.generate import continuation

    _print(continuation(model, prompt, tokens))


@app.command("setup-check")
def setup_check() -> None:
    """What of the toolkit's needs is installed, and what to do about the rest."""
    from pipelines.setup.check import checks

    missing = False
    for name, found, todo in checks():
        _print(f"{'ok     ' if found else 'missing'} {name}: {found or todo}")
        missing |= not found
    if missing:
        raise typer.Exit(1)


@app.command("schema")
def schema() -> None:
    """The JSON Schema of a recipe, for your editor."""
    from pipelines.recipe import recipe_schema

    _print(recipe_schema().decode())


def _load(recipe: str, overrides: list[str] | None) -> Any:
    from pipelines.recipe import load_recipe

    return load_recipe(recipe, overrides)


def _outline(recipe: Any, part: str) -> None:
    from pipelines.outline import outline

    _print(outline(recipe, part))


def _print(renderable: Any) -> None:
    from pipelines.progress import table_console

    table_console().print(renderable, markup=False, soft_wrap=isinstance(renderable, str))


def main() -> None:
    """Run the command line; exit codes: 0 done, 2 recipe or usage, 3 data, 4 artefact or failed audit, 5 training."""
    try:
        app()
    except ProvenderError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what was published stays, run the same command to go on\n")
        sys.exit(130)
