"""The annotate stage: raw files → one row per record, cleaned and measured, nothing decided.

    ReadUnit → the source's own steps (extract, repair, deidentify, language, quality, …) → CommitUnit

Every record the reader framed is a row of the unit's `documents.parquet`, readable or not. The unit is published only
when its rows are as many as the reader counted and every change of bytes is booked under an edit.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datatrove.pipeline.base import PipelineStep

from corpus.artifact import MANIFEST, Manifest, RunLock, code_version, publish, write_parquet
from corpus.document import BASE, DOCUMENTS, EDIT, Batch, Document, batches
from corpus.engine import Heartbeat, Unit
from corpus.engine.limits import GuardSettings
from corpus.engine.poison import begun_file, guarded
from corpus.engine.reading import isolated
from corpus.errors import ArtifactError
from corpus.forget import STEP, Register, blanked
from corpus.readers import InputFile, Reader, Tally
from corpus.step import Step


@dataclass(frozen=True)
class SourceLine:
    """A source with what is done to it: its reader and its steps in order."""

    name: str
    reader: Reader
    steps: tuple[Step, ...]
    guard: GuardSettings | None = None

    def schema(self) -> pa.Schema:
        """Columns of the source's shards, known before the first document."""
        edits = dict.fromkeys(edit for step in self.steps for edit in step.edits)
        fields = list(BASE) + [pa.field(EDIT + edit, pa.int64()) for edit in edits]
        fields += [pa.field(name, kind) for step in self.steps for name, kind in step.columns.items()]
        return pa.schema(fields)

    def identity(self) -> dict[str, Any]:
        """What a unit of this source is a function of, beside its input files."""
        return {
            "source": self.name,
            "reader": self.reader.settings.identity(),
            "steps": [step.identity() for step in self.steps],
            "guard": self.guard.identity() if self.guard else None,
            "code": code_version("corpus"),
        }


@dataclass(frozen=True)
class UnitWork:
    """What makes one unit: its source, its files, and who is forgotten in them."""

    source: str
    files: tuple[InputFile, ...]
    register: Register | None = None
    forgotten: Mapping[str, Sequence[str]] = field(default_factory=dict)


def cut_units(line: SourceLine, root: Path, unit_bytes: int) -> list[Unit]:
    """The units of a source: its files in order of path, grouped until a group holds `unit_bytes`.

    The function of a unit names the content hashes of its files, so every input is read once here. Raises DataError
    when there is no file, or none that can be read.
    """
    register = Register.read(root.parent)
    groups: list[list[InputFile]] = []
    weight = unit_bytes
    files = line.reader.files()
    line.reader.check(files)
    for file in files:
        if weight >= unit_bytes:
            groups.append([])
            weight = 0
        groups[-1].append(file)
        weight += file.bytes
    common = line.identity()
    return [
        Unit(
            folder=root / line.name / f"{index:05d}",
            function={
                "kind": "corpus.annotated",
                "inputs": [[file.path, input_hash(line.reader, file)] for file in group],
                **common,
                **({"forgotten": forgotten} if forgotten else {}),
            },
            weight=sum(file.bytes for file in group),
            work=UnitWork(line.name, tuple(group), register if forgotten else None, forgotten),
        )
        for index, group in enumerate(groups)
        for forgotten in [register.of(line.name, [file.path for file in group])]
    ]


def stored_units(line: SourceLine, root: Path, decided: Collection[str]) -> list[Unit]:
    """The units of a source as they were published, its files unseen; `decided` has the fingerprints of the units that
    were last decided on, for a folder may hold units of files that are gone.

    Raises ArtifactError when there are none, or when they were measured by another reader, other steps or other code.
    """
    published = sorted(path.parent for path in (root / line.name).glob(f"[0-9]*/{MANIFEST}"))
    folders = [folder for folder in published if Manifest.read(folder).fingerprint in decided]
    if not folders:
        raise ArtifactError(
            "nothing is stored of this source", where=root / line.name, todo="run `provender corpus` with this recipe"
        )
    units, identity = [], line.identity()
    for folder in folders:
        function = Manifest.read(folder).function
        changed = [name for name, value in identity.items() if function.get(name) != value]
        if changed:
            raise ArtifactError(
                "the stored columns were made in another way than the recipe says now",
                where=folder,
                found=f"another {', '.join(changed)}",
                todo="run `provender corpus`, which measures again",
            )
        units.append(Unit(folder, function, weight=(folder / DOCUMENTS).stat().st_size))
    return units


