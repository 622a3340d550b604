"""What was measured, kept by room beside the page that is made of it (docs/benchmarks.json): a room may be measured
again by itself, and the page says of each when, and how busy the machine was."""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.measure import Asked, Rate, Row

FILE = Path(__file__).parents[1] / "docs" / "benchmarks.json"
PACKAGES = (
    *("accelerate", "datatrove", "fasttext", "google-re2", "kenlm", "numba", "numpy", "polars", "pyarrow"),
    *("torch", "trafilatura", "transformers"),
)


@dataclass(frozen=True)
class Room:
    """The rows of one room, when they were measured (UTC), and the load of the machine before: runnable processes, a
    mean over a minute (os.getloadavg)."""

    date: str
    load: float
    machine: str
    versions: Mapping[str, str]
    rows: tuple[Row, ...]


def measured_now(rows: Iterable[Row], load: float) -> Room:
    """The rows as measured on this machine today."""
    return Room(f"{datetime.now(UTC):%Y-%m-%d %H:%M}", load, machine(), _versions(), tuple(rows))


def machine() -> str:
    """Processor, cores, memory, Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def _processor() -> str:
    """The processor's name, where Linux says it."""
    for entry in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if entry.startswith("model name"):
            return entry.split(":")[1].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def save(rooms: Mapping[str, Room], file: Path = FILE) -> None:
    """All rooms, as JSON that a diff can be read of."""
    file.write_text(json.dumps({name: asdict(room) for name, room in rooms.items()}, indent=1) + "\n", encoding="utf-8")


def load(file: Path = FILE) -> dict[str, Room]:
    """What `save` wrote; nothing where there is no file."""
    if not file.exists():
        return {}
    return {name: _room(held) for name, held in json.loads(file.read_text(encoding="utf-8")).items()}


def _room(held: dict[str, Any]) -> Room:
    return Room(**held | {"rows": tuple(_row(row) for row in held["rows"])})


def _row(held: dict[str, Any]) -> Row:
    rates = {name: Rate(**held[name]) if held[name] else None for name in ("ours", "theirs")}
    return Row(**held | rates | {"asked": tuple(Asked(**asked) for asked in held["asked"])})
