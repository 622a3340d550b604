"""The command line: `provender setup-check | corpus | mix | train | audit | watch | push | pull | plan-cluster | demo`.

Commands import what they need when they run, so that `--help` is quick. A user's mistake prints what, where, what was
found and what to do, and exits with the error's code; there is no traceback.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from corpus.errors import ProvenderError, storage_error
from pipelines.cli import audit, corpus, mix, train
from pipelines.cli.arguments import Overrides, RecipeName, Workspace, load, show, workspace_folder

app = typer.Typer(
    help="Turn your own documents into a better language model, and account for every token on the way.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, part in (("corpus", corpus), ("mix", mix), ("train", train), ("audit", audit)):
    app.add_typer(part.commands, name=name)


@app.command("demo")
def demo(
    fast: Annotated[bool, typer.Option(help="A small slice, in under three minutes.")] = False,
    workspace: Annotated[Path, typer.Option(help="Where to work.")] = Path("work"),
) -> None:
    """The whole line on real text and a real model, ending with the report and the model."""
    from pipelines.demo.line import run_demo

    run_demo(workspace, fast=fast)


@app.command("study")
def study(
    quick: Annotated[bool, typer.Option("--quick", help="The small grid, a quarter of an hour; the whole: 3.")] = False,
    cell: Annotated[list[str] | None, typer.Option(help="Only the row of this name; may be repeated.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the cells and make none.")] = False,
    only_page: Annotated[
        bool, typer.Option("--only-page", help="Write the page from the rows that are there.")
    ] = False,
    page: Annotated[Path | None, typer.Option(help="Where to write the page; default: study.md of the study.")] = None,
    folder: Annotated[Path, typer.Option(help="Where to work.")] = Path("work/study"),
) -> None:
    """Pre-train a small base, continue it in a grid of ways, and write what holds: replay, KL, EWC, selection."""
    from pipelines.study.whole import SIZES, publish_page, run_study
    from pipelines.study.whole import names as named

    size = SIZES["quick" if quick else "full"]
    if list_:
        show(named(size))
        return
    if not only_page:
        run_study(size, folder, cell or ())
    for written in publish_page(size, folder, page or folder / size.name / "page" / "study.md"):
        show(f"written: {written}")


@app.command("generate")
def generate(
    model: Annotated[Path, typer.Argument(help="A model folder, such as runs/main/model.")],
    prompt: Annotated[str, typer.Option(help="The text to go on from.")],
    tokens: Annotated[int, typer.Option(help="Tokens to add at the most.")] = 60,
) -> None:
    """Continue a prompt with a trained model, greedily."""
    from trainer.evaluation.generate import continuation

    show(continuation(model, prompt, tokens))


@app.command("watch")
def watch(
    workspace: Workspace,
    page: Annotated[bool, typer.Option("--page", help="Serve a page on this machine instead of the terminal.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port on 127.0.0.1; 0 for any.")] = 8321,
    once: Annotated[bool, typer.Option("--once", help="Show the state once and end.")] = False,
) -> None:
    """What corpus and train are doing now, refreshed while they run. Reads the workspace and changes nothing."""
    from pipelines.watch import show_page, show_terminal

    folder = workspace_folder(workspace)
    if page:
        show_page(folder, port)
    else:
        show_terminal(folder, once=once)


@app.command("push-hub")
def push_hub(
    workspace: Workspace,
    repository: Annotated[str, typer.Argument(help="The repository on the Hugging Face Hub, as name/repository.")],
    model: Annotated[bool, typer.Option("--model", help="Push the run's model instead of the corpus.")] = False,
    run: Annotated[str, typer.Option(help="The run whose model is pushed.")] = "main",
    public: Annotated[
        bool, typer.Option("--public", help="Make a new repository public; it is private without.")
    ] = False,
) -> None:
    """Push the corpus, or an exported model, to the Hugging Face Hub; what may hold health information is refused."""
    from pipelines.hub import push_corpus, push_model

    folder = workspace_folder(workspace)
    if model:
        show(push_model(folder, repository, folder / "export" / run, private=not public))
    else:
        show(push_corpus(folder, repository, private=not public))


@app.command("setup-check")
def setup_check() -> None:
    """What of the toolkit's needs is installed, and what to do about the rest."""
    from pipelines.setup.check import checks

    missing = False
    for name, found, todo in checks():
        show(f"{'ok     ' if found else 'missing'} {name}: {found or todo}")
        missing |= not found
    if missing:
        raise typer.Exit(1)


@app.command("push")
def push(
    recipe: RecipeName,
    url: Annotated[str, typer.Argument(help="Where to, such as s3://bucket/name.")],
    only: Annotated[list[str] | None, typer.Option(help="Artefacts by pattern: corpus, tokens/*, runs/main/*.")] = None,
    set_: Overrides = None,
) -> None:
    """Publish corpus, token stores, plans and checkpoints of a recipe on an object store."""
    from pipelines.exchange import push

    push(load(recipe, set_), url, only or [])


@app.command("pull")
def pull(
    recipe: RecipeName,
    url: Annotated[str, typer.Argument(help="Where from, such as s3://bucket/name.")],
    only: Annotated[list[str] | None, typer.Option(help="Artefacts by pattern: corpus, tokens/*, runs/main/*.")] = None,
    set_: Overrides = None,
) -> None:
    """Fetch what was pushed into the workspace of a recipe, every file compared with its hash."""
    from pipelines.exchange import pull

    pull(load(recipe, set_), url, only or [])


@app.command("plan-cluster")
def plan_cluster(
    recipe: RecipeName,
    from_: Annotated[
        list[Path] | None, typer.Option("--from", help="Workspace of a finished run, of the recipe's by default.")
    ] = None,
    input_gb: Annotated[float | None, typer.Option(help="Plan for so many GB, not for the recipe's inputs.")] = None,
    workers: Annotated[int, typer.Option(help="Workers, one core each.", min=1)] = 1,
    price: Annotated[float, typer.Option(help="Of a core for an hour, in any currency.", min=0)] = 0.0,
    set_: Overrides = None,
) -> None:
    """Time, memory, disk and cost of a recipe on a cluster, from what smaller runs of it took."""
    from pipelines.plan_cluster import input_bytes, measured, plan_cluster

    loaded = load(recipe, set_)
    runs = [measured(workspace) for workspace in from_ or [loaded.folder]]
    size = input_bytes(loaded) if input_gb is None else int(input_gb * 1e9)
    show(plan_cluster(runs, size, loaded.corpus.unit_bytes, workers, price).table())


@app.command("schema")
def schema() -> None:
    """The JSON Schema of a recipe, for your editor."""
    from pipelines.recipe import recipe_schema

    show(recipe_schema().decode())


def main() -> None:
    """Run the command line; exit codes: 0 done, 2 recipe or usage, 3 data, 4 artefact or failed audit, 5 training."""
    try:
        app()
    except ProvenderError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except OSError as error:
        told = storage_error(error)
        if told is None:
            raise
        sys.stderr.write(f"error: {told}\n")
        sys.exit(told.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what was published stays, run the same command to go on\n")
        sys.exit(130)
