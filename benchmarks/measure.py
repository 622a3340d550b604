"""Timing and what comes of it: interleaved repeats of the same work, medians with their spread, rows beside a bar."""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

REPEATS = 5


@dataclass(frozen=True)
class Rate:
    """A figure, most often a rate in units per second: median, lowest and highest of the repeats."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, *values: float) -> "Rate":
        """Of the repeats' values, or of the only one."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.median:,.3g}"
        return f"{self.median:,.3g} ({self.low:,.3g}–{self.high:,.3g})"


@dataclass(frozen=True)
class Asked:
    """What an issue asks of a row: its ratio, or our own figure, at least (or at `most`) the amount; `idea` is what to
    try next where it is missed."""

    issue: int
    amount: float
    of: Literal["ratio", "ours"] = "ratio"
    most: bool = False
    idea: str = ""


@dataclass(frozen=True)
class Row:
    """One line of a table: the work, its unit, our figure, and a peer's where there is one."""

    work: str
    unit: str
    ours: Rate
    peer: str = ""
    theirs: Rate | None = None
    asked: tuple[Asked, ...] = ()
    paired: float | None = None  # the median of the ratios within a repeat, where that was taken

    @property
    def ratio(self) -> float | None:
        return self.paired or (self.ours.median / self.theirs.median if self.theirs else None)

    def measured(self, asked: Asked) -> float:
        """The figure that `asked` is about."""
        value = self.ratio if asked.of == "ratio" else self.ours.median
        if value is None:
            raise ValueError(f"{self.work}: a ratio is asked, and there is no peer")
        return value

    def met(self, asked: Asked) -> bool:
        value = self.measured(asked)
        return value <= asked.amount if asked.most else value >= asked.amount

    def __str__(self) -> str:
        line = f"{self.work}: {self.ours} {self.unit}"
        if self.theirs:
            line += f", {self.peer} {self.theirs}, {self.ratio:,.3g}×"
        for asked in self.asked:
            bound = f"{'at most' if asked.most else 'at least'} {asked.amount:,.4g}{'×' if asked.of == 'ratio' else ''}"
            line += f" [issue {asked.issue} asks {bound}: {'met' if self.met(asked) else 'MISSED'}]"
        return line


def figure(work: str, unit: str, values: float | Sequence[float], *asked: Asked) -> Row:
    """A row without a peer."""
    return Row(work, unit, Rate.of(*([values] if isinstance(values, float | int) else values)), asked=asked)


def interleaved(
    amount: float, *works: Callable[[], object], repeats: int = REPEATS, clock: Callable[[], float] = perf_counter
) -> list[Rate]:
    """Run each work once unmeasured, then all in turn `repeats` times; `amount` units are done each time. `clock` may
    be `time.process_time`, which what else runs on the machine changes less."""
    for work in works:
        work()
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for index, work in enumerate(works):
            started = clock()
            work()
            seconds[index].append(clock() - started)
    return [Rate.of(*(amount / each for each in s)) for s in seconds]


def alone(module: str, *arguments: str, cores: int | None = None) -> str:
    """Standard output of `python -m module arguments` in a process of its own, on the first `cores` cores, where peaks
    of memory and threads are its own."""
    pinned = None if cores is None else sorted(os.sched_getaffinity(0))[:cores]
    environment = os.environ if cores is None else os.environ | {"OMP_NUM_THREADS": str(cores)}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=Path(__file__).parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=None if pinned is None else lambda: os.sched_setaffinity(0, pinned),
    )
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)}: {done.stderr[-2000:]}")
    return done.stdout
