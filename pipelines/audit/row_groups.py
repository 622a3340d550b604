"""The ledger as NumPy arrays, a row group at a time: for counts that a query language makes slow.

Strings that repeat (fates, reasons, the keys of edits) come as codes into a short list, as parquet stores them, and are
never made into strings of each row. A row group of 16,384 rows takes a few megabytes, whatever the ledger's size.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import ArtifactError
from corpus.ledger import LEDGER

Unit, Answer = TypeVar("Unit"), TypeVar("Answer")
ID_BYTES = 32  # of an id: hex digits
WORKERS = 2
_CODED = {"source", "split", "fate", "step", "reason", "edits.list.element.key", "pii.list.element.key"}


@dataclass(frozen=True)
class Codes:
    """`names[of[row]]` is a row's text; `of` int32[rows] is −1 where there is none."""

    of: np.ndarray
    names: list[str]

    def are(self, name: str) -> np.ndarray:
        """bool[rows]: where the text is `name`."""
        return self.of == self.names.index(name) if name in self.names else np.zeros(len(self.of), bool)


@dataclass(frozen=True)
class Entries:
    """A map column: row r has the entries [bounds[r], bounds[r + 1]) of `keys` and `values` int64."""

    bounds: np.ndarray
    keys: Codes
    values: np.ndarray


@dataclass(frozen=True)
class RowGroup:
    """Some rows of one ledger file."""

    table: pa.Table
    path: Path

    def codes(self, name: str) -> Codes:
        return _codes(self._whole(name))

    def integers(self, name: str) -> np.ndarray:
        """int64[rows]; 0 where there is none."""
        return _plain(self._whole(name), 0)

    def entries(self, name: str) -> Entries:
        column = self._whole(name)
        inner, bounds = column.values, np.from_dlpack(column.offsets)
        return Entries(bounds, _codes(inner.field("key")), _plain(inner.field("value").cast(pa.int64()), 0))

    def ids(self) -> pa.StringArray:
        return self._whole("id").cast(pa.string())

    def _whole(self, name: str) -> pa.Array:
        chunks = self.table[name].chunks
        return chunks[0] if len(chunks) == 1 else self.table[name].combine_chunks()


class Counter(Protocol):
    """Counts the row groups of a ledger file; `columns` are those it reads."""

    columns: ClassVar[tuple[str, ...]]

    def count(self, rows: RowGroup) -> None: ...


def count_file(path: Path, counters: list[Counter]) -> list[Counter]:
    """The counters, with every row group of a ledger file counted. Raises ArtifactError when the file is damaged."""
    columns = sorted({name for counter in counters for name in counter.columns}, key=LEDGER.names.index)
    for table in row_groups(path, columns):
        for counter in counters:
            counter.count(RowGroup(table, path))
    return counters


def kept_rows(path: Path) -> np.ndarray:
    """bool[rows] of a ledger file: which documents were kept."""
    parts = [RowGroup(table, path).codes("fate").are("kept") for table in row_groups(path, ["fate"])]
    return np.concatenate([np.zeros(0, bool), *parts])


def row_groups(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    """The columns of a parquet file, row group by row group, page checksums verified."""
    try:
        about = pq.read_metadata(path)
        coded = [name for at in range(about.num_columns) if (name := about.schema.column(at).path) in _CODED]
        with pq.ParquetFile(path, metadata=about, read_dictionary=coded, page_checksum_verification=True) as handle:
            for group in range(handle.num_row_groups):
                yield handle.read_row_group(group, columns, use_threads=False)
    except FileNotFoundError:
        raise ArtifactError("missing file", where=path, todo="run the stage that writes it") from None
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError("damaged parquet file", where=path, found=error, todo="run the stage again") from None


def id_words(ids: pa.StringArray, where: Path | None = None) -> np.ndarray:
    """uint64[rows, 4]: the 32 bytes of each id. Raises ArtifactError when one is not of that length."""
    _, bounds, data = ids.buffers()
    ends = np.frombuffer(bounds, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    if len(ids) and not (np.diff(ends) == ID_BYTES).all():
        raise ArtifactError("an id is not 32 hex digits", where=where, todo="run `provender corpus` again")
    if not len(ids):
        return np.empty((0, 4), np.uint64)
    return np.frombuffer(data, np.uint64, 4 * len(ids), int(ends[0])).reshape(-1, 4)


def each_of(units: Sequence[Unit], work: Callable[[Unit], Answer]) -> list[Answer]:
    """`work` on every file (or other unit), two at a time, in order: reading and counting let other threads run."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, units))


def _codes(column: pa.Array) -> Codes:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return Codes(_plain(column.indices, -1), column.dictionary.to_pylist())


def _plain(numbers: pa.Array, missing: int) -> np.ndarray:
    """Without nulls. By way of polars, since `to_numpy` of pyarrow imports pandas."""
    if not numbers.null_count:
        return np.from_dlpack(numbers)
    series = pl.Series(pl.from_arrow(numbers))
    return series.fill_null(missing).to_numpy()
