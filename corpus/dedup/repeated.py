"""Repeated lines and paragraphs: licence headers, disclaimers, navigation, templated sentences of notes.

A line (paragraph) is repeated when it stands in at least max(min_documents, share · documents) documents of its scope,
a source or the corpus, compared in lower case with white space as one blank. It is cut from all of them but the first
`keep` in the keep order. Lines go first and paragraphs are counted on what they leave, so a second pass finds nothing;
a cut never glues two paragraphs (`corpus.kernels.cuts.spans_of`).

    lines-pieces   per unit             hashes of its lines, with the documents they stand in
    lines-counts   per range of hashes  those in enough documents               corpus/dedup/frequency.py
    lines-cut      per unit             spans of those it has
    paragraphs-…   the same, on the texts that the lines left

Lines are told apart by 64-bit hashes: among 10⁹ different lines a false match with one of 10⁶ repeated ones has a
probability of 5 · 10⁻⁵. Cost: two passes over the text for each of the two kinds, together about 50 MB/s a kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpus.artifact import Draft, read_parquet, write_parquet
from corpus.cuts.kept import KeptDocuments, KeptUnit, Texts
from corpus.cuts.spans import Cuts, Kind, Spans, publish_spans
from corpus.dedup.frequency import Frequent, PairWriter, count_works, frequent_here
from corpus.engine import Workplace
from corpus.kernels.folding import elements, lower_table
from corpus.kernels.hashing import look_up, map_of
from corpus.settings import Settings

SHOWN = 100  # most repeated pieces that are listed, of each kind and scope
SHOWN_CHARACTERS = 200
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

    lines: RepeatSettings | None = Field(
        RepeatSettings(),
        description="bounds for lines, by default headers and footers of many documents; null leaves lines alone",
    )
    paragraphs: RepeatSettings | None = Field(
        RepeatSettings(min_documents=10, keep=1),
        description="bounds for paragraphs, which by default the first document keeps; null leaves paragraphs alone",
    )
    scope: Literal["source", "corpus"] = Field("source", description="where documents are counted")
    sources: tuple[str, ...] | None = Field(None, description="sources that are cut; by default all")
    digits: bool = Field(False, description="take all digits for the same: 'Page 3 of 9' repeats 'Page 4 of 9'")


SHOWN_TEXTS = pa.schema([pa.field("hash", pa.uint64(), nullable=False), pa.field("text", pa.string(), nullable=False)])


@dataclass(frozen=True)
class Repeated:
    """What to cut: stages with a folder of spans for each unit; and the most repeated pieces (schema MOST_REPEATED)."""

    passes: tuple[Path, ...]
    most: pa.Table


def find_repeated(
    kept: KeptDocuments, sources: tuple[str, ...], settings: RepeatedSettings, place: Workplace
) -> Repeated:
    """Repeated lines and paragraphs of the kept documents; `sources` are the names behind their units' `source`."""
    chosen = [number for number, name in enumerate(sources) if settings.sources is None or name in settings.sources]
    scopes = {sources[number]: {number} for number in chosen} if settings.scope == "source" else {"corpus": set(chosen)}
    members = {
        scope: [unit for unit in kept.units if unit.source in numbers and unit.count]
        for scope, numbers in scopes.items()
    }
    kinds: tuple[tuple[Kind, RepeatSettings | None], ...] = (
        ("repeated_lines", settings.lines),
        ("repeated_paragraphs", settings.paragraphs),
    )
    cuts, listed = Cuts(), []
    for kind, repeat in kinds:
        if repeat is not None:
            stage, most = _Pass(kind, repeat, settings.digits, cuts, place).run(members)
            cuts = cuts.then(stage)
            listed += most
    listed.sort(key=lambda row: list(scopes).index(row["scope"]))
    return Repeated(cuts.passes, pa.Table.from_pylist(listed, schema=MOST_REPEATED))


@dataclass(frozen=True)
class _Pieces:
    """Pieces of one kind in the texts of one unit that earlier cuts left."""

    unit: KeptUnit
    cuts: Cuts
    kind: Kind
    shortest: int
    digits: bool

    @property
    def weight(self) -> int:
        return self.unit.text_bytes

    def texts(self) -> Any:
        """Of each batch (texts, starts, ends, hashes, bounds); the hash of a piece that is not long enough is 0."""
        for texts in self.unit.texts(self.cuts.of(self.unit.number)):
            found = elements(texts.data, texts.offsets, self.kind == "repeated_paragraphs", lower_table(), self.digits)
            starts, ends, characters, hashes, bounds = found
            yield texts, starts, ends, np.where(characters >= self.shortest, hashes, np.uint64(0)), bounds

    def write(self, draft: Draft) -> None:
        """The hashes of all pieces."""
        pairs = PairWriter(draft)
        for texts, _, _, hashes, bounds in self.texts():
            counted = hashes != 0
            pairs.add(hashes[counted], np.repeat(texts.rank, np.diff(bounds))[counted])
        pairs.close()


