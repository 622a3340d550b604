"""Delimited text (CSV, TSV): a header line, then one row a record, quoted fields may span lines."""

import csv
import sys
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator

from corpus.readers.base import (
    Member,
    Reading,
    RecordReader,
    RecordSettings,
    TableReader,
    Tally,
    quarantined,
    too_large,
)
from corpus.readers.files import HeaderError, lines
from corpus.readers.json_lines import single_byte_newline


class CsvSettings(RecordSettings):
    """CSV and TSV files as RFC 4180 has them."""

    kind: Literal["csv"] = "csv"
    delimiter: str = Field(",", min_length=1, max_length=1, description='The separator; "\\t" for TSV.')
    quote: str | None = Field('"', min_length=1, max_length=1, description="The quote character; null: no quoting.")
    columns: tuple[str, ...] = Field((), description="Names of the columns where files have no header line.")

    @field_validator("encoding")
    @classmethod
    def _line_framed(cls, encoding: str | None) -> str | None:
        return single_byte_newline(encoding)


class RecordTooLongError(Exception):
    """A quoted field that is not closed within the limit."""


class Feed:
    """The lines of a file as the csv module wants them, remembering what the current record took.

    It raises RecordTooLongError from within csv's parser: so an unclosed quote cannot swallow the file.
    """

    def __init__(self, source: Iterator[bytes | int], max_bytes: int, encoding: str) -> None:
        self.source, self.max_bytes, self.encoding = source, max_bytes, encoding
        self.begin()

    def begin(self) -> None:
        self.raw = 0
        self.valid = True

    def __iter__(self) -> "Feed":
        return self

    def __next__(self) -> str:
        line = next(self.source)
        self.raw += line if isinstance(line, int) else len(line) + (self.raw > 0)
        if isinstance(line, int) or self.raw > self.max_bytes:
            raise RecordTooLongError
        try:
            return line.decode(self.encoding) + "\n"
        except UnicodeDecodeError:
            self.valid = False
            return line.decode(self.encoding, "replace") + "\n"


class CsvReader(TableReader, RecordReader):
    """Records are what Python's csv module (strict) makes of the lines; after a broken record it starts afresh with
    the next line."""

    suffixes = (".csv", ".tsv")
    settings: CsvSettings

    def readings(self, member: Member, tally: Tally) -> Iterator[Reading]:
        csv.field_size_limit(sys.maxsize)  # the feed bounds records; csv's own limit is one for the whole process
        encoding = self.settings.encoding or "utf-8"
        feed = Feed(lines(member.stream, self.settings.max_bytes), self.settings.max_bytes, encoding)
        header = list(self.settings.columns)
        for row in self._rows(feed):
            if row == []:
                tally.blank += 1
            elif not header:
                header = self._header(row, member)
            else:
                tally.count(feed.raw)
                yield self._reading(row, header, feed)

    def _rows(self, feed: Feed) -> Iterator[list[str] | str]:
        """Parsed rows; in place of one that is broken the reason why."""
        settings = self.settings
        while True:
            parser = csv.reader(
                feed,
                delimiter=settings.delimiter,
                quotechar=settings.quote,
                quoting=csv.QUOTE_MINIMAL if settings.quote else csv.QUOTE_NONE,
                strict=True,
            )
            try:
                while True:
                    feed.begin()
                    row = next(parser)
                    yield row if feed.valid else f"not {settings.encoding or 'UTF-8'}"
            except StopIteration:
                return
            except csv.Error:
                yield "malformed CSV"
            except RecordTooLongError:
                yield "too long"

    def _header(self, row: list[str] | str, member: Member) -> list[str]:
        """The names of the columns. The error does not show them: without a header line they are a document."""
        if isinstance(row, str):
            reason, found = "the header line cannot be read", row
        elif missing := [name for name in self.fields if name not in row]:
            reason = f"the header line has no column {missing[0]!r}"
            found = f"{len(row)} columns when split at {self.settings.delimiter!r}"
        else:
            return row
        raise HeaderError(
            member.bytes,
            reason,
            found=found,
            todo="correct `text_field` or `delimiter`, or name the `columns` if the files have no header line",
        )

    def _reading(self, row: list[str] | str, header: list[str], feed: Feed) -> Reading:
        if isinstance(row, str):
            return too_large(feed.max_bytes, feed.raw) if row == "too long" else quarantined(row, feed.raw)
        if len(row) != len(header):
            return quarantined("wrong number of fields", feed.raw)
        return self.reading(dict(zip(header, row, strict=True)), feed.raw)
