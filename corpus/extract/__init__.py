"""Extraction: HTML page → readable text, under a time limit that holds for a parser that hangs or crashes.

page_text   the engines
content     for `resiliparse`, between the child's parser and its writer of text: which part of a page is taken, and
            the text of plain ones
worker      the child process that runs one (imports nothing of ours, so it starts in a tenth of a second)
guard       the parent's side: feeds the child, kills and restarts it
this file   the step
"""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpus.document import Batch, utf8_buffers
from corpus.extract.content import main_content, plain_texts
from corpus.extract.guard import Failure, Guard, Page, shared_guard
from corpus.settings import Settings
from corpus.step import Step

_HEAD = 64  # bytes


class ExtractSettings(Settings):
    """Take the text out of HTML pages."""

    kind: Literal["extract"] = "extract"
    engine: Literal["resiliparse", "fast", "trafilatura", "plain"] = Field(
        "resiliparse",
        description="`resiliparse`: the main content; `fast`: the same by resiliparse's own rules, with more teasers "
        "and menus; `trafilatura`: by trafilatura's, slower; `plain`: everything visible, menus included.",
    )
    timeout_seconds: float = Field(10, gt=0, description="Processor time one page may take before it is dropped.")
    max_bytes: int = Field(16 << 20, gt=0, description="Pages above this are dropped unparsed.")

    def build(self) -> "Extract":
        return Extract(self)


class Extract(Step):
    """Replace pages by their text: paragraphs, lists, table rows and code blocks on lines of their own.

    A page that has no text, takes too long or breaks the parser is dropped with that reason and keeps its source.
    Nearly all of its time is the child's; a message or two a batch.
    """

    name = "extract"
    edits = ("extract",)

    def __init__(self, settings: ExtractSettings, engine: str | None = None) -> None:
        """`engine` may be any "module:function" the worker can import (str → str); by default the settings' own."""
        super().__init__()
        self.settings, self.engine = settings, engine or settings.engine

    @property
    def guard(self) -> Guard:
        """Of this process, for pages: its child serves one unit after another."""
        return self._guard("body" if self.engine == "resiliparse" else self.engine)

    def _guard(self, engine: str) -> Guard:
        return shared_guard(engine, self.settings.timeout_seconds)

    def _texts(self, pages: list[Page]) -> list[bytes | Failure]:
        """The text of each page, or how its engine failed."""
        results = self.guard.map_bytes(pages)
        if self.engine != "resiliparse":
            return results
        sound = [row for row, body in enumerate(results) if not isinstance(body, Failure)]
        contents = main_content([body for body in results if not isinstance(body, Failure)])
        left: dict[int, Page] = {}
        for row, content, text in zip(sound, contents, plain_texts(contents), strict=True):
            if text is None:
                left[row] = content
            else:
                results[row] = text.tobytes()
        if left:
            for row, written in zip(left, self._guard("written").map_bytes(list(left.values())), strict=True):
                results[row] = written
        return results

    def process(self, batch: Batch) -> Batch:
        limit = self.settings.max_bytes
        large = np.asarray(pc.greater(pc.binary_length(batch.text), limit))
        batch = batch.with_verdicts(large, step=self.name, reason=f"page above {limit} bytes")
        rows = np.flatnonzero(batch.readable).tolist()
        data, offsets = utf8_buffers(batch.text)
        whole = data.data
        texts: list[bytes | memoryview] = [
            whole[start:end] for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        ]
        failed: dict[str, list[int]] = {}
        for row, result in zip(rows, self._texts([texts[row] for row in rows]), strict=True):
            if isinstance(result, Failure):
                failed.setdefault(result.value, []).append(row)
            elif is_blank(result):
                failed.setdefault("no text", []).append(row)
            else:
                texts[row] = result
        batch = batch.with_text(pa.array(texts, pa.binary()).cast(pa.string()), edit="extract")
        for reason in sorted(failed):
            mask = np.zeros(len(batch), dtype=bool)
            mask[failed[reason]] = True
            batch = batch.with_verdicts(mask, step=self.name, reason=reason)
        return batch


def is_blank(text: bytes) -> bool:
    """Whether a text in UTF-8 is nothing but white space; its head mostly tells."""
    head = text[:_HEAD].decode(errors="ignore")
    return (not head or head.isspace()) and (len(text) <= _HEAD or text.decode().isspace())
