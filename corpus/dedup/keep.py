"""Which copy stays: the declared keep policy, and the evidence for each removal.

A cluster is a connected component, and similarity is not transitive: the ends of a chain may be unlike. So a document
is removed only if it was measured similar to the very keeper that stays for it. In each cluster, among the documents
that pass all other rules, the first in keep order stays and takes with it those similar to it; the first of the rest
stays next, and so on (a greedy star cover). Every cluster with a passing document keeps at least one.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import Field

from corpus.dedup.shingles import documents_in, write_shingle_sets
from corpus.settings import Settings

Criterion = Literal["priority", "quality", "longest", "earliest"]
Measure = Callable[[pl.DataFrame], np.ndarray]
SORTING = {  # column and whether larger comes first
    "priority": ("priority", False),
    "quality": ("quality", True),
    "longest": ("bytes", True),
    "earliest": ("id", False),
}
KEPT_BY = {"id": pl.String, "keeper": pl.String, "kind": pl.String, "similarity": pl.Float32}


class KeepSettings(Settings):
    """The order in which copies are preferred. Ties are broken by the smallest id."""

    order: tuple[Criterion, ...] = Field(
        default=("priority", "longest", "earliest"),
        description="priority: lower first; quality: higher first, unmeasured last; longest: bytes; earliest: id",
    )


def choose_keepers(
    documents: pl.DataFrame, pairs: pa.Table, measure: Measure, threshold: float, settings: KeepSettings
) -> pl.DataFrame:
    """The duplicates to remove: id, duplicate_of (the keeper), kind, similarity with the keeper; sorted by id.

    documents: id, cluster, priority (int), quality (float), bytes (int), passes (bool), in any order. Documents that do
    not pass are neither keepers nor removed here. pairs: the measured edges of `find_clusters`. measure: true Jaccard
    for the pairs (id, keeper) without an edge, see `unit_measure`.
    Cost: one look-up or measurement per document and keeper of its cluster that came before it.
    """
    columns, descending = zip(*(SORTING[criterion] for criterion in (*settings.order, "earliest")), strict=True)
    rest = (
        documents.filter(pl.col("passes")).sort(columns, descending=descending, nulls_last=True).select("id", "cluster")
    )
    removed = []
    while rest.height:
        first = rest.group_by("cluster", maintain_order=True).agg(keeper=pl.first("id"))
        rest = rest.join(first, on="cluster", maintain_order="left").filter(pl.col("id").ne(pl.col("keeper")))
        found = similarity_to_keeper(rest.select("id", "keeper"), pairs, measure)
        similar = found.filter(pl.col("similarity").ge(np.float32(threshold)))
        removed.append(similar)
        rest = rest.select("id", "cluster").join(similar, on="id", how="anti", maintain_order="left")
    table = pl.concat(removed) if removed else pl.DataFrame(schema=KEPT_BY)
    return table.rename({"keeper": "duplicate_of"}).sort("id")


def similarity_to_keeper(asked: pl.DataFrame, pairs: pa.Table, measure: Measure) -> pl.DataFrame:
    """Kind and similarity of each (id, keeper) asked: id, keeper, kind ("exact" or "near"), similarity (float32).

    Two members of one exact group are exact with similarity 1; a measured edge between their groups holds for all of
    their members; everything else goes to `measure`, which gives the similarity of a frame of (id, keeper).
    """
    edges = pl.DataFrame(pl.from_arrow(pairs))
    groups = edges.filter(pl.col("kind") == "exact").select(id="id_b", group="id_a")
    near = edges.filter(pl.col("kind") == "near").select(low="id_a", high="id_b", direct="similarity")
    known = (
        asked.join(groups, on="id", how="left", maintain_order="left")
        .join(groups.rename({"id": "keeper", "group": "keeper_group"}), on="keeper", how="left", maintain_order="left")
        .with_columns(a=pl.coalesce("group", "id"), b=pl.coalesce("keeper_group", "keeper"))
        .with_columns(low=pl.min_horizontal("a", "b"), high=pl.max_horizontal("a", "b"))
        .join(near, on=["low", "high"], how="left", maintain_order="left")
        .with_columns(kind=pl.when(pl.col("a") == pl.col("b")).then(pl.lit("exact")).otherwise(pl.lit("near")))
        .with_columns(similarity=pl.when(pl.col("kind") == "exact").then(1.0).otherwise("direct").cast(pl.Float32))
        .select(*KEPT_BY)
    )
    missing = known["similarity"].is_null().to_numpy()
    if missing.any():
        similarity = known["similarity"].to_numpy(writable=True)
        similarity[missing] = measure(known.filter(pl.Series(missing)).select("id", "keeper"))
        known = known.with_columns(similarity=pl.Series(similarity, dtype=pl.Float32))
    return known


def unit_measure(units: Sequence[Path], ngram: int) -> Measure:
    """A measure that reads the texts of the documents asked about from their units."""

    def measure(asked: pl.DataFrame) -> np.ndarray:
        ids = sorted({*asked["id"], *asked["keeper"]})
        place = documents_in(units, ids)
        unit, row = np.array([place[name] for name in ids], np.int64).T
        number = {name: index for index, name in enumerate(ids)}
        with TemporaryFile() as spill:
            sets = write_shingle_sets(spill, units, unit, row, ngram)
            return sets.jaccard(
                np.array([number[name] for name in asked["id"]]), np.array([number[name] for name in asked["keeper"]])
            )

    return measure
