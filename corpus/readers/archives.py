"""Archives (.zip, .tar, and .tar compressed): their files one after another, as a folder would give them.

Nothing is written to disk, and a path inside an archive is a name and never a place. Damage is kept to the member where
the format allows it (zip); in a tar the members before it stay. What an archive may expand to is bounded, so a bomb
costs its bound and no more.
"""

import io
import lzma
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from corpus.readers.files import (
    BLOCK,
    EXPANDED,
    ByteStream,
    DamagedError,
    Seekable,
    seekable,
    without_compression,
)

TAR_BLOCK = 512
HEADER_BYTES = 1 << 20  # a long name or a pax header above this is damage
DIRECTORY_BYTES = 32 << 20  # a zip's directory above this (some 300,000 files) is refused, for it is held in memory
END_RECORD_BYTES = 22 + 0xFFFF  # of a zip, with the longest comment
FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,  # seeks before the start, names that are not UTF-8
    OverflowError,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,
)


def is_archive(path: str) -> bool:
    """Whether the name is one of an archive."""
    return without_compression(path).lower().endswith((".zip", ".tar"))


def members(
    stream: ByteStream, path: str, wanted: Callable[[str], bool], limit: int
) -> Iterator[tuple[str, ByteStream]]:
    """(name, content) of the files of the archive called `path` whose name is `wanted`, in the archive's order.

    `stream` holds the archive (a tar decompressed already). Each content is to be read before the next is asked for.
    Raises DamagedError where the archive itself cannot be read on; so does the `read` of a damaged member.
    """
    if without_compression(path).lower().endswith(".zip"):
        return zipped(stream, wanted, limit)
    return tarred(stream, wanted)


def zipped(stream: ByteStream, wanted: Callable[[str], bool], limit: int) -> Iterator[tuple[str, ByteStream]]:
    """The members of a zip; all together they may expand to `limit` bytes."""
    bound = _Bound(limit)
    with seekable(stream) as handle:
        try:
            archive = zipfile.ZipFile(_Directory(handle))  # type: ignore[arg-type]
            complete = _complete(handle, archive)
        except FAULTS:
            raise DamagedError from None
        if not complete:
            raise DamagedError
        for info in archive.infolist():
            name = inner_path(info.filename)
            if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
                continue
            if not wanted(name) and _named_so(archive, info):
                continue
            yield name, _Zipped(archive, info, bound)
            if bound.left < 0:
                return  # the member that crossed the bound has said so


def _complete(handle: IO[bytes], archive: zipfile.ZipFile) -> bool:
    """Whether the record at the end of a zip counts as many files as zipfile found, which does not look at it."""
    size = handle.seek(0, io.SEEK_END)
    handle.seek(max(0, size - END_RECORD_BYTES))
    tail = handle.read(END_RECORD_BYTES)
    (count,) = struct.unpack_from("<10xH", tail, tail.rfind(b"PK\x05\x06"))
    return count in (len(archive.infolist()), 0xFFFF)  # 65,535: the number stands elsewhere (zip64)


def _named_so(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    """Whether the member's own header agrees with the directory on its name; a damaged name hides a file."""
    if info.flag_bits & 1:
        return True
    try:
        archive.open(info).close()
    except NotImplementedError:
        return True
    except FAULTS:
        return False
    return True


def tarred(stream: ByteStream, wanted: Callable[[str], bool]) -> Iterator[tuple[str, ByteStream]]:
    """The members of a tar: ustar, GNU long names and pax headers. An archive without its end mark was cut off."""
    renamed: dict[str, str] = {}
    while (header := _header(stream)) is not None:
        if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            content = _small(stream, header.size)
            long_name = header.type == tarfile.GNUTYPE_LONGNAME
            renamed |= {"path": content.rstrip(b"\0").decode("utf-8", "replace")} if long_name else _pax(content)
            continue
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise DamagedError(reason="sparse file in the archive")
        name = inner_path(renamed.get("path", header.name))
        size = header.size
        if "size" in renamed:
            size = int(renamed["size"]) if renamed["size"].isdecimal() else -1
        if size < 0:
            raise DamagedError
        content_of = _Tarred(stream, size)
        if header.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE):
            renamed = {}
            if wanted(name):
                yield name, content_of
        elif header.type not in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            renamed = {}
        if content_of.damaged:
            return  # the member has said so
        content_of.skip()


