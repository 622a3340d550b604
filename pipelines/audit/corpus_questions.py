"""Questions about the corpus, answered from the ledger: what came in, what was dropped, edited, repeated, removed.

Every function takes a workspace and returns one small polars frame. Bytes and tokens of a document that was not kept
are those it came in with.
"""

from pathlib import Path

import polars as pl

from pipelines.audit.workspace import languages, ledger

FATES = ("kept", "dropped", "quarantined")
NOT_IDENTIFIED = "not identified"
LARGEST_CLUSTERS = 20


def funnel(workspace: Path) -> pl.DataFrame:
    """source, fate, step, reason → documents, bytes, tokens (as they came in), bytes_out, tokens_out.

    The rows of a source add up to its input. Kept first, then drops, the largest first.
    """
    frame = ledger(workspace, "source", "fate", "step", "reason", "bytes_in", "tokens_in", "bytes_out", "tokens_out")
    order = pl.col("fate").replace_strict({fate: rank for rank, fate in enumerate(FATES)}, return_dtype=pl.Int8)
    return (
        frame.group_by("source", "fate", "step", "reason")
        .agg(
            pl.len().cast(pl.Int64).alias("documents"),
            pl.col("bytes_in").sum().alias("bytes"),
            pl.col("tokens_in").sum().alias("tokens"),
            pl.col("bytes_out").sum(),
            pl.col("tokens_out").sum(),
        )
        .sort("source", order, "documents", "step", "reason", descending=[False, False, True, False, False])
    )


def totals(workspace: Path) -> pl.DataFrame:
    """source → documents, bytes and tokens in; documents by fate; bytes and tokens out."""
    rows = funnel(workspace)
    by_fate = [pl.col("documents").filter(pl.col("fate") == fate).sum().alias(f"documents_{fate}") for fate in FATES]
    return (
        rows.group_by("source")
        .agg(
            pl.col("documents").sum().alias("documents_in"),
            pl.col("bytes").sum().alias("bytes_in"),
            pl.col("tokens").sum().alias("tokens_in"),
            *by_fate,
            pl.col("bytes_out").sum(),
            pl.col("tokens_out").sum(),
        )
        .sort("source")
    )


def edits(workspace: Path) -> pl.DataFrame:
    """source, kind → kept documents changed, bytes removed, bytes added, net (signed) bytes.

    Over kept documents, so that per source `bytes out = bytes in of the kept + Σ net`.
    """
    kept = ledger(workspace, "source", "fate", "edits").filter(pl.col("fate") == "kept")
    change = pl.col("value")
    return (
        _entries(kept, "edits")
        .filter(change != 0)
        .group_by("source", pl.col("key").alias("kind"))
        .agg(
            pl.len().cast(pl.Int64).alias("documents"),
            (-change.filter(change < 0)).sum().alias("bytes_removed"),
            change.filter(change > 0).sum().alias("bytes_added"),
            change.sum().alias("net"),
        )
        .sort("source", "kind")
    )


def pii(workspace: Path) -> pl.DataFrame:
    """source, type → documents with at least one removed value, values removed. All documents, whatever their fate."""
    count = pl.col("value").cast(pl.Int64)
    return (
        _entries(ledger(workspace, "source", "pii"), "pii")
        .filter(count > 0)
        .group_by("source", pl.col("key").alias("type"))
        .agg(pl.len().cast(pl.Int64).alias("documents"), count.sum().alias("values"))
        .sort("source", "type")
    )


def duplicates(workspace: Path) -> pl.DataFrame:
    """source, source of the keeper, kind → documents that repeat another one, with their bytes and tokens."""
    frame = ledger(workspace, "id", "source", "duplicate_of", "duplicate_kind", "bytes_in", "tokens_in")
    keepers = frame.select(pl.col("id").alias("duplicate_of"), pl.col("source").alias("keeper_source"))
    return (
        frame.filter(pl.col("duplicate_of").is_not_null())
        .join(keepers, on="duplicate_of", how="left")
        .group_by("source", "keeper_source", pl.col("duplicate_kind").alias("kind"))
        .agg(
            pl.len().cast(pl.Int64).alias("documents"),
            pl.col("bytes_in").sum().alias("bytes"),
            pl.col("tokens_in").sum().alias("tokens"),
        )
        .sort("source", "keeper_source", "kind")
    )


