"""Candidates measured: which of the proposed pairs are near-duplicates, and how similar they are.

    group of units ─ texts of the candidates only ─► shingle sets (or the sketches) that map into memory
    part of the candidates ─ true Jaccard on the sets ─► pairs.npy, similarity.npy of those at the threshold or above

A large bucket is covered greedily: its smallest document is compared with all the others, which are linked to it when
they are similar and leave; the smallest of the rest is next. At most BUCKET are left at some point, which are compared
all with all, or the cover ends after LEADERS rounds. So each member is linked to a document it was measured similar
to, provided that LEADERS documents cover the bucket, and a bucket of m costs LEADERS · m and not m² / 2.

Memory: 20 bytes a candidate document and 16 a pair of one part; the sets (4/3 of the text) are read as needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from datatrove.pipeline.base import PipelineStep

from corpus.arrays import load, mapped
from corpus.artifact import RunLock, publish
from corpus.dedup.join import BUCKET, Found, all_pairs, decode, encode
from corpus.dedup.keys import Group, fixed_rows
from corpus.dedup.shingles import ShingleSets, read_rows, write_shingle_sets
from corpus.engine import Unit

LEADERS = 64  # documents of a large bucket that are compared with all of its rest


@dataclass(frozen=True)
class SetWork:
    """The candidates of one group, whose first record is number `start`; `ngram` None takes the sketches."""

    group: Group
    start: int
    numbers: Path
    candidates: Path
    ngram: int | None


class SetUnit(PipelineStep):
    """Publishes rank.npy uint32[sets] and the sets of this rank's candidates. Cost: one pass over the texts, if any."""

    name = "sets"
    type = "shingle sets"

    def __init__(self, units: Sequence[Unit], lock: RunLock | None):
        super().__init__()
        self.units, self.lock = units, lock

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        work: SetWork = unit.work
        with publish(unit.folder, kind="dedup.sets", function=unit.function, lock=self.lock) as draft:
            ranks = mapped(work.numbers / "rank.npy")[work.start : work.start + work.group.rows]
            involved = load(work.candidates / "involved.npy")
            documents = np.flatnonzero(ranks < len(involved))
            documents = documents[involved[ranks[documents]]]
            np.save(draft.path / "rank.npy", ranks[documents])
            number = np.searchsorted(work.group.starts, documents, side="right") - 1
            row = documents - work.group.starts[number]
            if work.ngram is None:
                _write_sketches(draft.path, work.group.units, number, row)
            else:
                with open(draft.path / "shingles.bin", "w+b") as spill:
                    write_shingle_sets(spill, work.group.units, number, row, work.ngram).save(draft.path)


def _write_sketches(folder: Path, units: Sequence[Path], number: np.ndarray, row: np.ndarray) -> None:
    parts = []
    for index in np.unique(number):
        for _, sketches in read_rows(units[index], row[number == index], "dedup.minhash"):
            parts.append(fixed_rows(sketches, "<u4"))
    np.save(folder / "sketches.npy", np.concatenate(parts or [np.zeros((0, 1), np.uint32)]))


class _Store(Protocol):
    """Candidates of one group: the similarity of numbers of it and of another."""

    def jaccard(self, left: np.ndarray, right: np.ndarray, other: Any = None) -> np.ndarray: ...


@dataclass(frozen=True)
class _Sketches:
    """Similarity is the share of equal minima: an unbiased estimate of Jaccard with error √(s(1-s)/hashes)."""

    sketches: np.ndarray

    def jaccard(self, left: np.ndarray, right: np.ndarray, other: "_Sketches | None" = None) -> np.ndarray:
        from corpus.kernels.minhash import equal_minima

        return equal_minima(self.sketches, (other or self).sketches, left, right)


class Sets:
    """The sets of all groups, found by the rank of their document."""

    def __init__(self, folders: Sequence[Path], documents: int, estimate: bool) -> None:
        self.stores: list[_Store] = []
        self.group = np.zeros(documents, np.int32)
        self.number = np.zeros(documents, np.int32)
        for index, folder in enumerate(folders):
            ranks = load(folder / "rank.npy")
            self.group[ranks], self.number[ranks] = index, np.arange(len(ranks))
            if estimate:
                self.stores.append(_Sketches(load(folder / "sketches.npy")))
            else:
                self.stores.append(ShingleSets.open(folder))

    def similarity(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """float64[pairs] of the documents of these ranks."""
        similarity = np.zeros(len(left))
        cell = self.group[left].astype(np.int64) * len(self.stores) + self.group[right]
        order = np.lexsort((self.number[left], cell))  # by pairs of groups, in the order of one file
        for some in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1):
            if len(some):
                a, b = divmod(int(cell[some[0]]), len(self.stores))
                pair = self.number[left[some]].astype(np.int64), self.number[right[some]].astype(np.int64)
                similarity[some] = self.stores[a].jaccard(*pair, self.stores[b])
        return similarity


@dataclass(frozen=True)
class VerifyWork:
    """One part of the candidates of `documents` documents, and the sets of all groups."""

    part: Path
    sets: tuple[Path, ...]
    documents: int
    threshold: float
    estimate: bool


class VerifyUnit(PipelineStep):
    """Measures this rank's part and publishes pairs.npy (codes, ascending) and similarity.npy float64."""

    name = "verify"
    type = "candidate verification"

    def __init__(self, units: Sequence[Unit], lock: RunLock | None):
        super().__init__()
        self.units, self.lock = units, lock

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        work: VerifyWork = unit.work
        with publish(unit.folder, kind="dedup.verify", function=unit.function, lock=self.lock) as draft:
            sets = Sets(work.sets, work.documents, work.estimate)
            found = Found.open(work.part)
            measured = [_above(sets, np.asarray(found.pairs), work.threshold)]
            compared = len(found.pairs)
            for start, stop in zip(found.bounds[:-1], found.bounds[1:], strict=True):
                edges, amount = cover(sets, np.asarray(found.members[start:stop]), work.threshold)
                measured.append(edges)
                compared += amount
            codes, similarity = (np.concatenate(values) for values in zip(*measured, strict=True))
            codes, first = np.unique(codes, return_index=True)  # a pair may be in a bucket and in the cover of another
            np.save(draft.path / "pairs.npy", codes)
            np.save(draft.path / "similarity.npy", similarity[first])
            draft.totals |= {"compared": compared, "near": len(codes)}


def _above(sets: Sets, codes: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    similarity = sets.similarity(*decode(codes))
    near = similarity >= threshold
    return codes[near], similarity[near]


def cover(sets: Sets, members: np.ndarray, threshold: float) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """((codes, similarity) of the links, comparisons made) of a large bucket, whose `members` are ascending ranks."""
    links, compared = [], 0
    for _ in range(LEADERS):
        if len(members) <= BUCKET:
            break
        codes = encode(np.repeat(members[:1], len(members) - 1), members[1:])
        similarity = sets.similarity(*decode(codes))
        near = similarity >= threshold
        links.append((codes[near], similarity[near]))
        compared += len(codes)
        members = members[1:][~near]
    if len(members) <= BUCKET:
        links.append(_above(sets, all_pairs(members), threshold))
        compared += len(members) * (len(members) - 1) // 2
    codes, similarity = (np.concatenate(values) for values in zip(*links, strict=True))
    return (codes, similarity), compared
