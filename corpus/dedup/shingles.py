"""True Jaccard similarity of documents: their sets of distinct 64-bit shingles, kept on disk, compared two by two."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from corpus.artifact import scan_parquet
from corpus.dedup.signature import lowered


@dataclass(frozen=True)
class ShingleSets:
    """Ascending uint64 shingles of set i: shingles[bounds[i, 0] : bounds[i, 1]]; bounds int64[sets, 2]."""

    shingles: np.ndarray
    bounds: np.ndarray

    def jaccard(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """float64[pairs] of the sets numbered left[i] and right[i]; two empty sets have similarity 0."""
        from corpus.kernels.minhash import jaccard

        return jaccard(self.shingles, self.bounds, left.astype(np.int64), right.astype(np.int64))


def shingle_sets(text: pa.StringArray, ngram: int) -> ShingleSets:
    """The sets of a few texts, in memory."""
    from corpus.kernels.minhash import shingle_sets

    shingles, offsets = shingle_sets(*lowered(text), ngram)
    return ShingleSets(shingles, np.stack([offsets[:-1], offsets[1:]], axis=1))


def read_texts(unit: Path, rows: np.ndarray) -> pa.StringArray:
    """The texts at ascending `rows` of a unit's documents.parquet; one pass over its text column."""
    parts: list[pa.Array] = []
    start = 0
    for batch in scan_parquet(unit / "documents.parquet", ["text"]):
        inside = rows[(rows >= start) & (rows < start + batch.num_rows)]
        parts.append(batch.column(0).take(pa.array(inside - start)))
        start += batch.num_rows
    return pa.concat_arrays(parts) if parts else pa.array([], pa.string())


def write_shingle_sets(
    spill: IO[Any],
    units: Sequence[Path],
    unit: np.ndarray,
    row: np.ndarray,
    ngram: int,
    text_of: Callable[[Path, np.ndarray], pa.StringArray] | None = None,
) -> ShingleSets:
    """Write the set of each document (units[unit[i]], row[i]) to the open file `spill` and map it into memory.

    Sets are numbered as the documents are; on disk they lie in the order of reading. Each unit is read once; the texts
    of one unit that are asked for are in memory at a time.
    """
    bounds = np.zeros((len(unit), 2), np.int64)
    written = 0
    for number in np.unique(unit):
        mine = np.flatnonzero(unit == number)
        mine = mine[np.argsort(row[mine])]
        part = shingle_sets((text_of or read_texts)(units[number], row[mine]), ngram)
        spill.write(part.shingles.tobytes())
        bounds[mine] = part.bounds + written
        written += len(part.shingles)
    spill.flush()
    shingles = np.memmap(spill, np.uint64, "r", shape=(written,)) if written else np.zeros(0, np.uint64)
    return ShingleSets(shingles, bounds)


def documents_in(units: Sequence[Path], ids: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """id → (unit number, row) of the ids asked for."""
    wanted = set(ids)
    found: dict[str, tuple[int, int]] = {}
    for number, unit in enumerate(units):
        row = 0
        for batch in scan_parquet(unit / "documents.parquet", ["id"]):
            for offset, name in enumerate(batch.column(0).to_pylist()):
                if name in wanted:
                    found[name] = (number, row + offset)
            row += batch.num_rows
    return found
