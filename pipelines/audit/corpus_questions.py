"""Questions about the corpus: what came in, what was dropped, edited, repeated, removed, and what is left.

Every function takes the open views of a workspace and returns one small polars frame. Bytes and tokens of a document
that was not kept are those it came in with. Cost: one scan of the columns it names, under two seconds for ten million
documents on two cores.
"""

import polars as pl

from pipelines.audit.views import Views

FATES = ("kept", "dropped", "quarantined")
LARGEST_CLUSTERS = 20
MOST_REPEATED = 20


def funnel(views: Views) -> pl.DataFrame:
    """source, fate, step, reason → documents, bytes, tokens (as they came in), bytes_out, tokens_out.

    The rows of a source add up to its input. Kept first, then drops, the largest first.
    """
    return views.query(
        """
        SELECT source, fate, step, reason, count(*) AS documents, sum(bytes_in)::BIGINT AS bytes,
            coalesce(sum(tokens_in), 0)::BIGINT AS tokens, sum(bytes_out)::BIGINT AS bytes_out,
            sum(tokens_out)::BIGINT AS tokens_out
        FROM ledger GROUP BY source, fate, step, reason
        ORDER BY source, list_position(['kept', 'dropped', 'quarantined'], fate), documents DESC, step, reason
        """
    )


def totals(views: Views) -> pl.DataFrame:
    """source → documents, bytes and tokens in; documents by fate; bytes and tokens out."""
    return totals_of(funnel(views))


def totals_of(rows: pl.DataFrame) -> pl.DataFrame:
    """The totals of a funnel."""
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


def edits(views: Views) -> pl.DataFrame:
    """source, kind → kept documents changed, bytes removed, bytes added, net (signed) bytes.

    Over kept documents, so that per source `bytes out = bytes in of the kept + Σ net`.
    """
    return views.query(
        """
        SELECT source, edit.key AS kind, count(*) AS documents,
            coalesce(sum(-edit.value) FILTER (edit.value < 0), 0)::BIGINT AS bytes_removed,
            coalesce(sum(edit.value) FILTER (edit.value > 0), 0)::BIGINT AS bytes_added,
            sum(edit.value)::BIGINT AS net
        FROM (SELECT source, unnest(edits) AS edit FROM ledger WHERE fate = 'kept')
        WHERE edit.value != 0 GROUP BY ALL ORDER BY ALL
        """
    )


def pii(views: Views) -> pl.DataFrame:
    """source, type → documents with at least one removed value, values removed. All documents, whatever their fate."""
    return views.query(
        """
        SELECT source, found.key AS type, count(*) AS documents, sum(found.value)::BIGINT AS "values"
        FROM (SELECT source, unnest(pii) AS found FROM ledger WHERE len(pii) > 0)
        WHERE found.value > 0 GROUP BY source, type ORDER BY source, type
        """
    )


def recognisers(views: Views) -> pl.DataFrame:
    """type, recogniser → values found and the mean of their scores; values without a recogniser came up only when the
    text was read again after the first removals."""
    schema = {"type": pl.String, "recogniser": pl.String, "values": pl.Int64, "score": pl.Float64}
    if "deidentify_spans" not in views.columns("documents"):
        return pl.DataFrame(schema=schema)
    return views.query(
        """
        SELECT span.type AS type, span.recogniser AS recogniser, count(*) AS "values", avg(span.score) AS score
        FROM (SELECT unnest(deidentify_spans) AS span FROM documents WHERE len(deidentify_spans) > 0)
        GROUP BY span.type, span.recogniser ORDER BY type, "values" DESC, recogniser
        """
    )


