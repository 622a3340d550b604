"""The documents that stay after rules and duplicates, as finders of cuts see them: text without earlier cuts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from corpus.artifact import scan_parquet
from corpus.cuts.spans import KINDS, Kind, Spans
from corpus.dedup.keep import KeepSettings
from corpus.document import utf8_buffers
from corpus.kernels.cuts import spans_before, spans_of, text_without


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
class KeptDocuments:
    """Which documents of which units stay. Per unit: its documents.parquet, the number of its source, and for each row
    the place in the keep order (−1: it does not stay) and whether it is held out. Memory: 9 bytes a record.
    """

    documents: tuple[Path, ...]
    source: tuple[int, ...]
    rank: tuple[np.ndarray, ...]  # int64[rows]
    held_out: tuple[np.ndarray, ...]  # bool[rows]
    text_bytes: int

    def __len__(self) -> int:
        return sum(int((rank >= 0).sum()) for rank in self.rank)

    def texts(
        self,
        cuts: Spans,
        units: Callable[[int], bool] = lambda unit: True,
        rows: Callable[[int], np.ndarray] | None = None,
    ) -> Iterator[Texts]:
        """The texts that stay, without `cuts`, batch by batch; `rows(unit)`, a mask, asks for some of them only."""
        for unit, path in enumerate(self.documents):
            wanted = self.rank[unit] >= 0
            if rows is not None:
                wanted = wanted & rows(unit)
            if not units(unit) or not wanted.any():
                continue
            start = 0
            for batch in scan_parquet(path, ["id", "text"]):
                chosen = np.flatnonzero(wanted[start : start + batch.num_rows])
                if len(chosen):
                    part = batch.take(pa.array(chosen))
                    yield self._texts(unit, chosen + start, part.column("id"), part.column("text"), cuts)
                start += batch.num_rows

    def _texts(self, unit: int, rows: np.ndarray, ids: pa.StringArray, text: pa.StringArray, cuts: Spans) -> Texts:
        data, offsets = utf8_buffers(text)
        bounds, inside = cuts.of(unit, rows)
        if len(inside):
            data, offsets = text_without(data, offsets, bounds, inside.start, inside.stop)
        rank, held_out = self.rank[unit][rows], self.held_out[unit][rows]
        return Texts(unit, rows, ids, rank, held_out, data, offsets, (bounds, inside))


def keep_ranks(documents: pl.DataFrame, settings: KeepSettings) -> pl.Series:
    """The place of each kept document in the keep order, 0 first; −1 for one that is not kept.

    documents: fate, id, priority, quality, bytes.
    """
    kept = documents.with_row_index("_at").filter(pl.col("fate") == "kept")
    order = settings.sorted(kept)["_at"].to_numpy()
    rank = np.full(documents.height, -1, np.int64)
    rank[order] = np.arange(len(order))
    return pl.Series("rank", rank)
