"""Measuring stored documents: a column file beside the documents, without reading the raw files again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from datatrove.pipeline.base import PipelineStep

from corpus.artifact import RunLock, publish, scan_parquet, write_parquet
from corpus.document import BASE, Batch
from corpus.engine import Heartbeat, Unit
from corpus.step import Step

COLUMNS = "columns.parquet"


@dataclass(frozen=True)
class MeasureWork:
    """Which documents to measure and with what."""

    documents: Path
    step: Step


class MeasureUnit(PipelineStep):
    """Runs this rank's measuring step over its stored documents and publishes `columns.parquet`: id and the columns."""

    name = "measure"
    type = "unit measurer"

    def __init__(self, units: Sequence[Unit], heartbeat: Heartbeat, lock: RunLock):
        super().__init__()
        self.units, self.heartbeat, self.lock = units, heartbeat, lock

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        work: MeasureWork = unit.work
        columns = work.step.columns
        schema = pa.schema([pa.field("id", pa.string()), *(pa.field(name, kind) for name, kind in columns.items())])
        with publish(unit.folder, kind="corpus.measured", function=unit.function, lock=self.lock) as draft:
            draft.rows[COLUMNS] = write_parquet(draft.path / COLUMNS, self._measured(work, schema, rank), schema)

    def _measured(self, work: MeasureWork, schema: pa.Schema, rank: int) -> Iterator[pa.RecordBatch]:
        done = 0
        for rows in scan_parquet(work.documents, [*BASE.names, *work.step.needs]):
            measured = work.step.process(Batch(rows))
            yield pa.RecordBatch.from_arrays([measured[f.name].cast(f.type) for f in schema], schema=schema)
            done += rows["text"].nbytes
            self.heartbeat.beat(rank, done)
