"""What a person waits for at the shell: help, and the demo on its small slice, run twice."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.measure import Asked, Row, figure

REPEATS = 5
CACHE = Path("work/cache")  # where the demo keeps what it fetched


def rows() -> Iterator[Row]:
    """Seconds."""
    helps = [_seconds("corpus", "--help") for _ in range(REPEATS)]
    yield figure("`provender corpus --help`", "s", helps, _within(0.5))
    with tempfile.TemporaryDirectory() as folder:
        if CACHE.is_dir():
            (Path(folder) / "cache").symlink_to(CACHE.resolve())
        first, second = (_seconds("demo", "--fast", "--workspace", folder) for _ in range(2))
    yield figure("`make demo FAST=1`, packages fetched before", "s", first, _within(180))
    yield figure("the same again: every stage is skipped", "s", second, _within(60))


def _within(seconds: float) -> Asked:
    return Asked(2, seconds, "ours", most=True)


def _seconds(*words: str) -> float:
    began = perf_counter()
    subprocess.run([sys.executable, "-m", "pipelines", *words], check=True, capture_output=True)
    return perf_counter() - began
