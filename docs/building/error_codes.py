"""The table of errors and exit codes, from the classes."""

import inspect
from collections.abc import Iterator

from corpus.errors import ProvenderError


def errors(kind: type[ProvenderError] = ProvenderError) -> Iterator[type[ProvenderError]]:
    """A class of errors and all below it, in the order of the exit codes."""
    yield kind
    for below in sorted(kind.__subclasses__(), key=lambda one: (one.exit_code, one.__name__)):
        yield from errors(below)


def error_table() -> str:
    """class, exit code and module of every error, as a Markdown table."""
    rows = [
        f"| `{one.__name__}` | {one.exit_code} | `{one.__module__}` | {inspect.cleandoc(one.__doc__ or '')} |"
        for one in errors()
    ]
    return "\n".join(("| error | exit code | defined in | |", "|---|---|---|---|", *rows))


def errors_page() -> str:
    """How an error reads, the table, and the classes."""
    example = ProvenderError(
        "unknown key", where="mine.yaml:14 sources.0.wieght", found="wieght", todo='did you mean "weight"?'
    )
    shown = "\n".join(("```text", *f"error: {example}".splitlines(), "```"))
    return (
        "# Errors\n\n"
        "Every error a user can cause says what, where, what was found and what to do. The command line prints it and\n"
        "exits with the code of its class; there is no traceback. From Python, catch `ProvenderError`.\n\n"
        f"{shown}\n\n{error_table()}\n\n::: corpus.errors\n"
    )
