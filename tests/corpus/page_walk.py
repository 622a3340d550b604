"""The main content of a page found node by node in the parser's tree, by Python: what the compiled loops over its
writing are compared with."""

import re
from typing import Any, cast

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from corpus.extract.page_blocks import BLOCKS, CONTENT, DROPPED, HIDDEN, INNER, KEPT_WITH_LINKS, NAMED, PARTS, WEAK
from corpus.extract.page_text import MARKED, without_marks

ELEMENT, TEXT = 1, 3  # node types of the DOM
NEARLY_ALL, MOST, ENOUGH = 0.75, 0.6, 250
LINE, SHORT_LINE, LEVELS, LINKS_BESIDE, LONG = 40, 20, 3, 0.2, 200
WORDS = re.compile(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])")


def walked(page: str) -> str:
    """What `page_text.resiliparse` gives."""
    tree: Any = HTMLTree.parse(page)
    if tree.body is None:
        return ""
    keep_content(tree.body)
    if any(mark in tree.body.html for mark in MARKED):
        without_marks(tree)
    return extract_plain_text(tree, preserve_formatting=True, main_content=False, alt_texts=False)


class Block:
    """A block element, or an inline one with the name of a part; `text` and `links` are characters, of its own at first
    and with those below it once weighed; `weight` is its running text; `element` its node, or its number in an outline.
    """

    __slots__ = ("below", "element", "links", "parent", "part", "tag", "text", "weight")

    def __init__(self, element: Any, tag: str, parent: "Block | None", part: bool) -> None:
        self.element, self.tag, self.parent, self.part = element, tag, parent, part
        self.below: list[Block] = []
        self.text = self.links = 0
        self.weight = 0.0
        if parent is not None:
            parent.below.append(self)


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
                given = f"{node.get_attribute('class') or ''} {node.get_attribute('id') or ''}" if tag in NAMED else " "
                part = by_name and is_part(given)
                if part or tag in BLOCKS:
                    block = Block(node, tag, block, part)
                    blocks.append(block)
                node, linked = node.first_child, linked or tag == "a"
                continue
        node = following
    return blocks, unseen


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
