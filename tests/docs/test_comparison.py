"""docs/comparison.md keeps its word: every "yes" names a test that is there, every peer's version is stated."""

import re
from pathlib import Path

from docs.building.source_pages import functions, outgoing_links

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "comparison.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \| \[yes\]\(\.\./(tests/[^)#]+)#(\w+)\) \| ([^|]+) \|$", PAGE, re.MULTILINE)


def test_every_row_of_a_capability_links_to_a_test_that_exists():
    bodies = [body.split("|---|---|---|\n")[1].split("\n\n")[0] for body in PAGE.split("| capability |")[1:]]
    assert len(ROWS) == sum(len(body.strip().splitlines()) for body in bodies) > 30
    for capability, path, name, _ in ROWS:
        assert name in functions(CHECKOUT / path) and name.startswith("test_"), capability


def test_no_link_out_of_docs_leads_nowhere_on_any_page():
    for page in (CHECKOUT / "docs").glob("*.md"):
        for path, name in outgoing_links(page.read_text()):
            assert (CHECKOUT / path).exists(), f"{page.name}: {path}"
            assert name is None or name in functions(CHECKOUT / path), f"{page.name}: {path}#{name}"


def test_what_is_said_of_a_peer_names_a_package_of_the_table():
    peers = set(re.findall(r"^\| ([A-Za-z-]+(?: [A-Z]\w+)?)[^|]* \| \d+\.\d+(?:\.\d+)? \|", PAGE, re.MULTILINE))
    assert len(peers) == 9
    for capability, _, _, said in ROWS:
        assert "not found" in said or any(peer in said for peer in peers) or "all trainers" in said, capability
