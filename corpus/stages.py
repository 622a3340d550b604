"""Running a stage: what is published by its function is skipped, the rest is made and shown.

stages.units("annotate", units, pipeline)              a folder per unit, by the executor's workers
stages.artefact("decide", folder, function, write)     one folder, in this process
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from corpus.artifact import Draft, Manifest, RunLock, current, publish
from corpus.engine import ExecutorSettings, Heartbeat, Outcome, Progress, Unit, run_units
from corpus.engine.spent import StageRecord
from corpus.memory import forget_peak, give_back, peak_bytes


class Watch(Protocol):
    """Shows a stage: a context whose value has `update(done, total, note)` and `close(result)`."""

    def __call__(self, title: str) -> AbstractContextManager[Any]: ...


@dataclass(frozen=True)
class Stages:
    """The stages of one workspace; the caller holds its lock."""

    workspace: Path
    executor: ExecutorSettings
    lock: RunLock
    watch: Watch

    def units(self, stage: str, units: list[Unit], pipeline: Callable[[list[Unit], Heartbeat], list[Any]]) -> None:
        """Publish the missing units, by the executor; `pipeline` as for `run_units`."""
        began = self._begin()
        with self.watch(stage) as meter:
            outcome = run_units(
                stage,
                units,
                pipeline,
                executor=self.executor,
                logs=self.workspace / "logs",
                progress=lambda done, total, ended, of: meter.update(done, total, f"({ended} of {of} units)"),
            )
            meter.close(said(outcome))
        if (spent := outcome.spent) is not None:
            wall = perf_counter() - began
            record = StageRecord(stage, outcome.ran, len(units), wall, spent.seconds, spent.rss)
            record.append(self.workspace / "logs")

    @staticmethod
    def _begin() -> float:
        """The time, as a stage begins whose memory is to be its own."""
        give_back()
        forget_peak()
        return perf_counter()

    def artefact(self, title: str, folder: Path, function: dict[str, Any], write: Callable[[Draft], None]) -> Path:
        """Publish a stage that is one artefact, unless its function stands; `function["kind"]` is the artefact's."""
        return self.watched(title, folder, function, lambda draft, progress: write(draft))

    def watched(
        self, title: str, folder: Path, function: dict[str, Any], write: Callable[[Draft, Progress], None]
    ) -> Path:
        """As `artefact`, for a stage that tells how far it is."""
        with self.watch(title) as meter:

            def progress(done: int, total: int, units: int, all_units: int) -> None:
                meter.update(done, total, f"({units} of {all_units} units)")

            missing = current(folder, function) is None
            if missing:
                began = self._begin()
                with publish(folder, kind=function["kind"], function=function, lock=self.lock) as draft:
                    write(draft, progress)
                wall = perf_counter() - began
                StageRecord(title, 1, None, wall, wall, peak_bytes()).append(self.workspace / "logs")
            meter.close(said(Outcome(ran=int(missing), skipped=int(not missing))))
        return folder


def all_units(units: Mapping[str, Sequence[Unit]]) -> list[Unit]:
    """The units of all sources, in order."""
    return [unit for parts in units.values() for unit in parts]


def fingerprints(units: Sequence[Unit]) -> list[str]:
    """Of published units."""
    return [Manifest.read(unit.folder).fingerprint for unit in units]


def said(outcome: Outcome) -> str:
    """What a stage did, for its line on the terminal."""
    if not outcome.ran:
        return "unchanged, skipped"
    return f"{outcome.ran} made" + (f", {outcome.skipped} unchanged" if outcome.skipped else "")
