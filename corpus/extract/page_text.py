"""HTML page → text: the engines `resiliparse`, `fast`, `trafilatura` and `plain` of worker.py.

`resiliparse` is resiliparse's parser and writer of text (Bevendorff et al. 2018) with rules of our own for what the
main content is, since its own take every teaser for content (4-gram F1 of 0.90 on a public benchmark; these 0.95):

    outline   the blocks of the page: characters of running text and of links in each, and whether its class or id is
              one that pages give to menus, teasers, comments (page_blocks)
    weigh     running text under each block; a part that holds most of the text is content, whatever it is called
    choose    from <body> down, as long as one block holds nearly all of the running text
    beside    what stands next to the chosen block and is text too, such as the lead paragraph above an article's body
    prune     below: parts by name, and blocks that are mostly links

About 30 MB of HTML a second and core; `fast` leaves the rules to resiliparse, at 80.
"""

import re
from collections.abc import Callable
from typing import Any, cast

from corpus.extract.page_blocks import Block, names, outline, walk

NEARLY_ALL = 0.75  # of the running text, for which one goes down into a block
MOST = 0.6  # of the running text, from which a part is content in spite of its name
ENOUGH = 250  # characters of running text; a page with less is read again without regard to names
LINE, SHORT_LINE = 40, 20  # characters from which a block, or a paragraph, is running text
LEVELS = 3  # above the chosen block, whose other children are looked at
LINKS_BESIDE = 0.2  # share of links above which a neighbour is no text
LONG = 200  # characters of running text from which a block full of links stays
LIST_DEPTH = 3
BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)


# Blocks that are never the whole content by themselves.
INNER = names("p pre li ol ul dl tr tbody thead tfoot table td th dt dd blockquote h1 h2 h3 h4 h5 h6 figure")
KEPT_WITH_LINKS = names("h1 h2 h3 h4 h5 h6 p td th")
# Sphinx's and Markdown's "link to this heading" marks, which are visible text to a parser.
MARKED = ("headerlink", "anchor-link", "heading-anchor", "hash-link")
MARKS = ", ".join(f"a.{name}" for name in MARKED)


def resiliparse(page: str) -> str:
    """The main content of a page."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree: Any = HTMLTree.parse(page)
    if tree.body is None:
        return ""
    content = content_by_outline(tree.body.html)
    if content is not None:
        tree = HTMLTree.parse(f"<body>{content}</body>")
    else:
        keep_content(tree.body)
    if content is None or any(mark in content for mark in MARKED):
        without_marks(tree)
    return extract_plain_text(tree, preserve_formatting=True, main_content=False, alt_texts=False)


Content = tuple[list[Any], list[Any], bool]  # elements to keep, elements to take out, whether all of <body> is kept


def content_of(blocks: list[Block], unseen: list[Any], anything: bool) -> Content | None:
    """What to keep of a page and what to take out; None where the blocks have too little text, unless `anything`
    will do."""
    weigh(blocks)
    if blocks[0].weight < ENOUGH and not anything:
        return None
    chosen = choose(blocks[0])
    before, after = beside(chosen)
    kept = [*before, chosen, *after]
    removed = unseen + [block.element for part in kept for block in pruned(part)]
    return [block.element for block in kept], removed, chosen.parent is None


def content_by_outline(page: str) -> str | None:
    """What to keep of a page as its parser writes it, None where that is not what it should be."""
    for by_name in (True, False):
        found = outline(page, by_name)
        if found is None:
            return None
        blocks, unseen, outlined = found
        content = content_of(blocks, unseen, anything=not by_name)
        if content is not None:
            return outlined.without(*content[:2])
    return None


def keep_content(body: Any) -> None:
    """Take all that is not content out of the tree, node by node, which is slow."""
    content = content_of(*walk(body, by_name=True), anything=False)
    kept, removed, whole = content or cast(Content, content_of(*walk(body, by_name=False), anything=True))
    for element in removed:
        element.remove()
    if not whole:
        for element in kept:
            element.remove()
        for node in list(body.child_nodes):
            node.remove()
        for element in kept:
            body.append_child(element)


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
    "resiliparse": resiliparse,
    "fast": fast,
    "trafilatura": trafilatura,
    "plain": plain,
}


def weigh(blocks: list[Block]) -> None:
    """Sum up what is below each block, and call no part what holds most of the text."""
    running = [own_weight(block) for block in blocks]
    for block, weight in zip(reversed(blocks), reversed(running), strict=True):
        block.weight += weight
        if block.parent is not None:
            block.parent.text += block.text
            block.parent.links += block.links
            block.parent.weight += block.weight
    bound = MOST * blocks[0].weight
    for block in blocks:
        block.part = block.part and block.weight <= bound
        block.weight = 0.0
    for block, weight in zip(reversed(blocks), reversed(running), strict=True):
        block.weight = 0.0 if block.part else block.weight + weight
        if block.parent is not None:
            block.parent.weight += block.weight


def own_weight(block: Block) -> float:
    """Characters of running text that stand in the block itself."""
    if block.links >= block.text:
        return 0.0
    if block.text >= LINE:
        return block.text * (0.5 if block.tag == "li" else 1.0)
    return block.text * 0.5 if block.text >= SHORT_LINE and block.tag in ("p", "pre") else 0.0


def choose(body: Block) -> Block:
    """The smallest container that holds nearly all of the running text."""
    block = body
    while block.below:
        best = max(block.below, key=lambda child: child.weight)
        if not best.weight or best.weight < NEARLY_ALL * block.weight:
            break
        block = best
    while block.tag in INNER and block.parent is not None:
        block = block.parent
    return block


def beside(block: Block) -> tuple[list[Block], list[Block]]:
    """Text before the block, and paragraphs after it, among the other children of the blocks above it."""
    before: list[Block] = []
    after: list[Block] = []
    for _ in range(LEVELS):
        above = block.parent
        if above is None:
            break
        place = above.below.index(block)
        before = [part for part in above.below[:place] if is_text(part)] + before
        after += [part for part in above.below[place + 1 :] if part.tag in ("p", "blockquote") and is_text(part)]
        block = above
    return before, after


def is_text(block: Block) -> bool:
    return not block.part and block.weight >= LINE and block.links < LINKS_BESIDE * block.text


def pruned(block: Block) -> list[Block]:
    """The blocks to take out below this one."""
    removed: list[Block] = []
    inside = [block]
    while inside:
        for child in inside.pop().below:
            menu = child.links > child.text and child.weight < LONG and child.tag not in KEPT_WITH_LINKS
            if child.part or menu:
                removed.append(child)
            else:
                inside.append(child)
    return removed
