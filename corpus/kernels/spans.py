"""Spans [start, end) of a buffer of texts: collecting, trimming, counting in characters, and replacing them."""

import numba
import numpy as np

from corpus.kernels.characters import characters_in


def byte_table(members: bytes) -> np.ndarray:
    """bool[256]: the byte is one of these."""
    table = np.zeros(256, np.bool_)
    table[np.frombuffer(members, np.uint8)] = True
    return table


@numba.njit(cache=True, nogil=True)
def with_room(found, count):
    """`found`, int32[columns, room], with twice the room when `count` of it are taken."""
    if count < found.shape[1]:
        return found
    grown = np.empty((len(found), 2 * count), np.int32)
    grown[:, :count] = found
    return grown


@numba.njit(cache=True, nogil=True)
def trimmed(data, starts, ends, table):
    """int64[spans]: the ends, without the bytes of the table that stand before them."""
    out = ends.copy()
    for index in range(len(ends)):
        while out[index] > starts[index] and table[data[out[index] - 1]]:
            out[index] -= 1
    return out


@numba.njit(cache=True, nogil=True)
def in_characters(data, begins, stops, documents, starts, ends):
    """(starts int32[spans], lengths int32[spans], characters int64[documents]), in characters of each span's document;
    spans are disjoint and in order, and of a document without one the characters are not counted (0)."""
    first, length = np.empty(len(starts), np.int32), np.empty(len(starts), np.int32)
    characters = np.zeros(len(begins), np.int64)
    inside, at, counted = -1, 0, 0
    for index in range(len(starts)):
        if documents[index] != inside:
            if inside >= 0:
                characters[inside] = counted + characters_in(data, at, stops[inside])
            inside, counted = documents[index], 0
            at = begins[inside]
        counted += characters_in(data, at, starts[index])
        length[index] = characters_in(data, starts[index], ends[index])
        first[index] = counted
        counted += length[index]
        at = ends[index]
    if inside >= 0:
        characters[inside] = counted + characters_in(data, at, stops[inside])
    return first, length, characters


@numba.njit(cache=True, nogil=True)
def spliced(data, begins, stops, chosen, documents, starts, ends, pool, firsts, which, separator):
    """(text uint8, begins, stops, new_starts, new_ends int64) of the chosen documents with their spans replaced,
    `separator` between them, and where in it the replacements stand. The replacement of span i is
    pool[firsts[which[i]]:firsts[which[i] + 1]]; spans are disjoint and in order."""
    size = 0
    for document in chosen:
        size += stops[document] - begins[document] + 1
    for index in range(len(starts)):
        size += firsts[which[index] + 1] - firsts[which[index]] - (ends[index] - starts[index])
    out = np.empty(size, np.uint8)
    new_starts, new_ends = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    new_begins, new_stops = np.empty(len(chosen), np.int64), np.empty(len(chosen), np.int64)
    at = index = 0
    for row in range(len(chosen)):
        document = chosen[row]
        new_begins[row] = at
        place = begins[document]
        while index < len(starts) and documents[index] == document:
            kept = starts[index] - place
            out[at : at + kept] = data[place : starts[index]]
            at += kept
            first, last = firsts[which[index]], firsts[which[index] + 1]
            out[at : at + last - first] = pool[first:last]
            new_starts[index], new_ends[index] = at, at + last - first
            at += last - first
            place = ends[index]
            index += 1
        kept = stops[document] - place
        out[at : at + kept] = data[place : stops[document]]
        at += kept
        new_stops[row] = at
        out[at] = separator
        at += 1
    return out, new_begins, new_stops, new_starts, new_ends


@numba.njit(cache=True, nogil=True)
def _beyond_token(data, at, limit, step):
    """`at` moved by steps to white space, or to `limit`."""
    while at != limit and data[at if step > 0 else at - 1] > 32:
        at += step
    return at


@numba.njit(cache=True, nogil=True)
def surroundings(data, begins, stops, documents, starts, ends, margin):
    """(lows, highs, documents) int64: what stands within `margin` bytes of a span in its document, in whole tokens;
    overlapping surroundings are one. Spans are disjoint and in order."""
    lows, highs = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    own = np.empty(len(starts), np.int64)
    count = 0
    for index in range(len(starts)):
        begin, stop = begins[documents[index]], stops[documents[index]]
        low = _beyond_token(data, max(begin, starts[index] - margin), begin, -1)
        high = _beyond_token(data, min(stop, ends[index] + margin), stop, 1)
        if count and own[count - 1] == documents[index] and low <= highs[count - 1]:
            highs[count - 1] = max(high, highs[count - 1])
        else:
            lows[count], highs[count], own[count] = low, high, documents[index]
            count += 1
    return lows[:count], highs[:count], own[:count]
