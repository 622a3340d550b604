"""Splitting documents into words, once per batch, for every step that counts them.

A token is a run of word characters (letters, digits, underscore, an apostrophe between letters) or a run of one and the
same other character, so "well-known..." is `well`, `-`, `known`, `...`. White space separates. Characters outside of
ASCII count as letters, except those of the Latin-1 signs, general punctuation, arrows to dingbats, and CJK and
full-width punctuation blocks.
"""

from dataclasses import dataclass

import numba
import numpy as np
import pyarrow as pa

from corpus.document import Batch

WORD = 1  # the token has a word character
ALPHABETIC = 2  # the token has a letter


@dataclass(frozen=True)
class Words:
    """Tokens of a batch: `data` are the UTF-8 bytes of all texts; token i is data[starts[i]:ends[i]], `chars[i]`
    characters long, with a 64-bit hash of its bytes; document d owns tokens offsets[d]:offsets[d + 1]."""

    data: np.ndarray  # uint8
    documents: np.ndarray  # int64[documents + 1], offsets of the texts into data
    starts: np.ndarray  # int64[tokens]
    ends: np.ndarray  # int64[tokens]
    chars: np.ndarray  # int32[tokens]
    flags: np.ndarray  # uint8[tokens], of WORD and ALPHABETIC
    hashes: np.ndarray  # uint64[tokens]
    offsets: np.ndarray  # int64[documents + 1]


def words_of(batch: Batch) -> Words:
    """The words of a batch, split at most once however many steps ask."""
    return batch.memo("words", lambda asked: split_words(asked.text))


def utf8_buffers(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """(bytes uint8, offsets int64[documents + 1]) of an array, sliced or not, without copying the bytes."""
    _, offsets, data = text.buffers()
    starts = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    return np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8), starts


def split_words(text: pa.StringArray) -> Words:
    """Split every document; one pass to count, one to fill."""
    data, documents = utf8_buffers(text)
    counts = _count(data, documents)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    total = int(offsets[-1])
    starts, ends = np.empty(total, np.int64), np.empty(total, np.int64)
    chars, flags, hashes = np.empty(total, np.int32), np.empty(total, np.uint8), np.empty(total, np.uint64)
    _fill(data, documents, offsets, starts, ends, chars, flags, hashes)
    return Words(data, documents, starts, ends, chars, flags, hashes, offsets)


@numba.njit(cache=True, nogil=True)
def _decode(data, at, stop):
    """(code point, bytes of it) at `at`; Arrow guarantees valid UTF-8."""
    first = data[at]
    if first < 0x80:
        return np.int32(first), 1
    if first < 0xE0 and at + 1 < stop:
        return np.int32((first & 0x1F) << 6 | (data[at + 1] & 0x3F)), 2
    if first < 0xF0 and at + 2 < stop:
        return np.int32((first & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F)), 3
    return np.int32(0x10000), 4


@numba.njit(cache=True, nogil=True)
def _kind(code):
    """0 white space, 1 letter, 2 digit or underscore, 3 other."""
    if code < 0x80:
        if code == 32 or 9 <= code <= 13 or 28 <= code <= 31:
            return 0
        if 97 <= code <= 122 or 65 <= code <= 90:
            return 1
        if 48 <= code <= 57 or code == 95:
            return 2
        return 3
    if code == 0x85 or code == 0xA0 or code == 0x3000 or 0x2000 <= code <= 0x200A or code == 0x2028 or code == 0x2029:
        return 0
    if code < 0xC0 and code != 0xAA and code != 0xB5 and code != 0xBA:
        return 3
    if code == 0xD7 or code == 0xF7 or 0x200B <= code <= 0x206F or 0x2190 <= code <= 0x27BF:
        return 3
    if 0x3001 <= code <= 0x303F or 0xFF01 <= code <= 0xFF0F or 0xFF1A <= code <= 0xFF20:
        return 3
    return 1


@numba.njit(cache=True, nogil=True)
def _token_end(data, at, stop):
    """(end, characters, flags) of the token that starts at `at`, where there is no white space."""
    code, size = _decode(data, at, stop)
    kind = _kind(code)
    end, chars = at + size, 1
    if kind == 3:
        while end < stop:
            following, size = _decode(data, end, stop)
            if following != code or code >= 0x10000:
                break
            end += size
            chars += 1
        return end, chars, 0
    flags = WORD | (ALPHABETIC if kind == 1 else 0)
    while end < stop:
        code, size = _decode(data, end, stop)
        kind = _kind(code)
        if kind == 3 and (code == 39 or code == 0x2019) and end + size < stop:
            after, _ = _decode(data, end + size, stop)
            if _kind(after) == 1:
                end += size
                chars += 1
                continue
        if kind == 0 or kind == 3:
            break
        if kind == 1:
            flags |= ALPHABETIC
        end += size
        chars += 1
    return end, chars, flags


@numba.njit(cache=True, nogil=True)
def _count(data, documents):
    counts = np.zeros(len(documents) - 1, np.int64)
    for document in range(len(counts)):
        at, stop = documents[document], documents[document + 1]
        while at < stop:
            code, size = _decode(data, at, stop)
            if _kind(code) == 0:
                at += size
                continue
            at, _, _ = _token_end(data, at, stop)
            counts[document] += 1
    return counts


@numba.njit(cache=True, nogil=True)
def _fill(data, documents, offsets, starts, ends, chars, flags, hashes):
    for document in range(len(documents) - 1):
        at, stop = documents[document], documents[document + 1]
        token = offsets[document]
        while at < stop:
            code, size = _decode(data, at, stop)
            if _kind(code) == 0:
                at += size
                continue
            end, length, flag = _token_end(data, at, stop)
            starts[token], ends[token], chars[token], flags[token] = at, end, length, flag
            hashes[token] = hash_bytes(data, at, end)
            token += 1
            at = end


@numba.njit(cache=True, nogil=True)
def hash_bytes(data, start, end):
    """64-bit FNV-1a with a final avalanche (splitmix64): for equality within one document, not for keys."""
    value = np.uint64(0xCBF29CE484222325)
    for at in range(start, end):
        value = (value ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(31))
