"""Repetition within a document: duplicate lines and paragraphs, the most frequent and the duplicated n-grams.

Elements are compared by 64-bit hashes; n-grams by a polynomial hash over the hashes of their words.
"""

import numba
import numpy as np

from corpus.kernels.words import Words, hash_bytes

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def line_measures(words: Words) -> np.ndarray:
    """float64[documents, 4]: duplicate lines / lines, their characters / characters, the same of paragraphs.

    Lines are separated by one or more line breaks, paragraphs by two or more.
    """
    return _elements(words.data, words.documents)


def ngram_measures(words: Words) -> np.ndarray:
    """float64[documents, 9]: characters of the most frequent 2-, 3-, 4-gram times its count / characters of the text;
    characters of words in n-grams seen before / characters of the text, n = 5 … 10.
    """
    arguments = (words.data, words.documents, words.offsets, words.chars, words.hashes)
    return _ngrams(*arguments, np.array(TOP_NGRAMS), np.array(DUPLICATE_NGRAMS))


@numba.njit(cache=True, nogil=True)
def _characters(data, begin, stop):
    count = 0
    for at in range(begin, stop):
        count += (data[at] & 0xC0) != 0x80
    return count


@numba.njit(cache=True, nogil=True)
def _add(table, value):
    """Put a value into an open-addressing set (0 stands for an empty slot); True if it was there."""
    mask = len(table) - 1
    if value == 0:
        value = np.uint64(1)
    slot = np.int64(value & np.uint64(mask))
    while table[slot] != 0:
        if table[slot] == value:
            return True
        slot = (slot + 1) & mask
    table[slot] = value
    return False


@numba.njit(cache=True, nogil=True)
def _table(entries):
    size = 16
    while size < 2 * entries:
        size *= 2
    return np.zeros(size, np.uint64)


@numba.njit(cache=True, nogil=True)
def _duplicates(data, begin, stop, breaks):
    """(duplicate elements, their characters, elements) where at least `breaks` line breaks separate elements."""
    separators = 1
    for at in range(begin, stop):
        separators += data[at] == 10
    table = _table(separators)
    repeated = repeated_chars = elements = 0
    at = begin
    while True:
        end = at
        after = stop
        while end < stop:
            if data[end] == 10:
                after = end
                while after < stop and data[after] == 10:
                    after += 1
                if after - end >= breaks:
                    break
                end = after
                after = stop
            else:
                end += 1
        elements += 1
        if _add(table, hash_bytes(data, at, end)):
            repeated += 1
            repeated_chars += _characters(data, at, end)
        if end >= stop:
            return repeated, repeated_chars, elements
        at = after


@numba.njit(cache=True, nogil=True)
def _elements(data, documents):
    out = np.zeros((len(documents) - 1, 4), np.float64)
    for document in range(len(out)):
        begin, stop = documents[document], documents[document + 1]
        characters = _characters(data, begin, stop)
        if characters == 0:
            continue
        repeated, chars, elements = _duplicates(data, begin, stop, 1)
        out[document, 0], out[document, 1] = repeated / elements, chars / characters
        # Paragraphs are those of the stripped text.
        while begin < stop and data[begin] <= 32:
            begin += 1
        while stop > begin and data[stop - 1] <= 32:
            stop -= 1
        repeated, chars, elements = _duplicates(data, begin, stop, 2)
        out[document, 2], out[document, 3] = repeated / elements, chars / characters
    return out


@numba.njit(cache=True, nogil=True)
def _ngram_hashes(hashes, first, last, n):
    out = np.empty(max(last - first - n + 1, 0), np.uint64)
    for index in range(len(out)):
        value = np.uint64(n)
        for token in range(first + index, first + index + n):
            value = (value ^ hashes[token]) * _MULTIPLIER
            value ^= value >> np.uint64(29)
        out[index] = value
    return out


@numba.njit(cache=True, nogil=True)
def _top(grams, chars, first, n):
    """Characters of the most frequent n-gram (words joined by one space) times its count; ties to the first seen."""
    order = np.argsort(grams, kind="mergesort")
    best_count, best_first = 0, 0
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and grams[order[end]] == grams[order[start]]:
            end += 1
        if end - start > best_count or (end - start == best_count and order[start] < best_first):
            best_count, best_first = end - start, order[start]
        start = end
    length = n - 1
    for token in range(first + best_first, first + best_first + n):
        length += chars[token]
    return length * best_count


@numba.njit(cache=True, nogil=True)
def _repeated(grams, chars, first, n):
    """Characters of the words in n-grams that occurred before, counted without overlap from the left."""
    table = _table(len(grams))
    repeated, index = 0, 0
    while index < len(grams):
        if _add(table, grams[index]):
            for token in range(first + index, first + index + n):
                repeated += chars[token]
            index += n
        else:
            index += 1
    return repeated


@numba.njit(cache=True, nogil=True)
def _ngrams(data, documents, offsets, chars, hashes, top, duplicate):
    out = np.zeros((len(documents) - 1, len(top) + len(duplicate)), np.float64)
    for document in range(len(out)):
        characters = _characters(data, documents[document], documents[document + 1])
        first, last = offsets[document], offsets[document + 1]
        if characters == 0:
            continue
        for column in range(len(top)):
            grams = _ngram_hashes(hashes, first, last, top[column])
            if len(grams):
                out[document, column] = _top(grams, chars, first, top[column]) / characters
        for column in range(len(duplicate)):
            grams = _ngram_hashes(hashes, first, last, duplicate[column])
            out[document, len(top) + column] = _repeated(grams, chars, first, duplicate[column]) / characters
    return out
