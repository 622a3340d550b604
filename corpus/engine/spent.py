"""What stages cost: seconds and memory of every rank, and one line a stage in the workspace's logs.

    logs/<stage>/progress/00000.spent       by the rank itself, on whatever machine it ran
    logs/stages.jsonl                       by the run: {stage, made, of, wall, seconds, rss}

It is a log and no artefact: clocks and machines are in it, and nothing depends on it but `provender plan-cluster`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
from datatrove.pipeline.base import PipelineStep

from corpus.engine.limits import is_expendable
from corpus.memory import forget_peak, give_back, peak_bytes

STAGES = "stages.jsonl"


@dataclass
class _Clock:
    began: float = field(default=0.0)


class _Begin(PipelineStep):
    name = "begin"
    type = "clock"
    last: Path | None = None  # the stage that this process worked on last

    def __init__(self, clock: _Clock, folder: Path) -> None:
        super().__init__()
        self.clock, self.folder = clock, folder

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        self.clock.began = perf_counter()
        if _Begin.last != self.folder:
            _Begin.last = self.folder
            give_back()
        if is_expendable():  # a worker, whose peak is to be this unit's; the run's own process counts by the stage
            forget_peak()


class _End(PipelineStep):
    name = "end"
    type = "clock"

    def __init__(self, clock: _Clock, folder: Path) -> None:
        super().__init__()
        self.clock, self.folder = clock, folder

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        deque(data or (), maxlen=0)
        self.folder.mkdir(parents=True, exist_ok=True)
        spent = {"seconds": perf_counter() - self.clock.began, "rss": peak_bytes()}
        (self.folder / f"{rank:05d}.spent").write_bytes(orjson.dumps(spent))


def timed(steps: list[Any], folder: Path) -> list[Any]:
    """The steps of a rank between two that note in `folder` what it took."""
    clock = _Clock()
    return [_Begin(clock, folder), *steps, _End(clock, folder)]


@dataclass(frozen=True)
class Spent:
    """What a stage took: the seconds of its ranks together, and the largest memory of one."""

    seconds: float
    rss: int

    @classmethod
    def read(cls, folder: Path) -> "Spent":
        ranks = [orjson.loads(path.read_bytes()) for path in sorted(folder.glob("*.spent"))]
        return cls(sum(rank["seconds"] for rank in ranks), max((rank["rss"] for rank in ranks), default=0))


@dataclass(frozen=True)
class StageRecord:
    """One run of a stage: units `made` of its units, `of` None for a stage that the run's own process makes in one
    piece; `seconds` of work in all its ranks, `wall` seconds until it ended, `rss` of the largest process."""

    stage: str
    made: int
    of: int | None
    wall: float
    seconds: float
    rss: int

    def append(self, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        with open(logs / STAGES, "ab") as file:
            file.write(orjson.dumps(asdict(self)) + b"\n")


def read_records(logs: Path) -> Sequence[StageRecord]:
    """The records of a workspace, oldest first; none where no stage ran yet."""
    path = logs / STAGES
    if not path.is_file():
        return []
    return [StageRecord(**orjson.loads(line)) for line in path.read_bytes().splitlines()]
