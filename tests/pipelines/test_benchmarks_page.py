"""The page of benchmarks is what its figures make of it, and what it says that tests hold is held by tests."""

from pathlib import Path

from benchmarks.held import HELD
from benchmarks.measure import Asked, Rate, Row, figure
from benchmarks.page import PAGE, page
from benchmarks.results import FILE, Room, load, save
from docs.building.source_pages import functions

ROOT = Path(__file__).parents[2]
MET, MISSED = Asked(5, 40, idea="none"), Asked(4, 10, "ours", most=True, idea="compile it")
ROWS = (
    Row("pairs", "MB/s", Rate.of(80.0, 90.0, 100.0), "a peer", Rate.of(1.0, 2.0, 4.0), (MET,)),
    figure("hostile | text", "× prose", 37, MISSED),
    Row("steps", "tokens/s", Rate.of(10.0), "another", Rate.of(10.0), paired=1.25),
)


def room(*rows: Row) -> Room:
    return Room("2026-11-24 12:00", 0.5, "a machine", {"torch": "2"}, rows)


def test_rows_know_what_is_asked_of_them():
    pairs, hostile, steps = ROWS
    assert pairs.ratio == 45 and pairs.met(MET)
    assert hostile.ratio is None and not hostile.met(MISSED) and "MISSED" in str(hostile)
    assert steps.ratio == 1.25, "the ratio within repeats goes before that of the medians"


def test_figures_survive_their_file(tmp_path):
    rooms = {"dedup": room(*ROWS), "empty": room()}
    save(rooms, tmp_path / "benchmarks.json")
    assert load(tmp_path / "benchmarks.json") == rooms
    assert load(tmp_path / "none.json") == {}


def test_what_is_missed_stands_first_with_what_to_try():
    written = page({"a": room(ROWS[1]), "b": room(ROWS[0])}, {"b": "Pairs", "a": "Hostile", "c": "Not yet"})
    missed, met = written.index("## Asked and missed"), written.index("## Asked and met")
    assert missed < met < written.index("## Pairs") < written.index("## Hostile")
    assert missed < written.index("compile it") < met < written.index("≥ 40× | 45×")
    assert "`python -m benchmarks c`" in written


def test_the_page_is_made_of_the_figures_that_are_kept():
    from benchmarks.__main__ import ROOMS

    assert PAGE.read_text() == page(load(FILE), {name: title for name, (title, _) in ROOMS.items()})


def test_every_test_that_holds_a_figure_exists():
    for held in HELD:
        assert set(held.names) <= functions(ROOT / "tests" / held.file).keys(), held.asked
