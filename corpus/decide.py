"""The decide stage: stored columns → one decision per record. Texts are not read, nothing is measured.

For each source the rules of the recipe are evaluated over its columns in order; the first that fails names the drop.
Then, over all sources together, one keeper is chosen per group of duplicates among the documents that passed, and the
kept documents are split: a cluster falls into train or validation as a whole, by a seeded hash of its smallest id, so
that no near-copy of a validation document is trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from corpus.artifact import complete, read_parquet, sound_parquet, write_parquet
from corpus.document import EDIT, QUARANTINE, VERDICT
from corpus.rules import Rule

DECISIONS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("unit", pa.int32(), nullable=False),
        pa.field("fate", pa.string(), nullable=False),
        pa.field("step", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("split", pa.string()),
        pa.field("cluster", pa.string()),
        pa.field("duplicate_of", pa.string()),
        pa.field("duplicate_kind", pa.string()),
        pa.field("similarity", pa.float32()),
        pa.field("perplexity_bucket", pa.string()),
    ]
)
GROUP = 8_192  # rows


@dataclass(frozen=True)
class UnitFiles:
    """The column files of one annotated unit, row by row about the same records. Where `overlay` is given, its text
    and token counts stand for those of the documents that were cut (corpus/cuts/overlay.py)."""

    paths: tuple[Path, ...]
    overlay: Path | None = None

    def all_paths(self) -> tuple[Path, ...]:
        """The column files and the overlay."""
        return self.paths if self.overlay is None else (*self.paths, self.overlay)

    def names(self) -> set[str]:
        return {name for path in self.paths for name in pq.read_schema(path).names}

    def read(self, columns: Sequence[str]) -> pl.DataFrame:
        """The asked columns that exist, in the order of the records."""
        frames: list[pl.DataFrame] = []
        for path in self.paths:
            present = pq.read_schema(path).names
            asked = [name for name in columns if name in present and not any(name in f.columns for f in frames)]
            if asked:
                frames.append(pl.DataFrame(pl.from_arrow(read_parquet(path, asked))))
        return pl.concat(frames, how="horizontal")


def read_columns(unit: UnitFiles, index: int, rules: Sequence[Rule], more: Sequence[str] = ()) -> pl.DataFrame:
    """What deciding on unit `index` of a source needs: its rules' columns and `more`, ids, verdicts, the bytes of the
    text; one row per record. A column that the unit has not is null. Texts are never loaded."""
    needed = set(more).union(*(rule.columns() for rule in rules))
    names = unit.names()
    edits = sorted(name for name in names if name.startswith(EDIT))
    known = {"id", "step", "reason", "bytes_in"}
    frame = unit.read(["id", "step", "reason", "bytes_in", VERDICT, *edits, *sorted(needed - known)])
    if VERDICT in names:
        found = pl.col(VERDICT)
        step = pl.when(found.is_null()).then("step").otherwise(pl.lit(QUARANTINE)).alias("step")
        frame = frame.with_columns(step, pl.coalesce(found, "reason").alias("reason")).drop(VERDICT)
    size = pl.sum_horizontal("bytes_in", *edits).cast(pl.Int64).alias("bytes")
    missing = [pl.lit(None).alias(name) for name in sorted(needed - known - set(frame.columns))]
    return frame.with_columns(size, pl.lit(index, pl.Int32).alias("unit"), *missing).drop(edits)


def decisions_of(path: Path, unit: int) -> pa.Table:
    """The decisions on the records of one unit, in their order, from those of its source, which lie by unit. Reads the
    row groups that hold it, however many others there are."""
    with sound_parquet(path) as handle:
        column, groups = handle.schema_arrow.get_field_index("unit"), range(handle.num_row_groups)
        ranges = [handle.metadata.row_group(group).column(column).statistics for group in groups]
        mine = [group for group in groups if ranges[group].min <= unit <= ranges[group].max]
        table = handle.read_row_groups(mine)
        complete(table.num_rows, sum(handle.metadata.row_group(group).num_rows for group in mine))
        return table.filter(pc.equal(table["unit"], unit)).combine_chunks()


def apply_rules(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Adds fate, and step, reason and detail of the first failing rule; the reader's verdicts stand before any rule."""
    verdict = pl.col("step").is_not_null()
    failing = [pl.when(rule.fails.fill_null(False)).then(index) for index, rule in enumerate(rules)]
    first = (
        pl.coalesce(*failing, pl.lit(None, pl.Int32)).alias("_first")
        if rules
        else pl.lit(None, pl.Int32).alias("_first")
    )
    frame = frame.with_columns(pl.when(verdict).then(None).otherwise(first).alias("_first"))
    step, reason, detail = pl.col("step"), pl.col("reason"), pl.lit(None, pl.String)
    for index, rule in enumerate(rules):
        hit = pl.col("_first") == index
        step = pl.when(hit).then(pl.lit(rule.step)).otherwise(step)
        reason = pl.when(hit).then(pl.lit(rule.reason)).otherwise(reason)
        detail = pl.when(hit).then(rule.detail).otherwise(detail)
    frame = frame.with_columns(detail.alias("detail"), step.alias("step"), reason.alias("reason"))
    quarantined = pl.col("step") == QUARANTINE
    fate = (
        pl.when(quarantined.fill_null(False))
        .then(pl.lit("quarantined"))
        .when(pl.col("step").is_not_null())
        .then(pl.lit("dropped"))
        .otherwise(pl.lit("kept"))
    )
    return frame.with_columns(fate.alias("fate")).drop("_first")