def similarities(workspace: Path) -> pl.DataFrame:
    """low, high → near duplicates whose measured similarity with their keeper lies in [low, high); the last bin
    includes 1. Twenty bins of 0.05 over [0, 1], from the first that is not empty."""
    frame = ledger(workspace, "duplicate_kind", "similarity").filter(
        (pl.col("duplicate_kind") == "near") & pl.col("similarity").is_not_null()
    )
    # Round first: a float32 0.85 is just below the edge it was measured at.
    position = (pl.col("similarity").cast(pl.Float64) * 20).round(4).floor().cast(pl.Int64).clip(0, 19)
    counted = frame.group_by(position.alias("bin")).agg(pl.len().cast(pl.Int64).alias("documents"))
    first = min(counted["bin"].to_list(), default=20)
    bins = pl.DataFrame({"bin": pl.int_range(first, 20, eager=True)})
    return (
        bins.join(counted, on="bin", how="left")
        .sort("bin")
        .select(
            (pl.col("bin") / 20).alias("low"),
            ((pl.col("bin") + 1) / 20).alias("high"),
            pl.col("documents").fill_null(0),
        )
    )


def clusters(workspace: Path) -> pl.DataFrame:
    """The largest duplicate clusters: cluster, documents, kept, sources, bytes. Ids only, no text."""
    frame = ledger(workspace, "cluster", "source", "fate", "bytes_in")
    return (
        frame.filter(pl.col("cluster").is_not_null())
        .group_by("cluster")
        .agg(
            pl.len().cast(pl.Int64).alias("documents"),
            (pl.col("fate") == "kept").sum().cast(pl.Int64).alias("kept"),
            pl.col("source").unique().sort().str.join(", ").alias("sources"),
            pl.col("bytes_in").sum().alias("bytes"),
        )
        .sort("documents", "cluster", descending=[True, False])
        .head(LARGEST_CLUSTERS)
    )


def cluster_sizes(workspace: Path) -> pl.DataFrame:
    """size → number of duplicate clusters of that many documents."""
    sizes = (
        ledger(workspace, "cluster")
        .filter(pl.col("cluster").is_not_null())
        .group_by("cluster")
        .agg(pl.len().cast(pl.Int64).alias("size"))
    )
    return sizes.group_by("size").agg(pl.len().cast(pl.Int64).alias("clusters")).sort("size")


def tokens(workspace: Path) -> pl.DataFrame:
    """source, split, language → kept documents, tokens, bytes, and the median, 95th percentile and maximum of tokens
    per document. Tokens exclude the EOS that a store puts after each document."""
    kept = ledger(workspace, "id", "source", "split", "fate", "tokens_out", "bytes_out").filter(
        pl.col("fate") == "kept"
    )
    length = pl.col("tokens_out")
    return (
        kept.join(languages(workspace), on="id", how="left")
        .group_by("source", "split", pl.col("language").fill_null(NOT_IDENTIFIED))
        .agg(
            pl.len().cast(pl.Int64).alias("documents"),
            length.sum().alias("tokens"),
            pl.col("bytes_out").sum().alias("bytes"),
            length.quantile(0.5, "nearest").cast(pl.Int64).alias("median"),
            length.quantile(0.95, "nearest").cast(pl.Int64).alias("p95"),
            length.max().alias("longest"),
        )
        .sort("source", "split", "language")
    )


def _entries(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """source, key, value: one row per entry of a map column."""
    return frame.select("source", column).explode(column).unnest(column).drop_nulls("key")
