"""PDF files, one document a file, read by PDFium in a child process that may take so much time and memory."""

from functools import cached_property
from typing import Any, Literal, NamedTuple

import orjson
from pydantic import Field

from corpus.extract.guard import Failure, Guard
from corpus.readers.base import MB, FileSettings, Reading, found, plain, quarantined
from corpus.readers.pdf_layout import Line, paragraphs, survey
from corpus.readers.plain_text import WholeFileReader

NO_TEXT = Reading("", 0, None, None, "read", "no text in the PDF (scanned)")


class GuardedSettings(FileSettings):
    """Files whose parser runs in a child process."""

    timeout_seconds: float = Field(60, gt=0, description="Processor time one file may take; above it is quarantined.")
    max_memory: int = Field(1024 * MB, ge=64 * MB, description="Memory in bytes the parser of one file may take.")


class PdfSettings(GuardedSettings):
    """PDF files (.pdf), one document a file. One without a text layer, as a scan is, is dropped with that reason."""

    kind: Literal["pdf"] = "pdf"


class Pdf(NamedTuple):
    """A PDF as read: the lines of its pages, its bookmarks as (level, title, page index), its title if it says one."""

    pages: list[list[Line]]
    outline: list[tuple[int, str, int]]
    title: str | None

    @property
    def has_text(self) -> bool:
        return any(self.pages)


class PdfReader(WholeFileReader):
    """The text is the paragraphs of all pages; metadata: title and number of pages. About 200 pages/s a core."""

    suffixes = (".pdf",)
    settings: PdfSettings

    @cached_property
    def guard(self) -> Guard:
        return pdf_guard(self.settings)

    def reading(self, path: str, content: bytes) -> Reading:
        pdf = read_pdf(content, self.guard)
        if isinstance(pdf, str):
            return quarantined(pdf, len(content))
        if not pdf.has_text:
            return NO_TEXT
        carried = {"title": pdf.title, "pages": len(pdf.pages)}
        return found("\n\n".join(paragraphs(pdf.pages, survey(pdf.pages))), metadata=plain(carried))

    def close(self) -> None:
        self.guard.close()


def pdf_guard(settings: GuardedSettings) -> Guard:
    return Guard("pdf_pages", settings.timeout_seconds, settings.max_memory)


def read_pdf(content: bytes, guard: Guard) -> Pdf | str:
    """The PDF in `content`, or the reason why there is none."""
    (answer,) = guard.map_bytes([content])
    if isinstance(answer, Failure):
        return answer.value
    parsed: dict[str, Any] = orjson.loads(answer)
    if "fault" in parsed:
        return parsed["fault"]
    pages = [[Line(*line) for line in page] for page in parsed["pages"]]
    return Pdf(pages, [tuple(entry) for entry in parsed["outline"]], parsed["title"] or None)
