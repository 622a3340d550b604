"""What every reader shares: its settings, its count of records, and the form of what it could not read.

A reader frames a file into records and makes one Document of each, in order, whatever it finds: a text, an empty text
(dropped) or something unreadable (quarantined, with the reason). Framing counts into a `Tally` before anything is
parsed, so that the ledger can be checked against a count that parsing did not make.

    InputFile ─► stored ─► decompressed ─► Member, one (a plain file) or many (an archive) ─► Reading … ─► Document …
"""

import codecs
import posixpath
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, NamedTuple

import orjson
from pydantic import Field, field_validator

from corpus.document import QUARANTINE, Document
from corpus.errors import DataError
from corpus.readers import archives
from corpus.readers.files import (
    EXPANSION_FLOOR,
    ByteStream,
    DamagedError,
    HeaderError,
    InputFile,
    Root,
    Stored,
    decompressed,
    glob_matcher,
    without_compression,
)
from corpus.settings import Settings

MB = 1 << 20


class FileSettings(Settings):
    """Where the files of a source lie and how they are decoded."""

    path: str = Field(description="A folder, a file or a glob; local or any fsspec URL.")
    glob: str | None = Field(None, description="Which files of the folder, such as `**/*.txt`; by extension if unset.")
    max_bytes: int = Field(64 * MB, gt=0, description="A record above this many bytes is quarantined, not loaded.")
    max_expansion: int = Field(
        1000, gt=0, description="A compressed file or archive is read to this multiple of its size, but at least 1 GB."
    )
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


@dataclass(frozen=True)
class Member:
    """What a reader frames: an input file, or one file of an archive; its content is decompressed."""

    path: str  # of the input file or, in an archive, inside it
    stream: ByteStream
    bytes: int  # of the input file as it lies
    where: str  # for errors
    archived: bool = False

    @property
    def suffix(self) -> str:
        """The extension in lower case, without that of the compression."""
        return posixpath.splitext(without_compression(self.path))[1].lower()


class Reader:
    """Reads one source. Subclasses frame and parse one file in `readings`."""

    suffixes: ClassVar[tuple[str, ...]] = ()  # of files to take from a folder when no glob is given

    def __init__(self, settings: Any, source: str) -> None:
        self.settings = settings
        self.source = source

    @cached_property
    def root(self) -> Root:
        return Root(self.settings.path)

    def takes(self, path: str) -> bool:
        """Whether a file is of the reader's kind, by its name."""
        return without_compression(path).lower().endswith(self.suffixes)

    def excludes(self, path: str) -> bool:
        """Whether a file of the folder is left out whatever it is."""
        return False

    def matches(self, path: str) -> bool:
        """Whether a file of the folder belongs to the source; an archive does, being a folder itself."""
        if self.excludes(path):
            return False
        if self.settings.glob is not None:
            return glob_matcher(self.settings.glob)(path)
        return archives.is_archive(path) or self.takes(path)

    def matches_inside(self, archive: str, path: str) -> bool:
        """Whether a file of an archive belongs to the source; the glob is for these unless it asked for the archive."""
        if self.excludes(path) or any(part.startswith(".") for part in path.split("/")):
            return False
        glob = self.settings.glob
        if glob is not None and not glob_matcher(glob)(archive):
            return glob_matcher(glob)(path)
        return self.takes(path)

    def files(self) -> list[InputFile]:
        """The input files, sorted by path. Raises DataError when there is none."""
        return self.root.find(self.matches)

    def check(self, files: Sequence[InputFile]) -> None:
        """Raises DataError when none of the files can be read: the settings are wrong, or everything is broken. One
        that cannot among others is a quarantined row (`read`)."""

    def read(self, file: InputFile, tally: Tally) -> Iterator[Document]:
        """One Document for every record of `file`, in order, counted into `tally` as framed.

        Where the file turns out to be damaged, the records before the damage stay and one more, quarantined, stands
        for the rest. Raises DataError when the storage fails.
        """
        position = 0
        with self.root.stored(file) as stored:
            members = self.members(file, stored)
            member: Member | None = None
            while True:
                try:
                    member = None
                    member = next(members, None)
                    if member is None:
                        return
                    for reading in self.readings(member, tally):
                        yield self._document(file, position, reading, member)
                        position += 1
                except DamagedError as damage:
                    tally.count(damage.pending)
                    yield self._document(file, position, quarantined(damage.reason, damage.pending), member)
                    position += 1

    def members(self, file: InputFile, stored: Stored) -> Iterator[Member]:
        """The file itself, or the files of an archive that belong to the source."""
        limit = self.expansion_limit(file.bytes)
        where = f"{self.root.folder}/{file.path}"
        content = decompressed(stored, file.path, limit)
        if not archives.is_archive(file.path):
            yield Member(file.path, content, file.bytes, where)
            return
        for path, inner in archives.members(content, file.path, partial(self.matches_inside, file.path), limit):
            yield Member(path, decompressed(inner, path, limit), file.bytes, f"{where}, {path}", archived=True)

    def expansion_limit(self, stored: int) -> int:
        """Decompressed bytes that a file of `stored` bytes may have."""
        return max(EXPANSION_FLOOR, self.settings.max_expansion * stored)

    @abstractmethod
    def readings(self, member: Member, tally: Tally) -> Iterator[Reading]:
        """Frame and parse; raises DamagedError where the rest of the member cannot be read."""

    def close(self) -> None:
        """Let go of what reading keeps between files, such as a child process."""

    def _document(self, file: InputFile, position: int, reading: Reading, member: Member | None) -> Document:
        text, bytes_in, record_id, metadata, step, reason = reading
        if record_id is None and member is not None and member.archived:
            record_id = member.path
        return Document(self.source, file.path, position, text, bytes_in, record_id, metadata, step, reason)


