"""The select stage: annotated units and decisions → kept shards, dropped shards and the ledger, unit by unit.

    selected/<source>/00000/   train.parquet  validation.parquet  dropped.parquet  ledger.parquet

A unit is published only if its ledger adds up against the texts it is about to publish.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datatrove.pipeline.base import PipelineStep

from corpus.artifact import RunLock, open_parquet, publish, scan_parquet, write_parquet
from corpus.decide import UnitFiles, decisions_of
from corpus.document import EDIT
from corpus.engine import Heartbeat, Unit
from corpus.ledger import LEDGER, Ledger
from corpus.perplexity import BUCKET

# Columns that serve a stage and not a reader of the corpus.
INTERNAL = ("cuts.spans", "dedup.", "deidentify.spans", "quarantine.", "token_count")
SPLITS = ("train", "validation")


def annotation_name(column: str) -> str:
    """`language.score` → `language_score`: the name inside the struct `annotations`."""
    return column.replace(".", "_")


def shard_schema(annotations: Sequence[pa.Field]) -> pa.Schema:
    """The explicit schema of a corpus shard; `annotations` are the measured columns of all sources together. Without
    any there is no such column: parquet knows no empty struct."""
    struct = pa.struct([pa.field(annotation_name(field.name), field.type) for field in annotations])
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            pa.field("token_count", pa.int64()),
            *([pa.field("annotations", struct)] if annotations else []),
            pa.field("metadata", pa.string()),
        ]
    )


def dropped_schema(shard: pa.Schema) -> pa.Schema:
    """A dropped document is a shard row with the step, the rule and the measured value that dropped it."""
    for name in ("step", "reason", "detail"):
        shard = shard.append(pa.field(name, pa.string()))
    return shard


@dataclass(frozen=True)
class SelectWork:
    """One unit: its column files, the decisions on its source, which rows of them are its own."""

    files: UnitFiles
    decisions: Path
    index: int


class SelectUnit(PipelineStep):
    """Writes and publishes this rank's unit. `keep_dropped=False` for recipes whose drops may hold PHI."""

    name = "select"
    type = "unit selector"

    def __init__(
        self,
        units: Sequence[Unit],
        annotations: Sequence[pa.Field],
        keep_dropped: bool,
        heartbeat: Heartbeat,
        lock: RunLock,
    ):
        super().__init__()
        self.units, self.annotations, self.keep_dropped = units, list(annotations), keep_dropped
        self.heartbeat, self.lock = heartbeat, lock

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        work: SelectWork = unit.work
        decisions = decisions_of(work.decisions, work.index)
        schema = shard_schema(self.annotations)
        with publish(unit.folder, kind="corpus.selected", function=unit.function, lock=self.lock) as draft:
            written = {"train": schema, "validation": schema}
            if self.keep_dropped:
                written["dropped"] = dropped_schema(schema)
            text_bytes = text_tokens = records = 0
            ledgers: list[pa.RecordBatch] = []
            with ExitStack() as stack:
                writers = {
                    name: stack.enter_context(open_parquet(draft.path / f"{name}.parquet", kind))
                    for name, kind in written.items()
                }
                rows_written = dict.fromkeys(writers, 0)
                for rows in self._rows(work.files):
                    verdicts = decisions.slice(records, rows.num_rows)
                    if not rows["id"].equals(verdicts["id"].combine_chunks()):
                        raise AssertionError(f"{unit.name}: decisions and documents are out of step")
                    records += rows.num_rows
                    ledger = ledger_rows(rows, verdicts)
                    ledgers.append(ledger)
                    shard = self._shard(rows, verdicts, written)
                    for name, table in shard.items():
                        if name in writers and table.num_rows:
                            writers[name].write_table(table)
                            rows_written[name] += table.num_rows
                        if name in SPLITS:
                            text_bytes += pc.sum(pc.binary_length(table["text"])).as_py() or 0
                            text_tokens += pc.sum(table["token_count"]).as_py() or 0
            draft.rows |= {f"{name}.parquet": count for name, count in rows_written.items()}
            # Row groups of thousands, which the audit's questions over all units read several times as fast.
            rows = pa.Table.from_batches(ledgers, LEDGER).combine_chunks().to_batches(max_chunksize=16_384)
            draft.rows["ledger.parquet"] = write_parquet(draft.path / "ledger.parquet", rows, LEDGER)
            ledger_read = Ledger.read(draft.path / "ledger.parquet")
            ledger_read.check(
                where=unit.name,
                records=pq.read_metadata(work.files.paths[0]).num_rows,
                text_bytes=text_bytes,
                text_tokens=text_tokens,
            )
            draft.totals |= ledger_read.totals()
        self.heartbeat.beat(rank, unit.weight)

    def _rows(self, files: UnitFiles) -> Iterator[pa.RecordBatch]:
        """The unit's records in batches, with the columns of all its files side by side."""
        first, *others = files.paths
        streams = [scan_parquet(path) for path in others]
        cut = scan_parquet(files.overlay) if files.overlay is not None else None
        for batch in scan_parquet(first):
            for stream in streams:
                batch = _beside(batch, next(stream))
            yield batch if cut is None else _cut(batch, next(cut))

    def _shard(self, rows: pa.RecordBatch, verdicts: pa.Table, written: dict[str, pa.Schema]) -> dict[str, pa.Table]:
        schema = written["train"]
        rows = rows.append_column(BUCKET, verdicts[BUCKET].combine_chunks())  # measured late, when all are known
        values = [
            rows.column(field.name).cast(field.type)
            if field.name in rows.schema.names
            else pa.nulls(rows.num_rows, field.type)
            for field in self.annotations
        ]
        columns = [rows["id"], rows["text"], rows["source"], _column(rows, "token_count", pa.int64())]
        if values:
            struct = schema.field("annotations").type
            columns.append(pa.StructArray.from_arrays(values, fields=list(struct)))
        table = pa.Table.from_arrays([*columns, rows["metadata"]], schema=schema)
        parts = {split: table.filter(pc.fill_null(pc.equal(verdicts["split"], split), False)) for split in SPLITS}
        if "dropped" in written:
            for name in ("step", "reason", "detail"):
                table = table.append_column(written["dropped"].field(name), verdicts[name])
            parts["dropped"] = table.filter(pc.equal(verdicts["fate"], "dropped"))
        return parts


