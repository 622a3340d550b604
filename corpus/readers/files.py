"""Input files: finding them, opening them through any compression, cutting them into lines with bounded memory.

Everything goes through fsspec, so a path may be local or any URL fsspec knows (s3://, hf://, memory://, …).
"""

import contextlib
import io
import lzma
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import IO, Protocol

import fsspec
import pyarrow as pa
from fsspec.utils import glob_translate

from corpus.errors import DataError

ARROW_CODECS = {".gz": "gzip", ".tgz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
COMPRESSIONS = (".gz", ".bz2", ".zst", ".xz")
BLOCK = 1 << 20
EXPANSION_FLOOR = 1 << 30  # decompressed bytes that any file may have, however small it is as it lies
SPOOL = 32 << 20  # bytes of a stream held in memory before it goes to a nameless temporary file
PIECE = 1 << 14  # decompressed at a time: what damage can take with it of the sound bytes before
EXPANDED = "expands beyond its bound"  # the reason for what is left of a decompression bomb
MAGIC = re.compile(r"[*?\[]")


class ByteStream(Protocol):
    """What readers need of an open file."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, order=True)
class InputFile:
    """One input file: its path relative to the source's root (posix form) and its size in bytes as it lies there."""

    path: str
    bytes: int


class DamagedError(Exception):
    """The rest of a file cannot be read; `pending` raw bytes of an unfinished record were read before that."""

    def __init__(self, pending: int = 0, reason: str = "damaged file") -> None:
        super().__init__(pending, reason)
        self.pending, self.reason = pending, reason

    def after(self, pending: int) -> "DamagedError":
        """The same damage, after `pending` bytes of an unfinished record."""
        return DamagedError(pending, self.reason)


class HeaderError(DamagedError):
    """A file that is sound and not what the source says: `found` and `todo` are for the user, who may have misspelt a
    name, and `reason` names no content of the file."""

    def __init__(self, pending: int, reason: str, *, hint: str = "", found: str, todo: str) -> None:
        super().__init__(pending, reason)
        self.hint, self.found, self.todo = hint, found, todo


class Root:
    """Where a source lies: a folder, one file, or a glob, on any fsspec file system."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.filesystem, location = fsspec.core.url_to_fs(path)
        self.pattern: str | None = None
        magic = MAGIC.search(location)
        if magic and not self.filesystem.exists(location):
            self.pattern = location
            location = location[: magic.start()].rpartition("/")[0] or "/"
        elif self.filesystem.isfile(location):
            self.pattern = location
            location = posixpath.dirname(location)
        self.folder: str = location.rstrip("/")

    def find(self, matches: Callable[[str], bool]) -> list[InputFile]:
        """Files under the root, sorted by path. In a folder those for which `matches(relative path)` is true and no
        part of the path starts with a dot; for a file or a glob exactly what was asked. Raises DataError for none."""
        if self.pattern is None:
            found = self.filesystem.find(self.folder, detail=True) if self.filesystem.isdir(self.folder) else {}
        elif MAGIC.search(self.pattern) and not self.filesystem.exists(self.pattern):
            found = self.filesystem.glob(self.pattern, detail=True)
        else:
            found = {self.pattern: self.filesystem.info(self.pattern)}
        files = []
        for full, info in found.items():
            path = full[len(self.folder) :].lstrip("/")
            wanted = self.pattern is not None or (not re.search(r"(^|/)\.", path) and matches(path))
            if info["type"] == "file" and wanted:
                files.append(InputFile(path, int(info["size"])))
        if not files:
            raise DataError(
                "no input file matches",
                where=self.path,
                found=self._nearby(sorted(full[len(self.folder) :].lstrip("/") for full in found)),
                todo="correct `path` or `glob` of the source",
            )
        return sorted(files)

    def _nearby(self, unmatched: list[str]) -> str:
        """What does exist: other files of the folder, or the closest name in the deepest folder that exists."""
        if unmatched:
            return f"{len(unmatched)} files of other kinds, such as {', '.join(unmatched[:3])}"
        folder, missing = self.folder, ""
        while folder and not self.filesystem.isdir(folder):
            folder, _, missing = folder.rpartition("/")
        entries = self.filesystem.ls(folder or "/", detail=False)
        names = sorted(name for entry in entries if not (name := posixpath.basename(entry.rstrip("/"))).startswith("."))
        if not names:
            return f"{folder or '/'} is empty"
        close = (
            get_close_matches(missing or posixpath.basename(self.pattern or ""), names, n=3, cutoff=0.5) or names[:3]
        )
        return f"in {folder or '/'}: {', '.join(close)}" + (" …" if len(names) > len(close) else "")

    @contextlib.contextmanager
    def stored(self, file: InputFile) -> Iterator["Stored"]:
        """The bytes of `file` as it lies there; reading raises DataError where the storage fails (which must stop the
        run: a flaky network must not decide what is in a corpus)."""
        where = f"{self.folder}/{file.path}"
        try:
            handle = self.filesystem.open(where, "rb")
        except OSError as error:
            raise unreadable(where, error) from None
        with handle:
            yield Stored(handle, where)


def decompressed(stored: ByteStream, path: str, limit: int) -> ByteStream:
    """The content of the file called `path`, decompressed as its extension says. `read` raises DamagedError where that
    cannot be done, and after `limit` decompressed bytes (a bomb)."""
    extension = posixpath.splitext(path)[1].lower()
    if extension == ".xz":
        return Decompressed(lzma.LZMAFile(stored), limit)  # type: ignore[arg-type]
    if extension in ARROW_CODECS:
        # Arrow's streams read all members of a file and notice a truncated one; zstandard's do neither.
        return Decompressed(pa.CompressedInputStream(pa.PythonFile(stored, mode="r"), ARROW_CODECS[extension]), limit)
    return stored


def without_compression(path: str) -> str:
    """The path without .gz, .bz2, .zst or .xz; .tgz is .tar.gz."""
    stem, extension = posixpath.splitext(path)
    if extension.lower() == ".tgz":
        return stem + ".tar"
    return stem if extension.lower() in COMPRESSIONS else path


@contextlib.contextmanager
def seekable(stream: ByteStream) -> Iterator[IO[bytes]]:
    """The stream itself where it can seek, else a copy that can: of what precedes the damage in a damaged one."""
    if isinstance(stream, io.IOBase) and stream.seekable():
        yield stream  # type: ignore[misc]
        return
    with tempfile.SpooledTemporaryFile(SPOOL) as copy:  # nameless: what it holds may be personal
        with contextlib.suppress(DamagedError):
            while block := stream.read(BLOCK):
                copy.write(block)
        copy.seek(0)
        yield copy


@cache
def glob_matcher(pattern: str) -> Callable[[str], bool]:
    """A predicate on relative paths; `*` stays within a folder, `**` crosses folders. A pattern without "/" is
    matched against the file's name."""
    expression = re.compile(glob_translate(pattern))
    if "/" in pattern:
        return lambda path: expression.match(path) is not None
    return lambda path: expression.match(posixpath.basename(path)) is not None


def unreadable(where: str, error: OSError) -> DataError:
    """The error of a storage that fails."""
    return DataError(
        "the file cannot be read",
        where=where,
        found=error.strerror or type(error).__name__,
        todo="check that it exists, that you may read it and that its storage answers, then run again",
    )


class Seekable(io.RawIOBase):
    """A handle whose reads a subclass watches."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._handle.seek(offset, whence)

    def tell(self) -> int:
        return self._handle.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class Stored(Seekable):
    """The bytes of a file as they lie in storage, a failure of the storage turned into DataError."""

    def __init__(self, handle: IO[bytes], where: str) -> None:
        super().__init__(handle)
        self._where = where

    def read(self, size: int = -1) -> bytes:  # type: ignore[override]
        try:
            return self._handle.read(size)
        except OSError as error:
            raise unreadable(self._where, error) from None


class Decompressed:
    """A decompressing stream that gives the sound bytes first, then raises DamagedError; so it does after `limit`."""

    def __init__(self, stream: ByteStream, limit: int) -> None:
        self._stream, self._left = stream, limit
        self._damage: DamagedError | None = None

    def read(self, size: int = -1, /) -> bytes:
        pieces: list[bytes] = []
        missing = size
        while missing and self._damage is None:
            try:
                piece = self._stream.read(PIECE if size < 0 else min(PIECE, missing))
            except (OSError, EOFError, pa.ArrowException, lzma.LZMAError):
                self._damage = DamagedError()
                break
            except DamagedError as damage:  # of the archive this stream is in
                self._damage = damage
                break
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
            self._left -= len(piece)
            if self._left < 0:
                self._damage = DamagedError(reason=EXPANDED)
        if self._damage is not None and not pieces:
            raise self._damage
        return b"".join(pieces)


def lines(handle: ByteStream, max_bytes: int) -> Iterator[bytes | int]:
    """The lines of a file without their "\\n"; a line longer than `max_bytes` comes as its length instead.

    Memory is bounded by `max_bytes` plus one block, however long a line is. A byte order mark at the start is not part
    of the first line. Raises DamagedError, with the length of the unfinished line, when the file ends in damage.
    """
    held: list[bytes] = []  # the unfinished line, empty once it is over the limit
    length = 0
    first = True
    while True:
        try:
            block = handle.read(BLOCK)
        except DamagedError as damage:
            raise damage.after(length) from None
        if not block:
            break
        if first:
            block, first = block.removeprefix(b"\xef\xbb\xbf"), False
        head, *rest = block.split(b"\n")
        held.append(head)
        length += len(head)
        if length > max_bytes:
            held = []
        if not rest:
            continue
        yield length if length > max_bytes else b"".join(held)
        for line in rest[:-1]:
            yield line if len(line) <= max_bytes else len(line)
        held, length = [rest[-1]], len(rest[-1])
    if length:
        yield length if length > max_bytes else b"".join(held)


def read_at_most(handle: ByteStream, max_bytes: int) -> bytes | int:
    """The whole content, or its length where that is more than `max_bytes` (read in blocks and let go). Raises
    DamagedError, with the bytes that came before, where the content ends in damage."""
    blocks, length = [], 0
    while True:
        try:
            block = handle.read(BLOCK)
        except DamagedError as damage:
            raise damage.after(length) from None
        if not block:
            break
        length += len(block)
        if length <= max_bytes:
            blocks.append(block)
        else:
            blocks = []
    return length if length > max_bytes else b"".join(blocks)