class TableReader(Reader):
    """Reads files that say at their head or foot which fields they have."""

    def check(self, files: Sequence[InputFile]) -> None:
        """Tries files until the first record of one was read: one, where all is well."""
        faults: list[DamagedError] = []
        for file in files:
            try:
                self.try_first(file)
            except DamagedError as damage:
                faults.append(damage)
            else:
                return
        if faults:
            raise refusal(faults[0], f"{self.root.folder}/{files[0].path}", len(files))

    def try_first(self, file: InputFile) -> None:
        """Read the first record of `file`, in an archive that of the first member that has one. Raises DamagedError
        when that cannot be done."""
        faults: list[DamagedError] = []
        with self.root.stored(file) as stored:
            members = self.members(file, stored)
            while True:
                try:
                    member = next(members, None)
                    if member is None:
                        break
                    next(self.readings(member, Tally()), None)
                    return
                except DamagedError as damage:
                    faults.append(damage)
        if faults:
            raise faults[0]


def refusal(damage: DamagedError, where: str, files: int) -> DataError:
    """The error of a source of which no file can be read; `damage` is that of the first, at `where`."""
    others = f"; so it is with all {files} files" if files > 1 else ""
    if isinstance(damage, HeaderError):
        return DataError(damage.reason + damage.hint, where=where, found=damage.found + others, todo=damage.todo)
    return DataError(
        "no file of the source can be read",
        where=where,
        found=damage.reason + others,
        todo="check the files, and that `kind` of the reader is theirs",
    )


class RecordReader(Reader):
    """Reads records with named fields."""

    settings: RecordSettings

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the settings name, which a file with a header must have."""
        own = self.settings
        return tuple(dict.fromkeys(name for name in (own.text_field, own.id_field, *own.metadata) if name is not None))

    def reading(self, record: dict[str, Any], raw: int) -> Reading:
        """The reading of a parsed record of `raw` bytes."""
        settings = self.settings
        record_id = identifier(record, settings)
        text = record.get(settings.text_field)
        if not isinstance(text, str):
            missing = settings.text_field not in record
            reason = "text field missing" if missing else "text is null" if text is None else "text is not a string"
            return quarantined(reason, raw, record_id)
        return found(text, record_id, self.carried(record))

    def carried(self, record: dict[str, Any]) -> str | None:
        """The metadata of a record."""
        names = self.settings.metadata
        return plain({name: record[name] for name in names if name in record}) if names else None
