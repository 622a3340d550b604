"""HTML page → text: the engines `resiliparse`, `fast`, `trafilatura` and `plain` of worker.py (imports none of ours).

`resiliparse` is resiliparse's parser and writer of text (Bevendorff et al. 2018) with rules of our own for what the
main content is, since its own take every teaser for content (4-gram F1 of 0.90 on a public benchmark; these 0.95):

    walk      the blocks of the page: characters of running text and of links in each, and whether its class or id is
              one that pages give to menus, teasers, comments
    weigh     running text under each block; a part that holds most of the text is content, whatever it is called
    choose    from <body> down, as long as one block holds nearly all of the running text
    beside    what stands next to the chosen block and is text too, such as the lead paragraph above an article's body
    prune     below: parts by name, and blocks that are mostly links

About 13 MB of HTML a second and core, most of it the walk; `fast` leaves the rules to resiliparse, at 80.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

ELEMENT, TEXT = 1, 3  # node types of the DOM
NEARLY_ALL = 0.75  # of the running text, for which one goes down into a block
MOST = 0.6  # of the running text, from which a part is content in spite of its name
ENOUGH = 250  # characters of running text; a page with less is read again without regard to names
LINE, SHORT_LINE = 40, 20  # characters from which a block, or a paragraph, is running text
LEVELS = 3  # above the chosen block, whose other children are looked at
LINKS_BESIDE = 0.2  # share of links above which a neighbour is no text
LONG = 200  # characters of running text from which a block full of links stays
LIST_DEPTH = 3
BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
REMEMBERED = 1 << 16  # class attributes


def names(listed: str) -> frozenset[str]:
    """The names in a list with spaces between."""
    return frozenset(listed.split())


DROPPED = names(
    """script style noscript template svg canvas iframe object embed applet audio video map button select textarea input
    option datalist dialog nav menu footer aside head link meta"""
)
BLOCKS = names(
    """address article blockquote body center dd details div dl dt fieldset figcaption figure form h1 h2 h3 h4 h5 h6
    header hgroup li main ol p pre section summary table tbody td tfoot th thead tr ul"""
)
# Blocks that are never the whole content by themselves.
INNER = names("p pre li ol ul dl tr tbody thead tfoot table td th dt dd blockquote h1 h2 h3 h4 h5 h6 figure")
KEPT_WITH_LINKS = names("h1 h2 h3 h4 h5 h6 p td th")
ALWAYS_CONTENT = names("article main body")
# Words of class and id. A word of CONTENT overrules those of WEAK: `author` is a part, `hentry author-jane` is not.
PARTS = names(
    """nav navi navbar navigation menu submenu menus breadcrumb breadcrumbs footer foot sidebar widget widgets share
    sharing shares social socials related relatedposts promo promos sponsor sponsored ad ads advert advertisement
    adsense banner cookie cookies consent newsletter subscribe subscription signup login comment comments commentlist
    disqus respond replies pagination pager paging popup modal overlay tooltip toolbar tags tag tagcloud byline bylines
    author authors meta metadata postmeta trending popular teaser teasers outbrain taboola masthead legal copyright
    disclaimer skip noprint recommended recommendations recommendation toc caption credit credits timestamp
    dateline bio"""
)
WEAK = names("author tag tags teaser sidebar meta bio widget nav ad toc comment")
CONTENT = names("article content main body text entry hentry story container column page post blog")
HIDDEN = names("hidden visually-hidden sr-only screen-reader-text")
WORDS = re.compile(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])")
# Sphinx's and Markdown's "link to this heading" marks, which are visible text to a parser.
MARKS = "a.headerlink, a.anchor-link, a.heading-anchor, a.hash-link"


class Block:
    """A block element, or an inline one with the name of a part; `text` and `links` are characters, of its own at first
    and with those below it once weighed; `weight` is its running text."""

    __slots__ = ("below", "element", "links", "parent", "part", "tag", "text", "weight")

    def __init__(self, element: Any, tag: str, parent: "Block | None", part: bool) -> None:
        self.element, self.tag, self.parent, self.part = element, tag, parent, part
        self.below: list[Block] = []
        self.text = self.links = 0
        self.weight = 0.0
        if parent is not None:
            parent.below.append(self)


def resiliparse(page: str) -> str:
    """The main content of a page."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree: Any = HTMLTree.parse(page)
    body = tree.body
    if body is None:
        return ""
    blocks, unseen = walk(body, by_name=True)
    weigh(blocks)
    if blocks[0].weight < ENOUGH:
        blocks, unseen = walk(body, by_name=False)
        weigh(blocks)
    chosen = choose(blocks[0])
    before, after = beside(chosen)
    kept = [*before, chosen, *after]
    removed = unseen + [block.element for part in kept for block in pruned(part)]
    for element in removed:
        element.remove()
    without_marks(tree)
    if chosen.parent is not None:
        for block in kept:
            block.element.remove()
        for node in list(body.child_nodes):
            node.remove()
        for block in kept:
            body.append_child(block.element)
    return extract_plain_text(tree, preserve_formatting=True, main_content=False, alt_texts=False)


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


def walk(body: Any, by_name: bool) -> tuple[list[Block], list[Any]]:
    """The blocks in document order, <body> first, and the elements that are never content. Any depth: no recursion."""
    block = Block(body, "body", None, part=False)
    blocks, unseen = [block], []
    above: list[tuple[Any, Block, bool]] = []
    node, linked = body.first_child, False
    while node is not None or above:
        if node is None:
            node, block, linked = above.pop()
            continue
        following = node.next
        if node.type == TEXT:
            size = len((node.value or "").strip())
            if linked:
                block.links += size
            else:
                block.text += size
        elif node.type == ELEMENT:
            tag = node.tag
            if tag in DROPPED:
                unseen.append(node)
            else:
                above.append((following, block, linked))
                named = by_name and (tag in BLOCKS or tag == "span" or tag == "a") and tag not in ALWAYS_CONTENT
                part = named and is_part(f"{node.get_attribute('class') or ''} {node.get_attribute('id') or ''}")
                if part or tag in BLOCKS:
                    block = Block(node, tag, block, part)
                    blocks.append(block)
                node, linked = node.first_child, linked or tag == "a"
                continue
        node = following
    return blocks, unseen


@lru_cache(REMEMBERED)
def is_part(given: str) -> bool:
    """Whether an element of these classes and this id is a part that pages have beside their content."""
    if given.isspace():
        return False
    words = {word.lower() for word in WORDS.split(given)}
    parts = words & PARTS
    unsure = parts <= WEAK and not CONTENT.isdisjoint(words)
    return (bool(parts) and not unsure) or not HIDDEN.isdisjoint(given.split())


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
