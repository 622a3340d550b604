"""The report: what it shows, that it asks nothing of any network, that hostile names stay text."""

import html
import io
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from synthetic_workspace import write_all, write_corpus, write_plan, write_run

from corpus.artifact import Manifest, current, read_parquet
from pipelines.audit.everything import Audit, ask
from pipelines.report.charts import Line, lines, thinned, ticks
from pipelines.report.numbers import change, compact, count, share, size
from pipelines.report.page import render_html
from pipelines.report.publish import report_function, write_report
from pipelines.report.terminal import render_text

HOSTILE = '<script>alert(1)<x" onload="alert(2)'


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "medical"
    write_all(folder)
    return folder


@pytest.fixture(scope="module")
def audit(workspace: Path) -> Audit:
    return ask(workspace)


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of every element of interest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_report_is_published_whole_with_every_frame(workspace: Path, audit: Audit) -> None:
    folder = write_report(workspace, audit)
    manifest = Manifest.read(folder)
    manifest.verify(folder)
    assert {f"{name}.parquet" for name in audit.frames} | {"report.html"} == {entry.path for entry in manifest.files}
    assert pl.DataFrame(pl.from_arrow(read_parquet(folder / "funnel.parquet"))).equals(audit.frames["funnel"])
    assert current(folder, report_function(workspace)) is not None
    before = (folder / "report.html").read_bytes()
    write_report(workspace, ask(workspace))
    assert (folder / "report.html").read_bytes() == before


def test_the_page_asks_nothing_of_any_network(audit: Audit) -> None:
    page = render_html(audit)
    assert not re.search(r"https?://|url\(|@import|//cdn", page)
    for _, attributes in Elements(page).tags:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:image/"))
        assert not any(name == "style" or name.startswith("on") for name in attributes)
    policy = next(a["content"] for tag, a in Elements(page).tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy


def test_the_page_is_accessible_in_its_bones(audit: Audit) -> None:
    page = render_html(audit)
    tags = Elements(page).tags
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")
    charts = re.findall(r'<svg[^>]*role="img".*?</svg>', page, re.DOTALL)
    assert len(charts) > 6
    assert all("<title>" in chart and "<desc>" in chart for chart in charts)
    assert ("html", {"lang": "en"}) in tags
    identifiers = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_the_figures_of_the_frames_are_on_the_page(audit: Audit) -> None:
    page = html.unescape(render_html(audit))
    for row in audit.frames["totals"].iter_rows(named=True):
        assert f">{row['documents_in']:,}<" in page and f">{row['tokens_out']:,}<" in page
    for reason in audit.frames["funnel"]["reason"].drop_nulls():
        assert reason in page
    assert "Everything adds up." in page
    assert ">96.2%<" in page  # 77 of 80 near duplicates were found


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    folder = tmp_path / "w<b>"
    write_corpus(folder, sources=(HOSTILE, "general"), documents=30)
    write_plan(folder, {HOSTILE: 0.5, "general": 0.5}, steps=4)
    write_run(folder, "<img src=x onerror=alert(3)>")
    audit = ask(folder)
    assert audit.passed
    page = render_html(audit)
    tags = Elements(page).tags
    assert [tag for tag, _ in tags].count("script") == 1
    assert not {"img", "b", "x"} & {tag for tag, _ in tags}
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert HOSTILE in html.unescape(page)


def test_a_failed_check_stands_at_the_top(tmp_path: Path) -> None:
    write_corpus(tmp_path / "w", sources=("notes",), documents=10)
    (tmp_path / "w" / "tokens" / "notes" / "train" / "00000.ds").write_bytes(b"")
    audit = ask(tmp_path / "w")
    page = render_html(audit)
    assert "It does not add up." in page and "Everything adds up." not in page
    assert page.index('class="failures"') < page.index('<section id="funnel">')
    assert "NOT verified" in shown(audit)


@pytest.mark.parametrize("stage", ["nothing", "corpus", "plan"])
def test_missing_parts_are_named_with_their_command(tmp_path: Path, stage: str) -> None:
    if stage != "nothing":
        write_corpus(tmp_path, sources=("notes",), documents=10)
    if stage == "plan":
        write_plan(tmp_path, {"notes": 1.0}, steps=2)
    audit = ask(tmp_path)
    assert "make train" in render_html(audit)
    assert "training runs (make train makes it)" in shown(audit)
    assert ("make mix" in shown(audit)) == (stage != "plan")
    write_report(tmp_path, audit)


def shown(audit: Audit, width: int = 160) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(*render_text(audit))
    return out.getvalue()


def test_the_terminal_shows_the_same_figures_without_control_codes(audit: Audit) -> None:
    text = shown(audit)
    assert "\x1b" not in text
    totals = audit.frames["totals"]
    assert f"{totals['documents_in'].sum():,}" in text
    assert re.search(r"general +guarded +replay +1,280 +1,280 +0", text)
    assert f"verified: everything adds up, {len(audit.checks)} checks passed" in text


def test_numbers_are_written_one_way() -> None:
    assert count(-1234567) == "−1,234,567" and count(None) == "–"
    assert [compact(value) for value in (0, 987, 1234, 999_999, 12_345_678)] == [
        "0",
        "987",
        "1.23 k",
        "1.00 M",
        "12.3 M",
    ]
    assert [size(value) for value in (5, 1500)] == ["5 B", "1.50 kB"]
    assert [share(part, 10_000) for part in (0, 1, 5000, 9999, 10_000)] == [
        "0.0%",
        "<0.1%",
        "50.0%",
        ">99.9%",
        "100.0%",
    ]
    assert change(-0.01234, 0.002) == "−0.0123 ± 0.0020" and change(0.0) == "0.0000"


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
@settings(max_examples=100, deadline=None)
def test_ticks_enclose_the_data_evenly(low: float, width: float) -> None:
    found = ticks(low, low + width)
    step = found[1] - found[0]
    assert found[0] <= low + 1e-6 * step and found[-1] >= low + width - 1e-6 * step
    assert len(found) <= 7
    assert all(math.isclose(right - left, step, rel_tol=1e-3) for left, right in pairwise(found))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=2000))
