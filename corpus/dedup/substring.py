"""Repeated substrings: exact spans of at least `tokens` tokens that stand in several documents.

    1-windows  per unit             64-bit hashes of its windows of N tokens, with their documents
    1-counts   per range of hashes  those of several documents: candidates     corpus/dedup/frequency.py
    1-runs     per unit             its runs of candidate tokens, by part      corpus/dedup/runs.py
    1-sorted   per part             suffix array: who else has the same N tokens
    1-cut      per unit             spans
    2-…        the same, on the texts that this left

A token is what white space separates (for scripts without spaces, a character), compared byte for byte; how much white
space lies between does not count. Of the documents a span stands in, the first in the keep order keeps it and it is
cut from all others, token by token, never within a word and never gluing two paragraphs. Because what is left of a
document may repeat across the place of a cut, the search is repeated until it finds nothing.

Candidates come from the whole corpus, so suffix arrays are built over the repeated text only, in parts of about
`partition` bytes; equal windows are always in one part, so the result is that of one array over everything. A run that
is repeated as a whole is sorted once, however many documents have it.

Method: Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from pydantic import Field

from corpus.artifact import Draft, Manifest
from corpus.cuts.kept import KeptDocuments, KeptUnit, Texts
from corpus.cuts.spans import Cuts, Spans, publish_spans
from corpus.dedup.frequency import PairWriter, count_works, frequent_here
from corpus.dedup.runs import RunWriter, SortWork, intervals_of
from corpus.engine import Workplace
from corpus.kernels.folding import tokens, window_hashes
from corpus.kernels.hashing import look_up, map_of
from corpus.settings import Settings

BYTES_PER_TOKEN = 6  # about, white space included


class SubstringSettings(Settings):
    """Exact spans that several documents share."""

    tokens: int = Field(50, ge=2, description="least length of a span, in tokens that white space separates")
    partition: int = Field(256 << 20, ge=1 << 10, description="bytes of repeated text sorted at a time")


def find_substrings(kept: KeptDocuments, cuts: Cuts, settings: SubstringSettings, place: Workplace) -> tuple[Path, ...]:
    """Spans of at least `settings.tokens` tokens, of the texts without `cuts`, that a document earlier in the keep
    order has too: stages with a folder of spans for each unit, which together are what to cut."""
    found: tuple[Path, ...] = ()
    while (stage := _find_once(kept, cuts, settings, place, len(found) + 1)) is not None:
        found = (*found, stage)
        cuts = cuts.then(stage)
    return found


def _find_once(
    kept: KeptDocuments, cuts: Cuts, settings: SubstringSettings, place: Workplace, number: int
) -> Path | None:
    """The stage of what one pass finds; None when it finds nothing."""
    n = settings.tokens
    words = {unit.name: _Words(unit, cuts, n) for unit in kept.units if unit.count}
    pairs = dict(zip(words, place.make(f"{number}-windows", words), strict=True))
    counts = {f"{work.part:05d}": work for work in count_works(list(pairs.values()), 2, 1)}
    counted = tuple(place.make(f"{number}-counts", counts))
    # Each occurrence of a candidate adds one token to a run, and each run N − 1 more: in one part mostly few beside
    # them, in several as many again and more.
    repeated = BYTES_PER_TOKEN * sum(Manifest.read(folder).totals["occurrences"] for folder in counted)
    if not repeated:
        return None
    parts = ceil(2 * repeated / settings.partition)
    parts = ceil(3 * repeated / settings.partition) if parts > 1 else parts
    gathering = {name: _RunWork(own, pairs[name], counted, parts) for name, own in words.items()}
    runs = dict(zip(gathering, place.make(f"{number}-runs", gathering), strict=True))
    units = tuple((own.unit.number, runs[name]) for name, own in words.items())
    sorting = {f"{part:05d}": SortWork(units, part, n, 2 * repeated // parts) for part in range(parts)}
    ordered = tuple(place.make(f"{number}-sorted", sorting))
    if not sum(Manifest.read(folder).totals["intervals"] for folder in ordered):
        return None
    place.make(f"{number}-cut", {name: _CutWork(own, ordered) for name, own in words.items()})
    return place.folder / f"{number}-cut"


@dataclass(frozen=True)
class _Words:
    """Windows of n tokens of the texts of one unit that earlier cuts left."""

    unit: KeptUnit
    cuts: Cuts
    n: int

    @property
    def weight(self) -> int:
        return self.unit.text_bytes

    def texts(self, wanted: np.ndarray | None = None) -> Iterator[Texts]:
        return self.unit.texts(self.cuts.of(self.unit.number), wanted)

    def write(self, draft: Draft) -> None:
        """The hashes of all windows."""
        pairs = PairWriter(draft)
        for texts in self.texts():
            _, _, hashes, bounds = tokens(texts.data, texts.offsets)
            windows = window_hashes(hashes, bounds, self.n)
            whole = windows != 0
            pairs.add(windows[whole], np.repeat(texts.rank, np.diff(bounds))[whole])
        pairs.close()


@dataclass(frozen=True)
class _RunWork:
    """The runs of a unit that its candidate windows cover."""

    words: _Words
    pairs: Path
    counted: tuple[Path, ...]
    parts: int

    @property
    def weight(self) -> int:
        return self.words.weight

    def write(self, draft: Draft) -> None:
        writer = RunWriter(draft, self.words.n, self.parts)
        candidates = frequent_here(self.counted, self.pairs).hashes
        table, held = map_of(candidates, np.arange(len(candidates)))
        for texts in self.words.texts() if len(candidates) else ():
            starts, ends, hashes, bounds = tokens(texts.data, texts.offsets)
            candidate = look_up(table, held, window_hashes(hashes, bounds, self.words.n), -1) >= 0
            writer.add(texts.rows, texts.rank, (texts.data, starts, ends, hashes, bounds), candidate)
        writer.close()


@dataclass(frozen=True)
class _CutWork:
    """The cuts that take out the repeated tokens of a unit."""

    words: _Words
    ordered: tuple[Path, ...]

    @property
    def weight(self) -> int:
        return self.words.weight

    def write(self, draft: Draft) -> None:
        unit = self.words.unit
        row, begin, end = intervals_of(self.ordered, unit.number)
        wanted = np.zeros(len(unit.rows), bool)
        wanted[row] = True
        parts = []
        for texts in self.words.texts(wanted):
            starts, ends, _, bounds = tokens(texts.data, texts.offsets)
            mine = slice(*np.searchsorted(row, [texts.rows[0], texts.rows[-1] + 1]))
            first = bounds[np.searchsorted(texts.rows, row[mine])]
            edge = np.zeros(len(starts) + 1, np.int64)
            np.add.at(edge, first + begin[mine], 1)
            np.add.at(edge, first + end[mine], -1)
            parts.append(texts.spans("substring", bounds, starts, ends, np.cumsum(edge[:-1]) > 0))
        publish_spans([Spans.together(parts)], draft)
