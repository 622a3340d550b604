"""Semantic duplicates: documents whose embeddings, given by the user, point the same way.

    vectors    embeddings of the documents, of unit length, by ascending id
    nearest    per block of documents    their nearest centroids of k-means     corpus/dedup/cosine.py
    compared   per range of clusters     cosine ≥ threshold: pairs of kind "semantic"
    pairs ─ the declared keep order ─► keepers and removals

Method: SemDeDup (Abbas et al. 2023).
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.lib.format import open_memmap
from pydantic import Field

from corpus.artifact import Draft, content_hash
from corpus.dedup.cluster import PAIRS
from corpus.dedup.cosine import similar_pairs
from corpus.dedup.keep import REMOVED, KeepSettings
from corpus.engine import Workplace
from corpus.errors import ConfigError, DataError
from corpus.readers.files import Root
from corpus.settings import Settings

VECTORS = "vectors.npy"


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
    seed: int = Field(1, ge=0, description="of k-means' first centres")

    def identity(self) -> dict[str, Any]:
        """The embeddings count by their bytes."""
        root = Root(self.path)
        hashes = [content_hash(f"{root.folder}/{file.path}") for file in root.find(_is_parquet)]
        return super().identity() | {"path": hashes}


def _is_parquet(path: str) -> bool:
    return path.endswith(".parquet")


def read_names(settings: SemanticSettings) -> pa.StringArray:
    """The identifiers, in the order of the files."""
    columns = [batch.column(settings.id_column).cast(pa.string()) for _, batch in _batches(settings, vectors=False)]
    return pa.concat_arrays(columns)


def read_vectors(settings: SemanticSettings) -> Iterator[np.ndarray]:
    """float32[documents, dimension] of unit length, batch by batch, in the order of the files. A zero vector stays zero
    and is like no other. Raises DataError for vectors of several lengths, ConfigError for columns that are not there.
    """
    dimension = None
    for where, batch in _batches(settings, vectors=True):
        block = _rows(batch.column(settings.vector_column), where)
        dimension = dimension or block.shape[1]
        if block.shape[1] != dimension:
            found = f"{dimension}, {block.shape[1]}"
            raise DataError("embeddings of several dimensions", where=settings.path, found=found)
        length = np.linalg.norm(block, axis=1, keepdims=True)
        np.divide(block, length, out=block, where=length > 0)
        yield block


def _batches(settings: SemanticSettings, vectors: bool) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(file, batch) of the column of identifiers or of vectors."""
    root = Root(settings.path)
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
            column = settings.vector_column if vectors else settings.id_column
            for batch in table.iter_batches(8_192, columns=[column]):
                yield where, batch


def _rows(column: pa.Array, where: str) -> np.ndarray:
    """float32[rows, dimension] of a column of lists without nulls, all of one length."""
    sizes = pc.unique(pc.list_value_length(column))
    if len(sizes) != 1 or column.null_count or sizes[0].as_py() is None:
        found = ", ".join(map(str, sizes.to_pylist()[:4])) + " numbers"
        raise DataError("every document needs a vector of the same length", where=where, found=found)
    return column.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False).reshape(len(column), -1).copy()


def find_semantic(documents: pl.DataFrame, settings: SemanticSettings, place: Workplace) -> pa.Table:
    """The pairs of semantic duplicates (schema PAIRS of corpus.dedup.cluster, kind "semantic", by id_a and id_b).

    documents: id, record_id, source. Those without an embedding are like no other. Raises DataError when no
    embedding is of a document, or two are of one.
    """
    names = read_names(settings)
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
    vectors = place.one(
        "vectors",
        {"kind": "semantic.vectors", "of": place.function},
        lambda draft: _write_vectors(draft, settings, len(names), joined["_row"].to_numpy()),
    )
    left, right, similarity = similar_pairs(
        vectors / VECTORS, settings.threshold, settings.clusters, settings.seed, place
    )
    ids = joined["id"].to_numpy()
    return pa.table([ids[left], ids[right], ["semantic"] * len(left), similarity], schema=PAIRS)


def _write_vectors(draft: Draft, settings: SemanticSettings, given: int, order: np.ndarray) -> None:
    """The vectors of the rows `order` of the `given` embeddings, in that order, in a file that maps into memory."""
    place = np.full(given, -1)
    place[order] = np.arange(len(order))
    out, start = None, 0
    for block in read_vectors(settings):
        if out is None:
            out = open_memmap(draft.path / VECTORS, "w+", np.float32, (len(order), block.shape[1]))
        own = place[start : start + len(block)]
        out[own[own >= 0]] = block[own >= 0]
        start += len(block)
    if out is not None:
        out.flush()


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
