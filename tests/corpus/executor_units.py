"""Units of a trivial stage for tests of the executors; a module of its own, for workers elsewhere import it."""

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from datatrove.pipeline.base import PipelineStep
from small_corpus import prepare, write_inputs

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


POISONOUS = Path(__file__).parents[1] / "faults/poisonous_steps.py"


def poisoned(folder: Path, executor: ExecutorSettings) -> None:
    """Prepare a small corpus in which a document crashes a step and another never comes to an end in it: both, and
    nothing else, are quarantined."""
    inputs = write_inputs(folder / "inputs", documents=16)
    for name, kind in (("news/0.jsonl", "crash"), ("books/1.jsonl", "spin")):
        with open(inputs / name, "a") as file:
            file.write(json.dumps({"text": f"POISON {kind}"}) + "\n")
    own = {"kind": "filter", "file": str(POISONOUS), "function": "poisonous", "label": "kept"}
    few: dict[str, Any] = {"repeated": None, "substring": None, "duplicates": None, "decontaminate": {}}
    guard = {"seconds": 1.0, "memory_gb": 0.2}
    prepare(inputs, folder / "work", executor, steps=[own], guard=guard, unit_bytes=1 << 20, **few)
    ledger = pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("work/corpus/ledger/*/*.parquet"))])
    assert ledger.height == 34
    found = ledger.filter(pl.col("fate") == "quarantined").sort("source")
    assert found.select("source", "reason").rows() == [("books", "timed out in kept"), ("news", "crashed in kept")]
