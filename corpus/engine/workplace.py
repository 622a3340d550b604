"""A folder in which a search over all documents works, in stages whose pieces are units of the engine.

    place.run("bands", units, step)       units and a step of one's own
    place.make("counts", {name: work})    a folder per work, which writes it
    place.one("numbers", function, write) one folder, by this process

What is published stays until the search ends, so that a killed one goes on with what is missing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from datatrove.pipeline.base import PipelineStep

from corpus.artifact import Draft, RunLock, current, publish
from corpus.engine.executors import ExecutorSettings, LocalSettings
from corpus.engine.units import Progress, Unit, pending, run_units, silent

INLINE = 64 << 20  # bytes of work below which other processes cost more than they save


class Work(Protocol):
    """A piece of a stage that writes its own artefact; a worker anywhere receives it by pickling."""

    @property
    def weight(self) -> int:
        """About how many bytes are read."""

    def write(self, draft: Draft) -> None: ...


class WriteUnit(PipelineStep):
    """Publishes what the work of this rank's unit writes."""

    name = "write"
    type = "unit writer"

    def __init__(self, units: Sequence[Unit], lock: RunLock | None):
        super().__init__()
        self.units, self.lock = units, lock

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        with publish(unit.folder, kind=unit.function["kind"], function=unit.function, lock=self.lock) as draft:
            unit.work.write(draft)


@dataclass(frozen=True)
class Workplace:
    """Where the stages publish, and who runs them; `name` is that of the search and `function` what all it publishes
    with `make` is a function of."""

    folder: Path
    executor: ExecutorSettings = field(default_factory=lambda: LocalSettings(workers=1))
    lock: RunLock | None = None
    progress: Progress = silent
    name: str = "duplicates"
    function: str = ""

    def run(self, stage: str, units: list[Unit], step: Callable[[list[Unit]], PipelineStep]) -> list[Path]:
        """The published folders of a stage. Little work is done here, without the engine's processes."""
        todo = pending(units)
        total = sum(unit.weight for unit in todo)
        if total < INLINE:
            for rank in range(len(todo)):
                step(todo).run(None, rank, len(todo))
                self.progress(sum(unit.weight for unit in todo[: rank + 1]), total, rank + 1, len(todo))
        else:
            run_units(
                f"{self.name}/{stage}",
                units,
                lambda some, _: [step(some)],
                executor=self.executor,
                logs=self.folder / "logs",
                progress=self.progress,
            )
        return [unit.folder for unit in units]

    def make(self, stage: str, works: Mapping[str, Work]) -> list[Path]:
        """The folders that the works write, by their names: a function of the place's own, the stage and the name, so
        nothing else may decide what a work writes."""
        units = [
            Unit(
                folder=self.folder / stage / name,
                function={"kind": f"{self.name}.{stage}", "piece": name, "of": self.function},
                weight=work.weight,
                work=work,
            )
            for name, work in works.items()
        ]
        return self.run(stage, units, lambda some: WriteUnit(some, self.lock))

    def one(self, name: str, function: dict[str, Any], write: Callable[[Draft], None]) -> Path:
        """The published folder of a stage that is one piece."""
        folder = self.folder / name
        if current(folder, function) is None:
            with publish(folder, kind=function["kind"], function=function, lock=self.lock) as draft:
                write(draft)
        return folder
