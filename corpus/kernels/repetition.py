"""Repetition within a document: duplicate lines and paragraphs, the most frequent and the duplicated n-grams.

Elements are compared by 64-bit hashes; n-grams by a polynomial hash over the hashes of their words.
"""

import numba
import numpy as np

from corpus.kernels.characters import characters_in
from corpus.kernels.hashing import add, hash_bytes, slot_of, slots_for
from corpus.kernels.words import Words

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
def _duplicates(data, begin, stop, breaks):
    """(duplicate elements, their characters, elements) where at least `breaks` line breaks separate elements."""
    separators = 1
    for at in range(begin, stop):
        separators += data[at] == 10
    table = np.zeros(slots_for(separators), np.uint64)
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
        if add(table, hash_bytes(data, at, end)):
            repeated += 1
            repeated_chars += characters_in(data, at, end)
        if end >= stop:
            return repeated, repeated_chars, elements
        at = after


@numba.njit(cache=True, nogil=True)
def _elements(data, documents):
    out = np.zeros((len(documents) - 1, 4), np.float64)
    for document in range(len(out)):
        begin, stop = documents[document], documents[document + 1]
        characters = characters_in(data, begin, stop)
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
def _ngrams(data, documents, offsets, chars, hashes, top, duplicate):
    out = np.zeros((len(documents) - 1, len(top) + len(duplicate)), np.float64)
    for document in range(len(out)):
        characters = characters_in(data, documents[document], documents[document + 1])
        first, last = offsets[document], offsets[document + 1]
        table = np.empty(slots_for(last - first), np.uint64)
        grams = hashes[first:last].copy()
        lengths = chars[first:last]
        repeats = True
        for n in range(2, duplicate[-1] + 1):
            grams = _longer(grams, hashes[first:last], n)
            if len(grams) == 0:
                break
            for column in range(len(top)):
                if top[column] == n:
                    out[document, column] = _top(grams, lengths, n, table) / characters
            for column in range(len(duplicate)):
                # A repeated n-gram begins with a repeated (n - 1)-gram.
                if duplicate[column] == n and repeats:
                    repeated = _repeated(grams, lengths, n, table)
                    repeats = repeated > 0
                    out[document, len(top) + column] = repeated / characters
    return out


@numba.njit(cache=True, nogil=True)
def _longer(grams, hashes, n):
    """Hashes of the n-grams from those of the (n - 1)-grams, in place; never 0. The order of the words counts."""
    count = max(len(hashes) - n + 1, 0)
    for index in range(count):
        value = grams[index] * _MULTIPLIER ^ hashes[index + n - 1]
        value ^= value >> np.uint64(29)
        grams[index] = value | np.uint64(value == 0)
    return grams[:count]


@numba.njit(cache=True, nogil=True)
def _top(grams, chars, n, table):
    """Characters of the most frequent n-gram (words joined by one space) times its count; ties to the first seen."""
    table[:] = 0
    counts = np.zeros(len(table), np.int32)
    most = 0
    for gram in grams:
        slot = slot_of(table, gram)
        table[slot] = gram
        counts[slot] += 1
        most = max(most, counts[slot])
    first = 0
    while counts[slot_of(table, grams[first])] < most:
        first += 1
    return most * (chars[first : first + n].sum() + n - 1)


@numba.njit(cache=True, nogil=True)
def _repeated(grams, chars, n, table):
    """Characters of the words in n-grams that occurred before, counted without overlap from the left."""
    table[:] = 0
    repeated, index = 0, 0
    while index < len(grams):
        if add(table, grams[index]):
            repeated += chars[index : index + n].sum()
            index += n
        else:
            index += 1
    return repeated
