"""`dropped`: documents that a rule dropped, with why, and with their masked text where the recipe allows."""

import polars as pl

from corpus.errors import DataError
from pipelines.audit.views import Views

SCHEMA = {
    "id": pl.String, "source": pl.String, "file": pl.String, "position": pl.Int64, "step": pl.String,
    "reason": pl.String, "detail": pl.String, "bytes": pl.Int64, "tokens": pl.Int64, "text": pl.String,
}  # fmt: skip


def dropped(
    views: Views, reason: str | None = None, *, source: str | None = None, sample: int = 10, seed: int = 0
) -> pl.DataFrame:
    """A sample of the documents that were not kept for this reason: a rule (`too few words`), or a step (`quality`).

    Drawn by a hash of id and seed: the same answer every time, whatever the number of workers that wrote the ledger.
    The text is its beginning with what looks like personal data masked; null where nothing was read, or where the
    recipe does not show texts. Raises DataError when no document was dropped for this reason, naming those there are.
    """
    rows = views.query(
        """
        SELECT id, source, file, position, step, reason, detail, bytes_in AS bytes, tokens_in AS tokens FROM ledger
        WHERE fate != 'kept' AND ($1 IS NULL OR reason = $1 OR step = $1) AND ($2 IS NULL OR source = $2)
        ORDER BY md5(id || $3), id LIMIT $4
        """,
        reason, source, str(seed), sample,
    )  # fmt: skip
    if not rows.height:
        known = views.query("SELECT DISTINCT step || ': ' || reason AS r FROM ledger WHERE fate != 'kept' ORDER BY r")
        raise DataError(
            "no document was dropped for this reason",
            where=source or views.workspace,
            found=reason,
            todo="name a step or a reason of: " + "; ".join(known["r"].to_list()) if known.height else None,
        )
    return rows.with_columns(_texts(views, rows["id"].to_list())).select(*SCHEMA)


def by_reason(views: Views, each: int = 2, most: int = 40) -> pl.DataFrame:
    """Some documents of every reason, most frequent reasons first, as `dropped` has them; none where texts are not
    shown. Ids are hashes: those with the least ids are a random sample."""
    if not views.has("dropped") or "text" not in views.columns("dropped"):
        return pl.DataFrame(schema=SCHEMA)
    columns = "id, source, file, position, step, reason, detail, bytes_in AS bytes, tokens_in AS tokens"
    rows = views.query(
        f"""
        SELECT {columns} FROM ledger JOIN (
            SELECT unnest(min(id, $1)) AS id, count(*) AS frequency
            FROM ledger WHERE fate = 'dropped' GROUP BY step, reason
        ) USING (id) ORDER BY frequency DESC, step, reason, id LIMIT $2
        """,
        each, most,
    )  # fmt: skip
    return rows.with_columns(_texts(views, rows["id"].to_list())).select(*SCHEMA)


def _texts(views: Views, ids: list[str]) -> pl.Series:
    """The masked beginnings of the dropped texts of these documents."""
    if not views.has("dropped") or "text" not in views.columns("dropped"):
        return pl.Series("text", [None] * len(ids), pl.String)
    from pipelines.audit.masking import masked

    found = dict(views.query("SELECT id, text FROM dropped WHERE list_contains($1::VARCHAR[], id)", ids).iter_rows())
    return pl.Series("text", masked([found.get(id) for id in ids]), pl.String)
