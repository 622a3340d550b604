"""How rates hold as the work grows and as cores are added: 1, 4 and 16 times the work, on one core and on two.

    python -m benchmarks.scaling KIND TIMES CORES       one point, as JSON, in this process

Every point is a process of its own, on so many cores. A rate that falls with the work is a curve that bends.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.measure import Rate, Row, alone

TIMES = (1, 4, 16)
CORES = (1, 2)


def rows() -> Iterator[Row]:
    """Each point beside the same work at its smallest on one core."""
    for kind, (title, unit, _) in WORKS.items():
        points = {
            (times, cores): json.loads(
                alone("benchmarks.scaling", kind, str(times), str(cores), cores=cores).splitlines()[-1]
            )
            for times in TIMES
            for cores in CORES
        }
        first = Rate.of(points[1, 1])
        for (times, cores), rate in points.items():
            work = f"{title}, {times} × the work, {cores} core{'s' if cores > 1 else ''}"
            yield Row(work, unit, Rate.of(rate), "1 × on one core", first)


def line(times: int, cores: int) -> float:
    """MB of text a second through the whole line, of 4 MB and more."""
    from benchmarks.line import ours, text_bytes, write_inputs

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_inputs(folder, 4.0 * times)
        ours(folder, "warm", folder / "warm-out", cores)
        started = perf_counter()
        ours(folder, "pages", folder / "out", cores)
        return text_bytes(folder / "out") / 1e6 / (perf_counter() - started)


def deduplication(times: int, cores: int) -> float:
    """Thousands of documents a second, raw files to kept files, of 5,000 and more."""
    from benchmarks.dedup import ours, write_raw

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ours(write_raw(folder / "few", 1000)[0], folder / "warm", cores)
        files, _ = write_raw(folder / "raw", 5000 * times)
        started = perf_counter()
        ours(files, folder / "work", cores)
        return 5 * times / (perf_counter() - started)


def loading(times: int, cores: int) -> float:
    """M tokens a second of batches from three sources of a million tokens each, and more."""
    from benchmarks.mixing import BATCH, LENGTH, STEPS, three
    from mixing.loader import Loader

    with tempfile.TemporaryDirectory() as scratch:
        plan, stores = three(Path(scratch), 1_000_000 * times)
        loader = Loader(plan, stores)
        batches = loader.iterate(0) if cores > 1 else (loader.batch(step) for step in range(STEPS))
        next(iter(batches))
        started = perf_counter()
        count = sum(1 for _ in batches)
        return count * BATCH * LENGTH / 1e6 / (perf_counter() - started)


def training(times: int, cores: int) -> float:
    """Tokens a second of cross-entropy steps of one row of 512 and more."""
    import torch

    import benchmarks.trainer as trainer

    torch.set_num_threads(cores)
    trainer.ROWS = times
    step, _ = trainer.stepper("ce")
    step()
    seconds = []
    for _ in range(3):
        started = perf_counter()
        step()
        seconds.append(perf_counter() - started)
    return times * trainer.LENGTH / statistics.median(seconds)


WORKS: dict[str, tuple[str, str, Callable[[int, int], float]]] = {
    "line": ("the whole line", "MB/s", line),
    "deduplication": ("deduplication end to end", "k documents/s", deduplication),
    "loading": ("loader (two cores: read ahead by a thread)", "M tokens/s", loading),
    "training": ("training steps", "tokens/s", training),
}


if __name__ == "__main__":
    kind, times, cores = sys.argv[1:4]
    print(json.dumps(WORKS[kind][2](int(times), int(cores))))
