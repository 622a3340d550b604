"""The choice: one score from several measures, then the best documents, or a sample that prefers them, up to a budget.

    quantile rank of a document under a measure: (documents below it + half of those level with it) / documents
    score = mean of the quantile ranks                                       with one measure: the measure itself
    hard: the highest scores.   soft: the highest log weight + Gumbel noise, which samples without replacement in
    proportion to the weight (Vieira 2014; Kool et al. 2019)

The noise is a function of seed and document id, so the choice does not depend on the order of the documents.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
import polars as pl
import xxhash
from pydantic import Field, model_validator

from corpus.settings import Settings


class ChoiceSettings(Settings):
    """How many documents to choose, and how strictly by score."""

    method: Literal["hard", "soft"] = Field(
        "hard", description="hard: the best; soft: sampled in proportion to the score, or to DSIR's weight"
    )
    share: float | None = Field(None, gt=0, le=1, description="of the pool, by `unit`")
    unit: Literal["documents", "tokens"] = Field("tokens", description="what `share` is a share of")
    tokens: int | None = Field(None, gt=0, description="tokens to choose")
    at_least: float | None = Field(None, description="every document with at least this score")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        stated = [name for name in ("share", "tokens", "at_least") if getattr(self, name) is not None]
        if len(stated) != 1:
            raise ValueError(f"state one of share, tokens, at_least: found {' and '.join(stated) or 'none'}")
        if self.at_least is not None and self.method == "soft":
            raise ValueError("at_least chooses every document above a bound: method soft has nothing to sample")
        return self


def quantile_ranks(values: np.ndarray) -> np.ndarray:
    """float64[documents] in (0, 1): the share of documents below, and half of those level; 0 for NaN, which is below
    all."""
    known = ~np.isnan(values)
    order = np.sort(values[known])
    below = np.searchsorted(order, values[known]) + (~known).sum()
    level = np.searchsorted(order, values[known], side="right") - np.searchsorted(order, values[known])
    out = np.zeros(len(values))
    out[known] = (below + level / 2) / len(values)
    return out


def combined(measures: Sequence[np.ndarray]) -> np.ndarray:
    """float64[documents]: the one measure, or the mean of the quantile ranks of several."""
    if len(measures) == 1:
        return measures[0]
    return np.mean([quantile_ranks(values) for values in measures], axis=0)


def log_weights(score: np.ndarray, logarithmic: bool) -> np.ndarray:
    """float64[documents]: the score where it is a log weight already, else the log of the score brought to [0, 1]
    (Xie et al. 2024); −inf for NaN."""
    if not logarithmic:
        low, high = np.nanmin(score, initial=np.inf), np.nanmax(score, initial=-np.inf)
        spread = high - low
        scaled = (score - low) / spread if spread > 0 else np.where(np.isnan(score), np.nan, 1.0)
        score = np.log(scaled, out=np.full(len(score), -np.inf), where=scaled > 0)
    return np.where(np.isnan(score), -np.inf, score)


def gumbel(ids: Sequence[str], seed: int) -> np.ndarray:
    """float64[documents]: −log(−log u), u in (0, 1) by the hash of seed and id."""
    salt = int.from_bytes(hashlib.sha256(f"{seed}\0select".encode()).digest()[:8], "little")
    hashes = np.fromiter((xxhash.xxh3_64_intdigest(name.encode(), seed=salt) for name in ids), np.uint64, len(ids))
    uniform = ((hashes >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return -np.log(-np.log(uniform))


def choose(
    ids: pl.Series, tokens: np.ndarray, score: np.ndarray, settings: ChoiceSettings, seed: int, logarithmic: bool
) -> np.ndarray:
    """bool[documents]: the choice. Documents are taken from the highest key on, ties by id, while they fit the budget
    of tokens; a document without a score (NaN) is never chosen, whatever the budget."""
    if settings.at_least is not None:
        return score >= settings.at_least
    key = score if settings.method == "hard" else log_weights(score, logarithmic) + gumbel(ids.to_list(), seed)
    candidates = ~np.isnan(score) & (key > -np.inf)
    order = (
        pl.DataFrame({"key": key, "id": ids, "row": np.arange(len(key))})
        .filter(pl.Series(candidates))
        .sort(["key", "id"], descending=[True, False])["row"]
        .to_numpy()
    )
    if settings.share is not None and settings.unit == "documents":
        taken = order[: round(settings.share * len(ids))]
    else:
        budget = settings.tokens if settings.share is None else round(settings.share * int(tokens.sum()))
        taken = order[np.cumsum(tokens[order]) <= budget]
    chosen = np.zeros(len(ids), bool)
    chosen[taken] = True
    return chosen
