"""DSIR: importance weights of documents by hashed n-grams (Xie et al. 2023).

    log w(document) = Σ_b c_b · (log p_b − log q_b)

c_b counts the document's uni- and bigrams in bucket b; p and q are the buckets' shares in the task and in the pool,
each count raised by `smoothing`. Taken softly (`Gumbel top-k`) this samples without replacement in proportion to w.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpus.settings import Settings
from mixing.select.grams import add_counts, weighted_sums
from mixing.select.texts import Texts


class DsirSettings(Settings):
    """Importance weights by hashed uni- and bigrams; the sum over a document, as in the paper, or its mean."""

    kind: Literal["dsir"] = "dsir"
    buckets: int = Field(10_000, ge=16, le=1 << 24)
    smoothing: float = Field(1.0, gt=0, description="added to every bucket's count in the task and in the pool")
    mean: bool = Field(False, description="the mean over a document's n-grams: without a premium for length")

    def fit(self, task: Texts, pool: Texts, folder: Path, seed: int) -> "Dsir":
        counts = np.zeros((2, self.buckets), np.int64)
        for row, texts in zip(counts, (task, pool), strict=True):
            for batch in texts():
                add_counts(batch, row)
        return Dsir(log_ratios(counts[0], counts[1], self.smoothing), self.mean)


def log_ratios(task: np.ndarray, pool: np.ndarray, smoothing: float) -> np.ndarray:
    """float64[buckets]: log p − log q, from int64[buckets] counts."""
    p, q = task + smoothing, pool + smoothing
    return np.log(p / p.sum()) - np.log(q / q.sum())


class Dsir:
    """Scores texts by summed log ratios; `logarithmic`: the score is already the log of a weight."""

    logarithmic = True

    def __init__(self, ratios: np.ndarray, mean: bool) -> None:
        self.ratios, self.mean = ratios, mean

    def score(self, text: pa.StringArray) -> np.ndarray:
        """float64[rows]."""
        sums = weighted_sums(text, self.ratios)
        if not self.mean:
            return sums
        grams = weighted_sums(text, np.ones(len(self.ratios)))
        return np.divide(sums, grams, out=np.full(len(sums), np.nan), where=grams > 0)
