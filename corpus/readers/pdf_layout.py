"""Lines of a PDF's pages → paragraphs: a PDF says where letters stand and not what belongs together.

A paragraph ends where the gap to the next line is wider than usual, the size of the letters changes, the next line is
set in, or a line stops short of the column and ends a sentence or is followed by a line set out. Words broken at line
ends are mended with the document's own words as the judge. Page numbers and the lines that head or foot many pages are
left out.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

BROKEN_WORD = "\u00ad"
HYPHENS = (BROKEN_WORD, "-", "\u2010")
WORD = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*")
LAST_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*\Z")
FIRST_WORD = re.compile(r"[^\W\d_]+")
DIGITS = re.compile(r"\d+")
PAGE_NUMBER = re.compile(
    r"(?:page\s+)?[-–—]?\s*(?:\d{1,4}|[ivxlc]{1,7})\s*[-–—]?(?:\s*(?:of|/)\s*\d{1,4})?", re.IGNORECASE
)
BULLET = re.compile(r"(?:[•▪◦‣·–*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+\S")
SENTENCE_END = re.compile(r"[.!?:;…。！？][\"'”’»)\]]*\Z")

WIDE_GAP = 1.35  # of the usual distance between lines
OTHER_SIZE = 1.15  # ratio of the heights of two lines that are not of one paragraph
INDENT = 0.7  # of a line's height
SHORT = 0.88  # of the column's width
RUNNING_PAGES, RUNNING_SHARE = 3, 0.02  # a line heads or foots so many pages, in number and share
EDGE_LINES = 2  # of a page that may be running heads
HEAD_CHARACTERS = 80  # a longer line is text, however often it comes


class Line(NamedTuple):
    """A line of a page; places in points from the lower left corner of the page."""

    text: str
    left: float
    bottom: float
    right: float
    top: float

    @property
    def height(self) -> float:
        return self.top - self.bottom


class Document(NamedTuple):
    """What of a whole document decides over its pages."""

    running: frozenset[str]  # lines at the edges of many pages, digits masked
    words: Counter[str]  # as written, in lower case, those at line ends left out
    pitch: float  # usual distance between the tops of two lines, as a multiple of their height


def survey(pages: Sequence[Sequence[Line]]) -> Document:
    """What the whole of a document tells."""
    edges: Counter[str] = Counter()
    words: Counter[str] = Counter()
    pitches = []
    for page in pages:
        edges.update({_masked(line) for line in (*page[:EDGE_LINES], *page[EDGE_LINES:][-EDGE_LINES:])})
        for line in page:
            text = line.text.rstrip()
            whole = LAST_WORD.sub("", text[:-1]) if text.endswith(HYPHENS) else text
            words.update(word.lower() for word in WORD.findall(whole))
        for above, below in pairwise(page):
            step = above.top - below.top
            if 0 < step < 4 * above.height:
                pitches.append(step / above.height)
    enough = max(RUNNING_PAGES, RUNNING_SHARE * len(pages))
    running = frozenset(text for text, count in edges.items() if count >= enough and len(text) <= HEAD_CHARACTERS)
    return Document(running, words, median(pitches) if pitches else 1.2)


def paragraphs(pages: Sequence[Sequence[Line]], document: Document) -> list[str]:
    """The paragraphs of some pages of a document, in order; one may go on from page to page."""
    done: list[str] = []
    text = ""
    before: Line | None = None
    for page in pages:
        body = [line for index, line in enumerate(page) if not _left_out(line, index, len(page), document)]
        left, right = _column(body)
        for index, line in enumerate(body):
            new_page = index == 0
            if before is not None and _ends(before, line, new_page, left, right, document.pitch):
                done.append(text)
                text = ""
            text = mended(text, line.text.strip(), document.words) if text else line.text.strip()
            before = line
    return [paragraph.replace(BROKEN_WORD, "") for paragraph in [*done, text] if paragraph]


def mended(text: str, line: str, words: Counter[str]) -> str:
    """`text` with `line` after it. A word broken by a hyphen is joined unless the document elsewhere writes it with
    one and never without; a hyphen before a capital or a digit, or after one, stays."""
    if not text.endswith(HYPHENS):
        return f"{text} {line}"
    hyphen, stem = text[-1], text[:-1]
    last, first = LAST_WORD.search(stem), FIRST_WORD.match(line)
    if last is None or first is None:
        return text + ("" if stem and not stem[-1].isspace() else " ") + line
    if first[0][0].isupper():
        return f"{stem}-{line}"
    solid, dashed = (last[0] + first[0]).lower(), f"{last[0]}-{first[0]}".lower()
    dashed_more = words[dashed] > words[solid]
    compound = "-" in last[0] and hyphen != BROKEN_WORD and not words[solid]
    return f"{stem}-{line}" if dashed_more or compound else stem + line


def _ends(above: Line, below: Line, new_page: bool, left: float, right: float, pitch: float) -> bool:
    """Whether a paragraph ends between two lines; `left` and `right` are the edges of the text on `below`'s page."""
    sizes = sorted((above.height, below.height))
    if sizes[0] > 0 and sizes[1] / sizes[0] > OTHER_SIZE:
        return True
    if BULLET.match(below.text.strip()):
        return True
    ended = SENTENCE_END.search(above.text.strip()) is not None
    if new_page or below.top > above.top:  # the next page or column: only a sentence tells
        return ended and (not below.text.lstrip()[:1].islower())
    if above.top - below.top > WIDE_GAP * pitch * above.height:
        return True
    width = right - left
    indent = below.left - above.left
    if indent > INDENT * below.height and not BULLET.match(above.text.strip()) and indent < width / 2:
        return True
    if width <= 0 or above.right >= left + SHORT * width:
        return False
    return indent < -INDENT * below.height or (ended and not below.text.lstrip()[:1].islower())


def _column(lines: Sequence[Line]) -> tuple[float, float]:
    return (min(line.left for line in lines), max(line.right for line in lines)) if lines else (0.0, 0.0)


def _left_out(line: Line, index: int, lines: int, document: Document) -> bool:
    if index in (0, lines - 1) and PAGE_NUMBER.fullmatch(line.text.strip()):
        return True
    return (index < EDGE_LINES or index >= lines - EDGE_LINES) and _masked(line) in document.running


def _masked(line: Line) -> str:
    return DIGITS.sub("0", " ".join(line.text.split()))
