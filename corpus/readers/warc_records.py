"""WARC (ISO 28500): cutting a stream into records, and going on after a damaged one.

    "WARC/1.1" CRLF, header lines, CRLF, a block of Content-Length bytes, CRLF CRLF, the next record

A fault costs the record it is in. In plain files the next line that starts a record is searched; in .warc.gz, where
each record is a gzip member, the next member that starts one. (FastWARC 2.0 ends a file at its first fault.)
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from corpus.readers.files import EXPANDED, ByteStream, DamagedError

HEADER_BYTES = 1 << 16
PIECE = 1 << 16
HELD_BYTES = 1 << 20  # of a gzip member, to look again for members in what a damaged one swallowed
START = b"WARC/"
NEXT = re.compile(rb"\n(WARC/\d\.\d\r?\n)")
HEADER_END = re.compile(rb"\r?\n\r?\n")
GZIP_MAGIC = b"\x1f\x8b\x08"
CUT_OFF = "record cut off"


@dataclass(frozen=True)
class WarcRecord:
    """A record as framed: its header fields by lower-case name, and all its bytes (b"" where they are too many)."""

    fields: dict[str, str]
    content: bytes
    bytes: int


@dataclass(frozen=True)
class WarcFault:
    """A stretch of `bytes` bytes that is no record, and why."""

    reason: str
    bytes: int


class Gap:
    """Stands in a stream of pieces for bytes that could not be decompressed."""


def plain_pieces(stream: ByteStream) -> Iterator[bytes | Gap]:
    while piece := stream.read(PIECE):
        yield piece


def gzip_pieces(stored: ByteStream, limit: int) -> Iterator[bytes | Gap]:
    """The content of gzip members piece by piece; for a damaged one a Gap, then the next member that starts a record.

    Raises DamagedError for a file that ends within a member, and after `limit` decompressed bytes.
    """
    data = stored.read(PIECE)
    while data:
        inflate = zlib.decompressobj(31)
        held = b""
        try:
            while not inflate.eof:
                data = data or stored.read(PIECE)
                if not data:
                    raise DamagedError
                held = held + data if len(held) < HELD_BYTES else data
                piece = inflate.decompress(data, PIECE)
                while piece:
                    limit -= len(piece)
                    if limit < 0:
                        raise DamagedError(reason=EXPANDED)
                    yield piece
                    piece = b"" if inflate.eof else inflate.decompress(inflate.unconsumed_tail, PIECE)
                data = b""
            data = inflate.unused_data.lstrip(b"\0") or stored.read(PIECE)
        except zlib.error:
            yield Gap()
            data = _next_member(stored, held[1:])


def _next_member(stored: ByteStream, data: bytes) -> bytes:
    """What follows in the file from the next gzip member that starts a record; b"" if there is none."""
    while True:
        at = data.find(GZIP_MAGIC)
        if at < 0:
            more = stored.read(PIECE)
            if not more:
                return b""
            data = data[-2:] + more
            continue
        data = data[at:]
        if len(data) < PIECE:
            data += stored.read(PIECE)
        try:
            if zlib.decompressobj(31).decompress(data, len(START)) == START:
                return data
        except zlib.error:
            pass
        data = data[1:]


def warc_records(pieces: Iterator[bytes | Gap], max_bytes: int) -> Iterator[WarcRecord | WarcFault]:
    """Records and faults in the order of the stream, which they cover but for the line ends between records.

    Memory is bounded by `max_bytes`, a header and a piece. Raises DamagedError as `pieces` does.
    """
    window = _Window(pieces)
    while True:
        window.skip_line_ends()
        if window.data:
            yield _record(window, max_bytes)
        elif window.at_gap:
            yield WarcFault("damaged record", 0)
        elif window.ended:
            return
        if window.at_gap and not window.data:
            window.at_gap = False


class _Window:
    """The bytes of the stream that are being looked at, up to a gap or to the end."""

    def __init__(self, pieces: Iterator[bytes | Gap]) -> None:
        self._pieces = pieces
        self.data = bytearray()
        self.at_gap = self.ended = False

    def more(self) -> bool:
        """Add a piece; False where a gap or the end comes instead."""
        if self.at_gap or self.ended:
            return False
        try:
            piece = next(self._pieces, None)
        except DamagedError as damage:
            raise damage.after(len(self.data)) from None
        self.ended, self.at_gap = piece is None, isinstance(piece, Gap)
        if isinstance(piece, bytes):
            self.data += piece
            return True
        return False

    def fill(self, size: int) -> bool:
        """Whether there are `size` bytes."""
        while len(self.data) < size:
            if not self.more():
                return False
        return True

    def skip_line_ends(self) -> None:
        while self.data or self.more():
            kept = self.data.lstrip(b"\r\n")
            self.data = kept
            if kept:
                return

    def take(self, size: int) -> bytes:
        taken = bytes(self.data[:size])
        del self.data[:size]
        return taken


def _record(window: _Window, max_bytes: int) -> WarcRecord | WarcFault:
    """The record or the fault that the window starts with; its bytes are taken from the window."""
    if not window.fill(len(START)) or not window.data.startswith(START):
        return _fault(window, "not a WARC record", 1)
    while (end := HEADER_END.search(window.data, 0, HEADER_BYTES)) is None:
        if len(window.data) >= HEADER_BYTES or not window.more():
            return _fault(window, "WARC header without an end", 1)
    fields = _fields(bytes(window.data[: end.start()]))
    length = fields.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        return _fault(window, "WARC record without its length", end.start())
    size = end.end() + int(length)
    if int(length) > max_bytes:
        return _oversized(window, fields, size)
    if not window.fill(size):
        return _fault(window, "damaged record" if window.at_gap else CUT_OFF, end.start())
    window.fill(size + 4)
    after = window.data[size : size + 2]
    if after.strip(b"\r\n"):
        return _fault(window, "WARC record of another length", end.start())
    return WarcRecord(fields, window.take(size), size)


def _oversized(window: _Window, fields: dict[str, str], size: int) -> WarcRecord | WarcFault:
    left = size
    while left:
        if not window.data and not window.more():
            return WarcFault("damaged record" if window.at_gap else CUT_OFF, size - left)
        left -= len(window.take(left))
    return WarcRecord(fields, b"", size)


def _fault(window: _Window, reason: str, start: int) -> WarcFault:
    """Take what is before the next line, after `start` bytes, that starts a record; up to a gap or the end if none."""
    skipped = 0
    while True:
        if found := NEXT.search(window.data, max(start - 1, 0)):
            return WarcFault(reason, skipped + len(window.take(found.start(1))))
        overlap = max(len(window.data) - 16, 0)
        skipped += len(window.take(overlap))
        start = 0
        if not window.more():
            return WarcFault(reason, skipped + len(window.take(len(window.data))))


def _fields(header: bytes) -> dict[str, str]:
    """Header fields by lower-case name; a continued line belongs to the one before."""
    lines = re.sub(rb"\r?\n[ \t]+", b" ", header).decode("utf-8", "replace").splitlines()[1:]
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}
