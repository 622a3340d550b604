"""Token statistics: exact documents, bytes and tokens of a corpus by source, language and decision.

    ledger files ─ read once, in slices ─► totals            documents, bytes and tokens of every group
                                           lengths           how many documents have which length
                                              ├─► histogram      bins that double
                                              └─► percentiles    of tokens or bytes per document

Nothing is sampled or rounded. A percentile is the length of a document that is there (nearest rank, numpy's
"inverted_cdf"), found from the counted lengths, so memory grows with the number of different lengths and not with the
number of documents.

A kept document counts with the text that was handed on; any other as it came in, which for bytes may be markup. A
record whose text could not be read has bytes and no tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from corpus.artifact import scan_parquet
from corpus.ledger import LEDGER

BY = ("source", "language", "fate")
AT = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MEASURES = ("tokens", "bytes")
_ROWS = 1 << 16  # of the ledger in memory at a time
_MERGE = 64  # slices whose counts are held before they are united


@dataclass(frozen=True)
class TokenCounts:
    """Counts of a corpus, grouped by the ledger's columns `by` (null is a group of its own: no language identified).

    totals: *by, documents, uncounted (documents without tokens), bytes_in, bytes, tokens; sorted by `by`.
    lengths: *by, measure ("tokens" or "bytes"), length, documents; sorted.
    """

    by: tuple[str, ...]
    totals: pl.DataFrame
    lengths: pl.DataFrame

    def histogram(self, measure: str = "tokens") -> pl.DataFrame:
        """*by, low, high, documents, total: documents whose length lies in [low, high), and the sum of their lengths.

        The bins double: [0, 1), [1, 2), [2, 4), [4, 8) …; empty bins have no row.
        """
        length = pl.col("length")
        power = 63 - length.bitwise_leading_zeros().cast(pl.Int64)  # exact, which a logarithm is not
        low = pl.when(length == 0).then(0).otherwise(pl.lit(2, pl.Int64).pow(power))
        return (
            self._of(measure)
            .group_by(*self.by, low.cast(pl.Int64).alias("low"))
            .agg(pl.col("documents").sum(), (length * pl.col("documents")).sum().alias("total"))
            .with_columns(pl.max_horizontal(pl.col("low") * 2, 1).alias("high"))
            .select(*self.by, "low", "high", "documents", "total")
            .sort(*self.by, "low")
        )

    def percentiles(self, measure: str = "tokens", at: Sequence[float] = AT) -> pl.DataFrame:
        """*by, documents, mean, shortest, p1, p5, p25, p50, p75, p95, p99 (those of `at`), longest: of one document."""
        length, documents = pl.col("length"), pl.col("documents")
        asked = [length.filter(pl.col("_up_to") >= _rank(share)).first().alias(f"p{share * 100:g}") for share in at]
        return (
            self._of(measure)
            .sort(*self.by, "length")
            .with_columns(_up_to=documents.cum_sum().over(self.by), _all=documents.sum().over(self.by))
            .group_by(self.by, maintain_order=True)
            .agg(
                documents.sum(),
                ((length * documents).sum() / documents.sum()).alias("mean"),
                length.min().alias("shortest"),
                *asked,
                length.max().alias("longest"),
            )
        )

    def _of(self, measure: str) -> pl.DataFrame:
        if measure not in MEASURES:
            raise ValueError(f"lengths are in {' or '.join(MEASURES)}, not {measure}")
        return self.lengths.filter(pl.col("measure") == measure)


def count_tokens(ledgers: Sequence[Path], by: Sequence[str] = BY) -> TokenCounts:
    """Count the documents of ledger files by some of the ledger's columns: source, language, fate, split, step, reason,
    perplexity_bucket. Cost: one pass over six columns. Raises ArtifactError when a file is missing or damaged."""
    totals: list[pl.DataFrame] = [_no_totals(by)]
    lengths: list[pl.DataFrame] = [_no_lengths(by)]
    for rows in _slices(ledgers, by):
        totals.append(
            rows.group_by(by).agg(
                pl.len().cast(pl.Int64).alias("documents"),
                pl.col("tokens").null_count().cast(pl.Int64).alias("uncounted"),
                pl.col("bytes_in", "bytes", "tokens").sum(),
            )
        )
        for measure in MEASURES:
            counted = rows.group_by(*by, pl.lit(measure).alias("measure"), pl.col(measure).alias("length"))
            lengths.append(counted.agg(pl.len().cast(pl.Int64).alias("documents")).drop_nulls("length"))
        if len(totals) > _MERGE:
            totals, lengths = [_united(totals, by)], [_united(lengths, (*by, "measure", "length"))]
    keys = (*by, "measure", "length")
    return TokenCounts(tuple(by), _united(totals, by).sort(by), _united(lengths, keys).sort(keys))


def _slices(ledgers: Sequence[Path], by: Sequence[str]) -> Iterator[pl.DataFrame]:
    """by…, bytes_in, bytes, tokens of each record."""
    needed = list(dict.fromkeys((*by, "fate", "bytes_in", "bytes_out", "tokens_in")))
    size = pl.when(pl.col("fate") == "kept").then("bytes_out").otherwise("bytes_in").alias("bytes")
    for path in ledgers:
        for batch in scan_parquet(path, needed, _ROWS):
            frame = pl.DataFrame(pl.from_arrow(batch))
            yield frame.select(*by, "bytes_in", size, pl.col("tokens_in").alias("tokens"))


def _united(parts: Sequence[pl.DataFrame], keys: Sequence[str]) -> pl.DataFrame:
    return pl.concat(parts).group_by(keys).agg(pl.all().sum())


def _keys(by: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(LEDGER.empty_table().select(list(by))))


def _no_totals(by: Sequence[str]) -> pl.DataFrame:
    counts = ("documents", "uncounted", "bytes_in", "bytes", "tokens")
    return _keys(by).with_columns(pl.lit(None, pl.Int64).alias(name) for name in counts)


def _no_lengths(by: Sequence[str]) -> pl.DataFrame:
    columns = {"measure": pl.String, "length": pl.Int64, "documents": pl.Int64}
    return _keys(by).with_columns(pl.lit(None, kind).alias(name) for name, kind in columns.items())


def _rank(share: float) -> pl.Expr:
    """The 1-based place of a percentile among the documents of a group, by nearest rank."""
    # Rounded first: 0.07 × 100 is a little above 7.
    return (pl.col("_all") * share).round(6).ceil().clip(1)
