"""Questions about the corpus: what came in, what was dropped, edited, repeated, removed, and what is left.

Every function takes the open views of a workspace and returns one small polars frame. Bytes and tokens of a document
that was not kept are those it came in with. Cost: one scan of the columns it names, under two seconds for ten million
documents on two cores.
"""

import polars as pl

from pipelines.audit.counters import FATES, Edits, RemovedValues, total
from pipelines.audit.views import Views

EDITED = ("documents", "removed", "added")
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
    rows = []
    for source in views.ledgers:
        (files,) = views.counted(source, Edits)
        documents, removed, added = (total(getattr(one, name) for one in files) for name in EDITED)
        rows += [
            (source, kind, count, removed[kind], added[kind], added[kind] - removed[kind])
            for kind, count in sorted(documents.items())
        ]
    names = ("documents", "bytes_removed", "bytes_added", "net")
    schema = {"source": pl.String, "kind": pl.String} | dict.fromkeys(names, pl.Int64)
    return pl.DataFrame(rows, schema, orient="row")


def pii(views: Views) -> pl.DataFrame:
    """source, type → documents with at least one removed value, values removed. All documents, whatever their fate."""
    rows = []
    for source in views.ledgers:
        (files,) = views.counted(source, RemovedValues)
        documents, values = total(one.documents for one in files), total(one.values for one in files)
        rows += [(source, type, count, values[type]) for type, count in sorted(documents.items())]
    schema = {"source": pl.String, "type": pl.String, "documents": pl.Int64, "values": pl.Int64}
    return pl.DataFrame(rows, schema, orient="row")


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
    return views.with_clustered().query(
        """
        SELECT copy.source, keeper.source AS keeper_source, copy.duplicate_kind AS kind, count(*) AS documents,
            sum(copy.bytes_in)::BIGINT AS bytes, sum(copy.tokens_in)::BIGINT AS tokens
        FROM clustered AS copy
        LEFT JOIN (SELECT id, source FROM clustered WHERE duplicate_of IS NULL) AS keeper
            ON copy.duplicate_of = keeper.id
        WHERE copy.duplicate_of IS NOT NULL GROUP BY ALL ORDER BY copy.source, keeper_source, kind
        """
    )


def similarities(views: Views) -> pl.DataFrame:
    """low, high → near duplicates whose measured similarity with their keeper lies in [low, high); the last bin
    includes 1. Twenty bins of 0.05 over [0, 1], from the first that is not empty."""
    # Round first: a float32 0.85 is just below the edge it was measured at.
    counted = views.with_clustered().query(
        """
        SELECT least(floor(round(similarity::DOUBLE * 20, 4)), 19)::BIGINT AS bin, count(*) AS documents
        FROM clustered WHERE duplicate_kind = 'near' AND similarity IS NOT NULL GROUP BY bin
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
    return views.with_clustered().query(
        """
        SELECT cluster, count(*) AS documents, count(*) FILTER (fate = 'kept') AS kept,
            string_agg(DISTINCT source, ', ' ORDER BY source) AS sources, sum(bytes_in)::BIGINT AS bytes
        FROM clustered WHERE cluster IN (
            SELECT cluster FROM clustered WHERE cluster IS NOT NULL
            GROUP BY cluster ORDER BY count(*) DESC, cluster LIMIT ?)
        GROUP BY cluster ORDER BY documents DESC, cluster
        """,
        LARGEST_CLUSTERS,
    )


def cluster_sizes(views: Views) -> pl.DataFrame:
    """size → number of duplicate clusters of that many documents."""
    return views.with_clustered().query(
        """
        SELECT size, count(*) AS clusters
        FROM (SELECT count(*) AS size FROM clustered WHERE cluster IS NOT NULL GROUP BY cluster)
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
