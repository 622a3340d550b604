"""What `provender mix simulate` and `mix packing` show: tables for the terminal and one picture."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table

from corpus.artifact import write_atomic
from corpus.errors import ConfigError
from pipelines.outline import framed, plan_table
from pipelines.recipe import Recipe
from pipelines.report import charts, numbers
from pipelines.report.standalone import standing_alone

if TYPE_CHECKING:
    from mixing.plan import MixturePlan
    from mixing.simulate import Forecast

ROWS = 10  # of the table of shares


def simulate(
    recipe: Recipe,
    tokens_per_second: float | None = None,
    price_per_hour: float | None = None,
    picture: Path | None = None,
) -> RenderableType:
    """The plan of a recipe before it runs: budget, planned and realised shares, epochs, time and cost.

    `picture` is where the curves are drawn, as SVG. Raises ArtifactError when the plan is not compiled yet, ConfigError
    when the picture cannot be written there.
    """
    from mixing.plan import MixturePlan
    from mixing.simulate import curves, forecast
    from pipelines.stages import plan_folder

    if picture is not None and picture.suffix != ".svg":
        raise ConfigError("pictures are drawn as SVG", where="--picture", found=picture, todo="give a name.svg")
    plan = MixturePlan.load(plan_folder(recipe))
    parts = [plan_table(plan), shares(curves(plan, ROWS)), _figures(forecast(plan, tokens_per_second, price_per_hour))]
    if picture is not None:
        write_atomic(picture, drawn(plan).encode())
        parts.append(f"picture: {picture}")
    return Group(*parts)


def shares(frame: pl.DataFrame) -> RenderableType:
    """Realised and planned shares of each source over the run, and the epochs it has been through."""
    table = Table(title="Share of the batch: realised (planned), epochs so far", title_justify="left")
    table.add_column("to step", justify="right")
    sources = frame["source"].unique(maintain_order=True).to_list()
    for source in sources:
        table.add_column(source, justify="right")
    for (step,), rows in frame.group_by("step", maintain_order=True):
        cells = [
            f"{numbers.share(share)} ({numbers.share(planned)}), {epochs:.2f}"
            for share, planned, epochs in rows.select("share", "target_share", "epochs").rows()
        ]
        table.add_row(f"{step:,}", *cells)
    return table


def _figures(run: "Forecast") -> RenderableType:
    table = Table(title="The run", title_justify="left", show_header=False)
    for name, text in _lines(run):
        table.add_row(name, text)
    return table


def _lines(run: "Forecast") -> Iterator[tuple[str, str]]:
    yield "steps", f"{run.steps:,}"
    yield "tokens", f"{run.tokens:,}"
    yield "worth in fresh tokens", f"{run.effective_tokens:,} ({numbers.share(run.effective_tokens, run.tokens)})"
    yield "repeated tokens", f"{run.repeated_tokens:,} ({numbers.share(run.repeated_tokens, run.tokens)})"
    if run.padding_tokens:
        yield "padding", f"{run.padding_tokens:,} ({numbers.share(run.padding_tokens, run.tokens)})"
    if run.seconds is None:
        yield "time", "unknown: give --tokens-per-second"
    else:
        yield "time", str(timedelta(seconds=round(run.seconds)))
    if run.cost is not None:
        yield "cost", f"{run.cost:,.2f}"


def drawn(plan: "MixturePlan") -> str:
    """The realised shares as areas, the planned ones as dashed lines over them: an SVG file of its own."""
    from mixing.simulate import curves

    frame = curves(plan, charts.POINTS)
    lines, bounds = [], []
    for colour, name in enumerate(plan.names):
        rows = frame.filter(pl.col("source") == name)
        lines.append(charts.Line(name, rows.select("step", "share").rows(), colour))
        bounds.append(charts.Line(name, rows.select("step", "target_share").rows(), colour))
    picture = charts.areas(lines, title="Mixture of the run", x="step", y="share of tokens", bounds=bounds)
    return standing_alone(picture)


def packings(recipe: Recipe) -> RenderableType:
    """What each way of packing would do to each source: truncated documents, cut tokens, padding."""
    from mixing.packing import compare
    from pipelines.stages import token_stores

    length = recipe.need("mix").sequence_length
    return Group(
        *(
            framed(compare(store, length), f"{name}, sequences of {length:,} tokens")
            for name, store in token_stores(recipe).items()
        )
    )
