"""Repeated lines and paragraphs: licence headers, disclaimers, navigation, templated sentences of notes.

A line (paragraph) is repeated when it stands in at least max(min_documents, share · documents) documents of its scope,
a source or the corpus, compared in lower case with white space as one blank. It is cut from all of them but the first
`keep` in the keep order. Lines go first and paragraphs are counted on what they leave, so a second pass finds nothing;
a cut never glues two paragraphs (`corpus.kernels.cuts.spans_of`).

Lines are told apart by 64-bit hashes: among 10⁹ different lines a false match with one of 10⁶ repeated ones has a
probability of 5 · 10⁻⁵. Cost: two passes over the text for each of the two kinds, together about 50 MB/s a kind; memory
is that of `corpus.dedup.frequency`.
"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpus.cuts.kept import KeptDocuments, Texts
from corpus.cuts.spans import Kind, Spans
from corpus.dedup.frequency import DocumentFrequencies, Frequent
from corpus.kernels.folding import elements, lower_table
from corpus.kernels.hashing import look_up, map_of
from corpus.settings import Settings

SHOWN = 100  # most repeated pieces that are listed, of each kind and scope
SHOWN_CHARACTERS = 200
BYTES_PER_LINE = 40  # about, for the number of partitions
MOST_REPEATED = pa.schema(
    [
        pa.field("scope", pa.string(), nullable=False),  # a source, or "corpus"
        pa.field("kind", pa.string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("keep", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),  # its beginning, from one of the documents it was cut from
    ]
)


class RepeatSettings(Settings):
    """When a line, or paragraph, is repeated, and how many documents keep it."""

    min_documents: int = Field(20, ge=2, description="documents it must stand in")
    share: float = Field(0.001, ge=0, le=1, description="share of the scope's documents it must stand in")
    min_characters: int = Field(12, ge=1, description="shorter ones are left alone")
    keep: int = Field(0, ge=0, description="documents that keep it, the first in the keep order")

    def least(self, documents: int) -> int:
        """Documents of a scope of so many in which a repeated piece stands."""
        return max(self.min_documents, ceil(self.share * documents))


class RepeatedSettings(Settings):
    """Repeated lines and paragraphs. Name the `sources` of prose: in source code equal lines are no boilerplate."""

    lines: RepeatSettings | None = RepeatSettings()
    paragraphs: RepeatSettings | None = RepeatSettings(min_documents=10, keep=1)
    scope: Literal["source", "corpus"] = Field("source", description="where documents are counted")
    sources: tuple[str, ...] | None = Field(None, description="sources that are cut; by default all")
    digits: bool = Field(False, description="take all digits for the same: 'Page 3 of 9' repeats 'Page 4 of 9'")


@dataclass(frozen=True)
class Repeated:
    """What to cut, and the most repeated pieces (schema MOST_REPEATED)."""

    spans: Spans
    most: pa.Table


def find_repeated(kept: KeptDocuments, sources: tuple[str, ...], settings: RepeatedSettings) -> Repeated:
    """Repeated lines and paragraphs of the kept documents; `sources` are the names behind `kept.source`."""
    chosen = [number for number, name in enumerate(sources) if settings.sources is None or name in settings.sources]
    scopes = {sources[number]: {number} for number in chosen} if settings.scope == "source" else {"corpus": set(chosen)}
    found, listed = Spans.none(), []
    for scope, members in scopes.items():
        kinds: tuple[tuple[Kind, RepeatSettings | None], ...] = (
            ("repeated_lines", settings.lines),
            ("repeated_paragraphs", settings.paragraphs),
        )
        for kind, repeat in kinds:
            if repeat is not None:
                search = _Search(kept, kind, repeat, settings.digits, frozenset(members))
                spans, most = search.run(found)
                found = Spans.together([found, spans])
                listed += [{"scope": scope, "kind": kind, "keep": repeat.keep, **row} for row in most]
    return Repeated(found, pa.Table.from_pylist(listed, schema=MOST_REPEATED))


@dataclass(frozen=True)
class _Search:
    """One kind of piece in one scope."""

    kept: KeptDocuments
    kind: Kind
    repeat: RepeatSettings
    digits: bool
    members: frozenset[int]  # the sources of the scope

    def units(self, unit: int) -> bool:
        """Whether a unit belongs to the scope."""
        return self.kept.source[unit] in self.members

    def run(self, cuts: Spans) -> tuple[Spans, list[dict]]:
        documents = sum(int((rank >= 0).sum()) for unit, rank in enumerate(self.kept.rank) if self.units(unit))
        with DocumentFrequencies(self.kept.text_bytes // BYTES_PER_LINE) as frequencies:
            for texts in self.kept.texts(cuts, self.units):
                _, _, hashes, bounds = self._pieces(texts)
                counted = hashes != 0
                frequencies.add(hashes[counted], np.repeat(texts.rank, np.diff(bounds))[counted])
            frequent = frequencies.frequent(self.repeat.least(documents), self.repeat.keep)
        if not len(frequent.hashes):
            return Spans.none(), []
        return self._cut(cuts, frequent)

    def _pieces(self, texts: Texts) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(starts, ends, hashes, bounds) of the pieces that are long enough; the hash of any other is 0."""
        found = elements(texts.data, texts.offsets, self.kind == "repeated_paragraphs", lower_table(), self.digits)
        starts, ends, characters, hashes, bounds = found
        return starts, ends, np.where(characters >= self.repeat.min_characters, hashes, np.uint64(0)), bounds

    def _cut(self, cuts: Spans, frequent: Frequent) -> tuple[Spans, list[dict]]:
        table, held = map_of(frequent.hashes, np.arange(len(frequent.hashes)))
        order = np.lexsort((frequent.hashes, -frequent.documents))[:SHOWN]
        shown: dict[int, str | None] = dict.fromkeys(order.tolist())
        parts = []
        for texts in self.kept.texts(cuts, self.units):
            starts, ends, hashes, bounds = self._pieces(texts)
            place = look_up(table, held, hashes, -1)
            owner = np.repeat(texts.rank, np.diff(bounds))
            marks = (place >= 0) & (owner > frequent.last[place])
            parts.append(texts.spans(self.kind, bounds, starts, ends, marks))
            for number, piece in zip(*np.unique(place[marks], return_index=True), strict=True):
                if number in shown and shown[number] is None:
                    at = np.flatnonzero(marks)[piece]
                    text = texts.data[starts[at] : ends[at]].tobytes().decode()
                    shown[number] = text[:SHOWN_CHARACTERS]
        most = [
            {"documents": int(frequent.documents[n]), "text": text} for n, text in shown.items() if text is not None
        ]
        return Spans.together(parts), most
