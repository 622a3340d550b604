"""Runs of tokens that may repeat: gathered by unit, cut into parts that keep equal windows together, sorted by part.

    a candidate window of N tokens ─ its anchor, the smallest hash of K tokens in it ─► part
    windows of one part that touch ─► a run of tokens ─► the file of its unit
    a part's runs from all units, each text once ─ suffix array ─► equal windows lie side by side ─► who has it too

The anchor depends on the window's tokens alone, so two equal windows are in one part whatever stands around them, and
nothing is missed for the parts. A window moves with its neighbours as long as they have the same anchor: cut into
parts, about three times as much is sorted as is repeated.

Memory: CHUNK bytes of a unit's runs; of a part about 11 bytes per byte of its different runs. Suffix sorting:
divsufsort (Mori 2008). Anchors are minimizers (Roberts et al. 2004).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np

from corpus.arrays import load, mapped
from corpus.artifact import Draft
from corpus.kernels.folding import window_hashes

ANCHOR = 8  # tokens of an anchor at most
CHUNK = 64 << 20  # bytes of runs of a unit held at a time
ROW, RANK, TOKEN, LENGTH, END = range(5)  # of a run: row, rank of its document, first token there, tokens, end of bytes
INTERVAL = ("unit", "row", "begin", "end")  # of tokens begin:end of a document


@dataclass
class RunWriter:
    """Writes the runs of a unit into `draft`, sorted by part, in chunks: runs-<i>.npy int64[5, runs] as named above,
    bounds-<i>.npy int64[parts + 1], and text-<i>.npy uint8: the tokens, a blank after each, a line break after each
    run."""

    draft: Draft
    tokens: int
    parts: int
    _runs: list[np.ndarray] = field(default_factory=list)
    _texts: list[np.ndarray] = field(default_factory=list)
    _size: int = 0
    _chunks: int = 0

    def add(
        self,
        rows: np.ndarray,
        ranks: np.ndarray,
        pieces: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
        candidate: np.ndarray,
    ) -> None:
        """A batch of documents with these rows and ranks. pieces: (data, starts, ends, hashes, bounds) of its tokens;
        candidate: bool[tokens], whether the window that begins there may repeat."""
        data, starts, ends, hashes, bounds = pieces
        windows = np.flatnonzero(candidate)
        part = np.zeros(len(windows), np.int64)
        if self.parts > 1:
            size = min(ANCHOR, self.tokens)
            anchors = _anchors(window_hashes(hashes, bounds, size), bounds, self.tokens - size + 1)
            part = (anchors[windows] % np.uint64(self.parts)).astype(np.int64)
        order = np.argsort(part, kind="stable")
        document, first, length, part = _runs(windows[order], part[order], bounds, self.tokens)
        text, stops = _joined(data, starts, ends, bounds[document] + first, length)
        self._runs.append(np.stack([rows[document], ranks[document], first, length, stops + self._size, part]))
        self._texts.append(text)
        self._size += len(text)
        if self._size >= CHUNK:
            self._write()

    def close(self) -> None:
        """Write what is held."""
        if self._size:
            self._write()

    def _write(self) -> None:
        runs, text = np.concatenate(self._runs, axis=1), np.concatenate(self._texts)
        begins = np.concatenate([[0], runs[END, :-1]])
        order = np.argsort(runs[-1], kind="stable")
        begins, runs = begins[order], runs[:, order]
        text = _taken(text, begins, runs[END])
        runs[END] = np.cumsum(runs[END] - begins)
        name = f"{self._chunks:05d}.npy"
        np.save(self.draft.path / f"runs-{name}", runs[:-1])
        np.save(self.draft.path / f"text-{name}", text)
        np.save(self.draft.path / f"bounds-{name}", np.searchsorted(runs[-1], np.arange(self.parts + 1)))
        self._runs, self._texts, self._size, self._chunks = [], [], 0, self._chunks + 1


@dataclass(frozen=True)
class SortWork:
    """One part of the runs of all units (number and folder of each): intervals.npy int64[4, intervals], as named in
    INTERVAL and in that order, of tokens in windows that a document of lower rank has too."""

    units: tuple[tuple[int, Path], ...]
    part: int
    tokens: int
    weight: int

    def write(self, draft: Draft) -> None:
        texts: dict[bytes, int] = {}  # different runs, by number
        unit, which, runs = [], [], [np.zeros((5, 0), np.int64)]
        for number, folder in self.units:
            for path in sorted(folder.glob("runs-*.npy")):
                own, data, ends = self._mine(path)
                which += [texts.setdefault(data[a:b], len(texts)) for a, b in pairwise([0, *ends])]
                runs.append(own)
                unit.append(np.full(own.shape[1], number))
        together = np.concatenate(runs, axis=1)
        numbers = np.concatenate([np.zeros(0, np.int64), *unit])
        intervals = _repeated(list(texts), np.array(which, np.int64), numbers, together, self.tokens)
        np.save(draft.path / "intervals.npy", intervals)
        draft.totals |= {"runs": len(which), "different": len(texts), "intervals": intervals.shape[1]}

    def _mine(self, path: Path) -> tuple[np.ndarray, bytes, list[int]]:
        """(runs, bytes, end of each run in them) of this part in one chunk."""
        beside = {name: path.with_name(path.name.replace("runs", name)) for name in ("text", "bounds")}
        first, last = load(beside["bounds"])[self.part : self.part + 2]
        runs = mapped(path)[:, max(first - 1, 0) : last]
        before = int(runs[END, 0]) if first and last > first else 0
        own = np.array(runs[:, 1 if first else 0 :])
        ends = own[END] - before
        text = mapped(beside["text"])[before : before + (int(ends[-1]) if len(ends) else 0)]
        return own, text.tobytes(), ends.tolist()


def intervals_of(sorted_parts: Sequence[Path], unit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, begin, end) of a unit's intervals in all parts, by row."""
    found = [np.zeros((4, 0), np.int64)]
    for folder in sorted_parts:
        intervals = mapped(folder / "intervals.npy")
        first, last = np.searchsorted(intervals[0], [unit, unit + 1])
        found.append(np.array(intervals[:, first:last]))
    _, row, begin, end = np.concatenate(found, axis=1)
    order = np.lexsort((begin, row))
    return row[order], begin[order], end[order]


