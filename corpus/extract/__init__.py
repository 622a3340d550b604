"""Extraction: HTML page → readable text, under a time limit that holds for a parser that hangs or crashes.

page_text   the engines
worker      the child process that runs one (imports nothing of ours, so it starts in a tenth of a second)
guard       the parent's side: feeds the child, kills and restarts it
this file   the step
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpus.document import Batch
from corpus.extract.guard import Failure, Guard
from corpus.settings import Settings
from corpus.step import Step


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
    About 13 MB/s of HTML a core, nearly all of it in the child; one message a batch.
    """

    name = "extract"
    edits = ("extract",)

    def __init__(self, settings: ExtractSettings, engine: str | None = None) -> None:
        """`engine` may be any "module:function" the worker can import (str → str); by default the settings' own."""
        super().__init__()
        self.settings = settings
        self.guard = Guard(engine or settings.engine, settings.timeout_seconds)

    def run(self, data: Iterable[Batch] | None, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:  # type: ignore[override]
        try:
            yield from super().run(data, rank, world_size)
        finally:
            self.guard.close()

    def process(self, batch: Batch) -> Batch:
        limit = self.settings.max_bytes
        large = np.asarray(pc.greater(pc.binary_length(batch.text), limit))
        batch = batch.with_verdicts(large, step=self.name, reason=f"page above {limit} bytes")
        rows = np.flatnonzero(batch.readable)
        texts = batch.text.to_pylist()
        failed: dict[str, list[int]] = {}
        for row, result in zip(rows.tolist(), self.guard.map([texts[row] for row in rows]), strict=True):
            if isinstance(result, Failure):
                failed.setdefault(result.value, []).append(row)
            elif not result or result.isspace():
                failed.setdefault("no text", []).append(row)
            else:
                texts[row] = result
        batch = batch.with_text(pa.array(texts, pa.string()), edit="extract")
        for reason in sorted(failed):
            mask = np.zeros(len(batch), dtype=bool)
            mask[failed[reason]] = True
            batch = batch.with_verdicts(mask, step=self.name, reason=reason)
        return batch
