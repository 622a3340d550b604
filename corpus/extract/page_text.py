"""HTML page → text: the engines `resiliparse`, `fast`, `trafilatura` and `plain` of worker.py.

`resiliparse` is resiliparse's parser and writer of text (Bevendorff et al. 2018) with rules of our own for what the
main content is, since its own take every teaser for content (4-gram F1 of 0.90 on a public benchmark; these 0.95):

    body             the page as its parser writes it out
    main content     of that, by a compiled loop over many pages (corpus/kernels/main_content.py)
    text             of that, the same way (corpus/kernels/page_writing.py), or
    written          by resiliparse's writer, for a page with tables, preformatted text and the like

Extraction asks a child process for the first and the last. `fast` leaves the rules to resiliparse.
"""

import re
from collections.abc import Callable
from typing import Any

LIST_DEPTH = 3
BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
# Sphinx's and Markdown's "link to this heading" marks, which are visible text to a parser.
MARKED = ("headerlink", "anchor-link", "heading-anchor", "hash-link")
MARKS = ", ".join(f"a.{name}" for name in MARKED)


def body(page: str) -> str:
    """The body of a page as its parser writes it out, empty where there is none."""
    from resiliparse.parse.html import HTMLTree

    tree: Any = HTMLTree.parse(page)
    return "" if tree.body is None else tree.body.html


def written(content: str) -> str:
    """The text of the main content of a page."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree: Any = HTMLTree.parse(f"<body>{content}</body>")
    if any(mark in content for mark in MARKED):
        without_marks(tree)
    return extract_plain_text(tree, preserve_formatting=True, main_content=False, alt_texts=False)


def resiliparse(page: str) -> str:
    """The main content of a page."""
    from corpus.extract.content import main_content, plain_texts

    contents = main_content([body(page).encode()])
    (text,) = plain_texts(contents)
    return written(bytes(contents[0]).decode()) if text is None else bytes(text).decode()


def fast(page: str) -> str:
    """The main content by resiliparse's own rules, which drop every list fewer than LIST_DEPTH levels below <body>.

    The body's content is set deeper before they see it, so that lists of prose in plainly built pages stay; lists of
    links still go. It is done in the source where that has the tag, as moving nodes is ten times as slow.
    """
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    page, found = BODY.subn(lambda tag: tag[0] + "<div>" * LIST_DEPTH, page, count=1)
    tree: Any = HTMLTree.parse(page)
    if not found and tree.body is not None:  # where its body starts only the parser knows
        content = list(tree.body.child_nodes)
        inner = tree.body
        for _ in range(LIST_DEPTH):
            inner = inner.append_child(tree.create_element("div"))
        for node in content:
            inner.append_child(node)
    without_marks(tree)
    return extract_plain_text(tree, preserve_formatting=True, main_content=True, alt_texts=False)


def plain(page: str) -> str:
    """Everything visible, menus included."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree: Any = HTMLTree.parse(page)
    without_marks(tree)
    return extract_plain_text(tree, preserve_formatting=True, main_content=False)


def without_marks(tree: Any) -> None:
    """Take the marks out. One query; the writer's own `skip_elements` tries every selector at every node."""
    for element in list(tree.document.query_selector_all(MARKS)):
        element.remove()


def trafilatura(page: str) -> str:
    """The main content as trafilatura finds it (Barbaresi 2021), tables included, readers' comments not."""
    import logging

    from trafilatura import extract

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # its complaints would quote the page
    return extract(page, include_comments=False, include_tables=True) or ""


ENGINES: dict[str, Callable[[str], str]] = {
    "body": body,
    "written": written,
    "resiliparse": resiliparse,
    "fast": fast,
    "trafilatura": trafilatura,
    "plain": plain,
}
