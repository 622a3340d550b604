"""Textbooks in HTML, EPUB or PDF, one document a chapter, with the titles of book and chapter in the metadata.

    EPUB    the entries of its table of contents; without one, the documents of the spine
    HTML    <h1>, or <h2> where there is only one <h1>
    PDF     the bookmarks; a chapter starts on a page of its own

Where a book says nothing about chapters it is one document. The text is plain: no step `extract` is to follow.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

import orjson

from corpus.extract.guard import Failure, Guard
from corpus.readers.base import Member, Reading, Tally, found, plain, quarantined
from corpus.readers.epub import read_epub
from corpus.readers.files import DamagedError
from corpus.readers.pdf import NO_TEXT, GuardedSettings, pdf_guard, read_pdf
from corpus.readers.pdf_layout import paragraphs, survey
from corpus.readers.plain_text import LoadedFileReader
from corpus.readers.web_pages import decode_page

HTML = (".html", ".htm", ".xhtml")
# An entry of a table of contents that gathers chapters and is none.
PART = re.compile(r"(?:part|book|unit|volume|teil|partie|parte|del)\b", re.IGNORECASE)

Target = TypeVar("Target")


class TextbookSettings(GuardedSettings):
    """Textbooks (.html, .epub, .pdf), one document a chapter."""

    kind: Literal["textbooks"] = "textbooks"


class Section(NamedTuple):
    """A stretch of a page; `anchor` names the element it starts at."""

    title: str | None
    anchor: str | None
    text: str


@dataclass
class Chapter:
    """A chapter: its title, the texts it is of, its share of the raw bytes, and why it cannot be read."""

    title: str | None
    texts: list[str] = field(default_factory=list)
    raw: int = 0
    fault: str | None = None

    @property
    def text(self) -> str:
        return "\n\n".join(text for text in self.texts if text)


@dataclass
class Book:
    """A book as read."""

    title: str | None
    chapters: list[Chapter]


class TextbookReader(LoadedFileReader):
    """Parsing is done by child processes; a chapter that stalls or breaks one is quarantined, the others stay."""

    suffixes = (*HTML, ".epub", ".pdf")
    settings: TextbookSettings

    @cached_property
    def pdf(self) -> Guard:
        return pdf_guard(self.settings)

    @cached_property
    def pages(self) -> Guard:
        return Guard("book_sections", self.settings.timeout_seconds, self.settings.max_memory)

    def close(self) -> None:
        self.pdf.close()
        self.pages.close()

    def loaded_readings(self, member: Member, content: bytes, tally: Tally) -> Iterator[Reading]:
        try:
            book = self._book(member, content)
        except DamagedError as damage:
            raise damage.after(len(content)) from None
        # Front matter without text is no record, unless there is nothing else.
        chapters = [each for each in book.chapters if each.title or each.fault or each.text] or book.chapters[:1]
        for number, chapter in enumerate(chapters):
            tally.count(chapter.raw)
            yield self._reading(book, number, chapter)

    def _reading(self, book: Book, number: int, chapter: Chapter) -> Reading:
        if chapter.fault == NO_TEXT.reason:
            return NO_TEXT
        if chapter.fault:
            return quarantined(chapter.fault, chapter.raw)
        return found(chapter.text, metadata=plain({"title": book.title, "chapter": chapter.title, "number": number}))

    def _book(self, member: Member, content: bytes) -> Book:
        if member.suffix == ".epub":
            return self._epub(content)
        if member.suffix == ".pdf":
            return self._pdf(content)
        return self._html(content)

    def _html(self, content: bytes) -> Book:
        sections = self._sections(content, None)
        if isinstance(sections, str):
            raise DamagedError(reason=sections)
        chapters = [Chapter(section.title, [section.text]) for section in sections]
        chapters[0].raw = len(content)
        title = next((section.title for section in sections if section.title), None)
        return Book(title, chapters)

    def _pdf(self, content: bytes) -> Book:
        pdf = read_pdf(content, self.pdf)
        if isinstance(pdf, str):
            raise DamagedError(reason=pdf)
        if not pdf.has_text:
            return Book(pdf.title, [Chapter(pdf.title, raw=len(content), fault=NO_TEXT.reason)])
        starts: dict[int, str] = {}
        for title, page in chapter_starts(pdf.outline):
            starts[page] = f"{starts[page]} / {title}" if page in starts else title
        document = survey(pdf.pages)
        pages = sorted(starts)
        chapters = []
        for start, end in zip([0, *pages], [*pages, len(pdf.pages)], strict=True):
            if end > start:
                chapters.append(Chapter(starts.get(start), paragraphs(pdf.pages[start:end], document)))
        chapters[0].raw = len(content)
        return Book(pdf.title, chapters)

    def _epub(self, content: bytes) -> Book:
        limit = self.expansion_limit(len(content))
        epub = read_epub(content, self.settings.max_bytes, limit)
        targets = {
            (path, anchor): title
            for title, (path, anchor) in chapter_starts(
                [(entry.level, entry.title, (entry.path, entry.anchor)) for entry in epub.toc]
            )
        }
        told = any(path in epub.spine for path, _ in targets)
        chapters: list[Chapter] = []
        for document in epub.documents():
            anchors = [anchor for path, anchor in targets if path == document.path and anchor]
            sections = document.fault or self._sections(document.content, anchors)
            if not chapters or not told or (document.path, None) in targets:
                chapters.append(Chapter(targets.get((document.path, None))))
            chapters[-1].raw += len(document.content)
            if isinstance(sections, str):
                chapters[-1].fault = sections
                continue
            if not told:
                chapters[-1].title = sections[0].title
            for section in sections:
                if section.anchor:
                    chapters.append(Chapter(targets[document.path, section.anchor]))
                chapters[-1].texts.append(section.text)
        return Book(epub.title, chapters)

    def _sections(self, content: bytes, anchors: Sequence[str] | None) -> list[Section] | str:
        """The sections of a page, at least one, or why there are none."""
        page = decode_page(content, self.settings.encoding)
        if page is None:
            return "unknown encoding"
        (answer,) = self.pages.map_bytes([orjson.dumps({"page": page, "anchors": anchors})])
        if isinstance(answer, Failure):
            return answer.value
        sections: list[dict[str, Any]] = orjson.loads(answer)
        return [Section(**section) for section in sections]


def chapter_starts(entries: Sequence[tuple[int, str, Target]]) -> list[tuple[str, Target]]:
    """The entries of a table of contents (level, title, target) that are chapters: those of the first level that has
    more than one, and below a "Part I" its own entries too."""
    levels = [level for level, _, _ in entries]
    depth = next((level for level in sorted(set(levels)) if levels.count(level) > 1), min(levels, default=0))
    starts = []
    in_part = False
    for level, title, target in entries:
        if level <= depth:
            in_part = PART.match(title) is not None
        if level == depth or (in_part and level == depth + 1):
            starts.append((title, target))
    return starts
