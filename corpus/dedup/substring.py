"""Repeated substrings: exact spans of at least `tokens` tokens that stand in several documents.

    windows of N tokens ─ 64-bit hashes, counted by document ─► candidates (hashes only propose)
    candidate runs of tokens ─ joined, suffix array ─► suffixes with the same N tokens lie side by side ─► spans

A token is what white space separates (for scripts without spaces, a character), compared byte for byte; how much white
space lies between does not count. Of the documents a span stands in, the first in the keep order keeps it and it is
cut from all others, token by token, never within a word and never gluing two paragraphs. Because what is left of a
document may repeat across the place of a cut, the search is repeated until it finds nothing.

Candidates come from the whole corpus, so the suffix array is built over the repeated text only. When that is larger
than `partition` bytes it falls into parts, runs that share their smallest hash together: then a span is found if two
of its documents are in one part; what is found is exact in any case. Memory: about 7 bytes per byte of a part, and
that of corpus.dedup.frequency. Suffix sorting: divsufsort (Mori 2008).

Method: Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numba
import numpy as np
from pydantic import Field

from corpus.cuts.kept import KeptDocuments
from corpus.cuts.spans import NOTHING, Spans
from corpus.dedup.frequency import DocumentFrequencies, Frequent
from corpus.kernels.folding import tokens, window_hashes
from corpus.kernels.hashing import look_up, map_of
from corpus.settings import Settings

BYTES_PER_TOKEN = 6  # about, white space included


class SubstringSettings(Settings):
    """Exact spans that several documents share."""

    tokens: int = Field(50, ge=2, description="least length of a span, in tokens that white space separates")
    partition: int = Field(256 << 20, ge=1 << 10, description="bytes of repeated text sorted at a time")


@dataclass(frozen=True)
class Runs:
    """Runs of candidate tokens: of run r the unit, row and rank of its document, its first token there, its tokens and
    its smallest hash; of each token of all runs its bytes in `data`, one blank between two and a line break between
    runs: token i of run r begins at data[places[firsts[r] + i]]."""

    unit: np.ndarray
    row: np.ndarray
    rank: np.ndarray
    token: np.ndarray
    length: np.ndarray
    key: np.ndarray
    data: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.unit)


def find_substrings(kept: KeptDocuments, cuts: Spans, settings: SubstringSettings) -> Spans:
    """Spans of at least `settings.tokens` tokens, of the texts without `cuts`, that a document earlier in the keep
    order has too."""
    found = Spans.none()
    while len(repeated := _find_once(kept, Spans.together([cuts, found]), settings)):
        found = Spans.together([found, repeated])
    return found


def _find_once(kept: KeptDocuments, cuts: Spans, settings: SubstringSettings) -> Spans:
    n = settings.tokens
    with DocumentFrequencies(kept.text_bytes // BYTES_PER_TOKEN) as frequencies:
        for texts in kept.texts(cuts):
            _, _, hashes, bounds = tokens(texts.data, texts.offsets)
            windows = window_hashes(hashes, bounds, n)
            whole = windows != 0
            frequencies.add(windows[whole], np.repeat(texts.rank, np.diff(bounds))[whole])
        frequent = frequencies.frequent(2, 1)
    if not len(frequent.hashes):
        return Spans.none()
    table = map_of(frequent.hashes, frequent.last)
    repeated = [_repeated_windows(part, n) for part in _parts(kept, cuts, frequent, table, settings)]
    unit, row, first = (np.concatenate([NOTHING, *columns]) for columns in zip(*repeated, strict=True))
    return _marked(kept, cuts, unit, row, first, n)


def _parts(
    kept: KeptDocuments,
    cuts: Spans,
    frequent: Frequent,
    table: tuple[np.ndarray, np.ndarray],
    settings: SubstringSettings,
) -> Iterator[Runs]:
    """The candidate runs of the corpus in parts of about `settings.partition` bytes. Memory: the runs of one part; the
    texts are read once for each part."""
    # Each occurrence of a candidate adds one token to a run, and each run N − 1 more, mostly few beside them.
    parts = ceil(2 * BYTES_PER_TOKEN * int(frequent.documents.sum()) / settings.partition)
    for part in range(parts):
        held = []
        for texts in kept.texts(cuts):
            starts, ends, hashes, bounds = tokens(texts.data, texts.offsets)
            windows = window_hashes(hashes, bounds, settings.tokens)
            candidate = look_up(*table, windows, -1) >= 0
            document, first, length, key = _runs(candidate, windows, bounds, settings.tokens)
            mine = np.flatnonzero(key % np.uint64(parts) == part)
            if len(mine):
                document, first, length = document[mine], first[mine], length[mine]
                data, places = _joined(texts.data, starts, ends, bounds[document] + first, length)
                unit = np.full(len(mine), texts.unit, np.int64)
                row, rank = texts.rows[document], texts.rank[document]
                held.append(Runs(unit, row, rank, first, length, key[mine], data, places))
        if held:
            yield _concatenated(held)


def _concatenated(parts: list[Runs]) -> Runs:
    shifts = np.cumsum([0, *(len(part.data) for part in parts[:-1])])
    places = [part.places + shift for part, shift in zip(parts, shifts, strict=True)]
    names = ("unit", "row", "rank", "token", "length", "key", "data")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Runs(**columns, places=np.concatenate(places))


def _repeated_windows(runs: Runs, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(unit, row, first token in the document) of every window of `n` tokens that a document of lower rank has too."""
    # Imported here: it loads two shared libraries.
    from pydivsufsort import divsufsort

    run = np.repeat(np.arange(len(runs)), runs.length)
    within = np.arange(len(run)) - np.repeat(np.cumsum(runs.length) - runs.length, runs.length)
    begins = np.flatnonzero(within + n <= runs.length[run])  # tokens a window begins at
    window_of = np.full(len(runs.data), -1, np.int32)
    window_of[runs.places[begins]] = np.arange(len(begins))
    # A window ends where its last token's blank ends, which is where the next token begins or the run's line break is.
    ends = np.append(runs.places, len(runs.data))[begins + n] - (within[begins] + n == runs.length[run[begins]])
    order = window_of[divsufsort(runs.data)]
    order = order[order >= 0]
    rank = runs.rank[run[begins]]
    later = _later(runs.data, runs.places[begins], ends, order, rank)
    chosen = begins[later]
    return runs.unit[run[chosen]], runs.row[run[chosen]], runs.token[run[chosen]] + within[chosen]


