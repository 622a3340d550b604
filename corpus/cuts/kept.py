"""The documents that stay after rules and duplicates, as finders of cuts see them: text without earlier cuts.

Of a unit of annotated documents a file says which rows stay; a finder's worker gets the `KeptUnit` and reads both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from corpus.artifact import FileEntry, content_hash, scan_parquet
from corpus.cuts.spans import KINDS, Cuts, Kind, Spans
from corpus.dedup.keep import KeepSettings
from corpus.document import utf8_buffers
from corpus.kernels.cuts import spans_before, spans_of, text_without

ROW = np.dtype([("rank", "<i8"), ("held_out", "?")])  # of a record: its place in the keep order, −1 if it does not stay


@dataclass(frozen=True)
class Texts:
    """A batch of documents of one unit: rows of its documents.parquet, ids, the place of each in the keep order,
    whether it is held out for validation, and the text: UTF-8 `data`, document i is data[offsets[i]:offsets[i + 1]].
    """

    unit: int
    rows: np.ndarray  # int64[documents]
    ids: pa.StringArray
    rank: np.ndarray  # int64[documents]
    held_out: np.ndarray  # bool[documents]
    data: np.ndarray  # uint8
    offsets: np.ndarray  # int64[documents + 1]
    earlier: tuple[np.ndarray, Spans]  # what was cut from these documents before

    def spans(self, kind: Kind, bounds: np.ndarray, starts: np.ndarray, ends: np.ndarray, marks: np.ndarray) -> Spans:
        """The cuts that take out the marked pieces (places in `data`, bounds[d]:bounds[d + 1] those of document d), in
        bytes of the annotated texts."""
        begin, stop, owner = spans_of(self.data, self.offsets, bounds, starts, ends, marks)
        cut_bounds, cuts = self.earlier
        begin, stop, owner = spans_before(owner, begin, stop, cut_bounds, cuts.start, cuts.stop)
        row = np.repeat(self.rows, np.diff(owner))
        unit, code = np.full(len(row), self.unit, np.int64), np.full(len(row), KINDS.index(kind), np.int64)
        return Spans(unit, row, begin, stop, code)


@dataclass(frozen=True)
class KeptUnit:
    """What stays of one unit: its number over all sources, that of its source, its documents.parquet, the file of its
    ROWs and that file's SHA-256, the documents that stay, the held-out ones among them, and the bytes of their texts
    before extraction."""

    number: int
    source: int
    documents: Path
    file: Path
    sha256: str
    count: int
    held_out: int
    text_bytes: int

    @classmethod
    def write(
        cls,
        number: int,
        source: int,
        documents: Path,
        file: Path,
        *,
        rank: np.ndarray,
        held_out: np.ndarray,
        text_bytes: int,
    ) -> "KeptUnit":
        """Write the file. rank: int64[rows]; held_out: bool[rows]."""
        rows = np.empty(len(rank), ROW)
        rows["rank"], rows["held_out"] = rank, held_out
        np.save(file, rows)
        count, held = int((rank >= 0).sum()), int((held_out & (rank >= 0)).sum())
        return cls(number, source, documents, file, content_hash(file), count, held, text_bytes)

    @property
    def name(self) -> str:
        """Of the unit among the pieces of a stage."""
        return f"{self.number:05d}"

    @cached_property
    def rows(self) -> np.ndarray:
        """ROW[rows of documents.parquet]. Raises ArtifactError when the file is not what was written."""
        FileEntry(self.file.name, self.file.stat().st_size, self.sha256).verify(self.file)
        return np.load(self.file)

    def staying(self, held_out: bool) -> np.ndarray:
        """bool[rows]: the documents on one side of the split."""
        return (self.rows["rank"] >= 0) & (self.rows["held_out"] == held_out)

    def texts(self, cuts: Spans, wanted: np.ndarray | None = None) -> Iterator[Texts]:
        """The texts that stay, without `cuts`, batch by batch; `wanted` (bool[rows]) asks for some of them only."""
        asked = self.rows["rank"] >= 0
        if wanted is not None:
            asked &= wanted
        if not asked.any():
            return
        start = 0
        for batch in scan_parquet(self.documents, ["id", "text"]):
            chosen = np.flatnonzero(asked[start : start + batch.num_rows])
            if len(chosen):
                part = batch.take(pa.array(chosen))
                yield self._texts(chosen + start, part.column("id"), part.column("text"), cuts)
            start += batch.num_rows

    def _texts(self, rows: np.ndarray, ids: pa.StringArray, text: pa.StringArray, cuts: Spans) -> Texts:
        data, offsets = utf8_buffers(text)
        bounds, inside = cuts.of(self.number, rows)
        if len(inside):
            data, offsets = text_without(data, offsets, bounds, inside.start, inside.stop)
        held = self.rows[rows]
        return Texts(self.number, rows, ids, held["rank"], held["held_out"], data, offsets, (bounds, inside))

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "rows"}  # read where it is used


@dataclass(frozen=True)
class KeptDocuments:
    """The units of all sources, in order."""

    units: tuple[KeptUnit, ...]

    def __len__(self) -> int:
        return sum(unit.count for unit in self.units)

    def texts(self, cuts: Cuts) -> Iterator[Texts]:
        """The texts of all units."""
        for unit in self.units:
            yield from unit.texts(cuts.of(unit.number))


def keep_ranks(documents: pl.DataFrame, settings: KeepSettings) -> pl.Series:
    """The place of each kept document in the keep order, 0 first; −1 for one that is not kept.

    documents: fate, id, priority, quality, bytes.
    """
    kept = documents.with_row_index("_at").filter(pl.col("fate") == "kept")
    order = settings.sorted(kept)["_at"].to_numpy()
    rank = np.full(documents.height, -1, np.int64)
    rank[order] = np.arange(len(order))
    return pl.Series("rank", rank)
