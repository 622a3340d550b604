"""The LSH join: documents that share a band's key, band by band and range by range.

    keys of a band and range ─ sort ─► buckets ─► pairs.npy of the small ones, members of the large ones
    all of these ─ one range of pairs at a time ─► candidates, cut into parts of about equal size

A bucket of up to BUCKET documents gives all its pairs. A larger one, where all pairs would be m² / 2, is handed on as
a whole: corpus/dedup/verify.py covers it with measured similarities. Pairs are (smaller rank << 32 | larger rank).

Memory: 25 bytes a document of one range, and the pairs of one part. Cost: one sort of packed integers per band.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.pipeline.base import PipelineStep

from corpus.arrays import mapped
from corpus.artifact import Draft, RunLock, publish
from corpus.dedup.keys import Keys
from corpus.dedup.numbers import in_range
from corpus.engine import Unit

BUCKET = 64  # documents of one bucket that are still compared all with all
HALF = np.uint64(32)


@dataclass(frozen=True)
class BandWork:
    """One range (leading `bits` of the key equal to `part`) of some bands, of these published keys and numbers."""

    keys: tuple[Path, ...]
    numbers: Path
    bands: tuple[int, ...]
    part: int
    bits: int


@dataclass(frozen=True)
class Found:
    """Candidates of one band and range: `pairs` uint64 ascending, and large buckets: the ranks
    members[bounds[i] : bounds[i + 1]], ascending."""

    pairs: np.ndarray
    members: np.ndarray
    bounds: np.ndarray

    def save(self, folder: Path) -> None:
        for name in ("pairs", "members", "bounds"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def open(cls, folder: Path) -> "Found":
        return cls(*(mapped(folder / f"{name}.npy") for name in ("pairs", "members", "bounds")))


class BandUnit(PipelineStep):
    """Joins this rank's bands, one at a time, and publishes what is `Found`."""

    name = "bands"
    type = "LSH join"

    def __init__(self, units: Sequence[Unit], lock: RunLock | None):
        super().__init__()
        self.units, self.lock = units, lock

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        work: BandWork = unit.work
        with publish(unit.folder, kind="dedup.bands", function=unit.function, lock=self.lock) as draft:
            found = unite([join_band(*_band(work, band)) for band in work.bands])
            found.save(draft.path)
            draft.totals |= {"pairs": len(found.pairs), "large": len(found.bounds) - 1}


def _band(work: BandWork, band: int) -> tuple[np.ndarray, np.ndarray]:
    """(keys, ranks) of the documents of a band's range that take part in the join."""
    ranks = mapped(work.numbers / "rank.npy")
    joined = mapped(work.numbers / "joined.npy")
    keys, numbers, start = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint32)], 0
    for folder in work.keys:
        own = Keys.open(folder).bands[band]
        rows = np.flatnonzero(joined[start : start + len(own)] & in_range(own, work.part, work.bits))
        keys.append(own[rows])
        numbers.append(ranks[start : start + len(own)][rows])
        start += len(own)
    return np.concatenate(keys), np.concatenate(numbers)


def join_band(keys: np.ndarray, ranks: np.ndarray) -> Found:
    """What uint64 `keys` and uint32 `ranks` of one band's documents have in common, whatever their order."""
    from corpus.kernels.join import count_pairs, fill_pairs

    bits = np.uint64(max(1, (len(keys) - 1).bit_length()) if len(keys) else 1)
    low = (np.uint64(1) << bits) - np.uint64(1)
    # The leading bits of a range are equal and tell nothing; a multiplication brings all bits of the key to the top.
    packed = keys * np.uint64(0x9E3779B97F4A7C15)
    packed &= ~low
    packed |= np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    most, large = count_pairs(packed, low, BUCKET)
    codes = np.empty(most, np.uint64)
    runs = np.empty((large, 2), np.int64)
    codes = codes[: fill_pairs(packed, low, BUCKET, keys, ranks, codes, runs)]
    members, more = _large_buckets(packed, low, keys, ranks, runs)
    codes = np.concatenate([codes, *more])
    codes.sort()
    return Found(codes, _joined(members), _bounds(members))


def _large_buckets(
    packed: np.ndarray, low: np.uint64, keys: np.ndarray, ranks: np.ndarray, runs: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(members of each large bucket, pairs of the others) in runs of equal upper bits of the key."""
    members, pairs = [], []
    for start, stop in runs:
        inside = (packed[start:stop] & low).astype(np.int64)
        inside = inside[np.lexsort((ranks[inside], keys[inside]))]
        cuts = np.flatnonzero(np.diff(keys[inside])) + 1
        for bucket in np.split(ranks[inside], cuts):
            if len(bucket) > BUCKET:
                members.append(bucket)
            else:
                pairs.append(all_pairs(bucket))
    return members, pairs


def all_pairs(bucket: np.ndarray) -> np.ndarray:
    """The pairs of ascending ranks, as codes."""
    a, b = np.triu_indices(len(bucket), 1)
    return encode(bucket[a], bucket[b])


def encode(smaller: np.ndarray, larger: np.ndarray) -> np.ndarray:
    """uint64 codes of pairs of ranks."""
    return smaller.astype(np.uint64) << HALF | larger.astype(np.uint64)


def decode(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(smaller, larger) ranks, int64, of pairs."""
    return (codes >> HALF).astype(np.int64), (codes & np.uint64(0xFFFFFFFF)).astype(np.int64)


def unite(found: Sequence[Found]) -> Found:
    """The pairs and the large buckets of all, each once."""
    pairs = np.unique(np.concatenate([one.pairs for one in found]))
    buckets = _buckets(found)
    return Found(pairs, _joined(buckets), _bounds(buckets))


def _buckets(found: Sequence[Found]) -> list[np.ndarray]:
    """The large buckets of all, each once, in one order whatever the order of `found`."""
    each = {}
    for one in found:
        for start, stop in zip(one.bounds[:-1], one.bounds[1:], strict=True):
            bucket = np.asarray(one.members[start:stop])
            each[bucket.tobytes()] = bucket
    return sorted(each.values(), key=np.ndarray.tolist)


def _joined(buckets: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.uint32), *buckets])


def _bounds(buckets: Sequence[np.ndarray]) -> np.ndarray:
    return np.cumsum([0, *map(len, buckets)])


def merge_candidates(bands: Sequence[Path], documents: int, largest: int, draft: Draft) -> None:
    """Unite what the bands found: part-<i>/ with pairs and large buckets, each pair and each bucket once, and
    involved.npy bool[documents], by rank, of all that are in one. About `largest` pairs make a part."""
    found = [Found.open(folder) for folder in bands]
    involved = np.zeros(documents, bool)
    for one in found:
        involved[one.members] = True
    buckets = _buckets(found)
    parts = 1 + sum(len(one.pairs) for one in found) // largest
    edges = np.array([documents * part // parts for part in range(1, parts)], np.uint64) << HALF
    slices = [np.split(one.pairs, np.searchsorted(one.pairs, edges)) for one in found]
    total = 0
    for part in range(parts):
        pairs = np.unique(np.concatenate([np.zeros(0, np.uint64), *(own[part] for own in slices)]))
        for side in decode(pairs):
            involved[side] = True
        mine = buckets[part::parts]
        folder = draft.path / f"part-{part:05d}"
        folder.mkdir()
        Found(pairs, _joined(mine), _bounds(mine)).save(folder)
        total += len(pairs)
    np.save(draft.path / "involved.npy", involved)
    draft.totals |= {"parts": parts, "pairs": total, "large": len(buckets)}
