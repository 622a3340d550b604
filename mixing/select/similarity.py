"""Likeness to the task's texts by embeddings: to their mean (ETS-DACP, Xie et al. 2024), or to each of them (kNN-TAPT,
Gururangan et al. 2020).

The nearest documents are found exactly, by products of blocks of vectors: task · pool · dimension multiplications, on
two cores some 2·10^10 a second, so a thousand task texts and a million documents of 128 dimensions are seconds. An
approximate index would pay from about 10^5 task texts on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpus.errors import DataError
from corpus.settings import Settings
from mixing.select.embedding import (
    DIGITS,
    Embedding,
    HashedSettings,
    all_vectors,
    unit,
)
from mixing.select.encoder import EncoderSettings
from mixing.select.texts import Texts, batches_of, sample_of

EmbeddingSettings = Annotated[HashedSettings | EncoderSettings, Field(discriminator="kind")]
BLOCK = 1024  # task texts compared at a time


class SimilaritySettings(Settings):
    """Cosine of a document and the mean vector of the task's texts, both seen from the middle of the pool."""

    kind: Literal["similarity"] = "similarity"
    embedding: EmbeddingSettings = Field(
        HashedSettings(),
        description="what makes vectors of texts: hashed TF-IDF learned here, or an encoder, a thousand times slower",
    )
    centred: bool = Field(
        True,
        description="vectors less the pool's mean: what all texts have in common says nothing; the paper has it not",
    )
    sample: int = Field(4000, ge=1, description="texts of the pool its mean is taken of")

    def fit(self, task: Texts, pool: Texts, folder: Path, seed: int) -> "MeanSimilarity":
        embedding: Embedding = self.embedding.fit(task, pool, seed)
        if self.centred:
            drawn = sample_of(pool, self.sample, seed)
            embedding = Centred(embedding, _mean(embedding, lambda: batches_of(drawn)))
        mean = _mean(embedding, task)
        return MeanSimilarity(embedding, unit(mean[None])[0])


def _mean(embedding: Embedding, texts: Texts) -> np.ndarray:
    """float32[dimension]: of the texts that have a vector."""
    total, count = np.zeros(1), 0
    for vectors in all_vectors(embedding, texts):
        total = total + vectors.sum(axis=0, dtype=np.float64)
        count += int(vectors.any(axis=1).sum())
    return (total / max(count, 1)).astype(np.float32)


class Centred:
    """Vectors less a middle, at unit length; zero where there was none."""

    def __init__(self, embedding: Embedding, middle: np.ndarray) -> None:
        self.embedding, self.middle = embedding, middle

    def vectors(self, text: pa.StringArray) -> np.ndarray:
        found = self.embedding.vectors(text)
        found[found.any(axis=1)] -= self.middle
        return unit(found)


class MeanSimilarity:
    logarithmic = False

    def __init__(self, embedding: Embedding, mean: np.ndarray) -> None:
        self.embedding, self.mean = embedding, mean

    def score(self, text: pa.StringArray) -> np.ndarray:
        """float64[rows] in [−1, 1]; NaN for a text without words."""
        vectors = self.embedding.vectors(text)
        cosines = np.round((vectors @ self.mean).astype(np.float64), DIGITS)
        return np.where(vectors.any(axis=1), cosines, np.nan)


class NearestSettings(Settings):
    """The `k` nearest documents of each task text: their largest cosine, and nothing for the others."""

    kind: Literal["nearest"] = "nearest"
    k: int = Field(50, ge=1, description="documents for each task text; the paper has 50, 150 and 500")
    embedding: EmbeddingSettings = Field(
        HashedSettings(),
        description="what makes vectors of texts: hashed TF-IDF learned here, or an encoder, a thousand times slower",
    )

    def fit(self, task: Texts, pool: Texts, folder: Path, seed: int) -> "Nearest":
        """One pass over the pool: the cosine that the k-th nearest document of each task text has."""
        embedding = self.embedding.fit(task, pool, seed)
        held = list(all_vectors(embedding, task))
        if not held:
            raise DataError("the task has no texts", todo="name files with the task's texts")
        vectors = np.concatenate(held)
        nearest = np.full((len(vectors), 0), -2, np.float32)
        for documents in all_vectors(embedding, pool):
            for block in range(0, len(vectors), BLOCK):
                rows = slice(block, block + BLOCK)
                cosines = np.round(vectors[rows] @ documents.T, DIGITS)
                both = np.concatenate([nearest[rows], cosines], axis=1) if nearest.shape[1] else cosines
                kept = -np.partition(-both, self.k - 1, axis=1)[:, : self.k] if both.shape[1] > self.k else both
                if kept.shape[1] > nearest.shape[1]:
                    nearest = np.concatenate(
                        [nearest, np.full((len(vectors), kept.shape[1] - nearest.shape[1]), -2, np.float32)], axis=1
                    )
                nearest[rows, : kept.shape[1]] = kept
        return Nearest(embedding, vectors, nearest.min(axis=1, initial=2))


class Nearest:
    """`task` float32[texts, dimension] and the least cosine float32[texts] of each one's k nearest documents."""

    logarithmic = False

    def __init__(self, embedding: Embedding, task: np.ndarray, least: np.ndarray) -> None:
        self.embedding, self.task, self.least = embedding, task, least

    def score(self, text: pa.StringArray) -> np.ndarray:
        """float64[rows]: the largest cosine to a task text that has the document among its k nearest, else NaN."""
        documents = self.embedding.vectors(text)
        best = np.full(len(text), -2, np.float32)
        for block in self._blocks():
            cosines = np.round(self.task[block] @ documents.T, DIGITS)
            cosines[cosines < self.least[block, None]] = -2
            np.maximum(best, cosines.max(axis=0, initial=-2), out=best)
        return np.where(best > -2, best.astype(np.float64), np.nan)

    def _blocks(self) -> Iterator[slice]:
        return (slice(start, start + BLOCK) for start in range(0, len(self.task), BLOCK))