def input_hash(reader: Reader, file: InputFile) -> str:
    """SHA-256 (hex) of an input file as it lies there, compressed or not."""
    with reader.root.filesystem.open(f"{reader.root.folder}/{file.path}", "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@dataclass
class _Counts:
    """The reader's own count of a unit, shared by the first and the last step of one rank."""

    tally: Tally = field(default_factory=Tally)


class ReadUnit(PipelineStep):
    """Reads the files of this rank's unit into batches and reports progress; in a child of its own where an earlier
    attempt at the unit died."""

    name = "read"
    type = "unit reader"

    def __init__(self, units: Sequence[Unit], lines: Mapping[str, SourceLine], counts: _Counts, heartbeat: Heartbeat):
        super().__init__()
        self.units, self.lines, self.counts, self.heartbeat = units, lines, counts, heartbeat

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:  # type: ignore[override]
        # Asked now, before the steps begin with the unit: whether an earlier attempt at it died.
        died = begun_file(self.units[rank].folder).exists()
        return self._batches(rank, self.lines[self.units[rank].work.source].guard if died else None)

    def _batches(self, rank: int, isolate: GuardSettings | None) -> Iterator[Batch]:
        work: UnitWork = self.units[rank].work
        reader = self.lines[work.source].reader
        self.counts.tally = Tally()
        done = 0

        def documents() -> Iterator[Document]:
            for file in work.files:
                if isolate is None:
                    yield from reader.read(file, self.counts.tally)
                else:
                    yield from isolated(reader, file, self.counts.tally, isolate)

        try:
            for batch in batches(documents()):
                done += pc.sum(batch["bytes_in"]).as_py() or 0
                if work.register is not None:
                    batch = Batch(blanked(batch.data, work.register.rows(batch.data, work.forgotten)))
                yield batch
                self.heartbeat.beat(rank, min(done, self.units[rank].weight))
        finally:
            reader.close()


class SourceSteps(PipelineStep):
    """The steps of the source that owns this rank's unit, one after another; a document that kills them is found."""

    name = "steps"
    type = "source steps"

    def __init__(self, units: Sequence[Unit], lines: Mapping[str, SourceLine]):
        super().__init__()
        self.units, self.lines = units, lines

    def run(self, data: Iterable[Batch], rank: int = 0, world_size: int = 1) -> Iterator[Batch]:  # type: ignore[override]
        unit = self.units[rank]
        line = self.lines[unit.work.source]
        yield from guarded(data, line.steps, line.guard, unit.folder, rank, world_size)


class CommitUnit(PipelineStep):
    """Writes the unit, checks conservation and publishes it."""

    name = "commit"
    type = "unit writer"

    def __init__(self, units: Sequence[Unit], lines: Mapping[str, SourceLine], counts: _Counts, lock: RunLock):
        super().__init__()
        self.units, self.lines, self.counts, self.lock = units, lines, counts, lock

    def run(self, data: Iterable[Batch], rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        schema = self.lines[unit.work.source].schema()
        with publish(unit.folder, kind="corpus.annotated", function=unit.function, lock=self.lock) as draft:
            checked = (conform(batch, schema, unit.name) for batch in data)
            rows = write_parquet(draft.path / DOCUMENTS, checked, schema)
            tally = self.counts.tally
            if rows != tally.records:
                raise ArtifactError(
                    "records were lost or made up between the reader and the shard; it is not committed",
                    where=unit.name,
                    found=f"{rows} rows for {tally.records} records",
                    todo="a step changed the number of rows of a batch: see the steps of this source",
                )
            draft.rows[DOCUMENTS] = rows
            draft.totals |= {"records": rows, "blank_lines": tally.blank, "input_bytes": tally.bytes}


def conform(batch: Batch, schema: pa.Schema, where: str) -> pa.RecordBatch:
    """The batch with exactly the columns of `schema`: 0 for an edit not made, null for a measurement not made."""
    unbooked = batch.unbalanced()
    if len(unbooked):
        raise ArtifactError(
            "the text changed by more bytes than its edits book; the shard is not committed",
            where=f"{where}, {batch['file'][int(unbooked[0])]} record {batch['position'][int(unbooked[0])]}",
            found=f"{len(unbooked)} documents",
            todo="a step replaced the text without Batch.with_text: see the steps of this source",
        )
    columns = []
    for column in schema:
        if column.name in batch:
            columns.append(batch[column.name].cast(column.type))
        elif column.name.startswith(EDIT):
            columns.append(pa.array(np.zeros(len(batch), np.int64)))
        else:
            columns.append(pa.nulls(len(batch), column.type))
    rows = pa.RecordBatch.from_arrays(columns, schema=schema)
    forgotten = np.asarray(pc.fill_null(pc.equal(rows["step"], STEP), False))
    return blanked(rows, forgotten) if forgotten.any() else rows  # steps measured the empty text, too


def annotate_pipeline(
    units: Sequence[Unit], heartbeat: Heartbeat, lines: Mapping[str, SourceLine], lock: RunLock
) -> list[PipelineStep]:
    """The datatrove pipeline of the stage."""
    counts = _Counts()
    return [
        ReadUnit(units, lines, counts, heartbeat),
        SourceSteps(units, lines),
        CommitUnit(units, lines, counts, lock),
    ]
