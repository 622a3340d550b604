"""What every reader shares: its settings, its count of records, and the form of what it could not read.

A reader frames a file into records and makes one Document of each, in order, whatever it finds: a text, an empty text
(dropped) or something unreadable (quarantined, with the reason). Framing counts into a `Tally` before anything is
parsed, so that the ledger can be checked against a count that parsing did not make.
"""

import codecs
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import orjson
from pydantic import Field, field_validator

from corpus.document import QUARANTINE, Document
from corpus.readers.files import DamagedError, InputFile, Root, glob_matcher, without_compression
from corpus.settings import Settings

MB = 1 << 20


class FileSettings(Settings):
    """Where the files of a source lie and how they are decoded."""

    path: str = Field(description="A folder, a file or a glob; local or any fsspec URL.")
    glob: str | None = Field(None, description="Which files of the folder, such as `**/*.txt`; by extension if unset.")
    max_bytes: int = Field(64 * MB, gt=0, description="A record above this many bytes is quarantined, not loaded.")
    encoding: str | None = Field(None, description="Encoding of the files where it is not UTF-8, such as `cp1252`.")

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str | None) -> str | None:
        if encoding is not None:
            try:
                codecs.lookup(encoding)
            except LookupError:
                raise ValueError(f"unknown encoding {encoding!r}; Python's names are meant, such as cp1252") from None
        return encoding

    def identity(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"path"})


class RecordSettings(FileSettings):
    """Files of records with named fields."""

    text_field: str = Field("text", description="The field that holds the text.")
    id_field: str | None = Field(None, description="The field that holds the record's own identifier.")
    metadata: tuple[str, ...] = Field((), description="Fields to carry along with the document.")


@dataclass
class Tally:
    """What framing counted: records, blank lines between them, and raw (decompressed) bytes of the records."""

    records: int = 0
    blank: int = 0
    bytes: int = 0

    def count(self, raw: int) -> None:
        """One more record, of `raw` bytes."""
        self.records += 1
        self.bytes += raw


class Reading(NamedTuple):
    """A record without its place: `reason` is None for a readable one, and `step` says who dropped it."""

    text: str
    bytes_in: int
    record_id: str | None = None
    metadata: str | None = None
    step: str | None = None
    reason: str | None = None


def found(text: str, record_id: str | None = None, metadata: str | None = None) -> Reading:
    """The reading of a record whose text was found; one of white space alone is dropped as empty."""
    size = utf8_length(text)
    if not text or text.isspace():
        return Reading(text, size, record_id, metadata, "read", "empty text")
    return Reading(text, size, record_id, metadata)


def quarantined(reason: str, raw: int, record_id: str | None = None) -> Reading:
    """The reading of a record of `raw` bytes that could not be read."""
    return Reading("", raw, record_id, None, QUARANTINE, reason)


def too_large(max_bytes: int, raw: int) -> Reading:
    whole, rest = divmod(max_bytes, MB)
    return quarantined(f"record above {max_bytes} bytes" if rest else f"record above {whole} MB", raw)


def from_fields(record: dict[str, Any], settings: RecordSettings, raw: int) -> Reading:
    """The reading of a parsed record of `raw` bytes."""
    record_id = identifier(record, settings)
    text = record.get(settings.text_field)
    if not isinstance(text, str):
        missing = settings.text_field not in record
        reason = "text field missing" if missing else "text is null" if text is None else "text is not a string"
        return quarantined(reason, raw, record_id)
    carried = {name: record[name] for name in settings.metadata if name in record}
    return found(text, record_id, plain(carried) if settings.metadata else None)


def identifier(record: dict[str, Any], settings: RecordSettings) -> str | None:
    """The record's own identifier as a string, where the settings name its field and it has one."""
    value = record.get(settings.id_field) if settings.id_field else None
    return value if value is None or isinstance(value, str) else plain(value)


def plain(value: Any) -> str:
    """The JSON of a value; what JSON does not know (a decimal, bytes) is written as Python writes it."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def utf8_length(text: str) -> int:
    """Bytes of `text` in UTF-8. Raises UnicodeEncodeError for a lone surrogate."""
    return len(text) if text.isascii() else len(text.encode())


class Reader:
    """Reads one source. Subclasses frame and parse one file in `readings`."""

    suffixes: ClassVar[tuple[str, ...]] = ()  # of files to take from a folder when no glob is given

    def __init__(self, settings: Any, source: str) -> None:
        self.settings = settings
        self.source = source

    @cached_property
    def root(self) -> Root:
        return Root(self.settings.path)

    def matches(self, path: str) -> bool:
        """Whether a file of the folder belongs to the source."""
        if self.settings.glob is not None:
            return glob_matcher(self.settings.glob)(path)
        return without_compression(path).lower().endswith(self.suffixes)

    def files(self) -> list[InputFile]:
        """The input files, sorted by path. Raises DataError when there is none."""
        return self.root.find(self.matches)

    def read(self, file: InputFile, tally: Tally) -> Iterator[Document]:
        """One Document for every record of `file`, in order, counted into `tally` as framed.

        Where the file turns out to be damaged, the records before the damage stay and one more, quarantined, stands
        for the rest. Raises DataError when the storage fails.
        """
        position = 0
        try:
            for reading in self.readings(file, tally):
                yield self._document(file, position, reading)
                position += 1
        except DamagedError as damage:
            tally.count(damage.pending)
            yield self._document(file, position, quarantined("damaged file", damage.pending))

    @abstractmethod
    def readings(self, file: InputFile, tally: Tally) -> Iterator[Reading]:
        """Frame and parse; raises DamagedError where the rest of the file cannot be read."""

    def _document(self, file: InputFile, position: int, reading: Reading) -> Document:
        text, bytes_in, record_id, metadata, step, reason = reading
        return Document(self.source, file.path, position, text, bytes_in, record_id, metadata, step, reason)
