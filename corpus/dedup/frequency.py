"""In how many documents a piece of text stands: counts over more pieces than memory holds, in two stages.

    unit ─ (hash, document) of its pieces, by hash ─► chunks of two files that map into memory
    range of hashes ─ its part of all units' chunks ─ sort ─► pieces in many documents

A unit then asks for the frequent ones among its own pieces. Memory: CHUNK pairs of a unit, PART pairs of a range, some
30 bytes each (and the documents of one piece, however many). Disk: 12 bytes a piece while the search goes on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpus.arrays import mapped
from corpus.artifact import Draft, Manifest
from corpus.kernels.hashing import look_up, map_of

CHUNK = 1 << 23  # pairs of a unit held and sorted at a time
PART = 1 << 24  # pairs of a range of hashes sorted at a time, about


class PairWriter:
    """Writes the (hash, rank of the document) pairs of a unit into `draft`, in chunks by ascending hash: chunk i is
    hashes-<i>.npy uint64 and ranks-<i>.npy uint32."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self._held: list[tuple[np.ndarray, np.ndarray]] = []
        self._count = self._chunks = self._pairs = 0

    def add(self, hashes: np.ndarray, ranks: np.ndarray) -> None:
        """Hashes of pieces, none 0, and the ranks of the documents they stand in."""
        self._held.append((hashes, ranks.astype(np.uint32)))
        self._count += len(hashes)
        if self._count >= CHUNK:
            self._write()

    def close(self) -> None:
        """Write what is held, and how many pairs there are."""
        if self._count:
            self._write()
        self.draft.totals |= {"pairs": self._pairs}

    def _write(self) -> None:
        hashes, ranks = (np.concatenate(column) for column in zip(*self._held, strict=True))
        order = np.argsort(hashes)
        np.save(self.draft.path / f"hashes-{self._chunks:05d}.npy", hashes[order])
        np.save(self.draft.path / f"ranks-{self._chunks:05d}.npy", ranks[order])
        self._pairs += self._count
        self._chunks += 1
        self._held, self._count = [], 0


@dataclass(frozen=True)
class Frequent:
    """Pieces in at least the asked number of documents, by ascending hash: uint64 hashes, in how many documents each
    stands, and the rank of the last document that keeps it (−1: none does)."""

    hashes: np.ndarray
    documents: np.ndarray  # int64
    last: np.ndarray  # int64

    def save(self, folder: Path) -> None:
        for name in ("hashes", "documents", "last"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def open(cls, folder: Path) -> "Frequent":
        return cls(*(mapped(folder / f"{name}.npy") for name in ("hashes", "documents", "last")))

    @classmethod
    def together(cls, parts: Sequence["Frequent"]) -> "Frequent":
        """The pieces of several ranges, given in order."""
        nothing = cls(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
        names = ("hashes", "documents", "last")
        return cls(*(np.concatenate([getattr(part, name) for part in (nothing, *parts)]) for name in names))

    def chosen(self, which: np.ndarray) -> "Frequent":
        return Frequent(self.hashes[which], self.documents[which], self.last[which])


@dataclass(frozen=True)
class CountWork:
    """The pairs of these units in one range of hashes (leading `bits` equal to `part`): pieces in at least `least`
    documents, which the first `keep` of these in the keep order keep."""

    pairs: tuple[Path, ...]
    part: int
    bits: int
    least: int
    keep: int
    weight: int

    def write(self, draft: Draft) -> None:
        found = [(np.zeros(0, np.uint64), np.zeros(0, np.uint32))]
        for hashes, ranks in _chunks(self.pairs):
            mine = _range(hashes, self.part, self.bits)
            found.append((hashes[mine], ranks[mine]))
        hashes, ranks = (np.concatenate(column) for column in zip(*found, strict=True))
        frequent = _frequent(hashes, ranks, self.least, self.keep)
        frequent.save(draft.path)
        draft.totals |= {"pieces": len(frequent.hashes), "occurrences": int(frequent.documents.sum())}


def count_works(pairs: Sequence[Path], least: int, keep: int) -> list[CountWork]:
    """One work for each range of hashes; the ranges are as many as bound the pairs of one."""
    total = sum(Manifest.read(folder).totals["pairs"] for folder in pairs)
    bits = max(0, (total - 1) // PART).bit_length()
    weight = 12 * total >> bits
    return [CountWork(tuple(pairs), part, bits, least, keep, weight) for part in range(1 << bits)]


def frequent_here(counted: Sequence[Path], pairs: Path) -> Frequent:
    """The frequent pieces that stand in the unit of `pairs`; `counted`: the folders of all ranges, in order."""
    bits = (len(counted) - 1).bit_length()
    parts = []
    for part, folder in enumerate(counted):
        frequent = Frequent.open(folder)
        here = np.zeros(len(frequent.hashes), bool)
        for hashes, _ in _chunks([pairs]):
            own = hashes[_range(hashes, part, bits)]
            if len(own):
                place = np.searchsorted(own, frequent.hashes)
                here |= own[np.minimum(place, len(own) - 1)] == frequent.hashes
        parts.append(frequent.chosen(here))
    return Frequent.together(parts)


def _chunks(folders: Sequence[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for folder in folders:
        for path in sorted(folder.glob("hashes-*.npy")):
            ranks = path.with_name(path.name.replace("hashes", "ranks"))
            yield mapped(path), mapped(ranks)


def _range(hashes: np.ndarray, part: int, bits: int) -> slice:
    """Where the ascending hashes of a range stand."""
    if not bits:
        return slice(0, len(hashes))
    first = np.uint64(part << (64 - bits))
    last = np.uint64(((part + 1) << (64 - bits)) - 1)
    return slice(int(np.searchsorted(hashes, first)), int(np.searchsorted(hashes, last, side="right")))


def _frequent(hashes: np.ndarray, ranks: np.ndarray, least: int, keep: int) -> Frequent:
    # Most pieces stand alone: the plain sort of the hashes, which is the fast one, finds the few that need an order.
    ordered = np.sort(hashes)
    fresh = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] ^ np.uint64(1)) != 0)
    often = ordered[fresh][np.diff(fresh, append=len(ordered)) >= least]
    table, held = map_of(often, np.arange(len(often)))
    chosen = look_up(table, held, hashes, -1) >= 0
    hashes, ranks = hashes[chosen], ranks[chosen].astype(np.int64)
    order = np.lexsort((ranks, hashes))
    hashes, ranks = hashes[order], ranks[order]
    once = np.ones(len(hashes), bool)
    once[1:] = (hashes[1:] != hashes[:-1]) | (ranks[1:] != ranks[:-1])
    hashes, ranks = hashes[once], ranks[once]
    starts = np.flatnonzero(np.diff(hashes, prepend=hashes[:1] ^ np.uint64(1)) != 0)
    documents = np.diff(starts, append=len(hashes))
    starts, documents = starts[documents >= least], documents[documents >= least]
    kept = np.minimum(keep, documents)
    last = ranks[starts + kept - 1] if keep else np.full(len(starts), -1, np.int64)
    return Frequent(hashes[starts], documents.astype(np.int64), last.astype(np.int64))
