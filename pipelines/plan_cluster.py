"""What a recipe will take: time, memory, disk and cost of every stage, from what a run of it took.

    logs/stages.jsonl of one or more smaller runs ─ seconds by stage, at the bytes each run read
    bytes of the recipe's inputs now               ─► the same by proportion, spread over the workers asked for

Runs of two sizes tell a stage's fixed part from the part that grows: give both workspaces. With one, everything is
taken in proportion, which errs on the side of too much. Work in units spreads over workers, at most one unit each;
what the run's own process makes does not. A worker's memory is bounded by its unit and taken as it was; that of the
run's own process, and the disk, are taken in proportion, with runs of two sizes the memory on the line through them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from rich.table import Table

from corpus.artifact import MANIFEST, Manifest
from corpus.engine.spent import StageRecord, read_records
from corpus.errors import ArtifactError, ConfigError
from corpus.readers import make_reader
from pipelines.recipe import Recipe

BASE_RSS = 300 << 20  # of a process of ours before it has read anything


@dataclass(frozen=True)
class Measured:
    """A finished run: the bytes it read, its units, its stages and the bytes of its workspace."""

    input_bytes: int
    stages: dict[str, StageRecord]
    disk: int


@dataclass(frozen=True)
class StagePlan:
    """A stage at another size: hours of core time and until it ends, the largest process, whether workers help."""

    stage: str
    core_seconds: float
    wall_seconds: float
    rss: int
    spread: bool


@dataclass(frozen=True)
class ClusterPlan:
    """The stages of a recipe on so many workers; `disk` in bytes at the end, `cost` of cores while held."""

    input_bytes: int
    workers: int
    stages: tuple[StagePlan, ...]
    disk: int
    price: float

    @property
    def wall_seconds(self) -> float:
        return sum(stage.wall_seconds for stage in self.stages)

    @property
    def cost(self) -> float:
        """Of `workers` cores for as long as the run takes."""
        return self.price * self.workers * self.wall_seconds / 3600

    def table(self) -> Table:
        gigabytes = self.input_bytes / 1e9
        table = Table(title=f"{gigabytes:,.2f} GB of input, {self.workers} workers", title_justify="left")
        for name in ("stage", "core-hours", "hours", "GB of memory", "by"):
            table.add_column(name, justify="left" if name in ("stage", "by") else "right")
        for stage in self.stages:
            by = "workers" if stage.spread else "one process"
            hours = (stage.core_seconds / 3600, stage.wall_seconds / 3600)
            table.add_row(stage.stage, *(f"{value:,.3f}" for value in hours), f"{stage.rss / 1e9:,.1f}", by)
        cores = sum(stage.core_seconds for stage in self.stages) / 3600
        largest = max((stage.rss for stage in self.stages), default=0)
        table.add_row("in all", f"{cores:,.3f}", f"{self.wall_seconds / 3600:,.3f}", f"{largest / 1e9:,.1f}", "")
        table.caption = f"disk {self.disk / 1e9:,.1f} GB" + (f", cost {self.cost:,.2f}" if self.price else "")
        return table


def measured(workspace: Path) -> Measured:
    """What a run took. Raises ArtifactError where no run has ended, or none since stages are recorded."""
    manifests = [Manifest.read(path.parent) for path in sorted((workspace / "annotate").glob(f"*/*/{MANIFEST}"))]
    records = read_records(workspace / "logs")
    if not manifests or not records or not (workspace / "corpus" / MANIFEST).is_file():
        raise ArtifactError(
            "no finished run to take rates from",
            where=workspace,
            todo="prepare a sample first: provender corpus RECIPE --set workspace=sample --set corpus.sources.0.reader"
            ".path=…; then provender plan-cluster RECIPE --from sample",
        )
    # The last run of a stage counts that made most of its units: a run that went on made only the missing ones.
    stages: dict[str, StageRecord] = {}
    for record in records:
        before = stages.get(record.stage)
        if before is None or record.made >= before.made:
            stages[record.stage] = record
    disk = sum(path.lstat().st_size for path in _distinct(workspace))
    return Measured(sum(manifest.totals["input_bytes"] for manifest in manifests), stages, disk)


def _distinct(workspace: Path) -> list[Path]:
    """Files of a workspace, those with several links once."""
    return list({path.stat().st_ino: path for path in workspace.rglob("*") if path.is_file()}.values())


def input_bytes(recipe: Recipe) -> int:
    """Bytes of the recipe's inputs as they lie there. Raises DataError for a source without files."""
    readers = [make_reader(source.reader, source.name) for source in recipe.corpus.sources]
    return sum(file.bytes for reader in readers for file in reader.files())


def plan_cluster(runs: Sequence[Measured], size: int, unit_bytes: int, workers: int, price: float = 0.0) -> ClusterPlan:
    """What the stages of `runs` take for inputs of `size` bytes in units of `unit_bytes`. Raises ConfigError when the
    runs have no size."""
    if not runs or any(run.input_bytes <= 0 for run in runs):
        raise ConfigError("a run that read nothing has no rate", where="--from", todo="name a run over real inputs")
    largest = max(runs, key=lambda run: run.input_bytes)
    growth = size / largest.input_bytes
    units = max(1, ceil(size / unit_bytes))
    stages = []
    for name, record in largest.stages.items():
        points = [
            (run.input_bytes, stage.seconds * (stage.of or 1) / stage.made)
            for run in runs
            if (stage := run.stages.get(name)) is not None
        ]
        seconds = _line(points, size)
        spread = record.of is not None
        at_once = min(workers, units) if spread else 1
        # The last wave of units is seldom full: a worker makes whole units.
        wall = seconds / units * ceil(units / at_once) if spread else seconds
        rss = record.rss if spread else _memory(runs, name, record.rss, size)
        stages.append(StagePlan(name, seconds, wall, rss, spread))
    return ClusterPlan(size, workers, tuple(stages), int(largest.disk * growth), price)


def _memory(runs: Sequence[Measured], name: str, largest: int, size: int) -> int:
    """Bytes that the run's own process takes in a stage at `size`: on the line through what the runs took, where they
    have two sizes; with one, what is beyond BASE_RSS in proportion."""
    had = {run.input_bytes: stage.rss for run in runs if (stage := run.stages.get(name)) is not None}
    most = max(had)
    growth = max(1.0, size / most)
    if len(had) > 1:
        slope = max(0.0, float(np.polyfit(list(had), list(had.values()), 1)[0]))
        return int(largest + slope * (growth - 1) * most)
    return int(BASE_RSS + max(0, largest - BASE_RSS) * growth)


def _line(points: list[tuple[int, float]], size: int) -> float:
    """Seconds at `size`: on the line through the points, which neither falls nor begins below zero, or in proportion to
    the largest where there is one size."""
    sizes, seconds = (np.array(values, float) for values in zip(*points, strict=True))
    if len(np.unique(sizes)) > 1:
        slope, start = np.polyfit(sizes, seconds, 1)
        if slope > 0 and start > 0:
            return float(start + slope * size)
    last = int(np.argmax(sizes))
    return float(seconds[last] * size / sizes[last])
