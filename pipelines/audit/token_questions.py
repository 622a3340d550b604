"""Questions about tokens: exact counts by what a document is and became, bands, and distributions before and after.

`before` is every document that could be read, as it came to the decision; `after` is what was kept. All counts are
exact: percentiles are taken from the counts of every length, not from a sketch. The `p`-percentile of n values is the
smallest value that at least p·n of them do not exceed (nearest rank).
"""

import polars as pl

from pipelines.audit.views import Views, measured_columns

NOT_IDENTIFIED = "not identified"
PERCENTILES = {"p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}
BINS = 20
QUALITY = ("quality_", "classifier_", "code_", "fineweb_", "c4_", "language_score")
LANGUAGE, PERPLEXITY = "language_label", "perplexity_value"
BANDS = (
    "source", "language", "decision", "split", "length_band", "perplexity_band", "documents", "bytes", "tokens",
)  # fmt: skip
# A band is the power of two at or below the value: [64, 128) is band 64. Zero is a band of its own.
_BAND = (
    "CASE WHEN {0} IS NULL OR isnan({0}) THEN NULL WHEN {0} < 1 THEN 0 ELSE (1::BIGINT << floor(log2({0}))::INT) END"
)


def tokens(views: Views) -> pl.DataFrame:
    """source, split, language → kept documents, tokens, bytes; percentiles and maximum of tokens per document.

    Tokens exclude the EOS that a store puts after each document.
    """
    language = _expression(views, LANGUAGE, "VARCHAR")
    lengths = views.query(
        f"""
        SELECT source, split, coalesce({language}, '{NOT_IDENTIFIED}') AS language, tokens_out AS length,
            count(*) AS documents, sum(bytes_out)::BIGINT AS bytes
        FROM documents WHERE fate = 'kept' GROUP BY ALL
        """
    )
    keys = ["source", "split", "language"]
    return (
        lengths.sort(*keys, "length")
        .group_by(keys, maintain_order=True)
        .agg(
            pl.col("documents").sum(),
            (pl.col("length") * pl.col("documents")).sum().alias("tokens"),
            pl.col("bytes").sum(),
            *[_percentile(share).alias(name) for name, share in PERCENTILES.items()],
            pl.col("length").max().alias("longest"),
        )
    )


def bands(views: Views) -> pl.DataFrame:
    """source, language, decision, split, length band, perplexity band → documents, bytes, tokens as they came in.

    The decision is `kept`, or the step that did not; a band is named by its lower end, a power of two.
    """
    language, perplexity = _expression(views, LANGUAGE, "VARCHAR"), _expression(views, PERPLEXITY, "DOUBLE")
    return views.query(
        f"""
        SELECT source, coalesce({language}, '{NOT_IDENTIFIED}') AS language,
            CASE WHEN fate = 'kept' THEN fate ELSE step END AS decision, split,
            {_BAND.format("tokens_in")} AS length_band, {_BAND.format(perplexity)} AS perplexity_band,
            count(*) AS documents, sum(bytes_in)::BIGINT AS bytes, coalesce(sum(tokens_in), 0)::BIGINT AS tokens
        FROM documents GROUP BY ALL ORDER BY ALL
        """
    )


def by_decision(rows: pl.DataFrame) -> pl.DataFrame:
    """source, decision → documents, bytes, tokens as they came in, of a frame of `bands`."""
    return (
        rows.group_by("source", "decision").agg(pl.col("documents", "bytes", "tokens").sum()).sort("source", "decision")
    )


def by_language(rows: pl.DataFrame) -> pl.DataFrame:
    """language → documents and tokens before and after, of a frame of `bands`."""
    return _before_and_after(rows, "language")


def by_length(rows: pl.DataFrame) -> pl.DataFrame:
    """length_band → documents and tokens before and after, of a frame of `bands`."""
    return _before_and_after(rows.filter(pl.col("length_band").is_not_null()), "length_band")


def by_perplexity(rows: pl.DataFrame) -> pl.DataFrame:
    """perplexity_band → documents and tokens before and after, of a frame of `bands`."""
    return _before_and_after(rows.filter(pl.col("perplexity_band").is_not_null()), "perplexity_band")


def quality(views: Views) -> pl.DataFrame:
    """measure, low, high → documents before and after, in `BINS` even bins between the least and the largest value
    of each numeric measurement of quality and language."""
    names = [name for name in measured_columns(views) if name.startswith(QUALITY)]
    kinds = dict(views.query("SELECT column_name, column_type FROM (DESCRIBE documents)").iter_rows())
    names = [name for name in names if kinds[name] in ("FLOAT", "DOUBLE", "INTEGER", "BIGINT")]
    ends = _row(views, [f'({end}("{n}") FILTER ({_finite(n)}))::DOUBLE' for n in names for end in ("min", "max")])
    spans = {n: (ends[2 * i], ends[2 * i + 1]) for i, n in enumerate(names)}
    spans = {name: (low, high) for name, (low, high) in spans.items() if low is not None and high > low}
    counted = _row(
        views,
        [
            f"map_entries(histogram({_bin(n, low, high)}) FILTER ({_finite(n)}{more}))"
            for n, (low, high) in spans.items()
            for more in ("", " AND fate = 'kept'")
        ],
    )
    rows = []
    for index, (name, (low, high)) in enumerate(spans.items()):
        before, after = ({entry["key"]: entry["value"] for entry in counted[2 * index + k] or ()} for k in (0, 1))
        width = (high - low) / BINS
        rows += [
            (name, low + bin * width, low + (bin + 1) * width, before.get(bin, 0), after.get(bin, 0))
            for bin in range(BINS)
        ]
    schema = {"measure": pl.String, "low": pl.Float64, "high": pl.Float64, "before": pl.Int64, "after": pl.Int64}
    return pl.DataFrame(rows, schema, orient="row")


def _bin(column: str, low: float, high: float) -> str:
    return f'least(floor(("{column}"::DOUBLE - {low!r}) / {high - low!r} * {BINS}), {BINS - 1})::INT'


def _finite(column: str) -> str:
    return f'isfinite("{column}"::DOUBLE)'


def _row(views: Views, aggregates: list[str]) -> list:
    """One row of aggregates over `documents`, in one scan."""
    if not aggregates:
        return []
    return list(
        views.query(f"SELECT {', '.join(f'{a} AS c{i}' for i, a in enumerate(aggregates))} FROM documents").row(0)
    )


def _percentile(share: float) -> pl.Expr:
    """Of lengths in ascending order with the number of documents of each."""
    below = pl.col("documents").cum_sum()
    return pl.col("length").filter(below >= (share * pl.col("documents").sum()).ceil()).first()


def _before_and_after(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    kept = pl.col("decision") == "kept"
    return (
        rows.filter(pl.col("decision").ne_missing("quarantine"))
        .group_by(key)
        .agg(
            pl.col("documents").sum().alias("documents_before"),
            pl.col("documents").filter(kept).sum().alias("documents_after"),
            pl.col("tokens").sum().alias("tokens_before"),
            pl.col("tokens").filter(kept).sum().alias("tokens_after"),
        )
        .sort(key)
    )


def _expression(views: Views, column: str, kind: str) -> str:
    return column if column in measured_columns(views) else f"NULL::{kind}"
