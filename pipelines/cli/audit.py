"""`provender audit …`."""

import typer

from pipelines.cli.arguments import Overrides, RecipeName, group, load, show

commands = group("What became of every document and token: tables, parquet files and one HTML page.")


@commands.command("run")
def audit_run(recipe: RecipeName, set_: Overrides = None) -> None:
    """Check everything, print the tables and write the report."""
    from pipelines.stages import audit_workspace

    loaded = load(recipe, set_)
    report, passed = audit_workspace(loaded)
    show(f"report: {report}")
    if not passed:
        raise typer.Exit(4)
