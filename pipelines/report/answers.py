"""The answer to a question, as text, JSON, parquet or CSV."""

import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from corpus.artifact import write_parquet
from corpus.errors import ConfigError
from pipelines.report.numbers import NONE, count, significant

Frames = Mapping[str, pl.DataFrame]
SHOWN_ROWS = 40
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a spreadsheet takes for the start of a formula


def as_text(frames: Frames) -> RenderableType:
    """A table per frame. Names from the data are never read as markup."""
    return Group(*[_table(name, frame) for name, frame in frames.items()])


def as_json(frames: Frames) -> str:
    """One frame: a list of objects; several: an object of such lists, by name."""
    plain = {name: frame.to_dicts() for name, frame in frames.items()}
    value = plain if len(plain) != 1 else next(iter(plain.values()))
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str, indent=1)


def write_answer(frames: Frames, path: Path, form: str) -> list[Path]:
    """Write as `parquet` or `csv`: one frame to the file `path`, several into the folder `path`, by name."""
    targets = {name: path / f"{name}.{form}" for name in frames} if len(frames) != 1 else {next(iter(frames)): path}
    for name, target in targets.items():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if form == "parquet":
                write_parquet(target, frames[name].to_arrow())
            else:
                target.write_text(as_csv(frames[name]), encoding="utf-8")
        except OSError as error:
            raise ConfigError("the answer cannot be written", where=target, found=error.strerror) from None
    return list(targets.values())


def as_csv(frame: pl.DataFrame) -> str:
    """CSV that a spreadsheet shows and does not run: a text that would be a formula gets an apostrophe in front."""
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    plain = frame.with_columns(
        [pl.col(name).map_elements(lambda own: json.dumps(own, default=str), return_dtype=pl.String) for name in nested]
    )
    started = [pl.col(name).str.slice(0, 1).is_in(FORMULA) for name in texts]
    safe = [
        pl.when(formula).then(pl.lit("'") + pl.col(name)).otherwise(pl.col(name)).alias(name)
        for name, formula in zip(texts, started, strict=True)
    ]
    headings = {name: f"'{name}" for name in frame.columns if name.startswith(FORMULA)}
    return plain.with_columns(safe).rename(headings).write_csv()


def _table(name: str, frame: pl.DataFrame) -> RenderableType:
    title = name.replace("_", " ")
    if not frame.height:
        return Text(f"{title}: nothing\n", style="dim")
    made = Table(title=Text(title), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column, kind in frame.schema.items():
        made.add_column(Text(column), justify="right" if kind.is_numeric() else "left", overflow="fold")
    for row in frame.head(SHOWN_ROWS).iter_rows():
        made.add_row(*[Text(_shown(value)) for value in row])
    more = frame.height - SHOWN_ROWS
    return Group(
        made, Text(f"… {count(more)} more rows: --json, --parquet or --csv\n" if more > 0 else "", style="dim")
    )


def _shown(value: object) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    return significant(value) if isinstance(value, float) else str(value)