def duplicates(views: Views) -> pl.DataFrame:
    """source, source of the keeper, kind → documents that repeat another one, with their bytes and tokens."""
    return views.query(
        """
        SELECT copy.source, keeper.source AS keeper_source, copy.duplicate_kind AS kind, count(*) AS documents,
            sum(copy.bytes_in)::BIGINT AS bytes, sum(copy.tokens_in)::BIGINT AS tokens
        FROM (SELECT source, duplicate_of, duplicate_kind, bytes_in, tokens_in FROM ledger
              WHERE duplicate_of IS NOT NULL) AS copy
        LEFT JOIN (SELECT id, source FROM ledger WHERE cluster IS NOT NULL AND duplicate_of IS NULL) AS keeper
            ON copy.duplicate_of = keeper.id
        GROUP BY ALL ORDER BY copy.source, keeper_source, kind
        """
    )


def similarities(views: Views) -> pl.DataFrame:
    """low, high → near duplicates whose measured similarity with their keeper lies in [low, high); the last bin
    includes 1. Twenty bins of 0.05 over [0, 1], from the first that is not empty."""
    # Round first: a float32 0.85 is just below the edge it was measured at.
    counted = views.query(
        """
        SELECT least(floor(round(similarity::DOUBLE * 20, 4)), 19)::BIGINT AS bin, count(*) AS documents
        FROM ledger WHERE duplicate_kind = 'near' AND similarity IS NOT NULL GROUP BY bin
        """
    )
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


def clusters(views: Views) -> pl.DataFrame:
    """The largest duplicate clusters: cluster, documents, kept, sources, bytes. Ids only, no text."""
    return views.query(
        """
        SELECT cluster, count(*) AS documents, count(*) FILTER (fate = 'kept') AS kept,
            string_agg(DISTINCT source, ', ' ORDER BY source) AS sources, sum(bytes_in)::BIGINT AS bytes
        FROM ledger WHERE cluster IN (
            SELECT cluster FROM ledger WHERE cluster IS NOT NULL
            GROUP BY cluster ORDER BY count(*) DESC, cluster LIMIT ?)
        GROUP BY cluster ORDER BY documents DESC, cluster
        """,
        LARGEST_CLUSTERS,
    )


def cluster_sizes(views: Views) -> pl.DataFrame:
    """size → number of duplicate clusters of that many documents."""
    return views.query(
        """
        SELECT size, count(*) AS clusters
        FROM (SELECT count(*) AS size FROM ledger WHERE cluster IS NOT NULL GROUP BY cluster)
        GROUP BY size ORDER BY size
        """
    )


def most_repeated(views: Views) -> pl.DataFrame:
    """scope, kind, documents, keep, text: the lines and paragraphs that stood in most documents before they were cut,
    masked, the first `MOST_REPEATED` of each scope and kind. Empty where texts are not shown."""
    schema = {"scope": pl.String, "kind": pl.String, "documents": pl.Int64, "keep": pl.Int64, "text": pl.String}
    if not views.has("most_repeated"):
        return pl.DataFrame(schema=schema)
    from pipelines.audit.masking import masked

    rows = views.query(
        """
        SELECT scope, kind, documents, keep, text FROM most_repeated
        QUALIFY row_number() OVER (PARTITION BY scope, kind ORDER BY documents DESC, text) <= ?
        ORDER BY documents DESC, scope, kind, text
        """,
        MOST_REPEATED,
    )
    return rows.with_columns(pl.Series("text", masked(rows["text"].to_list()), pl.String))


def contamination(views: Views) -> pl.DataFrame:
    """set → items of the evaluation set, those too short to be looked for, those that share an n-gram with a document,
    contaminated ones, and the largest share of an item's words found in one document."""
    schema = dict.fromkeys(("items", "too_short", "shared", "contaminated"), pl.Int64)
    if not views.has("contamination"):
        return pl.DataFrame(schema={"set": pl.String} | schema | {"coverage": pl.Float64})
    return views.query(
        """
        SELECT "set", count(*) AS items, count(*) FILTER (words = 0) AS too_short,
            count(*) FILTER (documents > 0) AS shared, count(*) FILTER (contaminated > 0) AS contaminated,
            max(coverage) AS coverage
        FROM contamination GROUP BY "set" ORDER BY "set"
        """
    )