def inner_path(name: str) -> str:
    """The name of a member as a relative path in posix form, without a way out of the archive."""
    cleaned = name.encode("utf-8", "replace").decode()
    return posixpath.normpath("/" + cleaned.replace("\\", "/"))[1:].lstrip("/")


class _Bound:
    """Bytes an archive may still expand to."""

    def __init__(self, left: int) -> None:
        self.left = left


class _Directory(Seekable):
    """A zip for zipfile, which reads the whole directory at once: refused where that is too large."""

    def read(self, size: int = -1) -> bytes:
        if size > DIRECTORY_BYTES:
            raise zipfile.BadZipFile
        data = self._handle.read(size if size >= 0 else DIRECTORY_BYTES + 1)
        if len(data) > DIRECTORY_BYTES:
            raise zipfile.BadZipFile
        return data


class _Zipped(io.RawIOBase):
    """The content of a zip's member, opened at the first read."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, bound: _Bound) -> None:
        self._archive, self._info, self._bound = archive, info, bound
        self._content: IO[bytes] | None = None

    def read(self, size: int = -1) -> bytes:
        if self._info.flag_bits & 1:
            raise DamagedError(reason="encrypted")
        if self._bound.left < 0:
            raise DamagedError(reason=EXPANDED)
        try:
            if self._content is None:
                self._content = self._archive.open(self._info)
            # Never all at once, so that the bound is looked at in time.
            data = self._content.read(min(size, BLOCK) if size >= 0 else BLOCK)
        except FAULTS:
            raise DamagedError from None
        self._bound.left -= len(data)
        return data

    def readable(self) -> bool:
        return True


class _Tarred(io.RawIOBase):
    """The next `size` bytes of a tar, which are the content of a member."""

    def __init__(self, stream: ByteStream, size: int) -> None:
        self._stream, self._left = stream, size
        self._padding = -size % TAR_BLOCK
        self.damaged = False

    def read(self, size: int = -1) -> bytes:
        if not self._left:
            return b""
        try:
            data = self._stream.read(min(size if size >= 0 else BLOCK, self._left, BLOCK))
        except DamagedError:
            self.damaged = True
            raise
        if not data and size:
            self.damaged = True
            raise DamagedError
        self._left -= len(data)
        return data

    def skip(self) -> None:
        """Read on to the next header. Raises DamagedError for what the reader of the content did not meet."""
        while self.read(BLOCK):
            pass
        _exactly(self._stream, self._padding)

    def readable(self) -> bool:
        return True


def _exactly(stream: ByteStream, size: int) -> bytes:
    """The next `size` bytes; fewer at the end of the stream only."""
    pieces, missing = [], size
    while missing and (piece := stream.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _header(stream: ByteStream) -> tarfile.TarInfo | None:
    """The next header; None at the end mark. Raises DamagedError for anything else."""
    block = _exactly(stream, TAR_BLOCK)
    if len(block) == TAR_BLOCK and not block.strip(b"\0"):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except (tarfile.HeaderError, ValueError, OverflowError):
        raise DamagedError from None


def _small(stream: ByteStream, size: int) -> bytes:
    """The content of a header about the next member."""
    if not 0 <= size <= HEADER_BYTES:
        raise DamagedError
    padded = _exactly(stream, size + -size % TAR_BLOCK)
    if len(padded) < size:
        raise DamagedError
    return padded[:size]


def _pax(content: bytes) -> dict[str, str]:
    """`path` and `size` of a pax header: records "length key=value\\n"."""
    values = {}
    while content.strip(b"\0"):
        length, space, _ = content.partition(b" ")
        if not space or not length.isdigit() or not len(length) + 2 <= int(length) <= len(content):
            raise DamagedError
        key, _, value = content[len(length) + 1 : int(length) - 1].partition(b"=")
        if key in (b"path", b"size"):
            values[key.decode()] = value.decode("utf-8", "replace")
        content = content[int(length) :]
    return values
