"""Text as it is compared across documents: pieces of it (lines, paragraphs, words) with 64-bit hashes, case folded.

    elements       lines or paragraphs, trimmed; white space inside counts as one blank
    tokens         what white space separates, byte for byte; characters of scripts written without spaces (Han, kana,
                   Thai, …) are tokens of their own between their like
    folded_words   runs of letters and digits in lower case; punctuation and white space count for nothing

Pieces are found by one pass over the UTF-8 bytes and stand in flat arrays: piece i is data[starts[i]:ends[i]], document
d owns pieces bounds[d]:bounds[d + 1]. Hashes are never 0, which an open-addressing table takes for an empty slot.
"""

from functools import cache

import numba
import numpy as np

from corpus.kernels.hashing import BASIS, PRIME
from corpus.kernels.minhash import LETTER, LONE, SPACE, decode, kind_of, mix

BASE = np.uint64(0x9E3779B97F4A7C15)
PLANE = 0x10000


@cache
def lower_table() -> np.ndarray:
    """int32[65,536]: the lower case of each code point of the basic plane, its first character where it has several."""
    table = np.arange(PLANE, dtype=np.int32)
    for code in range(PLANE):
        if not 0xD800 <= code < 0xE000:
            table[code] = ord(chr(code).lower()[0])
    return table


@numba.njit(cache=True, nogil=True)
def lowered(table, code):
    """The lower case of a code point; outside the basic plane the code point itself."""
    return np.int64(table[code]) if code < PLANE else code


@numba.njit(cache=True, nogil=True)
def sealed(value):
    """A finished hash, never 0."""
    value = mix(value)
    return value | np.uint64(value == 0)


@numba.njit(cache=True, nogil=True)
def hash_element(data, begin, stop, lower, digits):
    """(64-bit hash, characters) of a trimmed piece: lower case, white space as one blank, with `digits` every digit
    as 0."""
    value = BASIS
    characters = 0
    pending = False
    at = begin
    while at < stop:
        code, width = decode(data, at)
        at += width
        if kind_of(code) == SPACE:
            pending = True
            continue
        if pending:
            value = (value ^ np.uint64(32)) * PRIME
            characters += 1
            pending = False
        code = lowered(lower, code)
        if digits and 48 <= code <= 57:
            code = 48
        value = (value ^ np.uint64(code + 1)) * PRIME
        characters += 1
    return sealed(value), characters


@numba.njit(cache=True, nogil=True)
def elements(data, offsets, paragraphs, lower, digits):
    """(starts, ends, characters, hashes, bounds) of the lines, or paragraphs, that are not blank.

    A paragraph is a run of lines without a blank one between them.
    """
    rows = len(offsets) - 1
    capacity = rows
    for at in range(offsets[0], offsets[rows]):
        capacity += data[at] == 10
    starts, ends = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    bounds = np.zeros(rows + 1, np.int64)
    count = 0
    for row in range(rows):
        at, stop = offsets[row], offsets[row + 1]
        joined = False  # the last element goes on in the next line
        while at < stop:
            first, last = -1, -1
            while at < stop:
                if data[at] == 10:
                    at += 1
                    break
                code, width = decode(data, at)
                if kind_of(code) != SPACE:
                    if first < 0:
                        first = at
                    last = at + width
                at += width
            if first < 0:
                joined = False
            elif paragraphs and joined:
                ends[count - 1] = last
            else:
                starts[count], ends[count] = first, last
                count += 1
                joined = True
        bounds[row + 1] = count
    characters, hashes = np.empty(count, np.int64), np.empty(count, np.uint64)
    for index in range(count):
        hashes[index], characters[index] = hash_element(data, starts[index], ends[index], lower, digits)
    return starts[:count].copy(), ends[:count].copy(), characters, hashes, bounds


@numba.njit(cache=True, nogil=True)
def tokens(data, offsets):
    """(starts, ends, hashes, bounds) of the tokens of each text; cutting between two of them glues no words."""
    rows = len(offsets) - 1
    capacity = offsets[rows] - offsets[0]
    starts, ends = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    hashes = np.empty(capacity, np.uint64)
    bounds = np.zeros(rows + 1, np.int64)
    count = 0
    for row in range(rows):
        at, stop = offsets[row], offsets[row + 1]
        while at < stop:
            code, width = decode(data, at)
            kind = kind_of(code)
            if kind == SPACE:
                at += width
                continue
            begin = at
            value = BASIS
            while True:
                value = (value ^ np.uint64(code + 1)) * PRIME
                at += width
                if at >= stop:
                    break
                before = kind
                code, width = decode(data, at)
                kind = kind_of(code)
                if kind == SPACE or (kind == LONE and before == LONE):
                    break
            starts[count], ends[count], hashes[count] = begin, at, sealed(value)
            count += 1
        bounds[row + 1] = count
    return starts[:count].copy(), ends[:count].copy(), hashes[:count].copy(), bounds


@numba.njit(cache=True, nogil=True)
def folded_words(data, offsets, lower):
    """(starts, ends, hashes, bounds) of the words of each text, hashed in lower case."""
    rows = len(offsets) - 1
    capacity = (offsets[rows] - offsets[0]) // 2 + rows + 1
    starts, ends = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    hashes = np.empty(capacity, np.uint64)
    bounds = np.zeros(rows + 1, np.int64)
    count = 0
    for row in range(rows):
        at, stop = offsets[row], offsets[row + 1]
        while at < stop:
            code, width = decode(data, at)
            kind = kind_of(code)
            if kind != LETTER and kind != LONE:
                at += width
                continue
            begin = at
            value = BASIS
            while True:
                value = (value ^ np.uint64(lowered(lower, code) + 1)) * PRIME
                at += width
                if kind == LONE or at >= stop:
                    break
                code, width = decode(data, at)
                kind = kind_of(code)
                if kind != LETTER:
                    break
            starts[count], ends[count], hashes[count] = begin, at, sealed(value)
            count += 1
        bounds[row + 1] = count
    return starts[:count].copy(), ends[:count].copy(), hashes[:count].copy(), bounds


@numba.njit(cache=True, nogil=True)
def window_hashes(hashes, bounds, n):
    """(hash uint64 of the n pieces from i on, 0 where fewer than n are left in the document); rolled, then mixed."""
    out = np.zeros(len(hashes), np.uint64)
    oldest = np.uint64(1)
    for _ in range(n):
        oldest *= BASE
    for row in range(len(bounds) - 1):
        rolling = np.uint64(0)
        for at in range(bounds[row], bounds[row + 1]):
            rolling = rolling * BASE + hashes[at]
            if at - bounds[row] >= n:
                rolling -= oldest * hashes[at - n]
            if at - bounds[row] >= n - 1:
                out[at - n + 1] = sealed(rolling ^ np.uint64(n))
    return out


@numba.njit(cache=True, nogil=True)
def same_words(data, begin, stop, other, other_begin, other_stop, lower):
    """Whether two words are equal in lower case, character by character."""
    while begin < stop and other_begin < other_stop:
        code, width = decode(data, begin)
        other_code, other_width = decode(other, other_begin)
        if lowered(lower, code) != lowered(lower, other_code):
            return False
        begin += width
        other_begin += other_width
    return begin == stop and other_begin == other_stop