def _repeated(texts: list[bytes], which: np.ndarray, unit: np.ndarray, runs: np.ndarray, n: int) -> np.ndarray:
    """int64[4, intervals]: what of the runs is in a window that a document of lower rank has too.

    texts: the different runs; which: int64[runs], the text of each run; unit: its unit.
    """
    lowest = np.full(len(texts), np.iinfo(np.int64).max)
    np.minimum.at(lowest, which, runs[RANK])
    number, begin, end = _windows_elsewhere(texts, lowest, n)
    # A copy of a run that a lower rank has is repeated as a whole, the one of the lowest where others have it too.
    copies = np.flatnonzero(runs[RANK] > lowest[which])
    kept = np.flatnonzero(runs[RANK] == lowest[which])
    first, last = np.searchsorted(number, which[kept]), np.searchsorted(number, which[kept], side="right")
    own = np.repeat(kept, last - first)
    at = np.arange(len(own)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
    at += np.repeat(first, last - first)
    chosen = np.concatenate([copies, own])
    starts = runs[TOKEN, chosen] + np.concatenate([np.zeros(len(copies), np.int64), begin[at]])
    stops = runs[TOKEN, chosen] + np.concatenate([runs[LENGTH, copies], end[at]])
    found = np.stack([unit[chosen], runs[ROW, chosen], starts, stops])
    return found[:, np.lexsort((found[2], found[1], found[0]))]


def _windows_elsewhere(texts: list[bytes], lowest: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(text, first token, token behind the last) of the runs of windows that a text of a lower rank has too."""
    # Imported here: it loads two shared libraries.
    from pydivsufsort import divsufsort

    if not texts:
        return (np.zeros(0, np.int64),) * 3
    data = np.frombuffer(bytearray().join(texts), np.uint8)  # writable, as the library wants it
    places, length = _token_places(data)
    run = np.repeat(np.arange(len(length)), length)
    within = np.arange(len(run)) - np.repeat(np.cumsum(length) - length, length)
    begins = np.flatnonzero(within + n <= length[run])  # tokens a window begins at
    window_of = np.full(len(data), -1, np.int32)
    window_of[places[begins]] = np.arange(len(begins))
    # A window ends where its last token's blank ends, which is where the next token begins or the run's line break is.
    ends = np.append(places, len(data))[begins + n] - (within[begins] + n == length[run[begins]])
    order = window_of[divsufsort(data)]
    order = order[order >= 0]
    rank = lowest[run[begins]]
    window = begins[_lowest(data, places[begins], ends, order, rank) < rank]
    # Neighbouring windows are one interval.
    fresh = np.ones(len(window), bool)
    fresh[1:] = (window[1:] != window[:-1] + 1) | (run[window[1:]] != run[window[:-1]])
    last = np.append(np.flatnonzero(fresh)[1:], len(window)) - 1 if len(window) else np.zeros(0, np.int64)
    return run[window[fresh]], within[window[fresh]], within[window[last]] + n


@numba.njit(cache=True, nogil=True)
def _anchors(grams, bounds, width):
    """uint64[tokens]: the smallest of the `width` hashes from each token on, of those left in the document."""
    out = np.empty(len(grams), np.uint64)
    for row in range(len(bounds) - 1):
        first, last = bounds[row], bounds[row + 1]
        place = -1
        for at in range(first, last):
            stop = min(at + width, last)
            if place < at:
                place = at
                for other in range(at + 1, stop):
                    if grams[other] < grams[place]:
                        place = other
            elif at + width <= last and grams[stop - 1] < grams[place]:
                place = stop - 1
            out[at] = grams[place]
    return out


@numba.njit(cache=True, nogil=True)
def _runs(windows, parts, bounds, n):
    """(document, first token, tokens, part) of the runs of tokens that windows of one part cover; windows: where they
    begin, by part and place."""
    document, first = np.empty(len(windows), np.int64), np.empty(len(windows), np.int64)
    length, part = np.empty(len(windows), np.int64), np.empty(len(windows), np.int64)
    count, row, stop = 0, 0, -1
    for index in range(len(windows)):
        at = windows[index]
        if index and parts[index] != parts[index - 1]:
            row, stop = 0, -1
        if at >= bounds[row + 1]:
            while at >= bounds[row + 1]:
                row += 1
            stop = -1
        if at > stop:
            document[count], first[count], part[count] = row, at - bounds[row], parts[index]
            count += 1
        stop = at + n
        length[count - 1] = stop - bounds[row] - first[count - 1]
    return document[:count].copy(), first[:count].copy(), length[:count].copy(), part[:count].copy()


@numba.njit(cache=True, nogil=True)
def _joined(data, starts, ends, firsts, lengths):
    """(bytes, end of each run in them): the tokens of the runs, a blank after each and a line break after each run."""
    size = 0
    for run in range(len(firsts)):
        size += 1
        for token in range(firsts[run], firsts[run] + lengths[run]):
            size += ends[token] - starts[token] + 1
    out, stops = np.empty(size, np.uint8), np.empty(len(firsts), np.int64)
    size = 0
    for run in range(len(firsts)):
        for token in range(firsts[run], firsts[run] + lengths[run]):
            for at in range(starts[token], ends[token]):
                out[size] = data[at]
                size += 1
            out[size] = 32
            size += 1
        out[size] = 10
        size += 1
        stops[run] = size
    return out, stops


@numba.njit(cache=True, nogil=True)
def _taken(data, begins, ends):
    """The bytes begins[i]:ends[i], one after another."""
    out = np.empty((ends - begins).sum(), np.uint8)
    size = 0
    for index in range(len(begins)):
        length = ends[index] - begins[index]
        out[size : size + length] = data[begins[index] : ends[index]]
        size += length
    return out


@numba.njit(cache=True, nogil=True)
def _token_places(data):
    """(place of each token, tokens of each run) of runs as `_joined` writes them."""
    tokens, runs = 0, 0
    for value in data:
        tokens += value == 32
        runs += value == 10
    places, lengths = np.empty(tokens, np.int64), np.zeros(runs, np.int64)
    token, run, begins = 0, 0, True
    for at in range(len(data)):
        if data[at] == 10:
            run += 1
            begins = True
        elif begins:
            places[token] = at
            token += 1
            lengths[run] += 1
            begins = False
        if data[at] == 32:
            begins = True
    return places, lengths


@numba.njit(cache=True, nogil=True)
def _lowest(data, begins, ends, order, rank):
    """int64[windows]: the lowest rank of the windows with the same bytes. `order` is that of the suffixes, in which
    equal windows lie side by side."""
    out = np.empty(len(begins), np.int64)
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
            out[order[place]] = lowest
        at = stop
    return out
