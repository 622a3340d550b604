"""Evaluation sets: named text fields of the items of a benchmark, from files or through `datasets`.

    .jsonl .ndjson .json   an object a line                 .csv .tsv   a row, by the names of its header
    .parquet               a row                            .txt        a line that is not blank, without fields

each plain or compressed, by path, folder, glob or URL. A folder written by `save_to_disk`, a folder that holds a data
set, and the name of one on the Hugging Face hub are read by `datasets`.
"""

import csv
import io
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from pydantic import Field

from corpus.errors import ConfigError, DataError
from corpus.readers.files import ByteStream, DamagedError, InputFile, Root, decompressed, lines, without_compression
from corpus.settings import Settings

OBJECTS, ROWS, TABLES, LINES = (".jsonl", ".ndjson", ".json"), (".csv", ".tsv"), (".parquet",), (".txt",)
SUFFIXES = (*OBJECTS, *ROWS, *TABLES, *LINES)
SAVED = ("state.json", "dataset_dict.json")  # what `save_to_disk` leaves
LARGEST = 64 << 20  # bytes of one line
LARGEST_FILE = 8 << 30  # bytes of one file, decompressed


class EvaluationSet(Settings):
    """A benchmark whose items must not be in the corpus."""

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.-]{0,60}$", description="how reports and the ledger call it")
    path: str = Field(description="file, folder, glob or URL; or the name of a data set on the Hugging Face hub")
    fields: tuple[str, ...] = Field(
        (), description="fields that hold text, such as question or choices.text; needed but for .txt"
    )
    id_field: str | None = Field(None, description="field that names an item; by default its number")
    subset: str | None = Field(None, description="configuration of a data set")
    split: str | None = Field(None, description="split of a data set; by default all")


@dataclass(frozen=True)
class Items:
    """Items of one set: item i has the name names[i]; the texts of its fields are texts[s] where item[s] == i, in
    order of the items. N-grams do not run from one text into the next."""

    set: str
    names: list[str]
    texts: pa.StringArray
    item: np.ndarray  # int64[texts]

    @cached_property
    def content(self) -> str:
        """Hash of names and texts (hex): what of the set decides what is found."""
        digest = xxhash.xxh3_128()
        for text in (*self.names, *self.texts.to_pylist()):
            digest.update(f"{len(text)}\0{text}".encode())
        digest.update(self.item.tobytes())
        return digest.hexdigest()


def read_items(settings: EvaluationSet) -> Items:
    """All items of a set. Raises DataError for unreadable files and items without one of the fields, ConfigError when
    neither files nor a data set are found."""
    names: list[str] = []
    texts: list[str] = []
    item: list[int] = []
    for place, record in _records(settings):
        found = [record] if isinstance(record, str) else _texts(record, settings, place)
        if settings.id_field is not None and isinstance(record, dict):
            names.append(str(_value(record, settings.id_field, settings, place)))
        else:
            names.append(str(len(names)))
        texts += found
        item += [len(names) - 1] * len(found)
    if not names:
        raise DataError("an evaluation set without items", where=f"{settings.name} ({settings.path})")
    return Items(settings.name, names, pa.array(texts, pa.string()), np.array(item, np.int64))


def _texts(record: dict[str, Any], settings: EvaluationSet, place: str) -> list[str]:
    if not settings.fields:
        raise ConfigError(
            "an evaluation set needs the names of its text fields",
            where=f"corpus.decontaminate.sets, {settings.name}",
            found=", ".join(sorted(record)),
            todo="name those that hold text under `fields`",
        )
    return [text for field in settings.fields for text in _strings(_value(record, field, settings, place))]


