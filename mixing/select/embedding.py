"""Vectors of texts: by default hashed TF-IDF brought to a few dimensions, which needs no download.

    counts of hashed words ─ 1 + log c ─ · idf ─ unit length ─ right singular vectors of a sample ─► unit vectors

That is latent semantic analysis (Deerwester et al. 1990): it knows which words occur together in the sample, and
nothing of words it has not seen together; synonyms across domains are beyond it. Where a sentence encoder is at hand,
name its folder (mixing/select/encoder.py), which is slower by a factor of a thousand on a processor.
"""

from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
from pydantic import Field
from scipy import sparse

from corpus.settings import Settings
from mixing.select.grams import sparse_rows
from mixing.select.texts import Texts, sample_of

OVERSAMPLED, POWERS = 10, 2  # of the random projection
DIGITS = 5  # of a cosine that count: the last ones depend on the order in which a processor adds


class Embedding(Protocol):
    def vectors(self, text: pa.StringArray) -> np.ndarray:
        """float32[rows, dimension], each of unit length, or zero for a text without words."""


class HashedSettings(Settings):
    """Hashed TF-IDF and truncated SVD; learned from the task and a sample of the pool."""

    kind: Literal["hashed"] = "hashed"
    buckets: int = Field(1 << 16, ge=64, le=1 << 22, description="of the hashed words")
    dimension: int = Field(128, ge=1, description="singular vectors kept; fewer where the sample is small")
    sample: int = Field(4000, ge=2, description="texts of the pool, and of the task, the vectors are learned from")

    def fit(self, task: Texts, pool: Texts, seed: int) -> "HashedEmbedding":
        texts = sample_of(task, self.sample, seed) + sample_of(pool, self.sample, seed)
        counts = _matrix(pa.array(texts, pa.string()), self.buckets)
        held = np.bincount(counts.indices, minlength=self.buckets)
        idf = (np.log((1 + counts.shape[0]) / (1 + held)) + 1).astype(np.float32)
        weighted = _weighted(counts, idf)
        return HashedEmbedding(idf, right_vectors(weighted, self.dimension, seed))


def _matrix(text: pa.StringArray, buckets: int) -> sparse.csr_matrix:
    bounds, indices, values = sparse_rows(text, buckets)
    return sparse.csr_matrix((values, indices, bounds), shape=(len(text), buckets))


def _weighted(counts: sparse.csr_matrix, idf: np.ndarray) -> sparse.csr_matrix:
    """(1 + log c)·idf, rows of unit length."""
    values = (1 + np.log(counts.data)) * idf[counts.indices]
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    norm = np.sqrt(np.bincount(rows, values * values, minlength=counts.shape[0]))
    return sparse.csr_matrix(
        ((values / norm[rows]).astype(np.float32), counts.indices, counts.indptr), shape=counts.shape
    )


def right_vectors(matrix: sparse.csr_matrix, rank: int, seed: int) -> np.ndarray:
    """float32[columns, rank]: the leading right singular vectors of a sparse matrix, by random projection and power
    iterations (Halko et al. 2011, algorithm 4.4); as many as the matrix has rows where those are fewer."""
    width = min(rank + OVERSAMPLED, *matrix.shape)
    drawn = np.random.Generator(np.random.PCG64(seed)).standard_normal((matrix.shape[1], width))
    basis = np.linalg.qr(matrix @ drawn)[0]
    for _ in range(POWERS):
        basis = np.linalg.qr(matrix @ (matrix.T @ basis))[0]
    reduced = matrix.T @ basis  # [columns, width]; its singular vectors are those of a small matrix
    values, vectors = np.linalg.eigh(reduced.T @ reduced)
    kept = [place for place in range(width - 1, -1, -1) if values[place] > 1e-12 * values[-1]][:rank]
    right = reduced @ (vectors[:, kept] / np.sqrt(values[kept]))
    return np.ascontiguousarray(right, np.float32)


class HashedEmbedding:
    """`idf` float32[buckets] and `right` float32[buckets, dimension]."""

    def __init__(self, idf: np.ndarray, right: np.ndarray) -> None:
        self.idf, self.right = idf, right

    def vectors(self, text: pa.StringArray) -> np.ndarray:
        return unit(_weighted(_matrix(text, len(self.idf)), self.idf) @ self.right)


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows at unit length; zero rows stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def all_vectors(embedding: Embedding, texts: Texts) -> Iterator[np.ndarray]:
    """The vectors of a stream of texts, batch by batch."""
    return (embedding.vectors(batch) for batch in texts())
