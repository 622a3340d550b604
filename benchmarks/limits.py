"""What this machine can do at all: copying memory, multiplying matrices, its disk. Other rows live under these."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.measure import Rate, Row, figure, interleaved

COPIED = 256 << 20  # bytes: far beyond every cache
SIDE = 2048  # of square matrices
WRITTEN = 512 << 20  # bytes
REPEATS = 5


def rows() -> Iterator[Row]:
    """Gigabytes and gigaflops a second."""
    yield from _memory()
    yield from _products()
    yield from _disk()


def _memory() -> Iterator[Row]:
    source, target = np.ones(COPIED, np.uint8), np.empty(COPIED, np.uint8)
    [copied] = interleaved(COPIED / 1e9, lambda: np.copyto(target, source), repeats=REPEATS)
    yield Row("limit: copying memory, one core", "GB/s", copied)


def _products() -> Iterator[Row]:
    """Of float32, and of bfloat16 where the processor multiplies in it: emulated it takes minutes."""
    import torch

    from trainer.model.packed import resolve_precision

    threads = torch.get_num_threads()
    native = resolve_precision("auto", torch.device("cpu")) == "bf16"
    try:
        for kind in (torch.float32, torch.bfloat16) if native else (torch.float32,):
            left, right = (torch.randn(SIDE, SIDE).to(kind) for _ in range(2))
            for count in dict.fromkeys((1, os.cpu_count() or 1)):
                torch.set_num_threads(count)
                [rate] = interleaved(2 * SIDE**3 / 1e9, lambda a=left, b=right: torch.mm(a, b), repeats=REPEATS)
                name = str(kind).removeprefix("torch.")
                yield Row(f"limit: matrix product, {name}, {count} threads", "Gflop/s", rate)
    finally:
        torch.set_num_threads(threads)


def _disk() -> Iterator[Row]:
    """Writing with fsync, and reading what the page cache was told to forget."""
    block = np.random.default_rng(0).bytes(8 << 20)
    writing, reading = [], []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "block"
        for _ in range(3):
            began = perf_counter()
            with path.open("wb", buffering=0) as out:
                for _ in range(WRITTEN // len(block)):
                    out.write(block)
                os.fsync(out.fileno())
            writing.append(WRITTEN / 1e9 / (perf_counter() - began))
            with path.open("rb", buffering=0) as held:
                os.posix_fadvise(held.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                began = perf_counter()
                while held.read(len(block)):
                    pass
            reading.append(WRITTEN / 1e9 / (perf_counter() - began))
    yield figure("limit: writing to disk, with fsync", "GB/s", writing)
    yield Row("limit: reading from disk", "GB/s", Rate.of(*reading))
