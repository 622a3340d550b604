"""JSON Lines: one JSON object a line."""

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any, Literal

import orjson
from pydantic import field_validator

from corpus.errors import DataError
from corpus.readers.base import Member, Reading, RecordReader, RecordSettings, Tally, quarantined, too_large
from corpus.readers.files import DamagedError, InputFile, lines

log = logging.getLogger(__name__)

LOOKED_AT = 100  # records at the beginning of each file, and so many in all before a source is refused
SHOWN = 20  # names of fields in an error


class JsonlSettings(RecordSettings):
    """JSON Lines files (.jsonl, .ndjson, .json), plain or compressed."""

    kind: Literal["jsonl"] = "jsonl"

    @field_validator("encoding")
    @classmethod
    def _line_framed(cls, encoding: str | None) -> str | None:
        return single_byte_newline(encoding)


def single_byte_newline(encoding: str | None) -> str | None:
    """Lines are cut before they are decoded. Raises ValueError for an encoding where that is not possible."""
    if encoding is not None and "\n".encode(encoding) != b"\n":
        raise ValueError(f"{encoding} files cannot be cut into lines; convert them to UTF-8")
    return encoding


class JsonlReader(RecordReader):
    """Records are lines that are not blank, parsed with orjson: about 280 MB/s a core, decompression included."""

    suffixes = (".jsonl", ".ndjson", ".json")
    settings: JsonlSettings

    def check(self, files: Sequence[InputFile]) -> None:
        """Raises DataError when no record at the beginning of any file has the text field: it is misspelt, and every
        record would be a quarantined row. Where that is so in some of the files only, a warning names them: they are
        read, and their records quarantined and counted. Costs the first block of every file, where all is well."""
        name, names, looked_at = self.settings.text_field, dict[str, None](), 0
        having, lacking = 0, list[str]()
        for file in files:
            fields = [list(record) for record in self._first_records(file)]
            looked_at += len(fields)
            if fields and name in fields[-1]:
                having += 1
            elif fields:
                lacking.append(file.path)
                names |= dict.fromkeys(field for one in fields for field in one[:SHOWN])
        found = f"in the first {LOOKED_AT} records of {{}}: {', '.join(list(names)[:SHOWN])}"
        close = get_close_matches(name, names, n=1)
        hint = f": did you mean {close[0]!r}?" if close else ""
        if having and lacking:
            log.warning(
                "%s: no text field %r in the records of %d of %d files, such as %s (%s), which are quarantined%s",
                *(self.root.folder, name, len(lacking), len(files), lacking[0], found.format("each"), hint),
            )
        elif lacking and looked_at >= LOOKED_AT:
            raise DataError(
                f"no record has the text field {name!r}",
                where=f"{self.root.folder}/{lacking[0]}",
                found=found.format("the file" if len(files) == 1 else f"each of {len(files)} files"),
                todo=f"correct `text_field` of the reader{hint}",
            )

    def _first_records(self, file: InputFile) -> Iterator[dict[str, Any]]:
        """Records of a file up to the first that has the text field, LOOKED_AT at the most."""
        for record in islice(self._records(file), LOOKED_AT):
            yield record
            if self.settings.text_field in record:
                return

    def _records(self, file: InputFile) -> Iterator[dict[str, Any]]:
        """The records of a file that can be parsed, up to its first damage."""
        with self.root.stored(file) as stored, contextlib.suppress(DamagedError):
            for member in self.members(file, stored):
                for line in lines(member.stream, self.settings.max_bytes):
                    if not isinstance(line, int):
                        with contextlib.suppress(orjson.JSONDecodeError):
                            record = orjson.loads(line)
                            if isinstance(record, dict):
                                yield record

    def readings(self, member: Member, tally: Tally) -> Iterator[Reading]:
        settings = self.settings
        for line in lines(member.stream, settings.max_bytes):
            if isinstance(line, int):
                tally.count(line)
                yield too_large(settings.max_bytes, line)
            elif not line or line.isspace():
                tally.blank += 1
            else:
                tally.count(len(line))
                yield self._parse(line)

    def _parse(self, line: bytes) -> Reading:
        raw = len(line)
        try:
            if self.settings.encoding is not None:
                line = line.decode(self.settings.encoding).encode()
            record = orjson.loads(line)
        except UnicodeDecodeError:
            return quarantined(f"not {self.settings.encoding}", raw)
        except orjson.JSONDecodeError:
            record = lenient(line)
        if isinstance(record, str):
            return quarantined(record, raw)
        if not isinstance(record, dict):
            return quarantined("not a JSON object", raw)
        return self.reading(record, raw)


def lenient(line: bytes) -> dict[str, Any] | str:
    """What orjson refuses: Python's NaN and Infinity are let through, anything else is the reason to quarantine."""
    try:
        record = json.loads(line.decode())
    except UnicodeDecodeError:
        return "not UTF-8"
    except (ValueError, RecursionError):
        return "malformed JSON"
    try:
        orjson.dumps(record)
    except TypeError:
        return "lone surrogate"
    return record if isinstance(record, dict) else "not a JSON object"
