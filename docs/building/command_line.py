"""The page of the command line, from the typer application itself by typer's own writer."""

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command


def command_line_page() -> str:
    """Every command with its arguments and options."""
    from pipelines.cli import app

    command = get_command(app)
    page = get_docs_for_click(obj=command, ctx=typer.Context(command), name="provender", title="Command line")
    page = page.replace("* `run`: ", "* `run` (what the name of the group alone does): ")
    return (
        f"{page}\n"
        "Exit codes: 0 done, 1 something is missing, 2 recipe or usage, 3 data, 4 artefact or failed audit,\n"
        "5 training, 130 interrupted; see [errors](errors.md).\n"
    )
