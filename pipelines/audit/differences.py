"""`diff A B`: two workspaces, what changed between them and why.

    settings    what of the recipe differs
    artefacts   which artefacts differ, and in what of their function: settings, inputs, models, code
    totals      documents, bytes and tokens by source
    reasons     documents by source, fate, step and reason
    documents   documents whose fate, or text, is another: from what to what, and how many
    learned     bits per byte after training, by set

A document is the same in both when its id is: the same place in the same file of the same source. Cost: one join of the
two ledgers by id.
"""

from pathlib import Path
from typing import Any

import polars as pl

from corpus.artifact import Manifest
from corpus.errors import ArtifactError
from pipelines.audit import corpus_questions, training_questions
from pipelines.audit.views import Views
from pipelines.audit.workspace import artefacts, ledger_files, settings_of

COUNTS = ("documents_in", "documents_kept", "documents_dropped", "documents_quarantined", "bytes_out", "tokens_out")
UNCHANGED = {"workspace", "name", "executor"}  # parts of a recipe that decide nothing of the result


def differences(a: Path, b: Path) -> dict[str, pl.DataFrame]:
    """The tables above. `change` is B − A throughout; only what differs has a row."""
    with Views(a) as left, Views(b) as right:
        funnels = [corpus_questions.funnel(views) for views in (left, right)]
        documents = _documents(left, b)
    return {
        "settings": settings(settings_of(a), settings_of(b)),
        "artefacts": _artefacts(a, b),
        "totals": _totals(*funnels),
        "reasons": _reasons(*funnels),
        "documents": documents,
        "learned": _learned(a, b),
    }


def settings(a: dict[str, Any], b: dict[str, Any]) -> pl.DataFrame:
    """key → value in A and in B, of two recipes; null where a recipe does not have the key."""
    left, right = ({k: v for k, v in _flat(one) if k.split(".")[0] not in UNCHANGED} for one in (a, b))
    rows = [(key, left.get(key), right.get(key)) for key in sorted(left | right) if left.get(key) != right.get(key)]
    return pl.DataFrame(rows, {"key": pl.String, "a": pl.String, "b": pl.String}, orient="row")


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Dotted keys with their values. The steps and sources of a list go by kind, rule or name, so that one put in
    between does not rename those behind it."""
    if isinstance(value, dict):
        return [entry for key, own in value.items() for entry in _flat(own, f"{path}.{key}".lstrip("."))]
    if isinstance(value, list) and any(isinstance(own, dict) for own in value):
        names = [str(own.get("name") or own.get("kind") or own.get("rule") or at) for at, own in enumerate(value)]
        numbered = [
            name if names.count(name) == 1 else f"{name}#{names[:at].count(name)}" for at, name in enumerate(names)
        ]
        return [entry for name, own in zip(numbered, value, strict=True) for entry in _flat(own, f"{path}.{name}")]
    return [(path, str(value))]


def _artefacts(a: Path, b: Path) -> pl.DataFrame:
    """artefact → which of its function's parts differ. Units of one folder are one row with the number that differ."""
    functions = []
    for workspace in (a, b):
        found: dict[str, dict[str, Any]] = {}
        for folder in artefacts(workspace):
            try:
                found[folder.as_posix()] = Manifest.read(workspace / folder).function
            except ArtifactError:
                continue
        functions.append(found)
    left, right = functions
    rows = [
        ("/".join(name.split("/")[:2]), parts)
        for name in sorted(left | right)
        if (parts := _parts(left.get(name), right.get(name)))
    ]
    frame = pl.DataFrame(rows, {"artefact": pl.String, "differs_in": pl.String}, orient="row")
    return frame.group_by("artefact", "differs_in", maintain_order=True).agg(pl.len().cast(pl.Int64).alias("folders"))


def _parts(a: dict[str, Any] | None, b: dict[str, Any] | None) -> str:
    if a is None or b is None:
        return "only in B" if a is None else "only in A"
    return ", ".join(key for key in sorted(a | b) if a.get(key) != b.get(key))


def _totals(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """source, figure → A, B, change."""
    long = [
        corpus_questions.totals_of(rows).unpivot(list(COUNTS), index="source", variable_name="figure", value_name=name)
        for name, rows in (("a", a), ("b", b))
    ]
    return _changes(long[0], long[1], ["source", "figure"])


def _reasons(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """source, fate, step, reason → documents in A, in B, change."""
    keys = ["source", "fate", "step", "reason"]
    left, right = (rows.select(*keys, pl.col("documents").alias(name)) for name, rows in (("a", a), ("b", b)))
    return _changes(left, right, keys)


def _changes(a: pl.DataFrame, b: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    joined = a.join(b, on=keys, how="full", coalesce=True, nulls_equal=True)
    counts = joined.with_columns(pl.col("a", "b").fill_null(0))
    changed = counts.with_columns((pl.col("b") - pl.col("a")).alias("change")).filter(pl.col("change") != 0)
    return changed.sort(pl.col("change").abs(), *keys, descending=[True] + [False] * len(keys))


def _documents(views: Views, other: Path) -> pl.DataFrame:
    """source, what it was, what it is → documents, and tokens kept in A and in B."""
    paths = [path for own in ledger_files(other).values() for path in own]
    if not paths or not any(ledger_files(views.workspace).values()):
        schema = {"source": pl.String, "was": pl.String, "is": pl.String}
        return pl.DataFrame(schema=schema | dict.fromkeys(("documents", "tokens_a", "tokens_b"), pl.Int64))
    fate = "CASE WHEN fate = 'kept' THEN 'kept, ' || split ELSE fate || ', ' || step || ': ' || reason END"
    columns = f"id, source, {fate} AS fate, bytes_out, tokens_out"
    return views.query(
        f"""
        SELECT coalesce(a.source, b.source) AS source, coalesce(a.fate, 'not read') AS was,
            CASE WHEN a.fate = b.fate THEN b.fate || ', with another text' ELSE coalesce(b.fate, 'not read') END AS is,
            count(*) AS documents, coalesce(sum(a.tokens_out), 0)::BIGINT AS tokens_a,
            coalesce(sum(b.tokens_out), 0)::BIGINT AS tokens_b
        FROM (SELECT {columns} FROM ledger) AS a
        FULL OUTER JOIN (SELECT {columns} FROM {views.scan(paths)}) AS b ON a.id = b.id
        WHERE a.fate IS DISTINCT FROM b.fate OR a.bytes_out != b.bytes_out OR a.tokens_out != b.tokens_out
        GROUP BY ALL ORDER BY documents DESC, 1, 2, 3
        """
    )


def _learned(a: Path, b: Path) -> pl.DataFrame:
    """run, set → bits per byte after training in A, in B, change."""
    keys = ["run", "set"]
    left, right = (
        training_questions.forgetting(workspace).select(*keys, pl.col("after").alias(name))
        for name, workspace in (("a", a), ("b", b))
    )
    joined = left.join(right, on=keys, how="full", coalesce=True)
    changed = joined.with_columns((pl.col("b") - pl.col("a")).alias("change"))
    return changed.filter(pl.col("a").ne_missing(pl.col("b"))).sort(keys)