@dataclass(frozen=True)
class _CutWork:
    """The cuts of the repeated pieces of a unit, and how the `shown` of them read."""

    pieces: _Pieces
    pairs: Path
    counted: tuple[Path, ...]
    shown: np.ndarray  # uint64, ascending

    @property
    def weight(self) -> int:
        return self.pieces.weight

    def write(self, draft: Draft) -> None:
        frequent = frequent_here(self.counted, self.pairs)
        table, held = map_of(frequent.hashes, np.arange(len(frequent.hashes)))
        read: dict[int, str] = {}
        parts = []
        for texts, starts, ends, hashes, bounds in self.pieces.texts() if len(frequent.hashes) else ():
            place = look_up(table, held, hashes, -1)
            marks = place >= 0
            marks[marks] = np.repeat(texts.rank, np.diff(bounds))[marks] > frequent.last[place[marks]]
            parts.append(texts.spans(self.pieces.kind, bounds, starts, ends, marks))
            self._read(texts, starts, ends, hashes, np.flatnonzero(marks), read)
        publish_spans([Spans.together(parts)], draft)
        shown = pa.table([list(read), list(read.values())], schema=SHOWN_TEXTS)
        draft.rows["shown.parquet"] = write_parquet(draft.path / "shown.parquet", shown)

    def _read(
        self,
        texts: Texts,
        starts: np.ndarray,
        ends: np.ndarray,
        hashes: np.ndarray,
        marked: np.ndarray,
        read: dict[int, str],
    ) -> None:
        found, first = np.unique(hashes[marked], return_index=True)
        for piece in first[np.isin(found, self.shown)]:
            at = marked[piece]
            if int(hashes[at]) not in read:
                text = texts.data[starts[at] : ends[at]].tobytes().decode()
                read[int(hashes[at])] = text[:SHOWN_CHARACTERS]


@dataclass(frozen=True)
class _Pass:
    """The search for one kind of piece."""

    kind: Kind
    repeat: RepeatSettings
    digits: bool
    cuts: Cuts
    place: Workplace

    def run(self, members: dict[str, list[KeptUnit]]) -> tuple[Path, list[dict[str, Any]]]:
        """The stage of the spans, and the most repeated pieces of each scope; `members`: the units by scope."""
        name = self.kind.removeprefix("repeated_")
        pieces = {
            unit.name: _Pieces(unit, self.cuts, self.kind, self.repeat.min_characters, self.digits)
            for units in members.values()
            for unit in units
        }
        pairs = dict(zip(pieces, self.place.make(f"{name}-pieces", pieces), strict=True))
        counts = {
            f"{number:03d}-{work.part:05d}": work
            for number, units in enumerate(members.values())
            for work in count_works([pairs[unit.name] for unit in units], self._least(units), self.repeat.keep)
        }
        counted = self.place.make(f"{name}-counts", counts)
        cutting: dict[str, _CutWork] = {}
        tops: dict[str, Frequent] = {}
        for number, (scope, units) in enumerate(members.items()):
            parts = tuple(folder for folder in counted if folder.name.startswith(f"{number:03d}-"))
            tops[scope] = top = _most(parts)
            if len(top.hashes):
                shown = np.sort(top.hashes)
                cutting |= {u.name: _CutWork(pieces[u.name], pairs[u.name], parts, shown) for u in units}
        cut = dict(zip(cutting, self.place.make(f"{name}-cut", cutting), strict=True))
        listed = [
            {"scope": scope, "kind": self.kind, "keep": self.repeat.keep, **row}
            for scope, units in members.items()
            for row in _listed(tops[scope], [cut[unit.name] for unit in units if unit.name in cut])
        ]
        return self.place.folder / f"{name}-cut", listed

    def _least(self, units: Sequence[KeptUnit]) -> int:
        return self.repeat.least(sum(unit.count for unit in units))


def _most(counted: Sequence[Path]) -> Frequent:
    """The SHOWN pieces of all ranges that stand in the most documents, those in more first."""
    found = []
    for folder in counted:
        part = Frequent.open(folder)
        found.append(part.chosen(np.lexsort((part.hashes, -part.documents))[:SHOWN]))
    together = Frequent.together(found)
    return together.chosen(np.lexsort((together.hashes, -together.documents))[:SHOWN])


def _listed(top: Frequent, cut: Sequence[Path]) -> list[dict[str, Any]]:
    """Documents and text of those pieces that were cut, as they read in the first unit that was cut for them."""
    texts: dict[int, str] = {}
    for folder in cut:
        for row in read_parquet(folder / "shown.parquet").to_pylist():
            texts.setdefault(row["hash"], row["text"])
    pieces = zip(top.hashes.tolist(), top.documents.tolist(), strict=True)
    return [{"documents": documents, "text": texts[piece]} for piece, documents in pieces if piece in texts]
