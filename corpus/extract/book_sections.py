"""HTML → its text in sections; an engine of worker.py, so it imports nothing of ours.

    in     JSON of {"page": HTML, "anchors": [id, …] or null}
    out    JSON of [{"title": …, "anchor": id or null, "text": …}, …]

Sections start at the elements that the anchors name; without anchors at the <h1> of the page, or at its <h2> where
there are no two <h1>. What stands before the first is a section of its own. A page that has no such place is one
section, titled by its first heading.
"""

import json
from typing import Any

# "Link to this heading" marks, menus and page furniture.
SKIPPED = ["a.headerlink", "a.anchor-link", "a.heading-anchor", "a.hash-link", "nav", "footer", "[role=navigation]"]
HEADINGS = "h1, h2, h3"
MARK = "\ue000"


def extract(message: bytes) -> bytes:
    """The sections of a page."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    request = json.loads(message)
    tree: Any = HTMLTree.parse(request["page"])
    starts = _starts(tree, request["anchors"])
    mark = MARK
    while mark in request["page"]:
        mark += MARK
    titles: list[dict[str, Any]] = []
    for number, (element, anchor) in enumerate(starts):
        titles.append({"title": _title(element), "anchor": anchor})
        place = tree.create_element("p")
        place.text = f"{mark}{number}{mark}"
        element.parent.insert_before(place, element)
    text = extract_plain_text(tree, preserve_formatting=True, main_content=False, skip_elements=SKIPPED)
    before, *pieces = text.split(mark)
    first = _before(tree, starts, request["anchors"])
    sections = [{"title": _title(first) if first is not None else None, "anchor": None, "text": before.strip()}]
    # A mark that did not come out leaves its section to the one before it.
    for start, piece in zip(pieces[::2], pieces[1::2], strict=False):
        sections.append({**titles[int(start)], "text": piece.strip()})
    return json.dumps(sections).encode("utf-8", "replace")


def _starts(tree: Any, anchors: list[str] | None) -> list[tuple[Any, str | None]]:
    """The elements that start a section, in the page's order, with the anchor that named them."""
    body = tree.body
    if body is None:
        return []
    if anchors is not None:
        wanted = set(anchors)
        elements = [(element, element.getattr("id")) for element in body.query_selector_all("[id]")]
        return [(element, name) for element, name in elements if name in wanted and element is not body]
    for heading in ("h1", "h2"):
        found = body.query_selector_all(heading)
        if len(found) > (heading == "h1"):
            return [(element, None) for element in found]
    return []


def _before(tree: Any, starts: list[tuple[Any, str | None]], anchors: list[str] | None) -> Any:
    """The heading that titles what stands before the first section: the only <h1>, or any where nothing starts."""
    if starts and anchors is not None:
        return None
    heading = tree.document.query_selector("h1" if starts else HEADINGS)
    return None if starts and starts[0][0].tag == "h1" else heading


def _title(element: Any) -> str | None:
    """The words of a heading, or of the first heading within an element."""
    if element.tag not in ("h1", "h2", "h3", "h4", "h5", "h6"):
        element = element.query_selector(HEADINGS)
    return " ".join(element.text.split()) or None if element is not None else None
