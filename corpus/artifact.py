"""Artefacts: what a stage publishes, whole or not at all.

    with publish(folder, kind="corpus.annotated", function=function) as draft:
        write_parquet(draft.path / "documents.parquet", table)
        draft.totals["documents"] = table.num_rows

writes into a hidden neighbour of `folder`, hashes and fsyncs every file, writes `manifest.json` last and renames the
neighbour into place. A reader believes the manifest, never a directory listing. An artefact is a function of what its
`function` names (input hashes, settings, model hashes, code version); the function's hash is its fingerprint, and a
stage runs again when and only when the fingerprint differs. There is no clock, host or path in a manifest: the same
function gives the same bytes on any machine.
"""

import binascii
import hashlib
import json
import os
import secrets
import shutil
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import ArtifactError, storage_error
from corpus.lock import RunLock as RunLock

MANIFEST = "manifest.json"
FORMAT = "provender/1"
FLUSHES = 8  # files flushed to the disk at a time


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def fingerprint(function: dict[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON of a function's description."""
    return hashlib.sha256(canonical_json(function)).hexdigest()


@cache
def code_version(*packages: str) -> str:
    """SHA-256 (hex) over the sources of the named import packages (names and bytes, sorted)."""
    digest = hashlib.sha256()
    for package in sorted(packages):
        root = Path(str(import_module(package).__file__)).parent
        for source in sorted(root.rglob("*.py")):
            digest.update(f"{package}/{source.relative_to(root).as_posix()}\0".encode())
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


def content_hash(path: str | Path) -> str:
    """SHA-256 (hex) of a file's bytes, on any fsspec path; a folder's is that of its sorted (name, hash) list."""
    local = Path(path)
    if local.is_dir():
        entries = [
            (child.relative_to(local).as_posix(), content_hash(child))
            for child in sorted(local.rglob("*"))
            if child.is_file()
        ]
        return fingerprint({"folder": entries})
    if local.is_file():
        with open(local, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    import fsspec  # half of the time of a look-up's imports, and not for local files

    with fsspec.open(str(path), "rb") as handle:
        digest = hashlib.sha256()
        while chunk := handle.read(1 << 22):
            digest.update(chunk)
        return digest.hexdigest()


@dataclass(frozen=True)
class FileEntry:
    """One file of an artefact: path relative to the artefact's folder, size in bytes, SHA-256, rows if it has any."""

    path: str
    bytes: int
    sha256: str
    rows: int | None = None

    def verify(self, path: Path) -> None:
        """Hash the file again, which lies at `path`; raises ArtifactError when it is missing or differs."""
        if not path.is_file():
            raise ArtifactError("a file of the artefact is missing", where=path, todo="run the stage again")
        if path.stat().st_size != self.bytes or content_hash(path) != self.sha256:
            raise ArtifactError(
                "a file differs from its manifest",
                where=path,
                found=f"{path.stat().st_size} bytes, {self.bytes} published",
                todo="delete the folder and run the stage again",
            )


@dataclass(frozen=True)
class Manifest:
    """What an artefact is (kind, function and its fingerprint) and what it holds (files, totals)."""

    kind: str
    function: dict[str, Any]
    files: tuple[FileEntry, ...]
    totals: dict[str, Any] = field(default_factory=dict)
    format: str = FORMAT

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.function)

    def to_json(self) -> bytes:
        body: dict[str, Any] = {"format": self.format, "kind": self.kind, "fingerprint": self.fingerprint}
        body |= {"totals": self.totals, "files": [asdict(entry) for entry in self.files], "function": self.function}
        body |= {"sha256": self._own_hash()}
        return json.dumps(body, indent=1, ensure_ascii=False, sort_keys=False).encode() + b"\n"

    def _own_hash(self) -> str:
        """Of what the manifest says, as the file itself has it: a flipped digit of a total is found when it is read."""
        said = [self.format, self.kind, self.totals, [asdict(entry) for entry in self.files], self.function]
        return fingerprint({"manifest": said})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest of a published artefact. Raises ArtifactError when it is absent, unreadable or altered."""
        path = Path(folder) / MANIFEST
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise ArtifactError(
                "no manifest, so nothing was published here", where=folder, todo="run the stage that makes it"
            ) from None
        return cls.parse(data, path)

    @classmethod
    def parse(cls, data: bytes, path: Path | str) -> Self:
        """A manifest from its bytes, which came from `path`. Raises ArtifactError when it is unreadable or altered."""
        try:
            body = json.loads(data)
            manifest = cls(
                kind=body["kind"],
                function=body["function"],
                files=tuple(FileEntry(**entry) for entry in body["files"]),
                totals=body["totals"],
                format=body["format"],
            )
            own, has = manifest._own_hash(), manifest.fingerprint  # fails for what no JSON of ours holds
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ArtifactError(
                "unreadable manifest", where=path, found=error, todo="delete the folder and run the stage again"
            ) from None
        if body.get("fingerprint") != has:
            raise ArtifactError(
                "the manifest's fingerprint is not that of its function",
                where=path,
                found=body.get("fingerprint"),
                todo="it was edited: delete the folder and run the stage again",
            )
        if body.get("sha256", own) != own:  # absent in manifests of older versions
            raise ArtifactError("the manifest is damaged", where=path, todo="delete the folder and run the stage again")
        return manifest

    def verify(self, folder: Path, locate: Callable[[str], Path] | None = None) -> None:
        """Hash every file again; raises ArtifactError at the first that is missing or differs. `locate` gives the path
        of a file where that is not in the folder."""
        for entry in self.files:
            entry.verify(Path(folder) / entry.path if locate is None else locate(entry.path))


def current(folder: Path, function: dict[str, Any]) -> Manifest | None:
    """The manifest in `folder` if it was published by this very function and its files are there in full size."""
    try:
        manifest = Manifest.read(folder)
    except ArtifactError:
        return None
    whole = all(
        (Path(folder) / entry.path).is_file() and (Path(folder) / entry.path).stat().st_size == entry.bytes
        for entry in manifest.files
    )
    return manifest if whole and manifest.fingerprint == fingerprint(function) else None


@dataclass
class Draft:
    """An artefact being written: files go under `path`, their row counts into `rows`, sums into `totals`. `hashes` has
    the SHA-256 of files that are hard links into other artefacts, whose manifests say it: they are not read again."""

    path: Path
    totals: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)


@contextmanager
def publish(folder: Path, *, kind: str, function: dict[str, Any], lock: RunLock | None = None) -> Iterator[Draft]:
    """Write an artefact and make it visible in one rename, replacing an older one of the same folder.

    Nothing is published when the body raises, or when `lock` has passed to another run in the meantime (a worker that
    outlived its killed parent must not publish over its successor).
    """
    folder = Path(folder)
    draft = Draft(folder.parent / f".{folder.name}.draft-{secrets.token_hex(6)}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if lock is not None:
            lock.check()
        sweep(folder)
        draft.path.mkdir()
        yield draft
        paths = sorted(path for path in draft.path.rglob("*") if path.is_file())
        names = [path.relative_to(draft.path).as_posix() for path in paths]
        with ThreadPoolExecutor(FLUSHES) as pool:  # one wait for the disk, which takes many flushes at a time
            flushed = pool.map(
                fsync, [path for path, name in zip(paths, names, strict=True) if name not in draft.hashes]
            )
            digests = [draft.hashes.get(name) or content_hash(path) for path, name in zip(paths, names, strict=True)]
            deque(flushed, maxlen=0)  # raises what a flush raised
        sizes = [path.stat().st_size for path in paths]
        files = [
            FileEntry(name, size, digest, draft.rows.get(name))
            for name, size, digest in zip(names, sizes, digests, strict=True)
        ]
        manifest = Manifest(kind, function, tuple(files), draft.totals)
        (draft.path / MANIFEST).write_bytes(manifest.to_json())
        folders = [child for child in draft.path.rglob("*") if child.is_dir()]
        with ThreadPoolExecutor(FLUSHES) as pool:
            deque(pool.map(fsync, [draft.path / MANIFEST, draft.path, *folders]), maxlen=0)
        if lock is not None:
            lock.check()
        move_into_place(draft.path, folder)
    except BaseException as error:
        shutil.rmtree(draft.path, ignore_errors=True)
        told = storage_error(error, folder)
        if told is not None:
            raise told from None
        raise


def move_into_place(draft: Path, folder: Path) -> None:
    """Make a finished draft, a neighbour of `folder`, visible under its name; what was there before is removed."""
    if folder.exists():
        old = folder.parent / f".{folder.name}.old-{secrets.token_hex(6)}"
        os.rename(folder, old)
        os.rename(draft, folder)
        shutil.rmtree(old)
    else:
        os.rename(draft, folder)
    fsync(folder.parent)


def sweep(folder: Path) -> None:
    """Remove what killed publishers of `folder` left behind (callers hold the run lock, so none is alive)."""
    for leftover in folder.parent.glob(f".{folder.name}.*-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def link(source: Path, target: Path) -> bool:
    """Put the file at `target`, too; whether that is a hard link and not a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
        return False
    return True


def fsync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace one small file in one rename, for files that are not artefacts (state, indexes)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    draft.write_bytes(data)
    fsync(draft)
    os.replace(draft, path)
    fsync(path.parent)


def open_parquet(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of parquet as every artefact has it: page checksums, zstd, an explicit schema."""
    return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)


def write_parquet(path: Path, batches: pa.Table | Iterable[pa.RecordBatch], schema: pa.Schema | None = None) -> int:
    """Write parquet (see `open_parquet`); returns the rows. Raises pa.ArrowInvalid when a batch has another
    schema. Row groups are those of the batches given, so equal batches give equal bytes."""
    if isinstance(batches, pa.Table):
        schema = schema or batches.schema
        batches = batches.to_batches(max_chunksize=65_536)
    if schema is None:
        raise ValueError("write_parquet needs the schema of a stream of batches")
    rows = 0
    with open_parquet(path, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read parquet verifying every page's checksum. Raises ArtifactError when it is damaged, in a page or elsewhere."""
    with sound_parquet(path) as handle:
        table = handle.read(columns=columns)
        complete(table.num_rows, handle.metadata.num_rows)
        return table


def scan_parquet(path: Path, columns: list[str] | None = None, rows: int | None = None) -> Iterator[pa.RecordBatch]:
    """Stream parquet, checksums verified, in the record batches in which it was written, of at most 1,024 rows; with
    `rows`, for narrow columns, in batches of so many. Memory does not grow with the file."""
    with sound_parquet(path) as handle:
        groups = range(handle.num_row_groups)
        for part in [groups] if rows else [[group] for group in groups]:
            came = 0
            for batch in handle.iter_batches(batch_size=rows or 1024, row_groups=list(part), columns=columns):
                came += batch.num_rows
                yield batch
            complete(came, sum(handle.metadata.row_group(group).num_rows for group in part))


def complete(rows: int, expected: int) -> None:
    """Raise pa.ArrowInvalid when fewer or more rows came than the footer promised."""
    if rows != expected:
        raise pa.ArrowInvalid(f"{rows} rows where {expected} were written")


@contextmanager
def sound_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """A parquet file of ours, open. Pages have checksums and the footer has none, but the names and types of columns
    stand in it twice, once as parquet's and once as Arrow's, and so do the rows: a flip in either is found."""
    try:
        # ParquetFile, not read_table: the latter takes a folder called source=x for a partition.
        with pq.ParquetFile(path, page_checksum_verification=True) as handle:
            schema, stored = handle.schema_arrow, (handle.metadata.metadata or {}).get(b"ARROW:schema")
            twice = stored is not None and schema.equals(pa.ipc.read_schema(pa.py_buffer(b64decode(stored))))
            if not twice or "duration[" in str(schema):  # what one flip makes of int64, and no artefact has
                raise pa.ArrowInvalid("its columns are not those it was written with")
            groups = (handle.metadata.row_group(group).num_rows for group in range(handle.num_row_groups))
            if sum(groups) != handle.metadata.num_rows:
                raise pa.ArrowInvalid("its groups have not the rows of the file")
            yield handle
    except FileNotFoundError:
        raise ArtifactError("missing file", where=path, todo="run the stage that writes it") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError, binascii.Error) as error:
        raise ArtifactError("damaged parquet file", where=path, found=error, todo="run the stage again") from None
