"""Which copy stays: the declared keep policy, and the evidence for each removal.

A cluster is a connected component, and similarity is not transitive: the ends of a chain may be unlike. So a document
is removed only if it was measured similar to the very keeper that stays for it. In each cluster, among the documents
that pass all other rules, the first in keep order stays and takes with it those similar to it; the first of the rest
stays next, and so on (a greedy star cover). Every cluster with a passing document keeps at least one.

The rest is compared with each of the first MEASURED keepers of its cluster, by a known pair or else on the texts, which
finds what no band proposed. Further keepers, which only a cluster of many unlike documents has, take what a known pair
ties to them. Cost: n log n for n documents, at most MEASURED comparisons each, and one pass over their texts.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal, Protocol

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpus.artifact import scan_parquet
from corpus.dedup.join import encode
from corpus.dedup.shingles import ShingleSets, write_shingle_sets
from corpus.document import DOCUMENTS
from corpus.errors import ConfigError
from corpus.settings import Settings

Criterion = Literal["priority", "quality", "longest", "earliest"]
COLUMN = {"priority": "priority", "quality": "quality", "longest": "bytes", "earliest": "id"}
MEASURED = 64  # keepers of a cluster that all of its rest is compared with
REMOVED = {"id": pl.String, "duplicate_of": pl.String, "kind": pl.String, "similarity": pl.Float32}


class QualityOrder(Settings):
    """What makes one copy better than another: a measured column."""

    column: str = Field(description="numeric annotation, such as perplexity.value or a column of the reader")
    best: Literal["highest", "lowest"] = Field(
        "highest", description="which end of the column is better; lowest for a perplexity"
    )


class KeepSettings(Settings):
    """The order in which copies are preferred. Ties are broken by the smallest id."""

    order: tuple[Criterion, ...] = Field(
        default=("priority", "quality", "longest", "earliest"),
        description="priority: lower first; quality: see there, unmeasured last; longest: bytes; earliest: id",
    )
    quality: QualityOrder | None = Field(default=None, description="without it all copies are of equal quality")

    @property
    def columns(self) -> tuple[str, ...]:
        """The measured columns the order asks for."""
        return () if self.quality is None else (self.quality.column,)

    def quality_of(self, frame: pl.DataFrame) -> pl.Expr:
        """`quality` of the documents of a frame with `columns`; null where it was not measured. Raises ConfigError when
        the column holds no numbers."""
        if self.quality is None:
            return pl.lit(None, pl.Float64).alias("quality")
        kind = frame.schema[self.quality.column]
        if not (kind.is_numeric() or kind in (pl.Null, pl.Boolean)):
            raise ConfigError(
                "quality has to be a number",
                where="corpus.keep.quality.column",
                found=f"{self.quality.column} is {kind}",
                todo="name a numeric column of the annotations",
            )
        return pl.col(self.quality.column).cast(pl.Float64).alias("quality")

    def check_quality(self, quality: pl.Series) -> None:
        """Raises ConfigError when a column is asked for that no document of any source has."""
        if self.quality is not None and len(quality) and quality.is_null().all():
            raise ConfigError(
                "no document has this measurement",
                where="corpus.keep.quality.column",
                found=self.quality.column,
                todo="name a column that a step of the sources measures, as annotate/*/*/documents.parquet has it",
            )

    def sorted(self, documents: pl.DataFrame) -> pl.DataFrame:
        """Documents (priority, quality, bytes, id) with the most preferred first."""
        best = self.quality.best if self.quality is not None else "highest"
        larger_first = {"longest": True, "quality": best == "highest"}
        order = (*self.order, "earliest")
        return documents.with_columns(pl.col("quality").fill_nan(None)).sort(
            [COLUMN[criterion] for criterion in order],
            descending=[larger_first.get(criterion, False) for criterion in order],
            nulls_last=True,
        )


class Measure(Protocol):
    """float64: the true Jaccard similarity of documents left[i] and right[i], named by id. `among` holds all that this
    and any later call asks about."""

    def __call__(self, left: pl.Series, right: pl.Series, among: pl.Series) -> np.ndarray: ...


def choose_keepers(
    documents: pl.DataFrame, pairs: pa.Table, measure: Measure, threshold: float, settings: KeepSettings
) -> pl.DataFrame:
    """The duplicates to remove: id, duplicate_of (the keeper), kind, similarity with the keeper; sorted by id.

    documents: id, cluster, priority (int), quality (float), bytes (int), passes (bool), in any order. Documents that do
    not pass are neither keepers nor removed here. pairs: the measured edges of `find_clusters`. measure: for pairs
    without an edge, see `UnitMeasure`.
    """
    edges = pl.DataFrame(pl.from_arrow(pairs))
    exact = edges.filter(pl.col("kind") == "exact").select(id="id_b", group="id_a")
    ordered = (
        settings.sorted(documents.filter("passes"))
        .select("id", "cluster")
        .join(exact, on="id", how="left", maintain_order="left")
        .with_columns(pl.coalesce("group", "id").alias("group"))
    )
    # A node is an exact group: its first document stands for all of them, whose texts are alike.
    nodes = ordered.unique("group", keep="first", maintain_order=True).with_row_index("node")
    near = edges.filter(pl.col("kind") == "near")
    keeper, similarity = _cover(nodes, _Edges(nodes, near), measure, np.float32(threshold))
    found = nodes.select("group", "node").with_columns(
        pl.Series("keeper", keeper, pl.UInt32), pl.Series("similarity", similarity, pl.Float32)
    )
    return (
        ordered.join(found, on="group", maintain_order="left")
        .join(nodes.select(keeper="node", duplicate_of="id"), on="keeper", maintain_order="left")
        .filter(pl.col("id") != pl.col("duplicate_of"))
        .with_columns(kind=pl.when(pl.col("keeper") == pl.col("node")).then(pl.lit("exact")).otherwise(pl.lit("near")))
        .select(*REMOVED)
        .sort("id")
    )


class _Edges:
    """Known similarities between nodes, found by a pair of node numbers."""

    def __init__(self, nodes: pl.DataFrame, near: pl.DataFrame) -> None:
        number = nodes.select("group", "node")
        ends = near.join(number.rename({"group": "id_a", "node": "a"}), on="id_a").join(
            number.rename({"group": "id_b", "node": "b"}), on="id_b"
        )
        a, b = ends["a"].to_numpy(), ends["b"].to_numpy()
        codes = encode(np.minimum(a, b), np.maximum(a, b))
        order = np.argsort(codes)
        self.codes, self.similarity = codes[order], ends["similarity"].to_numpy()[order]

    def between(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """float32: the known similarity, NaN where there is none."""
        codes = encode(np.minimum(one, other), np.maximum(one, other))
        found = np.full(len(codes), np.nan, np.float32)
        if len(self.codes):
            at = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
            known = self.codes[at] == codes
            found[known] = self.similarity[at[known]]
        return found

    def neighbours(self, count: int, threshold: np.float32) -> tuple[np.ndarray, np.ndarray]:
        """(neighbours, bounds) of each of `count` nodes by edges of `threshold` or more."""
        strong = self.codes[self.similarity >= threshold]
        a, b = (strong >> np.uint64(32)).astype(np.int64), (strong & np.uint64(0xFFFFFFFF)).astype(np.int64)
        ends, others = np.concatenate([a, b]), np.concatenate([b, a])
        order = np.lexsort((others, ends))
        return others[order], np.searchsorted(ends[order], np.arange(count + 1))


def _cover(
    nodes: pl.DataFrame, edges: _Edges, measure: Measure, threshold: np.float32
) -> tuple[np.ndarray, np.ndarray]:
    """(keeper int64, similarity with it float32) of each node; nodes are numbered in keep order."""
    from corpus.kernels.join import greedy_cover

    ids = nodes["id"]
    cluster = nodes["cluster"].rank("dense").to_numpy()
    keeper = np.full(len(ids), -1, np.int64)
    similarity = np.ones(len(ids), np.float32)
    rest = np.arange(len(ids))
    for _ in range(MEASURED):
        if not len(rest):
            break
        _, first, member = np.unique(cluster[rest], return_index=True, return_inverse=True)
        keeper[rest[first]] = rest[first]
        stays = rest[first][member]
        others = rest != stays
        rest, stays = rest[others], stays[others]
        found = edges.between(rest, stays)
        if len(unknown := np.flatnonzero(np.isnan(found))):
            found[unknown] = measure(ids[rest[unknown]], ids[stays[unknown]], ids[np.union1d(rest, stays)])
        similar = found >= threshold
        keeper[rest[similar]], similarity[rest[similar]] = stays[similar], found[similar]
        rest = rest[~similar]
    if len(rest):
        greedy_cover(*edges.neighbours(len(ids), threshold), rest, keeper)
        taken = rest[keeper[rest] != rest]
        similarity[taken] = edges.between(taken, keeper[taken])
    return keeper, similarity


class UnitMeasure:
    """A measure on the texts in the units: the first call makes the shingle sets of all that may be asked about, in a
    temporary file; later ones only compare."""

    def __init__(self, units: Sequence[Path], ngram: int) -> None:
        self.units, self.ngram = list(units), ngram
        self._ids = pl.Series([], dtype=pl.String)  # ascending, as the sets are numbered
        self._sets: ShingleSets | None = None

    def __call__(self, left: pl.Series, right: pl.Series, among: pl.Series) -> np.ndarray:
        if self._sets is None:
            self._ids = among.unique().sort()
            unit, row = documents_in(self.units, self._ids)
            with TemporaryFile() as spill:
                self._sets = write_shingle_sets(spill, self.units, unit, row, self.ngram)
        return self._sets.jaccard(self._ids.search_sorted(left).to_numpy(), self._ids.search_sorted(right).to_numpy())


def documents_in(units: Sequence[Path], ids: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """(number of the unit, row in it) of each of `ids`."""
    wanted = ids.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
    unit, row = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
    for number, folder in enumerate(units):
        start = 0
        for batch in scan_parquet(folder / DOCUMENTS, ["id"], rows=1 << 16):
            index = pc.index_in(batch.column(0), value_set=wanted)
            rows = np.flatnonzero(np.asarray(pc.is_valid(index)))
            at = np.asarray(index.drop_null())
            unit[at], row[at] = number, rows + start
            start += batch.num_rows
    return unit, row
