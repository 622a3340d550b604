"""Questions about tokens: exact counts by what a document is and became, percentiles, distributions before and after.

`before` is every document whose text could be read, as it came to the decision; `after` is what was kept. Lengths are
counted in one scan and handed to corpus.tokens.counts, which takes histograms and exact percentiles from the counts. A
band of lengths or perplexities is named by its lower end, a power of two: [64, 128) is band 64.
"""

import numpy as np
import polars as pl

from corpus.tokens.counts import TokenCounts
from pipelines.audit.row_groups import each_of, kept_rows
from pipelines.audit.views import Views, measured_columns

BINS = 20
QUALITY = ("quality_", "classifier_", "code_", "fineweb_", "c4_", "language_score")
PERPLEXITY = "perplexity_value"
AT = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
NOT_IDENTIFIED = "not identified"
_NUMBERS = ("FLOAT", "DOUBLE", "INTEGER", "BIGINT")


def tokens(views: Views) -> pl.DataFrame:
    """source, split, language → kept documents, tokens, bytes; mean, percentiles and extremes of tokens per document.

    Tokens exclude the EOS that a store puts after each document.
    """
    keys = ("source", "split", "language")
    counted = views.query(
        f"""
        SELECT source, split, coalesce(language, '{NOT_IDENTIFIED}') AS language, length,
            sum(documents)::BIGINT AS documents, sum(bytes)::BIGINT AS bytes
        FROM (
            SELECT source, split, language, tokens_out AS length, count(*) AS documents, sum(bytes_out) AS bytes
            FROM ledger WHERE fate = 'kept' GROUP BY ALL)
        GROUP BY ALL ORDER BY ALL
        """
    )
    totals = counted.group_by(keys, maintain_order=True).agg(
        (pl.col("length") * pl.col("documents")).sum().alias("tokens"), pl.col("bytes").sum()
    )
    lengths = counted.select(*keys, pl.lit("tokens").alias("measure"), "length", "documents")
    percentiles = TokenCounts(keys, totals, lengths).percentiles("tokens", AT)
    joined = percentiles.join(totals, on=keys, nulls_equal=True, maintain_order="left")
    return joined.select(*keys, "documents", "tokens", "bytes", pl.exclude(*keys, "documents", "tokens", "bytes"))


def bands(views: Views) -> pl.DataFrame:
    """source, language, decision, split, length band, perplexity bucket and band → documents, bytes, tokens as they
    came in. The decision is `kept`, or the step that dropped them."""
    # Grouped by what is stored, named afterwards: there are thousands of groups and millions of rows.
    return views.query(
        f"""
        SELECT source, coalesce(language, '{NOT_IDENTIFIED}') AS language,
            CASE WHEN fate = 'kept' THEN fate ELSE step END AS decision, split, length_band, perplexity_bucket,
            perplexity_band, sum(documents)::BIGINT AS documents, sum(bytes)::BIGINT AS bytes,
            sum(tokens)::BIGINT AS tokens
        FROM (
            SELECT source, language, fate, step, split, {_band("tokens_in")} AS length_band, perplexity_bucket,
                {_band(_perplexity(views))} AS perplexity_band, count(*) AS documents, sum(bytes_in) AS bytes,
                coalesce(sum(tokens_in), 0) AS tokens
            FROM documents GROUP BY ALL)
        GROUP BY ALL ORDER BY ALL
        """
    )


def by_decision(rows: pl.DataFrame) -> pl.DataFrame:
    """source, decision → documents, bytes, tokens as they came in, of a frame of `bands`."""
    sums = pl.col("documents", "bytes", "tokens").sum()
    return rows.group_by("source", "decision").agg(sums).sort("source", "decision")


def before_and_after(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """key → documents and tokens before and after, of a frame of `bands`; rows without the key are left out, and so are
    records that could not be read."""
    kept = pl.col("decision") == "kept"
    return (
        rows.filter(pl.col("decision").ne_missing("quarantine") & pl.col(key).is_not_null())
        .group_by(key)
        .agg(
            pl.col("documents").sum().alias("documents_before"),
            pl.col("documents").filter(kept).sum().alias("documents_after"),
            pl.col("tokens").sum().alias("tokens_before"),
            pl.col("tokens").filter(kept).sum().alias("tokens_after"),
        )
        .sort(key)
    )


def quality(views: Views) -> pl.DataFrame:
    """measure, low, high → documents before and after, in `BINS` even bins between the least and the largest value of
    each numeric measurement of quality. Cost: two reads of those columns."""
    kinds = dict(views.query("SELECT column_name, column_type FROM (DESCRIBE documents)").iter_rows())
    names = [name for name in measured_columns(views) if name.startswith(QUALITY) and kinds[name] in _NUMBERS]
    units = [(source, at) for source, files in views.ledgers.items() for at in range(len(files))]

    def ends(unit: tuple[str, int]) -> dict[str, tuple[float, float]]:
        found = views.measured(*unit, names).items()
        finite = {name: values[np.isfinite(values)] for name, values in found}
        return {name: (values.min(), values.max()) for name, values in finite.items() if len(values)}

    each = each_of(units, ends) if names else []
    spans = {
        name: (float(min(own[name][0] for own in having)), float(max(own[name][1] for own in having)))
        for name in names
        if (having := [own for own in each if name in own])
    }
    spans = {name: (low, high) for name, (low, high) in spans.items() if high > low}

    def binned(unit: tuple[str, int]) -> dict[str, np.ndarray]:
        kept = kept_rows(views.ledgers[unit[0]][unit[1]])
        counts = {}
        for name, values in views.measured(*unit, list(spans)).items():
            low, high = spans[name]
            finite = np.isfinite(values)
            bins = np.minimum(np.floor((values[finite] - low) / (high - low) * BINS), BINS - 1).astype(np.int64)
            counts[name] = np.bincount(bins + BINS * kept[finite], minlength=2 * BINS)
        return counts

    sums = {name: np.zeros(2 * BINS, np.int64) for name in spans}
    for own in each_of(units, binned) if spans else []:
        for name, counts in own.items():
            sums[name] += counts
    rows = []
    for name, (low, high) in spans.items():
        width, (gone, after) = (high - low) / BINS, sums[name].reshape(2, BINS)
        rows += [
            (name, low + at * width, low + (at + 1) * width, int(gone[at] + after[at]), int(after[at]))
            for at in range(BINS)
        ]
    schema = {"measure": pl.String, "low": pl.Float64, "high": pl.Float64, "before": pl.Int64, "after": pl.Int64}
    return pl.DataFrame(rows, schema, orient="row")


def _band(value: str) -> str:
    return (
        f"CASE WHEN {value} IS NULL OR isnan({value}::DOUBLE) THEN NULL WHEN {value} < 1 THEN 0 "
        f"ELSE (1::BIGINT << least(floor(log2({value})), 61)::INT) END"
    )


def _perplexity(views: Views) -> str:
    return PERPLEXITY if PERPLEXITY in measured_columns(views) else "NULL::DOUBLE"
