"""What grows with a corpus and what must not: memory of a process, open files, disk, at 1, 10 and 50 times the size.

    python -m benchmarks.growth [megabytes] [workers]     sizes are 1, 10 and 50 times so many megabytes

Each preparation is a process of its own, watched from outside ten times a second: VmHWM, which the kernel keeps from
the beginning of a unit (corpus/engine/spent.py), of the run's own process and of the largest of its workers, open files
of all of them, and bytes of the workspace. Pages of mapped files count, though the kernel takes those back when it
wants. What each stage's processes had at the most is said beside. Wanted: memory within 10% of that at 1×, files as
many, disk at most three times the input.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from time import perf_counter

from benchmarks.line import write_tokenizer
from benchmarks.measure import Asked, Rate, Row, figure
from benchmarks.quality import documents as prose
from benchmarks.scale_out import prepare
from corpus.engine.spent import read_records
from corpus.memory import peak_bytes

MEGABYTES = 24.0  # three units for each of two workers: what the first one leaves is there for the next
FACTORS = (1, 10, 50)
PIECE = 4  # words that stay together in a made-up text: most shingles of five words are then new
FILE = 250  # documents of a file: about a megabyte


@dataclass
class Peaks:
    """The most that was seen at a time: bytes of memory of the run and of a worker, open files, bytes on the disk."""

    run: int = 0
    worker: int = 0
    files: int = 0
    disk: int = 0
    stages: dict[str, int] = field(default_factory=dict)  # bytes of the largest process in each


def texts(megabytes: float) -> Iterator[str]:
    """So many megabytes of prose, and when that ends the same words in another order, PIECE by PIECE."""
    given = [document.text for document in prose(megabytes)]
    yield from given
    left = megabytes * 1e6 - sum(map(len, given))
    random = Random(1)
    while left > 0:
        for text in given:
            words = text.split(" ")
            pieces = [words[at : at + PIECE] for at in range(0, len(words), PIECE)]
            random.shuffle(pieces)
            made = " ".join(word for piece in pieces for word in piece)
            left -= len(made)
            yield made
            if left <= 0:
                return


def write_inputs(folder: Path, megabytes: float) -> int:
    """pages/*.jsonl and a tokenizer; the bytes of the pages."""
    (folder / "pages").mkdir(parents=True)
    every, size = texts(megabytes), 0
    write_tokenizer(folder / "tokenizer", [document.text for document in prose(2)])
    for number in range(1 << 20):
        some = list(islice(every, FILE))
        if not some:
            break
        path = folder / "pages" / f"{number:05d}.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in some))
        size += path.stat().st_size
    return size


def descendants(process: int) -> list[int]:
    """A process and all that come from it."""
    found = [process]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def open_files(process: int) -> int:
    try:
        return len(os.listdir(f"/proc/{process}/fd"))
    except OSError:
        return 0


def on_disk(folder: Path) -> int:
    """Bytes of the files, one of several names once."""
    found = {}
    for path in (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names):
        try:
            status = os.lstat(path)
        except OSError:
            continue
        found[status.st_ino] = 512 * status.st_blocks
    return sum(found.values())


def watched(process: int, workspace: Path, peaks: Peaks, done: threading.Event) -> None:
    """Look until `done`."""
    while not done.wait(0.1):
        own, *others = descendants(process)
        peaks.run = max(peaks.run, peak_bytes(own))
        peaks.worker = max([peaks.worker, *map(peak_bytes, others)])
        peaks.files = max(peaks.files, sum(map(open_files, [own, *others])))
        peaks.disk = max(peaks.disk, on_disk(workspace))


def measured(folder: Path, megabytes: float, workers: int) -> tuple[Peaks, float, int]:
    """(peaks, seconds, bytes of input) of a preparation in a process of its own."""
    size = write_inputs(folder / "in", megabytes)
    command = [sys.executable, "-m", "benchmarks.growth", "prepare", str(folder), str(workers)]
    began, peaks, done = perf_counter(), Peaks(), threading.Event()
    process = subprocess.Popen(command)
    watcher = threading.Thread(target=watched, args=(process.pid, folder / "out", peaks, done))
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    if code:
        sys.exit(f"the preparation of {megabytes:.0f} MB failed")
    for record in read_records(folder / "out/logs"):
        peaks.stages[record.stage] = record.rss
        if record.of is None:
            peaks.run = max(peaks.run, record.rss)
        elif workers > 1:
            peaks.worker = max(peaks.worker, record.rss)
    return peaks, perf_counter() - began, size


def rows(megabytes: float = MEGABYTES, workers: int = 2) -> Iterator[Row]:
    """Each size beside the smallest."""
    first: Peaks | None = None
    for factor in FACTORS:
        with tempfile.TemporaryDirectory() as scratch:
            peaks, seconds, size = measured(Path(scratch), factor * megabytes, workers)
        work = f"preparation of {size / 1e6:,.0f} MB"
        yield figure(f"{work}: seconds", "s", seconds)
        yield figure(f"{work}: disk, times the input", "×", peaks.disk / size, Asked(10, 3, "ours", most=True))
        for stage, most in peaks.stages.items():
            yield figure(f"{work}: memory of the largest process in {stage}", "MB", most / 1e6)
        if first is None:
            first = peaks
            continue
        for what, unit, now, then, most in (
            ("memory of a worker", "MB", peaks.worker / 1e6, first.worker / 1e6, 1.1),
            ("memory of the run's process", "MB", peaks.run / 1e6, first.run / 1e6, 1.1),
            ("open files", "files", peaks.files, first.files, 1.0),
        ):
            asked = (Asked(10, most, most=True, idea="see which stage's peak it is"),)
            yield Row(f"{work}: {what}", unit, Rate.of(now), f"{FACTORS[0]}/{factor} of it", Rate.of(then), asked)


if __name__ == "__main__":
    if sys.argv[1:2] == ["prepare"]:
        from corpus.engine import LocalSettings

        place = Path(sys.argv[2])
        prepare(str(place / "in/pages"), place / "in/tokenizer", place / "out", LocalSettings(workers=int(sys.argv[3])))
    else:
        for row in rows(
            float(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES, int(sys.argv[2]) if len(sys.argv) > 2 else 2
        ):
            print(row, flush=True)
