"""Parquet: one row a record."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.readers.base import (
    Member,
    Reading,
    RecordReader,
    RecordSettings,
    TableReader,
    Tally,
    identifier,
    quarantined,
    too_large,
)
from corpus.readers.files import DamagedError, HeaderError, seekable

ROWS = 256  # rows decoded at a time: the memory is that of one row group's pages plus these


class ParquetSettings(RecordSettings):
    """Parquet files; the fields are columns."""

    kind: Literal["parquet"] = "parquet"


class ParquetReader(TableReader, RecordReader):
    """Records are rows; only the columns asked for are read, and page checksums are verified where a file has them."""

    suffixes = (".parquet",)
    settings: RecordSettings

    def readings(self, member: Member, tally: Tally) -> Iterator[Reading]:
        rows = 0
        try:
            with seekable(member.stream) as handle:
                parquet = pq.ParquetFile(pa.PythonFile(handle, mode="r"), page_checksum_verification=True)
                self.require_fields(parquet.schema_arrow.names, member.bytes)
                for batch in parquet.iter_batches(batch_size=ROWS, columns=list(self.fields)):
                    for reading in self.batch_readings(batch, tally):
                        rows += 1
                        yield reading
                if not self._adds_up(parquet, rows):
                    raise DamagedError(0 if rows else member.bytes)
        except (OSError, UnicodeDecodeError, pa.ArrowException):  # a damaged column name is not UTF-8
            raise DamagedError(0 if rows else member.bytes) from None

    def require_fields(self, columns: list[str], raw: int) -> None:
        """Raises HeaderError unless every field of the settings is one of the `columns` of a file of `raw` bytes."""
        for name in self.fields:
            if name not in columns:
                close = get_close_matches(name, columns, n=1)
                raise HeaderError(
                    raw,
                    f"no column {name!r}",
                    hint=f", did you mean {close[0]!r}?" if close else "",
                    found=f"columns {', '.join(columns)}",
                    todo="correct the names of the source's fields",
                )

    def _adds_up(self, parquet: pq.ParquetFile, rows: int) -> bool:
        """Whether the rows that were read are all there are by the footer and by the column's chunks: neither the
        footer nor the header of a page has a checksum, and a damaged count would silently shorten the file.

        To be asked when all is read: a chunk that Arrow has not found sound ends the process when it is looked at.
        """
        footer = parquet.metadata
        groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
        if footer.num_rows != rows or rows != sum(group.num_rows for group in groups):
            return False
        paths = [parquet.schema.column(index).path for index in range(len(parquet.schema))]
        leaf = paths.index(self.settings.text_field) if self.settings.text_field in paths else None
        return leaf is None or all(
            group.column(leaf).num_values == group.num_rows for group in groups if group.num_rows
        )

    def batch_readings(self, batch: pa.RecordBatch, tally: Tally) -> Iterator[Reading]:
        """The rows of a batch that has the columns `fields`."""
        name = self.settings.text_field
        text = batch.column(name)
        if pa.types.is_dictionary(text.type):
            text = text.dictionary_decode()
        if not is_text(text.type):
            lengths = [0] * len(text)
        else:
            text = text.cast(pa.large_string())
            lengths = pc.fill_null(pc.binary_length(text), 0).to_pylist()
        raw = text.view(pa.large_binary()) if is_text(text.type) else None
        others = batch.drop_columns([name]).to_pylist() if batch.num_columns > 1 else [{}] * len(text)
        for row, length in enumerate(lengths):
            tally.count(length)
            if length > self.settings.max_bytes:
                yield too_large(self.settings.max_bytes, length)
                continue
            try:
                value = text[row].as_py() if raw is None else decoded(raw[row])
            except UnicodeDecodeError:
                yield quarantined("not UTF-8", length, identifier(others[row], self.settings))
                continue
            yield self.reading({**others[row], name: value}, length)


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def decoded(value: pa.Scalar) -> str | None:
    """Arrow does not check that a string column holds UTF-8, so it is decoded here."""
    return None if not value.is_valid else value.as_buffer().to_pybytes().decode()
