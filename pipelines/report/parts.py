"""What a section of the report is made of: cells, tables, figures, headlines, and how frames become them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl
from markupsafe import Markup

from pipelines.audit.everything import Audit
from pipelines.report.charts import COLOURS
from pipelines.report.numbers import count, decimal, size


@dataclass(frozen=True)
class Cell:
    """What a table shows, and the value it sorts by."""

    text: str | Markup
    value: str | float | int | None = None
    kind: str = ""


Column = tuple[str, bool]  # heading, and whether it is a number


@dataclass(frozen=True)
class Table:
    """`columns` are (heading, is a number); the first column heads its row."""

    caption: str
    columns: list[Column]
    rows: list[list[Cell]]
    total: list[Cell] | None = None


@dataclass(frozen=True)
class Figure:
    caption: str
    chart: Markup
    wide: bool = False


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    lead: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Headline:
    label: str
    value: str
    note: str


def source_colours(audit: Audit) -> dict[str, int]:
    """One colour per source throughout the page."""
    names: set[str] = set()
    for frame, column in (("totals", "source"), ("planned", "source"), ("mixture", "source"), ("losses", "source")):
        names |= set(audit.frames[frame][column].to_list())
    return {name: index % COLOURS for index, name in enumerate(sorted(names))}


def by(frame: pl.DataFrame, column: str) -> Iterator[tuple[str, pl.DataFrame]]:
    for (key,), rows in frame.group_by(column, maintain_order=True):
        yield str(key), rows


def points_of(frame: pl.DataFrame, column: str, scale: float = 1.0) -> list[tuple[float, float]]:
    rows = frame.select("step", column).drop_nulls().sort("step").iter_rows()
    return [(float(step), value * scale) for step, value in rows]


def name_cell(text: str) -> Cell:
    return Cell(text, text)


def count_cell(value: int | None) -> Cell:
    return Cell(count(value), value)


def size_cell(value: int | None) -> Cell:
    return Cell(size(value), value)


def decimal_cell(value: float | None) -> Cell:
    return Cell(decimal(value), value)
