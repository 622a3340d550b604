"""True Jaccard similarity of documents: their sets of distinct 64-bit shingles, kept on disk, compared two by two."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from corpus.arrays import checked, load
from corpus.artifact import scan_parquet
from corpus.dedup.signature import lowered
from corpus.document import DOCUMENTS
from corpus.mapping import map_file


@dataclass(frozen=True)
class ShingleSets:
    """Ascending uint64 shingles of set i: shingles[bounds[i, 0] : bounds[i, 1]]; bounds int64[sets, 2]."""

    shingles: np.ndarray
    bounds: np.ndarray

    def jaccard(self, left: np.ndarray, right: np.ndarray, other: "ShingleSets | None" = None) -> np.ndarray:
        """float64[pairs] of the sets left[i] and, of `other` if given, right[i]; two empty sets have similarity 0."""
        from corpus.kernels.minhash import jaccard

        other = other or self
        return jaccard(
            self.shingles, self.bounds, other.shingles, other.bounds, left.astype(np.int64), right.astype(np.int64)
        )

    def save(self, folder: Path) -> None:
        """Write the bounds; the shingles lie in `folder`/shingles.bin already (see `write_shingle_sets`)."""
        np.save(folder / "bounds.npy", self.bounds)

    @classmethod
    def open(cls, folder: Path) -> "ShingleSets":
        return cls(map_file(checked(folder / "shingles.bin"), np.uint64), load(folder / "bounds.npy"))


def shingle_sets(text: pa.StringArray, ngram: int) -> ShingleSets:
    """The sets of a few texts, in memory."""
    from corpus.kernels.minhash import shingle_sets

    shingles, offsets = shingle_sets(*lowered(text), ngram)
    shingles.flags.writeable = False
    return ShingleSets(shingles, np.stack([offsets[:-1], offsets[1:]], axis=1))


def read_rows(unit: Path, rows: np.ndarray, column: str = "text") -> Iterator[tuple[slice, pa.Array]]:
    """The values of a column of a unit's documents.parquet at ascending `rows`, by the batch: which of `rows`, values.

    One pass over the column; memory does not grow with the unit.
    """
    start, done = 0, 0
    for batch in scan_parquet(unit / DOCUMENTS, [column]):
        stop = int(np.searchsorted(rows, start + batch.num_rows))
        if stop > done:
            yield slice(done, stop), batch.column(0).take(pa.array(rows[done:stop] - start))
        start, done = start + batch.num_rows, stop
        if done == len(rows):
            return


def write_shingle_sets(
    spill: IO[Any], units: Sequence[Path], unit: np.ndarray, row: np.ndarray, ngram: int
) -> ShingleSets:
    """Write the set of each document (units[unit[i]], row[i]) to the open file `spill` and map it into memory.

    Sets are numbered as the documents are; on disk they lie in the order of reading. Each unit is read once.
    """
    bounds = np.zeros((len(unit), 2), np.int64)
    written = 0
    for number in np.unique(unit):
        mine = np.flatnonzero(unit == number)
        mine = mine[np.argsort(row[mine])]
        for some, text in read_rows(units[number], row[mine]):
            part = shingle_sets(text, ngram)
            spill.write(part.shingles)
            bounds[mine[some]] = part.bounds + written
            written += len(part.shingles)
    return ShingleSets(map_file(spill, np.uint64), bounds)
