"""Duplicate clusters over all sources: exact groups, LSH candidates, measured pairs, connected components.

    unit folders ─ ids, hashes ─► exact groups ─► one representative each ─ band by band ─► candidate pairs
                 ─ texts of the candidates only ─► shingle sets on disk ─ true Jaccard ─► pairs ─► components

A sketch only proposes: with `verify` a near pair is one whose Jaccard similarity, measured on the sets of 64-bit
shingles, reaches `threshold`, so precision does not rest on the sketch. Documents are numbered by ascending id, so
nothing depends on the order or the cut of the units.

Memory: per document the id, the exact hash and 8 bytes a band (about 170 bytes with 14 bands), one band's sort order,
and 8 bytes a candidate pair. The shingle sets of candidates (about 4/3 of their text) lie in a temporary file that is
memory-mapped. Cost: one sort per band; the text column is read once, and only if there are candidates.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from corpus.artifact import scan_parquet
from corpus.dedup.shingles import ShingleSets, write_shingle_sets
from corpus.dedup.signature import SignatureSettings
from corpus.errors import DataError
from corpus.settings import Settings

CLUSTERS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),  # smallest id of the component
        pa.field("size", pa.int64(), nullable=False),
    ]
)
PAIRS = pa.schema(
    [
        pa.field("id_a", pa.string(), nullable=False),  # id_a < id_b
        pa.field("id_b", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # "exact" or "near"
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)
DOCUMENTS = "documents.parquet"
BUCKET = 64  # documents of one bucket that are still compared all with all


class DedupSettings(Settings):
    """Which pairs count as duplicates."""

    signature: SignatureSettings = SignatureSettings()
    threshold: float = Field(default=0.8, gt=0, le=1, description="least Jaccard similarity of a near-duplicate pair")
    verify: bool = Field(
        default=True, description="measure candidates on their texts; false takes the sketch's estimate"
    )


@dataclass(frozen=True)
class Clusters:
    """`clusters` (schema CLUSTERS, by id) holds documents that are not alone; `pairs` (schema PAIRS, by id_a, id_b)
    the measured edges. Members of an exact group have an edge to its smallest id only."""

    clusters: pa.Table
    pairs: pa.Table
    candidates: int


@dataclass(frozen=True)
class _Signatures:
    """All readable documents by ascending id: ids, exact hashes uint64[documents, 2], whether they have a sketch,
    band keys uint64[bands, documents], and where each lies (unit, row)."""

    ids: pa.StringArray
    exact: np.ndarray
    sketched: np.ndarray
    bands: np.ndarray
    unit: np.ndarray
    row: np.ndarray


def find_clusters(
    units: Sequence[Path], settings: DedupSettings, text_of: Callable[[Path, np.ndarray], pa.StringArray] | None = None
) -> Clusters:
    """Duplicate clusters of the documents in `units`, folders with a documents.parquet of at least id, step, text,
    dedup.exact and dedup.minhash.

    `text_of(unit, rows)` gives the texts of ascending rows; by default they are read from the unit. Raises DataError
    when two documents have one id.
    """
    units = list(units)
    documents = _read_signatures(units, settings.signature)
    representative = _representatives(documents.exact)
    everything = np.arange(len(representative))
    copies = np.flatnonzero(representative != everything)
    eligible = np.flatnonzero((representative == everything) & documents.sketched)
    left, right = candidate_pairs(documents.bands, eligible)
    similarity = np.zeros(0)
    if len(left):
        similarity = _measure(units, documents, left, right, settings, text_of)
    near = similarity >= settings.threshold
    first = np.concatenate([representative[copies], left[near]])
    second = np.concatenate([copies, right[near]])
    kind = np.repeat(["exact", "near"], [len(copies), int(near.sum())])
    measured = np.concatenate([np.ones(len(copies)), similarity[near]]).astype(np.float32)
    order = np.lexsort((second, first))
    ids = documents.ids
    pairs = pa.table(
        [ids.take(pa.array(first[order])), ids.take(pa.array(second[order])), kind[order], measured[order]],
        schema=PAIRS,
    )
    return Clusters(_components(ids, first, second), pairs, len(left))


def _read_signatures(units: Sequence[Path], settings: SignatureSettings) -> _Signatures:
    from corpus.kernels.minhash import band_keys

    ids: list[pa.Array] = []
    exact, sketched, bands, unit_of, row_of = [], [], [], [], []
    for number, unit in enumerate(units):
        row = 0
        for batch in scan_parquet(unit / DOCUMENTS, ["id", "step", "dedup.exact", "dedup.minhash"]):
            readable = np.flatnonzero(np.asarray(pc.is_null(batch.column("step"))))
            part = batch.take(pa.array(readable))
            sketch = part.column("dedup.minhash")
            if sketch.type.byte_width != 4 * settings.hashes:
                raise DataError(
                    "the signatures have another number of hashes than the settings ask for",
                    where=unit / DOCUMENTS,
                    found=f"{sketch.type.byte_width // 4} hashes, {settings.bands} bands of {settings.rows} asked",
                    todo="run the annotate stage again, so that the signatures are measured with these settings",
                )
            has_sketch = np.asarray(pc.is_valid(sketch))
            filled = pc.fill_null(sketch, pa.scalar(bytes(sketch.type.byte_width), sketch.type))
            ids.append(part.column("id"))
            exact.append(_fixed_rows(part.column("dedup.exact"), "<u8"))
            sketched.append(has_sketch)
            bands.append(band_keys(_fixed_rows(filled, "<u4"), settings.bands))
            unit_of.append(np.full(len(readable), number, np.int32))
            row_of.append(readable + row)
            row += batch.num_rows
    if not ids:
        none = np.zeros(0, np.int64)
        return _Signatures(pa.array([], pa.string()), np.zeros((0, 2), "<u8"), none > 0, np.zeros((1, 0)), none, none)
    all_ids = pa.concat_arrays(ids)
    by_id = pc.sort_indices(all_ids)
    all_ids, order = all_ids.take(by_id), np.asarray(by_id)
    if len(all_ids) and (repeated := pc.equal(all_ids[1:], all_ids[:-1])).true_count:
        raise DataError(
            "two documents have the same id",
            where=f"{len(units)} units",
            found=f"{repeated.true_count} repeated ids",
            todo="a unit is given twice, or two sources have the same name",
        )
    return _Signatures(
        all_ids,
        np.concatenate(exact)[order],
        np.concatenate(sketched)[order],
        np.concatenate(bands, axis=1)[:, order],
        np.concatenate(unit_of)[order],
        np.concatenate(row_of)[order],
    )


def _fixed_rows(column: pa.FixedSizeBinaryArray, dtype: str) -> np.ndarray:
    """A fixed-size binary column without nulls as numbers [rows, width / itemsize]."""
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1] or b"", np.uint8)
    start = column.offset * width
    return data[start : start + len(column) * width].view(dtype).reshape(len(column), width // np.dtype(dtype).itemsize)


def _representatives(exact: np.ndarray) -> np.ndarray:
    """int64[documents]: the smallest document with the same exact hash (two uint64)."""
    order = np.lexsort((exact[:, 1], exact[:, 0]))  # stable: ascending documents within a group
    starts = np.ones(len(order), bool)
    starts[1:] = (exact[order[1:]] != exact[order[:-1]]).any(axis=1)
    representative = np.empty(len(order), np.int64)
    representative[order] = order[starts][np.cumsum(starts) - 1]
    return representative


def candidate_pairs(bands: np.ndarray, eligible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(left, right) int64, left < right, unique and sorted: documents of `eligible` (ascending) that share a key in a
    band of uint64[bands, documents].

    A bucket of up to BUCKET documents gives all pairs; of a larger one each document is paired with the smallest and
    with the next, so that a bucket of m costs 2m and not m² / 2.
    """
    found = np.zeros(0, np.uint64)
    for keys in bands:
        keys = keys[eligible]
        order = np.argsort(keys)
        fresh = np.flatnonzero(np.diff(keys[order], prepend=np.uint64(0)) != 0)
        starts = np.union1d(fresh, [0]) if len(order) else fresh
        sizes = np.diff(starts, append=len(order))
        members = eligible[order]
        codes = [found]
        large = sizes > BUCKET
        for size in np.unique(sizes[(sizes > 1) & ~large]):
            bucket = np.sort(members[starts[sizes == size][:, None] + np.arange(size)], axis=1)
            a, b = np.triu_indices(size, 1)
            codes.append(_encode(bucket[:, a].ravel(), bucket[:, b].ravel()))
        for start, size in zip(starts[large], sizes[large], strict=True):
            bucket = np.sort(members[start : start + size])
            codes += [_encode(np.repeat(bucket[:1], size - 1), bucket[1:]), _encode(bucket[:-1], bucket[1:])]
        if len(codes) > 1:
            found = np.unique(np.concatenate(codes))
    return (found >> np.uint64(32)).astype(np.int64), (found & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _encode(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return left.astype(np.uint64) << np.uint64(32) | right.astype(np.uint64)


def _measure(
    units: Sequence[Path],
    documents: _Signatures,
    left: np.ndarray,
    right: np.ndarray,
    settings: DedupSettings,
    text_of: Callable[[Path, np.ndarray], pa.StringArray] | None,
) -> np.ndarray:
    """float64[pairs]: the Jaccard similarity of each candidate pair, or its estimate from the sketch."""
    involved = np.union1d(left, right)
    unit, row = documents.unit[involved], documents.row[involved]
    if not settings.verify:
        return _estimate(units, unit, row, np.searchsorted(involved, left), np.searchsorted(involved, right))
    with tempfile.TemporaryFile() as spill:
        sets: ShingleSets = write_shingle_sets(spill, units, unit, row, settings.signature.ngram, text_of)
        return sets.jaccard(np.searchsorted(involved, left), np.searchsorted(involved, right))


def _estimate(
    units: Sequence[Path], unit: np.ndarray, row: np.ndarray, left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """float64[pairs]: the share of equal minima, an unbiased estimate of Jaccard with error √(s(1-s)/hashes)."""
    sketches: np.ndarray | None = None
    for number in np.unique(unit):
        mine = np.flatnonzero(unit == number)
        start = 0
        for batch in scan_parquet(units[number] / DOCUMENTS, ["dedup.minhash"]):
            inside = mine[(row[mine] >= start) & (row[mine] < start + batch.num_rows)]
            values = _fixed_rows(batch.column(0).take(pa.array(row[inside] - start)), "<u4")
            if sketches is None:
                sketches = np.empty((len(unit), values.shape[1]), np.uint32)
            sketches[inside] = values
            start += batch.num_rows
    assert sketches is not None
    block = 1 << 16
    return np.concatenate(
        [
            (sketches[left[at : at + block]] == sketches[right[at : at + block]]).mean(axis=1)
            for at in range(0, len(left), block)
        ]
    )


def _components(ids: pa.StringArray, first: np.ndarray, second: np.ndarray) -> pa.Table:
    count = len(ids)
    _, label = connected_components(
        coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count)), False
    )
    _, smallest, member, sizes = np.unique(label, return_index=True, return_inverse=True, return_counts=True)
    size = sizes[member]
    rows = np.flatnonzero(size > 1)
    return pa.table(
        [ids.take(pa.array(rows)), ids.take(pa.array(smallest[member[rows]])), pa.array(size[rows], pa.int64())],
        schema=CLUSTERS,
    )
