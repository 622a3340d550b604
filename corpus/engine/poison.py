"""Poisonous documents: one that crashes a step, or that a step never comes to an end with.

    unit ─ steps in the worker ─► published                                    nearly always
      └─ the worker dies: .00003.begun stays ─► the next attempt at the unit, by whoever takes it:
            batches ─► child process ─► batches, the same bytes                 the worker reads and writes
                         └─ the child dies ─► a new one for each half of the batch, … ─► one document: quarantined

The first attempt costs an empty file a unit and two system calls a batch. What a step raises is no poison: it is a
fault of the step, and stops the run. A document is found guilty when it fails alone, twice, in a process that has just
worked on a harmless one; so neither a model that cannot be loaded nor a machine short of memory quarantines anything.
"""

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from corpus.document import Batch
from corpus.engine.child import MEMORY, Child, DiedError, begin, may_use, tell
from corpus.engine.limits import GB, PATIENCE, GuardSettings, is_expendable, limited
from corpus.engine.reading import READING
from corpus.errors import ArtifactError

START = 600.0  # seconds in which a child must have loaded its models and worked on a harmless document
BATCH = 1024  # records of a batch, at most
TRIES = 2  # a document is tried so often alone
HARMLESS = "This is a sentence of a document that harms nobody."


class DocumentStep(Protocol):
    """A step over batches, as far as it is needed here."""

    name: str
    pace: float

    def process(self, batch: Batch) -> Batch: ...

    def run(self, data: Iterable[Batch], rank: int = 0, world_size: int = 1) -> Iterator[Batch]: ...


def begun_file(folder: Path) -> Path:
    """The file that lies beside a unit's folder while its documents are worked on, and stays when the process dies."""
    return folder.parent / f".{folder.name}.begun"


def guarded(
    data: Iterable[Batch], steps: Sequence[Any], settings: GuardSettings | None, folder: Path, rank: int, size: int
) -> Iterator[Batch]:
    """The batches after `steps`, in order, for the unit that publishes `folder`.

    Raises what a step raises; ArtifactError when the steps fail without a document, too.
    """
    if settings is None:
        yield from _through(data, steps, rank, size)
        return
    pace = max((step.pace for step in steps), default=1.0)
    with _attempt(folder) as begun:
        if begun.died:
            with Isolation(steps, settings, pace, where=f"{folder.parent.name}/{folder.name}") as isolation:
                for batch in data:
                    yield isolation.process(batch)
                    begun.reached(batch)
        else:
            memory = int(settings.memory_gb * GB)

            def under_limits() -> Generator[Batch, None, None]:
                for batch in _read_under_limits(data, settings, begun):
                    _load(steps, batch)
                    begun.allowed(settings.allowance(len(batch), pace) * PATIENCE)
                    with limited(settings.allowance(len(batch), pace), memory):
                        yield batch

            held = under_limits()
            try:
                yield from _through(held, steps, rank, size)
            finally:
                held.close()  # an error on its way up would keep the limits alive


def _read_under_limits(data: Iterable[Batch], settings: GuardSettings, begun: "_Begun") -> Iterator[Batch]:
    """The batches, reading each of which may take what the steps may."""
    waiting, seconds = iter(data), settings.allowance(BATCH, READING)
    while True:
        begun.allowed(seconds * PATIENCE)
        with limited(seconds, int(settings.memory_gb * GB)):
            batch = next(waiting, None)
        if batch is None:
            return
        yield batch


_LOADED: set[tuple[str, ...]] = set()  # names of steps that this process has run


def _load(steps: Sequence[DocumentStep], batch: Batch) -> None:
    """Once per process: let the steps load their models and kernels at a harmless document, where there are limits."""
    names = tuple(step.name for step in steps)
    if is_expendable() and names not in _LOADED and len(batch):
        _LOADED.add(names)
        row = _harmless(batch)
        with suppress(Exception):  # a step may refuse it, and has loaded its model by then
            for step in steps:
                row = step.process(row)


def _through(data: Iterable[Batch], steps: Sequence[Any], rank: int, size: int) -> Iterator[Batch]:
    for step in steps:
        data = step.run(data, rank, size)
    yield from data


class _Begun:
    """An attempt at a unit; `died`: an earlier one did not come to its end."""

    def __init__(self, path: Path) -> None:
        self.path, self.died = path, path.exists()
        self._late = float("inf")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def allowed(self, seconds: float) -> None:
        """A batch begins, and has `seconds`."""
        self._late = time.monotonic() + seconds

    def reached(self, batch: Batch) -> None:
        """Note the last record of a batch that is done, for the message when what comes next cannot even be read."""
        if len(batch):
            self.path.write_text(f"{batch['file'][len(batch) - 1]} record {batch['position'][len(batch) - 1]}")

    def late(self) -> bool:
        return time.monotonic() > self._late


@contextmanager
def _attempt(folder: Path) -> Iterator[_Begun]:
    """The file stays where the process dies, runs out of memory, or is interrupted at a batch that took too long."""
    begun = _Begun(begun_file(folder))
    try:
        yield begun
    except MemoryError:
        raise
    except BaseException:
        if not begun.late():
            begun.path.unlink(missing_ok=True)
        raise
    begun.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Death:
    """How a child ended, and at which step."""

    how: str
    step: str


