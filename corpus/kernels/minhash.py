"""Normalised text, word n-grams and MinHash, computed on the bytes of lower-cased UTF-8.

A word is a maximal run of letters, digits, marks and underscores; characters of scripts written without spaces (Han,
kana, Thai, Lao, Burmese, Khmer) are words of their own. Punctuation, symbols and white space separate words and
count for nothing. A shingle is the 64-bit hash of `n` consecutive words.
"""

import numpy as np
from numba import njit, uint32, uint64

SPACE, SEPARATOR, LETTER, LONE = 0, 1, 2, 3  # kinds of character
BLOCK = 256  # shingles hashed at a time: they and the minima stay in the first-level cache


@njit(cache=True, nogil=True, inline="always")
def decode(data, at):
    """(code point, bytes) of the character at `at`; `data` is valid UTF-8, as Arrow strings are."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | np.int64(data[at + 1] & 0x3F), 2
    if first < 0xF0:
        return (first & 0x0F) << 12 | np.int64(data[at + 1] & 0x3F) << 6 | np.int64(data[at + 2] & 0x3F), 3
    tail = np.int64(data[at + 1] & 0x3F) << 12 | np.int64(data[at + 2] & 0x3F) << 6 | np.int64(data[at + 3] & 0x3F)
    return (first & 0x07) << 18 | tail, 4


@njit(cache=True, nogil=True, inline="always")
def kind_of(point):
    """SPACE, SEPARATOR, LETTER or LONE (a word of its own) of a lower-cased character.

    By Unicode block, not by category: enough to tell words from what stands between them.
    """
    if point < 0x80:
        if 97 <= point <= 122 or 48 <= point <= 57 or point == 95 or 65 <= point <= 90:
            return LETTER
        return SPACE if point == 32 or 9 <= point <= 13 else SEPARATOR
    if point < 0xC0:
        if point == 0x85 or point == 0xA0:
            return SPACE
        return LETTER if point == 0xAA or point == 0xB5 or point == 0xBA else SEPARATOR
    if point < 0xE00:
        return SEPARATOR if point == 0xD7 or point == 0xF7 else LETTER
    if point < 0xF00 or 0x1000 <= point < 0x10A0 or 0x1780 <= point < 0x1800:
        return LONE
    if point < 0x2000:
        return SPACE if point == 0x1680 else LETTER
    if point < 0x2070:
        if point <= 0x200A or point == 0x2028 or point == 0x2029 or point == 0x202F or point == 0x205F:
            return SPACE
        return SEPARATOR
    if 0x20A0 <= point < 0x20D0 or 0x2190 <= point < 0x2C00:
        return SEPARATOR
    if point < 0x3000:
        return SEPARATOR if 0x2E00 <= point < 0x2E80 else LETTER
    if point < 0x3040:
        return SPACE if point == 0x3000 else SEPARATOR
    if point < 0xA000 or 0xF900 <= point < 0xFB00 or point >= 0x20000:
        return LONE
    if 0xFE10 <= point < 0xFE70 or 0xFF00 <= point < 0xFF10 or 0x1F000 <= point < 0x20000:
        return SEPARATOR
    return LETTER


@njit(cache=True, nogil=True, inline="always")
def mix(value):
    """The finaliser of MurmurHash3: a bijection of 64 bits in which every bit depends on all."""
    value ^= value >> uint64(33)
    value *= uint64(0xFF51AFD7ED558CCD)
    value ^= value >> uint64(33)
    value *= uint64(0xC4CEB9FE1A85EC53)
    return value ^ value >> uint64(33)


@njit(cache=True, nogil=True)
def collapse(data, offsets):
    """(bytes, offsets) of the texts with runs of white space collapsed to one blank and trimmed at both ends."""
    out = np.empty(offsets[-1] - offsets[0], np.uint8)
    ends = np.zeros(len(offsets), np.int64)
    size = 0
    for row in range(len(offsets) - 1):
        at, start, pending = offsets[row], size, False
        while at < offsets[row + 1]:
            point, width = decode(data, at)
            if kind_of(point) == SPACE:
                pending = size > start
            else:
                if pending:
                    out[size] = 32
                    size += 1
                    pending = False
                for step in range(width):
                    out[size + step] = data[at + step]
                size += width
            at += width
        ends[row + 1] = size
    return out[:size], ends


@njit(cache=True, nogil=True)
def shingle(data, start, stop, n, out):
    """Write the shingles of data[start:stop] to `out` (room for (stop - start) // 2 + 1), in order; returns how many.

    The n-gram's hash is a polynomial of its words' hashes, rolled along the text and mixed.
    """
    base = uint64(0x9E3779B97F4A7C15)
    oldest = uint64(1)
    for _ in range(n):
        oldest *= base
    ring = np.zeros(n, np.uint64)
    words, count = 0, 0
    rolling = uint64(0)
    word = uint64(0)
    at = start
    while at < stop:
        point, width = decode(data, at)
        kind = kind_of(point)
        if kind == LETTER:
            word = (word ^ uint64(point + 1)) * uint64(0x100000001B3)
            at += width
            following = SEPARATOR
            if at < stop:
                following = kind_of(decode(data, at)[0])
            if following == LETTER:
                continue
        elif kind == LONE:
            word = uint64(point + 1)
            at += width
        else:
            at += width
            continue
        word = mix(word)
        slot = words % n
        rolling = rolling * base + word - oldest * ring[slot]
        ring[slot] = word
        words += 1
        word = uint64(0)
        if words >= n:
            out[count] = mix(rolling)
            count += 1
    return count


@njit(cache=True, nogil=True)
def minhash(data, offsets, n, multipliers, addends):
    """(minima uint32[rows, hashes], shingles int64[rows]) of texts given as bytes and int offsets [rows + 1].

    Hash k of a shingle x is the upper half of a_k·x32 + b_k mod 2⁶⁴, which is strongly universal on 32-bit keys
    (Dietzfelbinger 1996); x32 is the upper half of the 64-bit shingle.
    """
    rows, hashes = len(offsets) - 1, len(multipliers)
    minima = np.full((rows, hashes), 0xFFFFFFFF, np.uint32)
    counts = np.zeros(rows, np.int64)
    longest = 0
    for row in range(rows):
        longest = max(longest, offsets[row + 1] - offsets[row])
    shingles = np.empty(longest // 2 + 1, np.uint64)
    keys = np.empty(BLOCK, np.uint64)
    for row in range(rows):
        count = shingle(data, offsets[row], offsets[row + 1], n, shingles)
        counts[row] = count
        for first in range(0, count, BLOCK):
            size = min(BLOCK, count - first)
            for index in range(size):
                keys[index] = shingles[first + index] >> uint64(32)
            for k in range(hashes):
                a, b = multipliers[k], addends[k]
                least = uint64(minima[row, k])
                for index in range(size):
                    least = min(least, (a * keys[index] + b) >> uint64(32))
                minima[row, k] = uint32(least)
    return minima, counts


@njit(cache=True, nogil=True)
def band_keys(minima, bands):
    """uint64[bands, documents]: a hash of the rows of each band of uint32[documents, bands · rows]."""
    documents = len(minima)
    rows = minima.shape[1] // bands
    keys = np.empty((bands, documents), np.uint64)
    for document in range(documents):
        for band in range(bands):
            key = uint64(0)
            for row in range(rows):
                key = mix(key * uint64(0x9E3779B97F4A7C15) + uint64(minima[document, band * rows + row]) + uint64(1))
            keys[band, document] = key
    return keys


@njit(cache=True, nogil=True)
def shingle_sets(data, offsets, n):
    """(shingles uint64, offsets int64[rows + 1]): the distinct shingles of each text, ascending."""
    rows = len(offsets) - 1
    out = np.empty((offsets[-1] - offsets[0]) // 2 + rows, np.uint64)
    ends = np.zeros(rows + 1, np.int64)
    size = 0
    for row in range(rows):
        count = shingle(data, offsets[row], offsets[row + 1], n, out[size:])
        part = np.sort(out[size : size + count])
        for index in range(count):
            if index == 0 or part[index] != part[index - 1]:
                out[size] = part[index]
                size += 1
        ends[row + 1] = size
    return out[:size], ends


@njit(cache=True, nogil=True)
def jaccard(shingles, bounds, others, other_bounds, left, right):
    """float64[pairs]: |A ∩ B| / |A ∪ B| of the ascending sets left[i] of the first and right[i] of the second store; 0
    for two empty sets."""
    similarity = np.zeros(len(left), np.float64)
    for pair in range(len(left)):
        a, a_end = bounds[left[pair]]
        b, b_end = other_bounds[right[pair]]
        union = (a_end - a) + (b_end - b)
        shared = 0
        while a < a_end and b < b_end:
            x, y = shingles[a], others[b]
            shared += x == y
            a += x <= y
            b += y <= x
        if union:
            similarity[pair] = shared / (union - shared)
    return similarity


@njit(cache=True, nogil=True)
def equal_minima(sketches, others, left, right):
    """float64[pairs]: share of equal minima of rows left[i] and right[i] of two uint32[documents, hashes]."""
    similarity = np.zeros(len(left), np.float64)
    hashes = sketches.shape[1]
    for pair in range(len(left)):
        a, b = left[pair], right[pair]
        same = 0
        for k in range(hashes):
            same += sketches[a, k] == others[b, k]
        similarity[pair] = same / hashes
    return similarity