def ledger_rows(rows: pa.RecordBatch, verdicts: pa.Table) -> pa.RecordBatch:
    """Ledger rows of a batch of records (base, edit and annotation columns) and the decisions on them."""
    frame = pl.DataFrame(pl.from_arrow(rows.select([n for n in rows.schema.names if n not in ("text", "metadata")])))
    kept = np.asarray(pc.equal(verdicts["fate"], "kept"))
    readable = np.asarray(pc.is_null(rows["step"]))
    lengths = np.asarray(pc.binary_length(rows["text"]), dtype=np.int64)
    tokens = _column(rows, "token_count", pa.int64())
    edit_names = [name for name in rows.schema.names if name.startswith(EDIT)]
    edits = [
        [{"key": name.removeprefix(EDIT), "value": row[name]} for name in edit_names if row[name]]
        for row in frame.select("id", *edit_names).iter_rows(named=True)  # the id, for a source that edits nothing
    ]
    pii = rows.column("deidentify.counts").to_pylist() if "deidentify.counts" in rows.schema.names else None
    columns: dict[str, Any] = {
        name: rows[name] for name in ("id", "source", "file", "position", "record_id", "bytes_in")
    }
    columns |= {name: verdicts[name].combine_chunks() for name in verdicts.column_names if name in LEDGER.names}
    columns |= {
        "id": rows["id"],
        "bytes_out": np.where(kept, lengths, 0),
        "language": _column(rows, "language.label", pa.string()),
        "tokens_in": pc.if_else(pa.array(readable), tokens, None),
        "tokens_out": pc.if_else(pa.array(kept), pc.fill_null(tokens, 0), 0),
        "edits": pa.array(edits, LEDGER.field("edits").type),
        "pii": pa.array(pii or [None] * rows.num_rows, LEDGER.field("pii").type),
    }
    arrays = [
        pa.array(values) if isinstance(values, np.ndarray) else values for values in (columns[n] for n in LEDGER.names)
    ]
    return pa.RecordBatch.from_arrays([a.cast(f.type) for a, f in zip(arrays, LEDGER, strict=True)], schema=LEDGER)


def _beside(rows: pa.RecordBatch, extra: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with the columns of `extra` that they do not have."""
    for name in extra.schema.names:
        if name not in rows.schema.names:
            rows = rows.append_column(name, extra.column(name))
    return rows


def _cut(rows: pa.RecordBatch, overlay: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with what an overlay says of the documents that were cut."""
    for name in ("text", "token_count"):
        if name in rows.schema.names:
            index = rows.schema.get_field_index(name)
            rows = rows.set_column(
                index, rows.schema.field(index), pc.coalesce(overlay.column(name), rows.column(name))
            )
    return _beside(rows, overlay)


def _column(rows: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    return rows[name].cast(kind) if name in rows.schema.names else pa.nulls(rows.num_rows, kind)
