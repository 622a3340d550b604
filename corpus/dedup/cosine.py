"""Pairs of vectors that point the same way, found cluster by cluster.

    a sample ─ k-means ─► centroids
    nearest    per block of documents  its NEAREST centroids of each
    compared   per range of clusters   the documents of a cluster with those that have it among their nearest

Up to EXACT documents all are compared with all. Above, a pair may be missed whose documents lie in clusters that are
among neither's NEAREST; of 26,051 pairs with a cosine of 0.95 or more among 20,000 noisy vectors of 64 dimensions 0.1%
were missed with 10 clusters and 0.2% with 40 (2.5% and 3.3% with the nearest two).

Cost: documents · (clusters + NEAREST · documents / clusters) · dimension multiplications. Memory: 32 bytes a document,
the sample (a twentieth of the vectors), and the vectors of a cluster and of those that ask for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpus.arrays import load, mapped
from corpus.artifact import Draft
from corpus.engine import Workplace

EXACT = 20_000  # documents that are still compared all with all
NEAREST = 4  # clusters a document is compared with, its own among them
PER_CLUSTER = 2_000  # documents in a cluster, on average
SAMPLE = 100  # documents of the sample for each centroid
ROUNDS = 10  # of k-means
BLOCK = 1_024  # documents compared at a time
DOCUMENTS = 1 << 16  # of a piece of a stage
DIGITS = 5  # of a cosine that count: the last ones depend on the order in which a processor adds


def similar_pairs(
    vectors: Path, threshold: float, clusters: int | None, seed: int, place: Workplace
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(left, right, cosine float32), left < right, sorted: pairs of the unit vectors in a file (float32[documents,
    dimension]) of at least the threshold; `clusters`: by default one for PER_CLUSTER documents."""
    every = mapped(vectors)
    count, dimension = every.shape
    clusters = min(count, clusters or (1 if count <= EXACT else count // PER_CLUSTER))
    size = 4 * dimension
    centroids = place.one(
        "centroids",
        {"kind": "semantic.centroids", "of": place.function},
        lambda draft: np.save(draft.path / "centroids.npy", _centroids(every, clusters, seed)),
    )
    blocks = {
        f"{start // DOCUMENTS:05d}": NearestWork(vectors, centroids, start, min(start + DOCUMENTS, count), size)
        for start in range(0, count, DOCUMENTS)
    }
    nearest = tuple(place.make("nearest", blocks))
    together = max(1, clusters * DOCUMENTS // max(1, count))
    ranges = {
        f"{first // together:05d}": CompareWork(
            vectors, nearest, first, min(first + together, clusters), threshold, size * count // clusters
        )
        for first in range(0, clusters, together)
    }
    found = [load(folder / "pairs.npz") for folder in place.make("compared", ranges)]
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    columns = zip(nothing, *((part["left"], part["right"], part["cosine"]) for part in found), strict=True)
    return _each_once(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class NearestWork:
    """nearest.npy int64[documents, NEAREST at most]: the nearest centroids of documents start:stop, the nearest
    first."""

    vectors: Path
    centroids: Path
    start: int
    stop: int
    size: int  # bytes of a vector

    @property
    def weight(self) -> int:
        return self.size * (self.stop - self.start)

    def write(self, draft: Draft) -> None:
        vectors = mapped(self.vectors)[self.start : self.stop]
        np.save(draft.path / "nearest.npy", _nearest(vectors, load(self.centroids / "centroids.npy")))


@dataclass(frozen=True)
class CompareWork:
    """pairs.npz (left, right, cosine) of the clusters first:last."""

    vectors: Path
    nearest: tuple[Path, ...]
    first: int
    last: int
    threshold: float
    size: int  # bytes of the vectors of a cluster

    @property
    def weight(self) -> int:
        return (1 + NEAREST) * self.size * (self.last - self.first)

    def write(self, draft: Draft) -> None:
        vectors = mapped(self.vectors)
        nearest = np.concatenate([load(folder / "nearest.npy") for folder in self.nearest])
        found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))]
        for cluster in range(self.first, self.last):
            members = np.flatnonzero(nearest[:, 0] == cluster)
            asking = np.flatnonzero((nearest == cluster).any(axis=1))
            found += _compared(vectors, asking, members, self.threshold)
        left, right, cosine = _each_once(*(np.concatenate(column) for column in zip(*found, strict=True)))
        np.savez(draft.path / "pairs.npz", left=left, right=right, cosine=cosine)


def _each_once(left: np.ndarray, right: np.ndarray, cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs in order; one may be met from both of its sides."""
    order = np.lexsort((right, left))
    left, right, cosine = left[order], right[order], cosine[order]
    once = np.ones(len(left), bool)
    once[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return left[once], right[once], cosine[once]


def _compared(
    vectors: np.ndarray, asking: np.ndarray, members: np.ndarray, threshold: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    inside = vectors[members]
    for start in range(0, len(asking), BLOCK):
        block = asking[start : start + BLOCK]
        cosine = np.round(vectors[block] @ inside.T, DIGITS)
        a, b = np.nonzero(cosine >= np.float32(threshold))
        one, other, value = block[a], members[b], cosine[a, b]
        apart = one != other
        one, other, value = one[apart], other[apart], value[apart]
        yield np.minimum(one, other), np.maximum(one, other), np.minimum(value, 1).astype(np.float32)


def _centroids(vectors: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """float32[clusters, dimension]: spherical k-means on a sample."""
    random = np.random.Generator(np.random.PCG64(seed))
    sample = vectors[random.permutation(len(vectors))[: clusters * SAMPLE]]
    centroids = sample[:clusters].copy()
    for _ in range(ROUNDS if clusters > 1 else 0):
        cluster = _nearest(sample, centroids)[:, 0]
        order = np.argsort(cluster, kind="stable")
        held, starts = np.unique(cluster[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centroids[held] = np.where(length > 0, sums / np.maximum(length, 1e-12), centroids[held])
    return centroids


def _nearest(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """int64[documents, NEAREST at most]: the nearest centroids of each vector, the nearest first."""
    out = np.zeros((len(vectors), min(NEAREST, len(centroids))), np.int64)
    for start in range(0, len(vectors), BLOCK):
        cosine = np.round(vectors[start : start + BLOCK] @ centroids.T, DIGITS)
        rows = np.arange(len(cosine))
        for place in range(out.shape[1]):
            out[start : start + BLOCK, place] = np.argmax(cosine, axis=1)
            cosine[rows, out[start : start + BLOCK, place]] = -2
    return out
