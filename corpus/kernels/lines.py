"""Lines of documents, once per batch, for every step that counts or compares them."""

from dataclasses import dataclass

import numba
import numpy as np
import pyarrow as pa

from corpus.document import Batch, utf8_buffers
from corpus.kernels.characters import characters_in
from corpus.kernels.hashing import hash_bytes


@dataclass(frozen=True)
class Lines:
    """Lines of a batch as by str.split("\\n"), so that an empty text has one: line i is data[starts[i]:ends[i]],
    `chars[i]` characters long, with a 64-bit hash of its bytes; document d owns lines offsets[d]:offsets[d + 1]."""

    data: np.ndarray  # uint8
    documents: np.ndarray  # int64[documents + 1], offsets of the texts into data
    starts: np.ndarray  # int64[lines]
    ends: np.ndarray  # int64[lines]
    chars: np.ndarray  # int32[lines]
    hashes: np.ndarray  # uint64[lines]
    offsets: np.ndarray  # int64[documents + 1]


def lines_of(batch: Batch) -> Lines:
    """The lines of a batch, found at most once however many steps ask."""
    return batch.memo("lines", lambda asked: split_lines(asked.text))


def split_lines(text: pa.StringArray) -> Lines:
    """Split every document of an array at its line feeds."""
    data, documents = utf8_buffers(text)
    return Lines(data, documents, *_split(data, documents))


@numba.njit(cache=True, nogil=True)
def _split(data, documents):
    breaks = len(documents) - 1
    for at in range(documents[0], documents[-1]):
        breaks += data[at] == 10
    starts, ends = np.empty(breaks, np.int64), np.empty(breaks, np.int64)
    chars, hashes = np.empty(breaks, np.int32), np.empty(breaks, np.uint64)
    offsets = np.zeros(len(documents), np.int64)
    line = 0
    for document in range(len(documents) - 1):
        begin, stop = documents[document], documents[document + 1]
        at = begin
        while at <= stop:
            if at == stop or data[at] == 10:
                starts[line], ends[line] = begin, at
                chars[line], hashes[line] = characters_in(data, begin, at), hash_bytes(data, begin, at)
                line += 1
                begin = at + 1
            at += 1
        offsets[document + 1] = line
    return starts, ends, chars, hashes, offsets


def nth_longest(lines: Lines, n: int) -> np.ndarray:
    """int32[documents]: characters of the n-th longest line, 0 for a document with fewer lines."""
    return _nth_longest(lines.chars, lines.offsets, n)


@numba.njit(cache=True, nogil=True)
def _nth_longest(chars, offsets, n):
    out = np.zeros(len(offsets) - 1, np.int32)
    for document in range(len(out)):
        first, last = offsets[document], offsets[document + 1]
        if last - first >= n:
            out[document] = np.sort(chars[first:last])[last - first - n]
    return out


@numba.njit(cache=True, nogil=True)
def line_at(data, at, stop):
    """(end, begin of the next) of the line of str.splitlines that begins at `at`."""
    while at < stop:
        byte = data[at]
        if byte < 32:
            if byte == 10:
                return at, at + 1
            if byte == 13:
                return at, at + 2 if at + 1 < stop and data[at + 1] == 10 else at + 1
            if 11 <= byte <= 12 or 28 <= byte <= 30:
                return at, at + 1
        elif byte == 0xC2:
            if data[at + 1] == 0x85:
                return at, at + 2
        elif byte == 0xE2 and data[at + 1] == 0x80 and 0xA8 <= data[at + 2] <= 0xA9:
            return at, at + 3
        at += 1
    return stop, stop
