"""The blocks of a page: what `page_text` weighs (imports none of ours).

outline   read off the page as the parser writes it out again: no "<" but that of a tag or a comment, every
          attribute with its double quotes
walk      the same node by node, for a page that is not written so; every node that is handed to Python costs 4 µs
"""

import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

ELEMENT, TEXT = 1, 3  # node types of the DOM
REMEMBERED = 1 << 16  # class attributes


def names(listed: str) -> frozenset[str]:
    """The names in a list with spaces between."""
    return frozenset(listed.split())


def one_of(tags: Iterable[str]) -> str:
    """An expression for one of some names, whose first letter is looked at once."""
    letters: dict[str, list[str]] = {}
    for tag in sorted(tags):
        letters.setdefault(tag[0], []).append(tag[1:])
    return "|".join(f"{letter}(?:{'|'.join(tails)})" for letter, tails in letters.items())


DROPPED = names(
    """script style noscript template svg canvas iframe object embed applet audio video map button select textarea input
    option datalist dialog nav menu footer aside head link meta"""
)
BLOCKS = names(
    """address article blockquote body center dd details div dl dt fieldset figcaption figure form h1 h2 h3 h4 h5 h6
    header hgroup li main ol p pre section summary table tbody td tfoot th thead tr ul"""
)
VOID = names("area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr")
RAW = names("xmp noembed noframes plaintext")  # whose text is written out as it is
NAMED = (BLOCKS | names("span a")) - names("article main body")  # whose class and id tell what they are
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
# What an element is, in one look; 0 for one of no kind.
IS_DROPPED, IS_VOID, IS_RAW, IS_BLOCK, IS_NAMED = 1, 2, 4, 8, 16
KINDS = {
    tag: IS_DROPPED * (tag in DROPPED)
    | IS_VOID * (tag in VOID)
    | IS_RAW * (tag in RAW)
    | IS_BLOCK * (tag in BLOCKS)
    | IS_NAMED * (tag in NAMED)
    for tag in DROPPED | VOID | RAW | BLOCKS | NAMED
}
HIDDEN = names("hidden visually-hidden sr-only screen-reader-text")
WORDS = re.compile(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])")
# A page as the parser writes it out: no "<" but that of a tag or a comment, every attribute with its double quotes.
_ATTRIBUTES = r"""((?: [^\s"'<>/=]+="[^"<]*")*)"""
TOKEN = re.compile(rf"([^<]*)<(/?)(!|[a-zA-Z][^\s/>]*){_ATTRIBUTES}>")  # text, and what ends it
UNREAD = re.compile(rf"<!--.*?-->|<(script|style|iframe){_ATTRIBUTES}>.*?</\1>", re.DOTALL)
UNSEEN = re.compile(rf"<({one_of(DROPPED - VOID)})(?: [^>]*)?>")
NAMES = tuple((f' {name}="', re.compile(rf' {name}="([^"]*)"')) for name in ("class", "id"))
ESCAPED = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&nbsp;", "\xa0"), ("&amp;", "&"))


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


class Outline:
    """A page as the parser wrote it, and the spans of its elements: element i is page[starts[i]:ends[i]]."""

    def __init__(self, page: str) -> None:
        self.page = page
        self.starts: list[int] = []
        self.ends: list[int] = []

    def without(self, kept: Iterable[int], removed: Iterable[int]) -> str:
        """The elements `kept`, in document order, less those `removed` that stand in them."""
        gone = sorted((self.starts[place], self.ends[place]) for place in removed)
        parts: list[str] = []
        for place in kept:
            at, end = self.starts[place], self.ends[place]
            for start, stop in gone[bisect_left(gone, (at, 0)) :]:
                if start >= end:
                    break
                if start >= at:  # else it stands in the one before
                    parts.append(self.page[at:start])
                    at = stop
            parts.append(self.page[at:end])
        return "".join(parts)


def outline(page: str, by_name: bool) -> tuple[list[Block], list[int], Outline] | None:
    """What `walk` finds, with numbers of elements instead of nodes; None for a page that is written in another way."""
    page = emptied(UNREAD.sub(lambda part: f"<{part[1]}></{part[1]}>" if part[1] else "<!>", page))
    tokens = TOKEN.findall(page)
    if len(tokens) != page.count("<") or tokens[0][2] != "body":
        return None
    found = Outline(page)
    starts, ends = found.starts, found.ends
    block, blocks, unseen = None, [], []
    above: list[tuple[int, Any, bool]] = []
    linked, hidden, behind = False, 0, 0
    for text, closing, tag, attributes in tokens:
        at = behind + len(text)
        behind = at + len(closing) + len(tag) + len(attributes) + 2
        if hidden:
            if closing:
                hidden -= 1
                if not hidden:
                    ends[-1] = behind
            elif tag not in VOID and tag != "!":
                hidden += 1
            continue
        if text and block is not None:
            size = len((unescaped(text) if "&" in text else text).strip())
            if linked:
                block.links += size
            else:
                block.text += size
        if closing:
            if not above:
                return None
            place, block, linked = above.pop()
            ends[place] = behind
            continue
        if tag == "!":
            continue
        place = len(starts)
        starts.append(at)
        ends.append(behind)
        kind = KINDS.get(tag, 0)
        if kind & IS_DROPPED:
            unseen.append(place)
            hidden = int(not kind & IS_VOID)
        elif kind & IS_RAW:
            return None
        elif not kind & IS_VOID:
            above.append((place, block, linked))
            part = by_name and attributes != "" and kind & IS_NAMED != 0 and is_part(named(attributes))
            if part or kind & IS_BLOCK:
                block = Block(place, tag, block, part)
                blocks.append(block)
            linked = linked or tag == "a"
    return None if above else (blocks, unseen, found)


def emptied(page: str) -> str:
    """The page with nothing in elements that are never content, but in those that have one of their kind inside."""
    parts: list[str] = []
    at = 0
    for tag in UNSEEN.finditer(page):
        begin = tag.end()
        end = page.find(f"</{tag[1]}>", begin)
        if begin > at and end >= 0 and page.find(f"<{tag[1]}", begin, end) < 0:
            parts.append(page[at:begin])
            at = end
    return "".join([*parts, page[at:]])


def unescaped(text: str) -> str:
    """The text that is written so."""
    if "&" in text:
        for written, character in ESCAPED:
            text = text.replace(written, character)
    return text


def named(attributes: str) -> str:
    """Class and id, with a blank between them."""
    found = [pattern.search(attributes) if name in attributes else None for name, pattern in NAMES]
    return unescaped(" ".join([match[1] if match else "" for match in found]))


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


@lru_cache(REMEMBERED)
def is_part(given: str) -> bool:
    """Whether an element of these classes and this id is a part that pages have beside their content."""
    if given.isspace():
        return False
    words = {word.lower() for word in WORDS.split(given)}
    parts = words & PARTS
    unsure = parts <= WEAK and not CONTENT.isdisjoint(words)
    return (bool(parts) and not unsure) or not HIDDEN.isdisjoint(given.split())