@settings(max_examples=30, deadline=None)
def test_thinning_keeps_ends_and_range(values: list[float]) -> None:
    points = [(float(index), value) for index, value in enumerate(values)]
    few = thinned(points)
    assert len(few) <= 160 and few[0] == points[0] and few[-1] == points[-1]
    assert min(values) - 1e-9 <= min(y for _, y in few) and max(y for _, y in few) <= max(values) + 1e-9
    assert [x for x, _ in few] == sorted(x for x, _ in few)


def test_a_line_is_drawn_where_its_values_are() -> None:
    chart = str(lines([Line("a", [(0, 0.0), (10, 1.0)], 0)], title="t", x="step", y="loss", zero=True))
    path = re.search(r'd="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" class="line', chart)
    assert path is not None
    left, bottom, right, _ = (float(value) for value in path.groups())
    assert (left, bottom, right) == (52, 240, 428)


@pytest.mark.browser
def test_a_browser_opens_it_without_a_request_or_an_error_and_sorts(workspace: Path, audit: Audit) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("Debian's chromium is not installed")
    address = (write_report(workspace, audit) / "report.html").as_uri()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        requests: list[str] = []
        complaints: list[str] = []
        for width, scheme in ((1400, "light"), (420, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.on("request", lambda request: requests.append(request.url))
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.click("#funnel table >> nth=1 >> thead button >> text=documents")
            shown = page.eval_on_selector_all(
                "#funnel table >> nth=1 >> tbody tr", "rows => rows.map(row => Number(row.cells[1].dataset.value))"
            )
            assert shown == sorted(shown, reverse=True) and len(shown) > 5
            page.close()
        browser.close()
    assert {url for url in requests if not url.startswith("data:")} == {address}
    assert complaints == []
