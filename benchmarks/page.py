"""docs/benchmarks.md, made of what was measured: what the issues asked and was missed, then met, then every room."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.held import HELD
from benchmarks.measure import Asked, Row
from benchmarks.results import Room

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
Bars = list[tuple[Asked, Row]]


def page(rooms: Mapping[str, Room], titles: Mapping[str, str]) -> str:
    """The page as Markdown, with the rooms in the order of their `titles`."""
    bars = [(asked, row) for name in titles if name in rooms for row in rooms[name].rows for asked in row.asked]
    bars.sort(key=lambda bar: bar[0].issue)
    lines = [*_head(rooms, bars), *_bars(bars), *_held()]
    for name, title in titles.items():
        if name in rooms:
            lines += ["", f"## {title}", "", *_room(rooms[name], name)]
    if missing := [name for name in titles if name not in rooms]:
        lines += ["", "## Not measured yet", "", ", ".join(f"`python -m benchmarks {name}`" for name in missing) + "."]
    return "\n".join(lines) + "\n"


def _head(rooms: Mapping[str, Room], bars: Bars) -> Iterator[str]:
    met = sum(row.met(asked) for asked, row in bars)
    yield "# Benchmarks"
    yield ""
    yield "Written by `make bench` from `docs/benchmarks.json`; `python -m benchmarks ROOM …` measures rooms again."
    yield "A row is the same work done by both sides in one run: medians of interleaved repeats, with their lowest and"
    yield "highest. Trust the ratios more than the rates: they change less with the machine and what else runs on it."
    yield ""
    for machine in dict.fromkeys(room.machine for room in rooms.values()):
        yield f"- {machine}"
    versions = {name: version for room in rooms.values() for name, version in room.versions.items()}
    yield "- " + ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    yield ""
    yield f"Of {len(bars)} figures that were asked for and measured here, {met} are met; {len(HELD)} are held by tests."


def _bars(bars: Bars) -> Iterator[str]:
    missed = [(asked, row) for asked, row in bars if not row.met(asked)]
    if missed:
        yield from ("", "## Asked and missed", "")
        yield from ("| issue | what | asked | measured | next idea |", "|---|---|---|---|---|")
        yield from (f"{_bar(asked, row)} {asked.idea or '—'} |" for asked, row in missed)
    yield from ("", "## Asked and met", "")
    yield from ("| issue | what | asked | measured |", "|---|---|---|---|")
    yield from (_bar(asked, row) for asked, row in bars if row.met(asked))


def _bar(asked: Asked, row: Row) -> str:
    unit = "×" if asked.of == "ratio" else f" {row.unit}"
    against = f" / {row.peer}" if asked.of == "ratio" else ""
    bound = "≤" if asked.most else "≥"
    wanted, found = (f"{value:,.4g}{unit}" for value in (asked.amount, row.measured(asked)))
    return f"| {asked.issue} | {_cell(row.work)}{against} | {bound} {wanted} | {found} |"


def _held() -> Iterator[str]:
    yield from ("", "## Asked and held by a test", "")
    yield "These are exact: `make test` fails where one does not hold."
    yield from ("", "| issue | asked | test |", "|---|---|---|")
    for held in HELD:
        tests = ", ".join(f"[{name}](../tests/{held.file})" for name in held.names)
        yield f"| {held.issue} | {held.asked} | {tests} |"


def _room(room: Room, name: str) -> Iterator[str]:
    yield f"`python -m benchmarks {name}`, {room.date} UTC, load before {room.load:.1f}."
    yield ""
    if any(row.theirs for row in room.rows):
        yield from ("| work | unit | ours | peer | peer's | ratio |", "|---|---|---|---|---|---|")
        for r in room.rows:
            theirs = f"{r.peer} | {r.theirs} | {r.ratio:,.3g}×" if r.theirs else "| |"
            yield f"| {_cell(r.work)} | {r.unit} | {r.ours} | {theirs} |"
    else:
        yield from ("| what | unit | measured |", "|---|---|---|")
        yield from (f"| {_cell(r.work)} | {r.unit} | {r.ours} |" for r in room.rows)


def _cell(text: str) -> str:
    """Of a table: what is no column's end."""
    return text.replace("|", "\\|").replace("\n", "⏎")
