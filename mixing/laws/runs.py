"""Runs as tables: the sweep's own, and published ones whose columns the user declares.

A sweep has one row per run and source (`SWEEP`); a published table one row per run, with a column for the share of each
source and one for each loss. Either becomes `Runs`: mixtures and the losses measured after them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import Field

from corpus.errors import ConfigError, DataError
from corpus.settings import Settings
from mixing.budget import Role
from mixing.laws.mixtures import Mixtures

SWEEP = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("parameters", pa.int64(), nullable=False),
        pa.field("steps", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("sequence_length", pa.int64(), nullable=False),
        pa.field("global_batch", pa.int64(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("role", pa.string()),
        pa.field("asked_share", pa.float64(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),
        pa.field("source_tokens", pa.int64(), nullable=False),
        pa.field("unique_tokens", pa.int64(), nullable=False),
        pa.field("loss", pa.float64()),
        pa.field("bits_per_byte", pa.float64()),
        pa.field("base_loss", pa.float64()),
        pa.field("base_bits_per_byte", pa.float64()),
        pa.field("delta_se", pa.float64()),
        pa.field("measured_tokens", pa.int64()),
        pa.field("measured_bytes", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Runs:
    """`losses` float64[runs] by set; `base` the same before training, where known; `roles` and `supply` (different
    tokens) by source, where known."""

    at: Mixtures
    losses: Mapping[str, np.ndarray]
    base: Mapping[str, np.ndarray]
    roles: Mapping[str, Role]
    supply: Mapping[str, int]
    sequence_length: int | None = None
    global_batch: int | None = None

    def take(self, rows: np.ndarray) -> Self:
        return replace(
            self,
            at=self.at.take(rows),
            losses={name: values[rows] for name, values in self.losses.items()},
            base={name: values[rows] for name, values in self.base.items()},
        )

    def of_scale(self, tokens: float | None, parameters: float | None) -> Self:
        """The runs of one length and size, so far as the runs say what they are."""
        rows = np.ones(len(self.at), bool)
        for column, asked in ((self.at.tokens, tokens), (self.at.parameters, parameters)):
            if column is not None and asked is not None:
                rows &= np.isclose(column, asked, rtol=1e-6)
        return self.take(rows)

    def loss(self, name: str) -> np.ndarray:
        """Raises DataError when there is no such loss."""
        if name not in self.losses:
            raise DataError(f"no loss of {name} in the table", found=", ".join(self.losses) or "no loss")
        return self.losses[name]


class Columns(Settings):
    """Which column of a published table is what. Names may hold one `*`, which then stands for the name of the source:
    `{"*": "train_the_pile_*"}` declares every column that begins so."""

    shares: dict[str, str] = Field(min_length=1, description="source: column of its share")
    losses: dict[str, str] = Field(min_length=1, description="set: column of its loss")
    rest: str | None = Field(None, description="the source that has what the shares leave of 1")
    tokens: str | None = Field(None, description="column of the tokens of the run")
    parameters: str | None = Field(None, description="column of the model's parameters")
    key: str | None = Field(None, description="column by which several files belong together")
    where: dict[str, str] = Field(default_factory=dict, description="column: value that a row must have")


def read_sweep(path: Path, unit: str = "loss") -> Runs:
    """A table of `provender mix sweep`; `unit` is loss (nats per token) or bits_per_byte.

    Raises DataError when it is not one, or some runs measure what others do not.
    """
    frame = _read(path)
    if missing := [name for name in SWEEP.names if name not in frame.columns]:
        raise DataError(
            "not a table of a sweep",
            where=path,
            found=f"no column {', '.join(missing)}",
            todo="declare the columns of a table of your own: --share NAME=COLUMN --loss NAME=COLUMN",
        )
    first = frame.group_by("run", maintain_order=True).first()
    mixed = frame.filter(pl.col("role").is_not_null())["source"].unique().sort().to_list()
    measured = frame.filter(pl.col(unit).is_not_null())["source"].unique().sort().to_list()

    def wide(column: str, names: Sequence[str]) -> np.ndarray:
        table = frame.filter(pl.col("source").is_in(list(names))).pivot(on="source", index="run", values=column)
        found = first.select("run").join(table, on="run", how="left", maintain_order="left")
        return found.select(names).cast(pl.Float64).to_numpy()

    tokens, parameters = (first[name].cast(pl.Float64).to_numpy() for name in ("tokens", "parameters"))
    at = Mixtures.of(mixed, wide("share", mixed), tokens, parameters, wide("unique_tokens", mixed))
    after, before = wide(unit, measured), wide(f"base_{unit}", measured)
    if np.isnan(after).any():
        raise DataError("some runs of the sweep lack a loss", where=path, todo="run `provender mix sweep` again")
    rows = frame.filter(pl.col("role").is_not_null()).group_by("source").first()
    return Runs(
        at,
        {name: after[:, i] for i, name in enumerate(measured)},
        {name: before[:, i] for i, name in enumerate(measured)},
        dict(rows.select("source", "role").iter_rows()),
        dict(rows.select("source", "unique_tokens").iter_rows()),
        int(first["sequence_length"][0]),
        int(first["global_batch"][0]),
    )


def read_published(paths: Sequence[Path], columns: Columns) -> Runs:
    """One table, or several that belong together by `columns.key`. Raises DataError when a column is not there or holds
    no numbers, ConfigError when several files are given without a key."""
    frame = _joined(paths, columns.key)
    for column, value in columns.where.items():
        frame = frame.filter(_column(frame, column, paths[0]).cast(pl.String) == value)
    if not len(frame):
        raise DataError("the table has no such runs", where=paths[0], found=f"0 rows with {columns.where}")
    shares = _declared(columns.shares, frame, paths[0])
    losses = _declared(columns.losses, frame, paths[0])
    values = np.column_stack([_numbers(frame, column, paths[0]) for column in shares.values()])
    names = list(shares)
    if columns.rest is not None:
        names.append(columns.rest)
        values = np.column_stack([values, np.clip(1 - values.sum(axis=1), 0, None)])
    scales = [
        None if column is None else _numbers(frame, column, paths[0]) for column in (columns.tokens, columns.parameters)
    ]
    at = Mixtures.of(names, values, *scales)
    return Runs(at, {name: _numbers(frame, column, paths[0]) for name, column in losses.items()}, {}, {}, {})


def _joined(paths: Sequence[Path], key: str | None) -> pl.DataFrame:
    frame = _read(paths[0])
    for path in paths[1:]:
        if key is None:
            raise ConfigError("several tables need a key", todo="--key COLUMN: rows of the same value belong together")
        other = _read(path)
        for each, place in ((frame, paths[0]), (other, path)):
            _column(each, key, place)
        if len(frame.join(other, on=key)) != len(frame):
            raise DataError("a run of one table is not in the other", where=path, found=f"joined by {key}")
        frame = frame.join(other, on=key, how="left", maintain_order="left")
    return frame


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            "the table of runs cannot be read",
            where=path,
            found=str(error).splitlines()[0],
            todo="give a .parquet or .csv file",
        ) from None


def _declared(named: Mapping[str, str], frame: pl.DataFrame, path: Path) -> dict[str, str]:
    """Names and columns, with the patterns spelt out."""
    found: dict[str, str] = {}
    for name, column in named.items():
        if "*" not in column:
            found[name] = column
            continue
        head, _, tail = column.partition("*")
        matched = [
            c for c in frame.columns if c.startswith(head) and c.endswith(tail) and len(c) > len(head) + len(tail)
        ]
        if not matched:
            raise DataError("no column of the table is of this pattern", where=path, found=column)
        for each in matched:
            found[name.replace("*", each[len(head) : len(each) - len(tail)])] = each
    return found


def _column(frame: pl.DataFrame, name: str, path: Path) -> pl.Series:
    if name not in frame.columns:
        raise DataError(
            f"the table has no column {name}", where=path, found=", ".join(frame.columns), todo="name one of these"
        )
    return frame[name]


def _numbers(frame: pl.DataFrame, name: str, path: Path) -> np.ndarray:
    column = _column(frame, name, path)
    try:
        values = column.cast(pl.Float64).to_numpy()
    except pl.exceptions.PolarsError:
        raise DataError(f"column {name} holds something else than numbers", where=path, found=column[0]) from None
    if np.isnan(values).any():
        raise DataError(f"column {name} has an empty cell", where=path, found=f"row {int(np.argmax(np.isnan(values)))}")
    return values
