"""`provender mix …`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.arguments import DryRun, Overrides, RecipeName, group, load, load_to_run, show

commands = group("Token stores → a mixture plan that is exact to the sequence, and questions about it.")


@commands.command("run")
def mix_run(recipe: RecipeName, set_: Overrides = None, dry_run: DryRun = False) -> None:
    """Compile the mixture plan of a recipe."""
    loaded = load_to_run(recipe, set_, "mix", dry_run)
    from pipelines.outline import plan_table
    from pipelines.stages import compile_mixture

    show(plan_table(compile_mixture(loaded)))


@commands.command("show")
def mix_show(
    recipe: RecipeName,
    step: Annotated[int, typer.Option(help="A step of the plan, from 0.")],
    set_: Overrides = None,
) -> None:
    """The documents of one step, without a log."""
    from pipelines.outline import step_table

    show(step_table(load(recipe, set_), step))


@commands.command("where")
def mix_where(
    recipe: RecipeName, document: Annotated[str, typer.Argument(help="A document's id.")], set_: Overrides = None
) -> None:
    """All steps that train on one document, without a log."""
    from pipelines.outline import where_table

    show(where_table(load(recipe, set_), document))


@commands.command("simulate")
def mix_simulate(
    recipe: RecipeName,
    tokens_per_second: Annotated[float | None, typer.Option(min=1e-9, help="Speed of all devices together.")] = None,
    price_per_hour: Annotated[float | None, typer.Option(min=0, help="Price of all devices together.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the curves into this SVG file.")] = None,
    set_: Overrides = None,
) -> None:
    """What the compiled plan will do: shares planned and realised, epochs, repeats, time and cost."""
    from pipelines.mixture import simulate

    show(simulate(load(recipe, set_), tokens_per_second, price_per_hour, picture))


@commands.command("packing")
def mix_packing(recipe: RecipeName, set_: Overrides = None) -> None:
    """What each way of packing would do to each source: truncated documents, cut tokens, padding."""
    from pipelines.mixture import packings

    show(packings(load(recipe, set_)))


@commands.command("sweep")
def mix_sweep(recipe: RecipeName, set_: Overrides = None, dry_run: DryRun = False) -> None:
    """Train a design of small runs and write what each did to each source: one row per run and source."""
    loaded = load(recipe, set_)
    if dry_run:
        from pipelines.sweep import design_table

        show(design_table(loaded))
        return
    from pipelines.sweep import run_sweep

    show(f"table: {run_sweep(loaded)}")