def _marked(kept: KeptDocuments, cuts: Spans, unit: np.ndarray, row: np.ndarray, first: np.ndarray, n: int) -> Spans:
    """The cuts that take out the tokens of the windows at (unit, row, first token)."""
    order = np.lexsort((first, row, unit))
    unit, row, first = unit[order], row[order], first[order]
    parts = []

    def of_unit(number: int) -> slice:
        return slice(*np.searchsorted(unit, [number, number + 1]))

    def rows(number: int) -> np.ndarray:
        asked = np.zeros(len(kept.rank[number]), bool)
        asked[row[of_unit(number)]] = True
        return asked

    for texts in kept.texts(cuts, rows=rows):
        starts, ends, _, bounds = tokens(texts.data, texts.offsets)
        mine = of_unit(texts.unit)
        low, high = np.searchsorted(row[mine], [texts.rows[0], texts.rows[-1] + 1])
        document = np.searchsorted(texts.rows, row[mine][low:high])
        edge = np.zeros(len(starts) + 1, np.int64)
        begins = bounds[document] + first[mine][low:high]
        np.add.at(edge, begins, 1)
        np.add.at(edge, begins + n, -1)
        parts.append(texts.spans("substring", bounds, starts, ends, np.cumsum(edge[:-1]) > 0))
    return Spans.together(parts)


@numba.njit(cache=True, nogil=True)
def _runs(candidate, windows, bounds, n):
    """(document, first token, tokens, smallest hash) of the runs of tokens that candidate windows cover."""
    document, first = np.empty(len(windows), np.int64), np.empty(len(windows), np.int64)
    length, key = np.empty(len(windows), np.int64), np.empty(len(windows), np.uint64)
    count = 0
    for row in range(len(bounds) - 1):
        stop = -1  # where the tokens of the last run of this document end
        for at in range(bounds[row], bounds[row + 1]):
            if candidate[at]:
                if at > stop:
                    document[count], first[count], key[count] = row, at - bounds[row], windows[at]
                    count += 1
                stop = at + n
                length[count - 1] = stop - bounds[row] - first[count - 1]
                key[count - 1] = min(key[count - 1], windows[at])
    return document[:count].copy(), first[:count].copy(), length[:count].copy(), key[:count].copy()


@numba.njit(cache=True, nogil=True)
def _joined(data, starts, ends, firsts, lengths):
    """(bytes, place of each token): the tokens of the runs, a blank after each and a line break after each run."""
    size, count = 0, 0
    for run in range(len(firsts)):
        count += lengths[run]
        size += 1
        for token in range(firsts[run], firsts[run] + lengths[run]):
            size += ends[token] - starts[token] + 1
    out, places = np.empty(size, np.uint8), np.empty(count, np.int64)
    size, count = 0, 0
    for run in range(len(firsts)):
        for token in range(firsts[run], firsts[run] + lengths[run]):
            places[count] = size
            count += 1
            for at in range(starts[token], ends[token]):
                out[size] = data[at]
                size += 1
            out[size] = 32
            size += 1
        out[size] = 10
        size += 1
    return out, places


@numba.njit(cache=True, nogil=True)
def _later(data, begins, ends, order, rank):
    """bool[windows]: whether a window with the same bytes has a lower rank. `order` is that of the suffixes, in which
    equal windows lie side by side."""
    later = np.zeros(len(begins), np.bool_)
    at = 0
    while at < len(order):
        first = order[at]
        size = ends[first] - begins[first]
        lowest = rank[first]
        stop = at + 1
        while stop < len(order):
            other = order[stop]
            same = ends[other] - begins[other] == size
            index = 0
            while same and index < size:
                same = data[begins[first] + index] == data[begins[other] + index]
                index += 1
            if not same:
                break
            lowest = min(lowest, rank[other])
            stop += 1
        for place in range(at, stop):
            later[order[place]] = rank[order[place]] > lowest
        at = stop
    return later