class Isolation:
    """Runs steps over batches in a child process; a context. See the module's docstring for what it does when that
    dies. Costs one copy of each batch there and back, and for each poisonous document some 20 starts of a child."""

    def __init__(self, steps: Sequence[DocumentStep], settings: GuardSettings, pace: float, where: str) -> None:
        self.steps, self.settings, self.pace, self.where = steps, settings, pace, where
        self._child: Child | None = None

    def __enter__(self) -> "Isolation":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def process(self, batch: Batch) -> Batch:
        """The batch after the steps, poisonous documents quarantined with the step and what they did to it."""
        result = self._try(batch)
        if isinstance(result, Batch):
            return result
        if len(batch) > 1:
            half = len(batch) // 2
            return _joined([self.process(Batch(batch.data.slice(*part))) for part in ((0, half), (half,))])
        for _ in range(TRIES - 1):
            result = self._try(batch)
            if isinstance(result, Batch):
                return result
        if not batch.readable[0]:
            raise self._fault(result)
        emptied = self._try(batch.quarantined(f"{result.how} in {result.step}"))
        if isinstance(emptied, _Death):
            raise self._fault(emptied)
        return emptied

    def _try(self, batch: Batch) -> Batch | _Death:
        if self._child is None:
            self._child = self._started(batch)
        allowance = self.settings.allowance(len(batch), self.pace)
        result = self._ask(self._child, batch, allowance, allowance * PATIENCE)
        if isinstance(result, _Death):
            self._end()
        return result

    def _started(self, batch: Batch) -> Child:
        """A new child, which loads its models at a harmless document. Raises ArtifactError when it dies of that."""
        child = Child(_serve, tuple(self.steps))
        try:
            result = self._ask(child, _harmless(batch), START, START)
        except Exception:
            result = batch  # a step may refuse the harmless document, and has loaded its model by then
        if isinstance(result, _Death):
            child.end()
            raise self._fault(result)
        child.allow(self.settings.memory_gb)
        return child

    def _ask(self, child: Child, batch: Batch, seconds: float, patience: float) -> Batch | _Death:
        """Raises what a step raised, but for memory."""
        step, deadline = "start", time.monotonic() + patience
        try:
            child.send((_to_bytes(batch), seconds))
            while True:
                word, said = child.hear(deadline - time.monotonic())
                if word == "step":
                    step = said
                elif word == "done":
                    return _from_bytes(said)
                elif isinstance(said, MemoryError):
                    return _Death(MEMORY, step)
                else:
                    raise said
        except DiedError as death:
            return _Death(death.how, step)

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def _fault(self, death: _Death) -> ArtifactError:
        return ArtifactError(
            "the steps of a source fail whatever the document is",
            where=self.where,
            found=f"a process that worked on a harmless sentence {death.how} in {death.step}",
            todo="run out of memory: fewer executor.workers; else the step or its model is at fault",
        )


def _serve(line: Connection, steps: Sequence[DocumentStep]) -> None:
    """The child: batches in, batches out, until the other side closes."""
    begin()
    while True:
        try:
            data, seconds = line.recv()
        except EOFError:
            return
        may_use(seconds)
        try:
            batch = _from_bytes(data)
            for step in steps:
                line.send(("step", step.name))
                batch = step.process(batch)
            answer: tuple[str, Any] = ("done", _to_bytes(batch))
        except Exception as error:
            answer = ("raised", error)
        may_use(0)
        tell(line, answer)


def _harmless(batch: Batch) -> Batch:
    """One row like those of the batch, with a harmless text and no verdict."""
    row = batch.data.slice(0, 1)
    for name, value in (("text", HARMLESS), ("step", None), ("reason", None)):
        index = row.schema.get_field_index(name)
        row = row.set_column(index, row.schema.field(index), pa.array([value], row.schema.field(index).type))
    return Batch(row)


def _to_bytes(batch: Batch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.data.schema) as writer:
        writer.write_batch(batch.data)
    return sink.getvalue().to_pybytes()


def _from_bytes(data: bytes) -> Batch:
    with pa.ipc.open_stream(data) as reader:
        batch = reader.read_next_batch()
    # Copied: views of what was received cannot be written to, which compiled kernels take for another type.
    return Batch(batch.take(pa.array(range(batch.num_rows), pa.int64())))


def _joined(parts: Sequence[Batch]) -> Batch:
    """The batches one after another as one."""
    names = dict.fromkeys(name for part in parts for name in part.data.schema.names)
    if any(part.data.schema.names != list(names) for part in parts):
        parts = [Batch(_with_all(part.data, parts, list(names))) for part in parts]
    table = pa.Table.from_batches([part.data for part in parts]).combine_chunks()
    return Batch(table.to_batches()[0])


def _with_all(data: pa.RecordBatch, parts: Sequence[Batch], names: Sequence[str]) -> pa.RecordBatch:
    """The columns `names`: a step that edits nothing of a batch may add no column for it."""
    fields = [next(p.data.schema.field(name) for p in parts if name in p) for name in names]
    columns = [data[f.name] if f.name in data.schema.names else _nothing(f, data.num_rows) for f in fields]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _nothing(field: pa.Field, rows: int) -> pa.Array:
    return pa.array([0] * rows, field.type) if field.name.startswith("edit.") else pa.nulls(rows, field.type)
