"""Semantic duplicates: documents whose embeddings, given by the user, point the same way.

    embeddings (id, vector) ─ unit length ─ k-means on a sample ─► each document in its nearest cluster
    a document with those of its NEAREST clusters ─ cosine ≥ threshold ─► pairs of kind "semantic"
    pairs ─ the declared keep order ─► keepers and removals

Up to EXACT documents all are compared with all. Above, a pair may be missed whose documents lie in clusters that are
among neither's NEAREST; of 26,051 pairs with a cosine of 0.95 or more among 20,000 noisy vectors of 64 dimensions 0.1%
were missed with 10 clusters and 0.2% with 40 (2.5% and 3.3% with the nearest two).

Cost: documents · (clusters + NEAREST · documents / clusters) · dimension multiplications. Memory: 4 · dimension
bytes a document.
Method: SemDeDup (Abbas et al. 2023).
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from corpus.artifact import content_hash
from corpus.dedup.cluster import PAIRS
from corpus.dedup.keep import REMOVED, KeepSettings
from corpus.errors import ConfigError, DataError
from corpus.readers.files import Root
from corpus.settings import Settings

EXACT = 20_000  # documents that are still compared all with all
NEAREST = 4  # clusters a document is compared with, its own among them
PER_CLUSTER = 2_000  # documents in a cluster, on average
SAMPLE = 100  # documents of the sample for each centroid
ROUNDS = 10  # of k-means
BLOCK = 1_024  # documents compared at a time
DIGITS = 5  # of a cosine that count: the last ones depend on the order in which a processor adds


class SemanticSettings(Settings):
    """Duplicates by embeddings that lie in parquet: an identifier and a vector for each document."""

    path: str = Field(description="parquet file, folder or glob with the embeddings")
    key: Literal["record_id", "id"] = Field(
        "record_id", description="what identifies a document: its own identifier, or the id the corpus gave it"
    )
    id_column: str = Field("id", description="column of the identifier")
    vector_column: str = Field("embedding", description="column of the vector: a list of numbers, all of one length")
    source: str | None = Field(None, description="source the embeddings are of, where record ids repeat across sources")
    threshold: float = Field(0.95, gt=0, le=1, description="least cosine similarity of a duplicate pair")
    clusters: int | None = Field(None, ge=1, description="clusters of k-means; by default one for 2,000 documents")
    seed: int = Field(1, ge=0)

    def identity(self) -> dict[str, Any]:
        """The embeddings count by their bytes."""
        root = Root(self.path)
        hashes = [content_hash(f"{root.folder}/{file.path}") for file in root.find(_is_parquet)]
        return super().identity() | {"path": hashes}


def _is_parquet(path: str) -> bool:
    return path.endswith(".parquet")


def read_embeddings(settings: SemanticSettings) -> tuple[pa.StringArray, np.ndarray]:
    """(identifiers, float32[documents, dimension] of unit length), in the order of the files. A zero vector stays zero
    and is like no other. Raises DataError for vectors of several lengths, ConfigError for columns that are not there.
    """
    root = Root(settings.path)
    names, vectors = [], []
    for file in root.find(_is_parquet):
        where = f"{root.folder}/{file.path}"
        with root.filesystem.open(where, "rb") as handle, pq.ParquetFile(handle) as table:
            missing = {settings.id_column, settings.vector_column} - set(table.schema_arrow.names)
            if missing:
                raise ConfigError(
                    f"no column {', '.join(sorted(missing))}",
                    where=where,
                    found=", ".join(table.schema_arrow.names),
                    todo="correct semantic.id_column or semantic.vector_column",
                )
            for batch in table.iter_batches(65_536, columns=[settings.id_column, settings.vector_column]):
                names.append(batch.column(settings.id_column).cast(pa.string()))
                vectors.append(_rows(batch.column(settings.vector_column), where))
    if len({part.shape[1] for part in vectors}) > 1:
        found = ", ".join(sorted({str(part.shape[1]) for part in vectors}))
        raise DataError("embeddings of several dimensions", where=settings.path, found=found)
    together = np.concatenate(vectors)
    length = np.linalg.norm(together, axis=1, keepdims=True)
    np.divide(together, length, out=together, where=length > 0)
    return pa.concat_arrays(names), together


def _rows(column: pa.Array, where: str) -> np.ndarray:
    """float32[rows, dimension] of a column of lists without nulls, all of one length."""
    sizes = pc.unique(pc.list_value_length(column))
    if len(sizes) != 1 or column.null_count or sizes[0].as_py() is None:
        found = ", ".join(map(str, sizes.to_pylist()[:4])) + " numbers"
        raise DataError("every document needs a vector of the same length", where=where, found=found)
    return column.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False).reshape(len(column), -1).copy()


def similar_pairs(vectors: np.ndarray, settings: SemanticSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(left, right, cosine float32), left < right, sorted: pairs of unit vectors of at least the threshold."""
    count = len(vectors)
    clusters = settings.clusters or (1 if count <= EXACT else count // PER_CLUSTER)
    nearest = _nearest(vectors, _centroids(vectors, min(clusters, count), settings.seed)) if count else None
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))]
    if nearest is not None:
        for cluster in range(clusters):
            members = np.flatnonzero(nearest[:, 0] == cluster)
            asking = np.flatnonzero((nearest == cluster).any(axis=1))
            found += _compared(vectors, asking, members, settings.threshold)
    left, right, similarity = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((right, left))
    left, right, similarity = left[order], right[order], similarity[order]
    once = np.ones(len(left), bool)
    once[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return left[once], right[once], similarity[once]


def _compared(
    vectors: np.ndarray, asking: np.ndarray, members: np.ndarray, threshold: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for start in range(0, len(asking), BLOCK):
        block = asking[start : start + BLOCK]
        cosine = np.round(vectors[block] @ vectors[members].T, DIGITS)
        a, b = np.nonzero(cosine >= np.float32(threshold))
        one, other, value = block[a], members[b], cosine[a, b]
        apart = one != other
        one, other, value = one[apart], other[apart], value[apart]
        yield np.minimum(one, other), np.maximum(one, other), np.minimum(value, 1).astype(np.float32)


def _centroids(vectors: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """float32[clusters, dimension]: spherical k-means on a sample."""
    random = np.random.Generator(np.random.PCG64(seed))
    sample = vectors[random.permutation(len(vectors))[: clusters * SAMPLE]]
    centroids = sample[:clusters].copy()
    for _ in range(ROUNDS if clusters > 1 else 0):
        cluster = _nearest(sample, centroids)[:, 0]
        order = np.argsort(cluster, kind="stable")
        held, starts = np.unique(cluster[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centroids[held] = np.where(length > 0, sums / np.maximum(length, 1e-12), centroids[held])
    return centroids


def _nearest(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """int64[documents, NEAREST at most]: the nearest centroids of each vector, the nearest first."""
    out = np.zeros((len(vectors), min(NEAREST, len(centroids))), np.int64)
    for start in range(0, len(vectors), BLOCK):
        cosine = np.round(vectors[start : start + BLOCK] @ centroids.T, DIGITS)
        rows = np.arange(len(cosine))
        for place in range(out.shape[1]):
            out[start : start + BLOCK, place] = np.argmax(cosine, axis=1)
            cosine[rows, out[start : start + BLOCK, place]] = -2
    return out


def find_semantic(documents: pl.DataFrame, settings: SemanticSettings) -> pa.Table:
    """The pairs of semantic duplicates (schema PAIRS of corpus.dedup.cluster, kind "semantic", by id_a and id_b).

    documents: id, record_id, source. Those without an embedding are like no other. Raises DataError when no
    embedding is of a document, or two are of one.
    """
    names, vectors = read_embeddings(settings)
    known = documents.filter(pl.col("source") == settings.source) if settings.source else documents
    given = pl.DataFrame({"_key": pl.Series(pl.from_arrow(names)), "_row": np.arange(len(names))})
    joined = known.join(given, left_on=settings.key, right_on="_key").sort("id")
    if not joined.height:
        raise DataError(
            "no embedding is of a document of the corpus",
            where=settings.path,
            found=f"{settings.id_column} such as {', '.join(names[:3].to_pylist())}",
            todo="set semantic.key to record_id or id, whichever the embeddings were made by",
        )
    if joined["id"].n_unique() < joined.height or joined["_row"].n_unique() < joined.height:
        raise DataError(
            "an embedding is of several documents, or a document has several",
            where=settings.path,
            found=f"{joined.height} matches of {joined['id'].n_unique()} documents",
            todo="make the identifiers unique, or name semantic.source",
        )
    left, right, similarity = similar_pairs(vectors[joined["_row"].to_numpy()], settings)
    ids = joined["id"].to_numpy()
    return pa.table([ids[left], ids[right], ["semantic"] * len(left), similarity], schema=PAIRS)


def semantic_removals(documents: pl.DataFrame, pairs: pa.Table, keep: KeepSettings) -> pl.DataFrame:
    """The semantic duplicates to remove: id, duplicate_of, kind, similarity (as `choose_keepers` gives them).

    documents: id, priority, quality, bytes of those that stay so far. The first in the keep order stays and takes with
    it all that are similar to it, then the first of the rest, and so on.
    """
    from corpus.kernels.join import greedy_cover

    ordered = keep.sorted(documents).select("id").with_row_index("number")
    edges = pl.DataFrame(pl.from_arrow(pairs))
    for end in ("id_a", "id_b"):
        edges = edges.join(ordered.rename({"id": end, "number": end.replace("id", "number")}), on=end)
    a, b = (edges[name].to_numpy().astype(np.int64) for name in ("number_a", "number_b"))
    ends, others, similarity = (
        np.concatenate([a, b]),
        np.concatenate([b, a]),
        np.tile(edges["similarity"].to_numpy(), 2),
    )
    order = np.lexsort((others, ends))
    ends, others, similarity = ends[order], others[order], similarity[order]
    keeper = np.full(ordered.height, -1, np.int64)
    everything = np.arange(ordered.height)
    greedy_cover(others, np.searchsorted(ends, np.arange(ordered.height + 1)), everything, keeper)
    gone = np.flatnonzero(keeper != everything)
    pair = np.searchsorted(ends * ordered.height + others, gone * ordered.height + keeper[gone])
    ids = ordered["id"]
    return pl.DataFrame(
        {
            "id": ids[gone],
            "duplicate_of": ids[keeper[gone]],
            "kind": pl.Series(["semantic"] * len(gone), dtype=pl.String),
            "similarity": similarity[pair],
        },
        schema=REMOVED,
    ).sort("id")
