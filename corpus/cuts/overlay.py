"""The overlay of a unit: what cuts left of its documents, row by row beside its documents.parquet.

    text                  the text without its cuts; null for a document that was not cut
    edit.<kind>           signed bytes, 0 where nothing was cut; so the ledger adds up
    token_count           counted again on the new text; null for a document that was not cut
    cuts.left_characters  of the new text, white space at its ends aside; null …
    cuts.spans            the cuts: kind, start and length in UTF-8 bytes of the annotated text; null …

A unit of which nothing was cut has no overlay.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datatrove.pipeline.base import PipelineStep

from corpus.artifact import RunLock, publish, scan_parquet, write_parquet
from corpus.cuts.spans import KINDS, Spans, strings
from corpus.document import EDIT, utf8_buffers
from corpus.engine import Heartbeat, Unit
from corpus.kernels.cuts import text_without
from corpus.tokens.tokenize import Tokenizer, TokenizerSettings, shared_tokenizer

OVERLAY = "overlay.parquet"
LEFT = "cuts.left_characters"
SPAN = pa.struct([pa.field("kind", pa.string()), pa.field("start", pa.int64()), pa.field("length", pa.int64())])
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string()),
        *(pa.field(EDIT + kind, pa.int64(), nullable=False) for kind in KINDS),
        pa.field("token_count", pa.int64()),
        pa.field(LEFT, pa.int64()),
        pa.field("cuts.spans", pa.list_(SPAN)),
    ]
)


@dataclass(frozen=True)
class CutWork:
    """The documents of a unit, its number over all sources, and the folders where the finders published spans."""

    documents: Path
    number: int
    found: tuple[Path, ...]


class CutUnit(PipelineStep):
    """Publishes the overlay of this rank's unit."""

    name = "cut"
    type = "unit cutter"

    def __init__(self, units: Sequence[Unit], tokenizer: TokenizerSettings, heartbeat: Heartbeat, lock: RunLock):
        super().__init__()
        self.units, self.heartbeat, self.lock = units, heartbeat, lock
        self.tokenizer = shared_tokenizer(tokenizer)

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        with publish(unit.folder, kind="corpus.cut", function=unit.function, lock=self.lock) as draft:
            draft.rows[OVERLAY] = write_parquet(draft.path / OVERLAY, self._overlay(unit.work, rank), SCHEMA)

    def _overlay(self, work: CutWork, rank: int) -> Iterator[pa.RecordBatch]:
        spans = Spans.read(work.found, work.number)
        start = done = 0
        for batch in scan_parquet(work.documents, ["id", "text"]):
            yield overlay(batch, spans.of(work.number, np.arange(start, start + batch.num_rows)), self.tokenizer)
            start += batch.num_rows
            done += batch.column("text").nbytes
            self.heartbeat.beat(rank, done)


def overlay(documents: pa.RecordBatch, cuts: tuple[np.ndarray, Spans], tokenizer: Tokenizer) -> pa.RecordBatch:
    """The overlay (schema SCHEMA) of a batch of documents (id, text) with their cuts, as `Spans.of` gives them."""
    bounds, spans = cuts
    count = np.diff(bounds)
    cut = np.flatnonzero(count)
    changed = documents.take(pa.array(cut))
    owned = np.concatenate([[0], np.cumsum(count[cut])])
    data, offsets = utf8_buffers(changed.column("text"))
    text = strings(*text_without(data, offsets, owned, spans.start, spans.stop))
    size = spans.stop - spans.start
    row = np.repeat(np.arange(documents.num_rows), count)
    edits = np.zeros((len(KINDS), documents.num_rows), np.int64)
    np.add.at(edits, (spans.kind, row), -size)
    kinds = pa.array(KINDS).take(pa.array(spans.kind))
    itemised = pa.StructArray.from_arrays([kinds, pa.array(spans.start), pa.array(size)], fields=list(SPAN))
    # Row i of the batch is row place[i] of what was computed for the changed documents, null for the others.
    place = np.zeros(documents.num_rows, np.int64)
    place[cut] = np.arange(len(cut))
    taken = pa.array(place, mask=count == 0)
    columns = [
        documents.column("id"),
        text.take(taken),
        *(pa.array(edit) for edit in edits),
        pa.array(tokenizer.count(text), pa.int64()).take(taken),
        pc.cast(pc.utf8_length(pc.utf8_trim_whitespace(text)), pa.int64()).take(taken),
        pa.ListArray.from_arrays(pa.array(owned, pa.int32()), itemised).take(taken),
    ]
    return pa.RecordBatch.from_arrays([c.cast(f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
