"""The report in a real browser: sorting, searching, theme, printing, no request, no complaint, and axe-core."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_workspace import write_all, write_corpus, write_plan, write_run

from pipelines.audit.everything import ask
from pipelines.report.publish import write_report

pytestmark = pytest.mark.browser
CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = '<script>window.broken = 1</script><img src=x onerror="window.broken = 2">"onload="window.broken=3'
FORMULA = '=HYPERLINK("http://example.org","click")'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("browser") / "medical"
    write_all(folder)
    return (write_report(folder, ask(folder)) / "report.html").as_uri()


class Opened:
    """A page with what it asked for and complained of."""

    def __init__(self, browser: Any, address: str, width: int = 1400, scheme: str = "light") -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)


def shown_rows(page: Any, table: str) -> list[str]:
    return page.eval_on_selector_all(
        f"{table} tbody tr", "rows => rows.filter(row => !row.hidden).map(row => row.innerText)"
    )


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (420, "dark")])
def test_it_opens_without_a_request_or_a_complaint_and_fits(
    browser: Any, address: str, width: int, scheme: str
) -> None:
    opened = Opened(browser, address, width, scheme)
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert {url for url in opened.requests if not url.startswith("data:")} == {address}
    assert opened.complaints == []
    opened.page.close()


def test_tables_sort_both_ways_by_mouse_and_by_key(browser: Any, address: str) -> None:
    page = Opened(browser, address).page
    table = page.locator("#funnel table").nth(1)
    head = table.locator("thead th").nth(1)
    head.locator("button").click()
    numbers = "rows => rows.map(row => Number(row.cells[1].dataset.value))"
    values = table.locator("tbody tr").evaluate_all(numbers)
    assert values == sorted(values, reverse=True) and len(set(values)) > 2
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert table.locator("tbody tr").evaluate_all(numbers) == sorted(values)
    assert "sorted by documents" in page.inner_text("#said")
    page.close()


def test_tables_are_searched_by_all_words(browser: Any, address: str) -> None:
    page = Opened(browser, address).page
    field = page.get_by_label("Search in: Why documents were not kept")
    table = "#funnel table[data-search]"
    everything = shown_rows(page, table)
    field.fill("NOTES duplicate")
    found = shown_rows(page, table)
    assert found == [row for row in everything if "notes" in row and "duplicate" in row] and found
    assert f"{len(found)} of {len(everything)} rows" in page.inner_text("#said")
    field.fill("")
    assert shown_rows(page, table) == everything
    page.close()


def test_the_theme_is_chosen_and_printing_is_on_white_with_all_rows(browser: Any, address: str) -> None:
    page = Opened(browser, address).page
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    for name in ("light", "dark"):
        page.click("#theme")
        assert page.inner_text("#theme") == f"Theme: {name}"
    dark = page.evaluate(ground)
    assert dark != before
    page.get_by_label("Search in: Why documents were not kept").fill("nothing has this")
    page.emulate_media(media="print")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert page.is_hidden("nav") and page.is_hidden("#theme")
    assert page.locator("#funnel table").nth(1).locator("tbody tr").first.is_visible()
    assert len(page.pdf()) > 20_000
    page.emulate_media(media="screen")
    page.click("#theme")
    assert page.evaluate(ground) == before
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (420, "dark")])
def test_axe_finds_no_serious_violation(browser: Any, address: str, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    # The page's own policy refuses axe's script, as it should: the audit runs on a copy without it.
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    source = Path(address.removeprefix("file://")).read_text()
    page.set_content(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source))
    found = axe.Axe().run(page).response["violations"]
    serious = [(v["id"], [node["html"][:200] for node in v["nodes"][:3]]) for v in found
               if v["impact"] in ("serious", "critical")]  # fmt: skip
    assert serious == []
    page.close()


def test_hostile_names_are_inert_in_the_browser(browser: Any, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    name = HOSTILE.replace("/", "")
    write_corpus(folder, sources=(name, FORMULA.replace("/", ""), "general"), documents=30)
    write_plan(folder, {name: 0.5, "general": 0.5}, steps=4)
    write_run(folder, "run")
    opened = Opened(browser, (write_report(folder, ask(folder)) / "report.html").as_uri())
    assert opened.page.evaluate("window.broken") is None
    assert opened.page.locator("main img, main script, main [onload], main [onerror]").count() == 0
    assert opened.complaints == []
    assert name in opened.page.inner_text("#funnel")
    opened.page.close()
