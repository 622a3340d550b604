"""The sections about a run as a piece of work: what each set gained at each evaluation, and what the machine did."""

import polars as pl

from pipelines.audit.everything import Audit
from pipelines.report import charts
from pipelines.report.charts import Line
from pipelines.report.numbers import change, count, decimal, share, size
from pipelines.report.parts import Cell, Column, Figure, Section, Table, by, count_cell, name_cell, points_of
from pipelines.report.training_sections import ROLE_ORDER

EVALUATIONS_SHOWN = 12
SHADES = (0.005, 0.02, 0.05, 0.1)  # changes in bits per byte from which a cell is a shade deeper


def matrix(audit: Audit) -> Section | None:
    """Set × step: bits per byte, shaded by the change against step 0."""
    frame = audit.frames["evaluations"]
    if not frame.height:
        return None
    roles = audit.frames["forgetting"].select("run", "set", "role")
    tables = []
    for run, own in by(frame.join(roles, on=["run", "set"], how="left").sort("run", "step"), "run"):
        steps = _thinned(own["step"].unique().sort().to_list())
        rows = []
        for (name, role), part in own.sort(ROLE_ORDER, "set", "step").group_by("set", "role", maintain_order=True):
            values = dict(part.select("step", "bits_per_byte").iter_rows())
            start = values.get(0)
            cells = [_matrix_cell(values.get(step), start) for step in steps]
            rows.append([name_cell(str(name)), Cell(str(role) if role else "–"), *cells])
        columns: list[Column] = [("set", False), ("role", False), *[(count(step), True) for step in steps]]
        tables.append(Table(f"{run}: bits per byte of each set at each evaluated step", columns, rows))
    lead = (
        "Each row is held-out text of one source, each column an evaluation; in brackets its change against the "
        "base model. Green is learned, red is forgotten."
    )
    return Section("matrix", "Sets by step", lead, tables=tables)


def _matrix_cell(value: float | None, start: float | None) -> Cell:
    if value is None:
        return Cell("–")
    if start is None:
        return Cell(decimal(value), value)
    delta = value - start
    depth = sum(abs(delta) >= bound for bound in SHADES)
    kind = f"change {'worse' if delta > 0 else 'better'}{depth}" if depth else "change"
    return Cell(f"{decimal(value)} ({change(delta, digits=3)})" if delta else decimal(value), value, kind)


def _thinned(steps: list[int]) -> list[int]:
    """The first, the last, and evenly spaced ones between."""
    if len(steps) <= EVALUATIONS_SHOWN:
        return steps
    last = len(steps) - 1
    return [steps[round(index * last / (EVALUATIONS_SHOWN - 1))] for index in range(EVALUATIONS_SHOWN)]


def system(audit: Audit) -> Section | None:
    """Tokens per second, share of the arithmetic used, memory."""
    frame = audit.frames["steps"]
    if not frame.height:
        return None
    rows = []
    for run, own in by(frame, "run"):
        seconds, tokens = float(own["seconds"].sum()), int(own["tokens"].sum())
        rows.append(
            [name_cell(run), count_cell(own.height), count_cell(tokens), Cell(decimal(seconds, 1), seconds),
             Cell(decimal(tokens / seconds, 1) if seconds else "–", tokens / seconds if seconds else None),
             _median(own, "tokens_per_second", lambda value: decimal(value, 1)),
             _median(own, "mfu", share), _most(own, "memory")]
        )  # fmt: skip
    columns: list[Column] = [("run", False), ("steps", True), ("tokens", True), ("seconds", True)]
    columns += [("tokens/s over all", True), ("median of steps", True), ("model FLOPs used", True)]
    columns.append(("most memory", True))
    figures = []
    for column, label, scale in (("tokens_per_second", "tokens per second", 1.0), ("mfu", "model FLOPs used, %", 100.0),
                                 ("memory", "memory, MB", 1e-6)):  # fmt: skip
        series = [Line(run, points_of(own, column, scale), index) for index, (run, own) in enumerate(by(frame, "run"))]
        series = [line for line in series if line.points]
        if series:
            chart = charts.lines(series, title=label, x="step", y=label, zero=True)
            figures.append(Figure(label, chart))
    lead = "What the machine did, of the steps alone, without evaluations and checkpoints. – is what a run did not log."
    return Section("system", "System", lead, figures, [Table("Runs", columns, rows)])


def _median(own: pl.DataFrame, column: str, shown) -> Cell:  # type: ignore[no-untyped-def]
    value = own[column].median()
    return Cell(shown(value), value)  # type: ignore[arg-type]


def _most(own: pl.DataFrame, column: str) -> Cell:
    value = own[column].max()
    return Cell(size(value), value)  # type: ignore[arg-type]
