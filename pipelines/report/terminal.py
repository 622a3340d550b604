"""The report in the terminal: the same sections as rich tables, plain text where there is no terminal."""

from collections.abc import Iterator

from markupsafe import Markup
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from pipelines.audit.everything import Audit
from pipelines.report.parts import Table
from pipelines.report.sections import sections

SHOWN_ROWS = 15


def render_text(audit: Audit) -> Iterator[RenderableType]:
    """Tables of every section, the verdict last, where the eye is. Names from the data are never read as markup."""
    for section in sections(audit):
        if section.id != "provenance":
            yield from (_table(section.title, table) for table in section.tables)
    for part in audit.missing:
        yield Text(f"not here yet: {part.part} ({part.command} makes it)", style="yellow")
    yield verdict(audit)


def verdict(audit: Audit) -> RenderableType:
    """One line when everything adds up, one more for each check that fails."""
    failed = [check for check in audit.checks if not check.passed]
    if not audit.checks:
        return Text("nothing to check yet")
    if not failed:
        return Text(f"verified: everything adds up, {len(audit.checks)} checks passed", style="bold green")
    head = Text(f"NOT verified: {len(failed)} of {len(audit.checks)} checks failed", style="bold red")
    return Group(head, *[Text(f"  {check.name}: {check.detail}", style="red") for check in failed])


def _table(section: str, table: Table) -> RenderableType:
    # A bar is for the page: here the numbers beside it say the same.
    shown = [
        index
        for index in range(len(table.columns))
        if not any(isinstance(row[index].text, Markup) for row in table.rows)
    ]
    made = RichTable(title=Text(f"{section}: {table.caption}"), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for index in shown:
        heading, number = table.columns[index]
        made.add_column(Text(heading), justify="right" if number else "left", overflow="fold")
    for row in table.rows[:SHOWN_ROWS]:
        made.add_row(*[Text(str(row[index].text)) for index in shown])
    if table.total:
        made.add_row(*[Text(str(table.total[index].text), style="bold") for index in shown])
    more = len(table.rows) - SHOWN_ROWS
    return Group(made, Text(f"… {more} more rows in report/" if more > 0 else "", style="dim"))
