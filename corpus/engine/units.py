"""A stage's missing units, run as the ranks of a datatrove pipeline.

    units = [Unit(folder, function, weight), …]          one published folder each
    run_units("annotate", units, pipeline, …)            pipeline: datatrove steps; rank r works on the pending unit r,
                                                         the largest first

What is already published by the same function is skipped; datatrove's own completion markers, which ignore the
configuration, are not used. Units are cut by the inputs and the recipe, never by the workers, so any number of workers
and any interruption give the same folders. Nothing here assumes that the ranks run on this machine: a rank knows its
unit by the pickled pipeline, shares no memory with the others and reports its progress through a file.
"""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from corpus.artifact import MANIFEST, current
from corpus.engine.executors import ExecutorSettings, execute
from corpus.engine.spent import Spent, timed

# loguru prints the values of local variables in tracebacks, which would put document text into logs.
os.environ.setdefault("LOGURU_DIAGNOSE", "NO")


@dataclass(frozen=True)
class Unit:
    """One piece of a stage: the folder it publishes, the function it is of, its weight in bytes, what to work on."""

    folder: Path
    function: dict[str, Any]
    weight: int
    work: Any = None

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"


class Progress(Protocol):
    """Called with bytes done, bytes in all, units done, units in all."""

    def __call__(self, done: int, total: int, units: int, all_units: int) -> None: ...


def silent(done: int, total: int, units: int, all_units: int) -> None:
    """The progress of a stage nobody watches."""


@dataclass(frozen=True)
class Outcome:
    """What a stage did: units published now, units found published by the same function, and what it took."""

    ran: int
    skipped: int
    spent: Spent | None = field(default=None, compare=False)


def pending(units: Sequence[Unit]) -> list[Unit]:
    """The units that are not published by their function, in order."""
    return [unit for unit in units if current(unit.folder, unit.function) is None]


def run_units(
    stage: str,
    units: Sequence[Unit],
    pipeline: Callable[[list[Unit], "Heartbeat"], list[Any]],
    *,
    executor: ExecutorSettings,
    logs: Path,
    progress: Progress = silent,
) -> Outcome:
    """Publish every missing unit. `pipeline` builds the datatrove steps for the pending units; the last step commits.

    Raises what a step raised, after the other running ranks ended; units published by then stay.
    """
    todo = sorted(pending(units), key=lambda unit: -unit.weight)  # the largest first, so that all workers end together
    outcome = Outcome(ran=len(todo), skipped=len(units) - len(todo))
    if not todo:
        return outcome
    logging_dir = logs / stage
    shutil.rmtree(logging_dir, ignore_errors=True)
    heartbeat = Heartbeat(logging_dir / "progress")
    steps = timed(pipeline(todo, heartbeat), heartbeat.folder)
    total = sum(unit.weight for unit in todo)
    with _watch(heartbeat, todo, total, progress):
        execute(stage, steps, todo, executor, logging_dir)
    progress(total, total, len(todo), len(todo))
    return replace(outcome, spent=Spent.read(heartbeat.folder))


class Heartbeat:
    """Bytes done by each running rank, through one small file per rank (any worker on any node can write one)."""

    INTERVAL = 0.5  # seconds between two beats of a rank

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last = 0.0

    def beat(self, rank: int, done: int) -> None:
        """Say that `done` bytes of this rank's unit are done; cheap to call after every batch. A reader may see half
        a number, which `total` passes over: progress is worth no flush to the disk."""
        if monotonic() - self._last >= self.INTERVAL:
            self._last = monotonic()
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{rank:05d}").write_text(str(done))

    def total(self) -> int:
        total = 0
        for path in self.folder.glob("[0-9][0-9][0-9][0-9][0-9]"):
            with contextlib.suppress(OSError, ValueError):
                total += int(path.read_text())
        return total


@contextlib.contextmanager
def _watch(heartbeat: Heartbeat, todo: list[Unit], total: int, progress: Progress) -> Iterator[None]:
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(0.5):
            units = sum((unit.folder / MANIFEST).exists() for unit in todo)
            progress(min(heartbeat.total(), total), total, min(units, len(todo)), len(todo))

    watcher = threading.Thread(target=poll, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
