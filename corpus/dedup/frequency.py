"""In how many documents a piece of text stands: counts over more pieces than memory holds.

    (hash, document) pairs ─ partitions by the leading bits of the hash, on disk ─► sort ─► pieces in many documents

Memory: one partition of at most about PARTITION bytes, sorted; a corpus that fits into one touches no disk.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Self

import numpy as np

from corpus.kernels.hashing import look_up, map_of

PARTITION = 256 << 20  # bytes of pairs sorted at a time
PAIR = np.dtype([("hash", "<u8"), ("rank", "<i8")])


@dataclass(frozen=True)
class Frequent:
    """Pieces in at least the asked number of documents, by ascending hash: uint64 hashes, in how many documents each
    stands, and the rank of the last document that keeps it (−1: none does)."""

    hashes: np.ndarray
    documents: np.ndarray  # int64
    last: np.ndarray  # int64


class DocumentFrequencies:
    """Collects (hash, rank of the document) pairs; `expected` is about how many will come. A context manager, since it
    may lie on disk."""

    def __init__(self, expected: int) -> None:
        self.parts = 1
        while self.parts * PARTITION < expected * PAIR.itemsize and self.parts < 1 << 12:
            self.parts *= 2
        self._held: list[tuple[np.ndarray, np.ndarray]] = []
        self._folder: TemporaryDirectory[str] | None = None
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        if self.parts > 1:
            self._folder = TemporaryDirectory(prefix="provender-")
            self._files = [(Path(self._folder.name) / str(part)).open("w+b") for part in range(self.parts)]
        return self

    def __exit__(self, *_: Any) -> None:
        for file in self._files:
            file.close()
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, hashes: np.ndarray, ranks: np.ndarray) -> None:
        """uint64 hashes of pieces, none 0, and the ranks of the documents they stand in."""
        if self.parts == 1:
            self._held.append((hashes, ranks))
            return
        part = (hashes >> np.uint64(64 - (self.parts - 1).bit_length())).astype(np.int64)
        order = np.argsort(part, kind="stable")
        pairs = np.empty(len(hashes), PAIR)
        pairs["hash"], pairs["rank"] = hashes[order], ranks[order]
        bounds = np.searchsorted(part[order], np.arange(self.parts + 1))
        for number in np.flatnonzero(np.diff(bounds)):
            self._files[number].write(pairs[bounds[number] : bounds[number + 1]].tobytes())

    def frequent(self, least: int, keep: int) -> Frequent:
        """Pieces in at least `least` documents; the first `keep` of these in the keep order keep it."""
        found = [_frequent(hashes, ranks, least, keep) for hashes, ranks in self._partitions()]
        names = ("hashes", "documents", "last")
        return Frequent(*(np.concatenate([getattr(part, name) for part in found]) for name in names))

    def _partitions(self) -> Any:
        if self.parts == 1:
            empty = (np.zeros(0, np.uint64), np.zeros(0, np.int64))
            hashes, ranks = zip(*(self._held or [empty]), strict=True)
            yield np.concatenate(hashes), np.concatenate(ranks)
        for file in self._files:
            file.seek(0)
            pairs = np.frombuffer(file.read(), PAIR)
            yield pairs["hash"], pairs["rank"]


def _frequent(hashes: np.ndarray, ranks: np.ndarray, least: int, keep: int) -> Frequent:
    # Most pieces stand alone: the plain sort of the hashes, which is the fast one, finds the few that need an order.
    ordered = np.sort(hashes)
    fresh = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] ^ np.uint64(1)) != 0)
    often = ordered[fresh][np.diff(fresh, append=len(ordered)) >= least]
    table, held = map_of(often, np.arange(len(often)))
    chosen = look_up(table, held, hashes, -1) >= 0
    hashes, ranks = hashes[chosen], ranks[chosen]
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
