"""Run every benchmark and write docs/benchmarks.md with the machine, the versions and the date.

python -m benchmarks mixing trainer     only these, printed and not written
"""

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import corpus, cuts, dedup, deidentify, line, loop, mixing, quality, scale_out, trainer
from benchmarks.measure import REPEATS, Row

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PACKAGES = ("datatrove", "torch", "numba", "numpy", "pyarrow", "polars", "google-re2")


def processor() -> str:
    """The processor's name, where Linux says it."""
    for entry in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if entry.startswith("model name"):
            return entry.split(":")[1].strip()
    return platform.processor() or platform.machine()


def page(rows: list[Row]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`: rates of the same work in one process and one run, medians of interleaved repeats",
        f"with their lowest and highest ({REPEATS} repeats, 3 where the peer is slow). Trust the ratios.",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "- " + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "",
        "| work | unit | ours | peer | peer's | ratio |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| {r.work} | {r.unit} | {r.ours} | {r.peer} | {r.theirs} | {r.ratio:,.3g}× |" for r in rows]
    return "\n".join(lines) + "\n"


ROOMS = (line, quality, corpus, deidentify, dedup, cuts, mixing, trainer, loop, scale_out)


def main(chosen: list[str]) -> None:
    """Measure room by room, print each row as it comes, write the page of all."""
    names = [room.__name__.removeprefix("benchmarks.") for room in ROOMS]
    if unknown := set(chosen) - set(names):
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    rows: list[Row] = []
    for name, room in zip(names, ROOMS, strict=True):
        if chosen and name not in chosen:
            continue
        for row in room.rows():
            print(f"{row.work}: {row.ours} {row.unit}, {row.peer} {row.theirs}, {row.ratio:,.3g}×", flush=True)
            rows.append(row)
    if chosen:
        return
    PAGE.write_text(page(rows), encoding="utf-8")
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main(sys.argv[1:])
