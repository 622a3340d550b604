"""Units of a trivial stage for tests of the executors; a module of its own, for workers elsewhere import it."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from corpus.artifact import publish
from corpus.engine import ExecutorSettings, Outcome, Unit, run_units
from corpus.errors import DataError


class Square(PipelineStep):
    """Publishes the square of its unit's number. `trouble` is what it does with unit 2, once: dies, fails, is wrong."""

    name = "square"
    type = "test"

    def __init__(self, units: Sequence[Unit], trouble: str | None, once: Path) -> None:
        super().__init__()
        self.units, self.trouble, self.once = units, trouble, once

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        if unit.work == 2 and self.trouble and not self.once.exists():
            self.once.touch()
            if self.trouble == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.trouble == "fails":
                raise DataError("this number is not liked", where=unit.work, found="2", todo="take another")
            raise ValueError("the patient's name is Ole")
        with publish(unit.folder, kind="square", function=unit.function) as draft:
            (draft.path / "square.txt").write_text(f"{unit.work**2}\n")


def run(folder: Path, executor: ExecutorSettings, numbers: int = 5, trouble: str | None = None) -> Outcome:
    units = [
        Unit(folder / "squares" / f"{n:05d}", {"kind": "square", "number": n}, weight=1, work=n) for n in range(numbers)
    ]
    outcome = run_units(
        "squares",
        units,
        lambda todo, _: [Square(todo, trouble, folder / "once")],
        executor=executor,
        logs=folder / "logs",
    )
    assert [int((unit.folder / "square.txt").read_text()) for unit in units] == [n**2 for n in range(numbers)]
    return outcome