def _value(record: dict[str, Any], field: str, settings: EvaluationSet, place: str) -> Any:
    """The value at a dotted path; raises DataError when the record has no such field."""
    value: Any = record
    for key in (field,) if field in record else field.split("."):
        if isinstance(value, list):
            value = [part.get(key) for part in value if isinstance(part, dict)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            raise DataError(
                f"an item has no field {field}",
                where=place,
                found=", ".join(sorted(record)),
                todo=f"correct the fields of the evaluation set {settings.name}",
            )
    return value


def _strings(value: Any) -> Iterator[str]:
    """The texts in a value: a text, or the texts of a list or of an object, in order."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def _records(settings: EvaluationSet) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """(where, record) of every item: an object, or the text itself."""
    if _is_data_set(settings.path):
        yield from _data_set(settings)
        return
    root = Root(settings.path)
    for file in root.find(lambda path: _suffix(path) in SUFFIXES):
        try:
            yield from _file(root, file)
        except DamagedError:
            raise DataError("a damaged compressed file", where=file.path, todo="get the file again") from None


def _file(root: Root, file: InputFile) -> Iterator[tuple[str, dict[str, Any] | str]]:
    suffix = _suffix(file.path)
    if suffix in OBJECTS:
        yield from _objects(root, file)
    elif suffix in LINES:
        with _opened(root, file) as handle:
            for number, line in enumerate(lines(handle, LARGEST), 1):
                if isinstance(line, bytes) and line.strip():
                    yield f"{file.path}:{number}", line.decode(errors="replace")
    elif suffix in (*ROWS, *TABLES):
        yield from _rows(root, file)
    else:
        raise DataError(
            "no evaluation set can be read from this kind of file",
            where=file.path,
            found=suffix or "no suffix",
            todo=f"use one of {', '.join(SUFFIXES)}, plain or compressed",
        )


@contextmanager
def _opened(root: Root, file: InputFile) -> Iterator[ByteStream]:
    with root.stored(file) as stored:
        yield decompressed(stored, file.path, LARGEST_FILE)


def _suffix(path: str) -> str:
    return posixpath.splitext(without_compression(path))[1]


def _objects(root: Root, file: InputFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects a line; a .json file may also hold one list of objects."""
    with _opened(root, file) as handle:
        if _suffix(file.path) == ".json":
            data = handle.read()
            if data.lstrip()[:1] == b"[":
                for number, record in enumerate(_parsed(data, file.path), 1):
                    yield f"{file.path} item {number}", record
                return
            handle = cast(IO[bytes], io.BytesIO(data))
        for number, line in enumerate(lines(handle, LARGEST), 1):
            where = f"{file.path}:{number}"
            if isinstance(line, int):
                raise DataError(f"a line of more than {LARGEST} bytes", where=where, found=f"{line} bytes")
            if line.strip():
                record = _parsed(line, where)
                if not isinstance(record, dict):
                    raise DataError("an item that is no JSON object", where=where, found=type(record).__name__)
                yield where, record


def _parsed(data: bytes, where: str) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DataError("malformed JSON in an evaluation set", where=where, found=error) from None


def _rows(root: Root, file: InputFile) -> Iterator[tuple[str, dict[str, Any]]]:
    with _opened(root, file) as handle:
        data = handle.read()
    if _suffix(file.path) in TABLES:
        try:
            records: Iterator[dict[str, Any]] = iter(pq.read_table(pa.BufferReader(data)).to_pylist())
        except pa.ArrowException as error:
            raise DataError("unreadable parquet file", where=file.path, found=error) from None
    else:
        delimiter = "\t" if _suffix(file.path) == ".tsv" else ","
        text = io.StringIO(data.decode("utf-8-sig", errors="replace"), newline="")
        records = csv.DictReader(text, delimiter=delimiter)
    for number, record in enumerate(records, 1):
        yield f"{file.path} row {number}", record


def _is_data_set(path: str) -> bool:
    """Whether `datasets` is to read it: saved by it, or no path at all but a name like `owner/name`."""
    folder = Path(path)
    if folder.is_dir():
        card = folder / "README.md"
        saved = any((folder / name).exists() for name in SAVED)
        return saved or (card.is_file() and card.read_bytes()[:3] == b"---")  # a data set's card has a YAML head
    return "://" not in path and not folder.exists() and path.count("/") <= 1 and not _suffix(path)


def _data_set(settings: EvaluationSet) -> Iterator[tuple[str, dict[str, Any]]]:
    import datasets

    where = f"{settings.name} ({settings.path})"
    folder = Path(settings.path)
    try:
        if any((folder / name).exists() for name in SAVED):
            loaded = datasets.load_from_disk(settings.path)
        else:
            loaded = datasets.load_dataset(settings.path, settings.subset)
    except Exception as error:  # the library and the hub raise errors of many kinds, all meaning: not to be had
        raise ConfigError(
            "this evaluation set is neither a file nor a data set that can be loaded",
            where=where,
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            todo="correct `path`, or `subset`; without a network give a local folder or file",
        ) from None
    splits = loaded if isinstance(loaded, dict) else {settings.split or "all": loaded}
    if settings.split is not None and settings.split not in splits:
        raise ConfigError("no such split", where=where, found=", ".join(splits), todo="correct `split`")
    for split in splits if settings.split is None else [settings.split]:
        for number, record in enumerate(splits[split]):
            yield f"{where} {split} {number}", record
