"""Measuring stored documents: a column file beside the documents, without reading the raw files again.

A document that the step dies of (corpus/engine/poison.py) has the reason in the column `quarantine.reason`, which
counts as a reader's verdict when decisions are made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datatrove.pipeline.base import PipelineStep

from corpus.artifact import RunLock, publish, scan_parquet, write_parquet
from corpus.document import BASE, QUARANTINE, VERDICT, Batch
from corpus.engine import Heartbeat, Unit
from corpus.engine.limits import GuardSettings
from corpus.engine.poison import guarded
from corpus.step import Step

COLUMNS = "columns.parquet"


@dataclass(frozen=True)
class MeasureWork:
    """Which documents to measure and with what."""

    documents: Path
    step: Step
    guard: GuardSettings | None = None


class MeasureUnit(PipelineStep):
    """Runs this rank's measuring step over its stored documents and publishes `columns.parquet`: id, the columns, and
    `quarantine.reason` where there is one."""

    name = "measure"
    type = "unit measurer"

    def __init__(self, units: Sequence[Unit], heartbeat: Heartbeat, lock: RunLock):
        super().__init__()
        self.units, self.heartbeat, self.lock = units, heartbeat, lock

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        work: MeasureWork = unit.work
        columns = {"id": pa.string(), **work.step.columns, VERDICT: pa.string()}
        schema = pa.schema([pa.field(name, kind) for name, kind in columns.items()])
        with publish(unit.folder, kind="corpus.measured", function=unit.function, lock=self.lock) as draft:
            draft.rows[COLUMNS] = write_parquet(
                draft.path / COLUMNS, self._measured(work, schema, rank, world_size), schema
            )

    def _measured(self, work: MeasureWork, schema: pa.Schema, rank: int, world_size: int) -> Iterator[pa.RecordBatch]:
        done = 0

        def stored() -> Iterator[Batch]:
            nonlocal done
            for rows in scan_parquet(work.documents, [*BASE.names, *work.step.needs]):
                done += rows["text"].nbytes
                yield Batch(rows.append_column("was", rows["step"]))

        folder = self.units[rank].folder
        for measured in guarded(stored(), [work.step], work.guard, folder, rank, world_size):
            new = pc.and_(pc.is_null(measured["was"]), pc.equal(measured["step"], QUARANTINE))
            verdict = pc.if_else(pc.fill_null(new, False), measured["reason"], None)
            batch = measured.with_columns({VERDICT: verdict.cast(pa.string())})
            columns = [batch[field.name].cast(field.type) for field in schema]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
            self.heartbeat.beat(rank, done)
