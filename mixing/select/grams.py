"""Hashed n-grams of words over Arrow buffers: counts, sums of weights, and sparse rows.

A token is a run of letters, digits, underscores and non-ASCII characters, or a run of other signs, as nltk's
wordpunct_tokenize cuts, with ASCII letters in lower case. Unigrams and bigrams fall into one row of buckets
(Xie et al. 2023). Nothing is allocated for a token; the GIL is free.
"""

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.document import utf8_buffers
from corpus.kernels.hashing import BASIS, PRIME
from corpus.kernels.minhash import mix

SPACE, WORD, SIGN = 0, 1, 2


def _classes() -> np.ndarray:
    kinds = np.full(256, SIGN, np.uint8)
    kinds[list(b" \t\n\r\v\f")] = SPACE
    kinds[128:] = WORD
    kinds[ord("_")] = WORD
    for first, last in ("09", "AZ", "az"):
        kinds[ord(first) : ord(last) + 1] = WORD
    return kinds


CLASSES = _classes()


@njit(cache=True, nogil=True)
def _next(data, at, stop, classes):
    """(hash of the next token, the place after it); hash 0 when there is none."""
    while at < stop and classes[data[at]] == SPACE:
        at += 1
    if at == stop:
        return np.uint64(0), at
    kind = classes[data[at]]
    value = BASIS
    while at < stop and classes[data[at]] == kind:
        byte = data[at]
        if 65 <= byte <= 90:
            byte += np.uint8(32)
        value = (value ^ np.uint64(byte)) * PRIME
        at += 1
    return mix(value) | np.uint64(1), at


@njit(cache=True, nogil=True)
def _bucket(value, buckets):
    return np.int64(((value >> np.uint64(32)) * np.uint64(buckets)) >> np.uint64(32))


@njit(cache=True, nogil=True)
def _pair(before, token):
    # Mixing in between: the pair (a, b) is not the pair (b, a).
    return mix(before * np.uint64(0x9E3779B97F4A7C15) + token)


@njit(cache=True, nogil=True)
def _count(data, offsets, classes, counts, bigrams):
    buckets = len(counts)
    for row in range(len(offsets) - 1):
        at, before = offsets[row], np.uint64(0)
        while True:
            token, at = _next(data, at, offsets[row + 1], classes)
            if token == 0:
                break
            counts[_bucket(token, buckets)] += 1
            if bigrams and before != 0:
                counts[_bucket(_pair(before, token), buckets)] += 1
            before = token


@njit(cache=True, nogil=True)
def _sum(data, offsets, classes, weights, out):
    buckets = len(weights)
    for row in range(len(offsets) - 1):
        at, before, total = offsets[row], np.uint64(0), 0.0
        while True:
            token, at = _next(data, at, offsets[row + 1], classes)
            if token == 0:
                break
            total += weights[_bucket(token, buckets)]
            if before != 0:
                total += weights[_bucket(_pair(before, token), buckets)]
            before = token
        out[row] = total


@njit(cache=True, nogil=True)
def _rows(data, offsets, classes, buckets, bounds, indices, values):
    """Counts of unigrams of each text as sparse rows; room for one entry a byte pair is given."""
    held = np.zeros(buckets, np.int32)
    filled = 0
    for row in range(len(offsets) - 1):
        at, first = offsets[row], filled
        while True:
            token, at = _next(data, at, offsets[row + 1], classes)
            if token == 0:
                break
            bucket = _bucket(token, buckets)
            if held[bucket] == 0:
                indices[filled] = bucket
                filled += 1
            held[bucket] += 1
        for place in range(first, filled):
            values[place] = held[indices[place]]
            held[indices[place]] = 0
        bounds[row + 1] = filled


@njit(cache=True, nogil=True)
def _type_entropy(data, offsets, classes, out):
    table = np.zeros(1024, np.uint64)
    counts = np.zeros(1024, np.int64)
    for row in range(len(offsets) - 1):
        room = 1024
        while room < offsets[row + 1] - offsets[row]:  # a token and a space take two bytes: at most half full
            room *= 2
        if room > len(table):
            table, counts = np.zeros(room, np.uint64), np.zeros(room, np.int64)
        used = table[:room]
        used[:] = 0
        counts[:room] = 0
        at, tokens = offsets[row], 0
        while True:
            token, at = _next(data, at, offsets[row + 1], classes)
            if token == 0:
                break
            slot = int(token >> np.uint64(20)) & (room - 1)
            while used[slot] != 0 and used[slot] != token:
                slot = (slot + 1) & (room - 1)
            used[slot] = token
            counts[slot] += 1
            tokens += 1
        entropy = 0.0
        for place in range(room):
            if counts[place]:
                share = counts[place] / tokens
                entropy -= share * np.log2(share)
        out[row] = entropy if tokens else np.nan


def add_counts(text: pa.StringArray, counts: np.ndarray, *, bigrams: bool = True) -> None:
    """Add the n-grams of all texts to `counts`, int64[buckets]."""
    _count(*utf8_buffers(text), CLASSES, counts, bigrams)


def weighted_sums(text: pa.StringArray, weights: np.ndarray) -> np.ndarray:
    """float64[rows]: the sum of float64[buckets] weights over the n-grams of each text."""
    out = np.empty(len(text), np.float64)
    _sum(*utf8_buffers(text), CLASSES, weights, out)
    return out


def sparse_rows(text: pa.StringArray, buckets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bounds int64[rows + 1], buckets int32, counts float32) of the unigrams of each text, a CSR matrix's parts."""
    data, offsets = utf8_buffers(text)
    room = int(offsets[-1] - offsets[0]) + 1
    bounds, indices = np.zeros(len(text) + 1, np.int64), np.empty(room, np.int32)
    values = np.empty(room, np.float32)
    _rows(data, offsets, CLASSES, buckets, bounds, indices, values)
    return bounds, indices[: bounds[-1]], values[: bounds[-1]]


def type_entropy(text: pa.StringArray) -> np.ndarray:
    """float64[rows]: entropy in bits of the distribution of token types in each text, NaN without tokens."""
    out = np.empty(len(text), np.float64)
    _type_entropy(*utf8_buffers(text), CLASSES, out)
    return out
