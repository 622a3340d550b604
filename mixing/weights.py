"""Quality weights: how often each document comes in one epoch of its source.

A weight of 2.3 is two copies and a third one with probability 0.3. The fractions are settled together by stratified
(systematic) rounding: with the weights laid end to end on a line, a document has as many copies as whole marks, shifted
by one uniform draw, fall on its piece. So every document has its weight rounded down or up, its weight on average, and
the copies sum to the sum of the weights: exactly where that is whole, else rounded down or up. The line is cut into
2^-24 of a copy, so no sum is rounded.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from corpus.errors import ConfigError, DataError

WEIGHT_BITS = 24
MOST = 1 << 16  # of one document, so that a source of 2^23 documents of it still adds up in an int64


def copies(weights: np.ndarray, seed: int, source: str) -> np.ndarray:
    """int64[documents]: copies by float64[documents] weights, a function of weights, seed and source's name.

    Raises DataError when a weight is negative, not a number, or above 65,536.
    """
    weights = np.asarray(weights, np.float64)
    wrong = ~((weights >= 0) & (weights <= MOST))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(
            "a quality weight must be a number from 0 to 65,536",
            where=source,
            found=f"{weights[at]} for document {at}, {int(wrong.sum())} such",
        )
    units = np.rint(weights * (1 << WEIGHT_BITS)).astype(np.int64)
    digest = hashlib.sha256(f"{seed}\0{source}\0weights".encode()).digest()
    shift = int.from_bytes(digest[:8], "little") >> (64 - WEIGHT_BITS)
    line = np.concatenate([[shift], shift + np.cumsum(units)])
    return np.diff(line >> WEIGHT_BITS)


def order_of(count: np.ndarray) -> np.ndarray:
    """int64[Σ count]: the documents of one epoch. All that have a first copy in their order, then the second copies and
    so on, so that copies of one document lie far apart."""
    passes = [np.flatnonzero(count > k) for k in range(int(count.max(initial=0)))]
    return np.concatenate(passes) if passes else np.empty(0, np.int64)


def read_weights(paths: list[Path], column: str, ids: Sequence[str], source: str) -> np.ndarray:
    """float64[documents]: the weights of the documents `ids`, from parquet files with the columns `id` and `column`.

    Raises ConfigError when it cannot be read so, DataError when a document has none.
    """
    try:
        table = (
            pl.scan_parquet(list(paths)).select(pl.col("id"), pl.col(column).cast(pl.Float64).alias("weight")).collect()
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError(
            f"the quality weights of {source} cannot be read",
            where=paths[0],
            found=str(error).splitlines()[0],
            todo=f"give a parquet file with the columns id and {column}",
        ) from None
    if table["id"].is_duplicated().any():
        raise DataError("a document has two quality weights", where=paths[0])
    found = pl.DataFrame({"id": ids}).join(table, on="id", how="left", maintain_order="left")["weight"]
    if found.null_count():
        raise DataError(
            f"{found.null_count():,} documents of {source} have no quality weight",
            where=paths[0],
            found=f"first: {ids[int(found.is_null().arg_max() or 0)]}",
            todo="weigh every document of the token store; 0 leaves one out",
        )
    return found.to_numpy()
