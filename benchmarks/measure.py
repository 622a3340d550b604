"""Timing: interleaved repeats of the same work, medians with their spread."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

REPEATS = 5


@dataclass(frozen=True)
class Rate:
    """A rate in units per second: median, lowest and highest of the repeats."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:,.3g} ({self.low:,.3g}–{self.high:,.3g})"


@dataclass(frozen=True)
class Row:
    """One line of the table: the work, its unit, ours and the peer's rate."""

    work: str
    unit: str
    ours: Rate
    peer: str
    theirs: Rate

    @property
    def ratio(self) -> float:
        return self.ours.median / self.theirs.median


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
    return [Rate(amount / statistics.median(s), amount / max(s), amount / min(s)) for s in seconds]
