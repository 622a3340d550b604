"""DSIR: importance weights of documents by hashed words or n-grams (Xie et al. 2023).

    log w(document) = Σ_b c_b · r_b        r_b = log p_b − log q_b

c_b counts what the document has in bucket b; p and q are the buckets' shares in the task and in the pool. Taken softly
(Gumbel top-k) this samples without replacement in proportion to w. With `features`

    ngrams   as in the paper: c counts uni- and bigrams, each count in p and q is raised by `smoothing`
    words    c_b = idf_b · log(1 + times the document has word b),  r_b = log(λ p_b / q_b + 1 − λ)

The second asks what a document is about rather than how it is written: a word counts once and a little more when it
comes again, one that all documents of the pool have does not count (Rennie et al. 2003), and one that the task has not
is no more than log(1 − λ) against it, since p is mixed with the pool's own q (Jelinek and Mercer 1980). With `mean` a
weight is brought to the length of an average document of the pool, so that neither long nor short ones are preferred.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpus.settings import Settings
from mixing.select.grams import add_counts, sparse_rows, weighted_sums
from mixing.select.texts import Texts


class DsirSettings(Settings):
    """Importance weights by hashed words; `features: ngrams` and `mean: false` are the paper's."""

    kind: Literal["dsir"] = "dsir"
    features: Literal["words", "ngrams"] = Field(
        "words", description="words: damped counts, rare words count more; ngrams: uni- and bigrams, plainly counted"
    )
    buckets: int | None = Field(
        None, ge=16, le=1 << 24, description="default: 65,536 for words, 10,000 for ngrams as in the paper"
    )
    smoothing: float = Field(
        1.0, gt=0, description="added to every bucket's count in the pool; for ngrams in the task too"
    )
    mixed: float = Field(0.5, gt=0, lt=1, description="λ: the task's part in p, the rest is the pool's; for words")
    mean: bool = Field(True, description="weights of documents of average length: without a premium for their own")

    def fit(self, task: Texts, pool: Texts, folder: Path, seed: int) -> "Dsir":
        """One pass over task and pool."""
        if self.features == "ngrams":
            width = self.buckets or 10_000
            counts = np.zeros((2, width), np.int64)
            documents = 0
            for batch in task():
                add_counts(batch, counts[0])
            for batch in pool():
                add_counts(batch, counts[1])
                documents += len(batch)
            ratios, idf = log_ratios(counts[0], counts[1], self.smoothing), None
            average = counts[1].sum() / max(documents, 1)
        else:
            held, pooled = DampedCounts(self.buckets or 1 << 16), DampedCounts(self.buckets or 1 << 16)
            for counted, texts in ((held, task), (pooled, pool)):
                for batch in texts():
                    counted.add(batch)
            idf = pooled.idf()
            ratios = mixed_log_ratios(held.totals * idf, (pooled.totals + self.smoothing) * idf, self.mixed)
            average = float(pooled.totals @ idf) / max(pooled.documents, 1)
        return Dsir(ratios, idf, average if self.mean else None)


def log_ratios(task: np.ndarray, pool: np.ndarray, smoothing: float) -> np.ndarray:
    """float64[buckets]: log p − log q, from int64[buckets] counts."""
    p, q = task + smoothing, pool + smoothing
    return np.log(p / p.sum()) - np.log(q / q.sum())


def mixed_log_ratios(task: np.ndarray, pool: np.ndarray, mixed: float) -> np.ndarray:
    """float64[buckets]: log(λ p/q + 1 − λ), from float64[buckets] weights; 0 where the pool's is 0: every document has
    the bucket."""
    p, q = task / max(task.sum(), np.finfo(float).tiny), pool / max(pool.sum(), np.finfo(float).tiny)
    return np.log(mixed * np.divide(p, q, out=np.ones_like(p), where=q > 0) + 1 - mixed)


class DampedCounts:
    """Over the documents added: Σ log(1 + count) float64[buckets] of each word's bucket, and how many have it."""

    def __init__(self, buckets: int) -> None:
        self.totals, self.having = np.zeros(buckets), np.zeros(buckets, np.int64)
        self.documents = 0

    def add(self, text: pa.StringArray) -> None:
        _, indices, values = damped_rows(text, len(self.totals))
        self.totals += np.bincount(indices, values, len(self.totals))
        self.having += np.bincount(indices, minlength=len(self.totals))
        self.documents += len(text)

    def idf(self) -> np.ndarray:
        """float64[buckets]: log of one over the share of documents that have a word, each raised by one; 0 for all."""
        return np.log((1 + self.documents) / (1 + self.having))


def damped_rows(text: pa.StringArray, buckets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row int64, bucket int32, log(1 + count) float64) of every word that a text has."""
    bounds, indices, counts = sparse_rows(text, buckets)
    return np.repeat(np.arange(len(text)), np.diff(bounds)), indices, np.log1p(counts.astype(np.float64))


class Dsir:
    """Scores texts by summed log ratios; `logarithmic`: the score is already the log of a weight.

    `idf` float64[buckets] of words, None for n-grams; `average` counts a document of the pool has, where weights are
    brought to it.
    """

    logarithmic = True

    def __init__(self, ratios: np.ndarray, idf: np.ndarray | None, average: float | None) -> None:
        self.ratios, self.idf, self.average = ratios, idf, average

    def score(self, text: pa.StringArray) -> np.ndarray:
        """float64[rows]; with `average` NaN for a text without words."""
        if self.idf is None:
            sums = weighted_sums(text, self.ratios)
            lengths = None if self.average is None else weighted_sums(text, np.ones(len(self.ratios)))
        else:
            rows, indices, counts = damped_rows(text, len(self.idf))
            counts *= self.idf[indices]
            sums = np.bincount(rows, counts * self.ratios[indices], len(text))
            lengths = None if self.average is None else np.bincount(rows, counts, len(text))
        if lengths is None or self.average is None:
            return sums
        # A text of nothing but words that every document has is as likely here as there.
        without = np.where(_blank(text), np.nan, 0.0)
        return np.divide(sums, lengths, out=without, where=lengths > 0) * self.average


def _blank(text: pa.StringArray) -> np.ndarray:
    """bool[rows]: no word in it."""
    return pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(text)), 0).to_numpy(zero_copy_only=False)