def drop_duplicates(frame: pl.DataFrame, removals: pl.DataFrame, clusters: pl.DataFrame) -> pl.DataFrame:
    """Book the removals (see `drop_copies`) and every document's cluster."""
    frame = without_duplicates(frame).drop("cluster")
    return drop_copies(
        frame.join(clusters.select("id", "cluster"), on="id", how="left", maintain_order="left"), removals
    )


def without_duplicates(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the columns about duplicates, empty."""
    columns = {"cluster": pl.String, "duplicate_of": pl.String, "duplicate_kind": pl.String, "similarity": pl.Float32}
    return frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in columns.items())


def drop_copies(frame: pl.DataFrame, removals: pl.DataFrame) -> pl.DataFrame:
    """Book removals (id, duplicate_of, kind, similarity) of kept documents as drops."""
    booked = removals.select("id", _of="duplicate_of", _kind="kind", _similarity="similarity")
    frame = frame.join(booked, on="id", how="left", maintain_order="left")
    removed = pl.col("_of").is_not_null() & (pl.col("fate") == "kept")
    new = {
        "fate": pl.lit("dropped"),
        "step": pl.lit("duplicates"),
        "reason": pl.format("{} copy", "_kind"),
        "detail": pl.format("similarity {}", pl.col("_similarity").cast(pl.Float64).round(3)),
        "duplicate_of": pl.col("_of"),
        "duplicate_kind": pl.col("_kind"),
        "similarity": pl.col("_similarity"),
    }
    changed = [pl.when(removed).then(value).otherwise(name).alias(name) for name, value in new.items()]
    return frame.with_columns(changed).drop("_of", "_kind", "_similarity")


def split_documents(frame: pl.DataFrame, shares: Mapping[str, float], seed: int) -> pl.DataFrame:
    """Adds `split`: "validation" for a share of the kept documents of each source, "train" for the others.

    `shares` by source. The lot is drawn per cluster (a document alone is its own), so copies stay together.
    """
    keys = frame.select(pl.coalesce("cluster", "id").alias("key"))["key"]
    lots = [xxhash.xxh3_64_intdigest(f"{seed}\0{key}".encode()) / 2.0**64 for key in keys]
    share = pl.col("source").replace_strict(dict(shares), return_dtype=pl.Float64)
    frame = frame.with_columns(pl.Series("_lot", lots, pl.Float64))
    split = pl.when(pl.col("_lot") < share).then(pl.lit("validation")).otherwise(pl.lit("train"))
    return frame.with_columns(pl.when(pl.col("fate") == "kept").then(split).alias("split")).drop("_lot")


def write_decisions(path: Path, frame: pl.DataFrame, more: Sequence[str] = ()) -> int:
    """Write the frame with the columns and types of `DECISIONS`, and the numbers `more`; the rows. The groups are
    small: a worker reads those that hold its unit."""
    schema = pa.schema([*DECISIONS, *(pa.field(name, pa.int64()) for name in more)])
    table: Any = frame.select(schema.names).to_arrow(compat_level=pl.CompatLevel.oldest())
    return write_parquet(path, table.cast(schema).to_batches(max_chunksize=GROUP), schema)
