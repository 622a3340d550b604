"""`provender mix …`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.arguments import DryRun, Overrides, RecipeName, Workspace, group, load, load_to_run, show

commands = group("Token stores → a mixture plan that is exact to the sequence, and questions about it.")


@commands.command("run")
def mix_run(recipe: RecipeName, set_: Overrides = None, dry_run: DryRun = False) -> None:
    """Compile the mixture plan of a recipe."""
    loaded = load_to_run(recipe, set_, "mix", dry_run)
    from pipelines.outline import plan_table
    from pipelines.stages import compile_mixture

    show(plan_table(compile_mixture(loaded)))


@commands.command("select")
def mix_select(recipe: RecipeName, set_: Overrides = None) -> None:
    """Choose documents of the prepared corpus by their likeness to a task (`select:` in the recipe)."""
    from pipelines.selection import select_documents

    show(select_documents(load(recipe, set_)))


@commands.command("show")
def mix_show(
    workspace: Workspace,
    step: Annotated[int, typer.Option(help="A step of the plan, from 0.")],
    set_: Overrides = None,
) -> None:
    """The documents of one step, without a log."""
    from pipelines.outline import step_table
    from pipelines.planned import Planned

    show(step_table(Planned.of(workspace, set_), step))


@commands.command("where")
def mix_where(
    workspace: Workspace, document: Annotated[str, typer.Argument(help="A document's id.")], set_: Overrides = None
) -> None:
    """All steps that train on one document, without a log."""
    from pipelines.outline import where_table
    from pipelines.planned import Planned

    show(where_table(Planned.of(workspace, set_), document))


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


@commands.command("suggest")
def mix_suggest(
    tables: Annotated[
        list[Path] | None, typer.Argument(help="sweep.parquet, or published tables (csv, parquet).")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A recipe: its sweep, its sources and the run to plan for.")
    ] = None,
    set_: Overrides = None,
    domain: Annotated[
        list[str] | None, typer.Option(help="A source to learn; default: the recipe's or the sweep's.")
    ] = None,
    general: Annotated[list[str] | None, typer.Option(help="A loss to guard; default: all but the domain's.")] = None,
    epsilon: Annotated[float, typer.Option(help="Largest rise of a general loss over the untrained model's.")] = 0.05,
    relative: Annotated[bool, typer.Option("--relative", help="Epsilon is a part of that loss: 0.03 is 3%.")] = False,
    unit: Annotated[str, typer.Option(help="Of a sweep's losses: loss (nats per token) or bits_per_byte.")] = "loss",
    law: Annotated[str, typer.Option(help="auto, linear, log_linear, power, exponential, dcpt or trees.")] = "auto",
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.9,
    share: Annotated[
        list[str] | None, typer.Option(help="NAME=COLUMN: a source's share; one * stands for the name.")
    ] = None,
    loss: Annotated[list[str] | None, typer.Option(help="NAME=COLUMN: a loss; one * stands for the name.")] = None,
    rest: Annotated[str | None, typer.Option(help="The source that has what the shares leave of 1.")] = None,
    base: Annotated[list[str] | None, typer.Option(help="NAME=LOSS of the untrained model.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="COLUMN=VALUE: only these rows.")] = None,
    key: Annotated[str | None, typer.Option(help="The column by which several tables belong together.")] = None,
    tokens_column: Annotated[str | None, typer.Option(help="The column of a run's tokens.")] = None,
    parameters_column: Annotated[str | None, typer.Option(help="The column of the model's parameters.")] = None,
    have: Annotated[list[str] | None, typer.Option(help="NAME=TOKENS that a source has.")] = None,
    run_tokens: Annotated[int | None, typer.Option(help="Tokens of the coming run.")] = None,
    parameters: Annotated[int | None, typer.Option(help="Parameters of the model to train.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the frontier into this SVG file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON instead of tables.")] = False,
) -> None:
    """The largest share of the domain that general text can bear, a budget for it, and baselines beside it."""
    from pipelines.suggest import as_dict, draw_frontier
    from pipelines.suggest import tables as shown
    from pipelines.suggest_inputs import Asked, answer

    asked = Asked(
        tables or [], load(recipe, set_) if recipe else None, domain or [], general or [], epsilon, relative, unit,
        law, level, share or [], loss or [], rest, base or [], where or [], key, tokens_column, parameters_column,
        have or [], run_tokens, parameters,
    )  # fmt: skip
    suggestion = answer(asked)
    if picture is not None:
        draw_frontier(suggestion, picture)
    if as_json:
        import json

        typer.echo(json.dumps(as_dict(suggestion), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        show(shown(suggestion))
