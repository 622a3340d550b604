"""Repetition within a document: duplicate lines and paragraphs, the most frequent and the duplicated n-grams.

Elements are compared by 64-bit hashes; those of n-grams and of paragraphs are made from those of their words and lines.
"""

import numba
import numpy as np

from corpus.kernels.characters import characters_in, class_table, stripped
from corpus.kernels.hashing import add, hash_bytes, slots_for
from corpus.kernels.lines import Lines
from corpus.kernels.words import Words

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def line_measures(lines: Lines) -> np.ndarray:
    """float64[documents, 4]: duplicate lines / lines, their characters / characters, the same of paragraphs.

    Lines are separated by one or more line breaks, paragraphs by two or more.
    """
    arguments = (lines.data, lines.documents, lines.starts, lines.ends, lines.chars, lines.hashes, lines.offsets)
    return _elements(*arguments, class_table())


def ngram_measures(words: Words) -> np.ndarray:
    """float64[documents, 9]: characters of the most frequent 2-, 3-, 4-gram times its count / characters of the text;
    characters of words in n-grams seen before / characters of the text, n = 5 … 10.
    """
    return _ngrams(words.data, words.documents, words.offsets, words.chars, words.hashes)


@numba.njit(cache=True, nogil=True)
def mixed(value, following):
    """The hash of a sequence from that of all but its last element and that of the last; never 0. Order counts."""
    value = value * _MULTIPLIER ^ following
    value ^= value >> np.uint64(29)
    return value | np.uint64(value == 0)


@numba.njit(cache=True, nogil=True)
def _elements(data, documents, starts, ends, chars, hashes, offsets, classes):
    out = np.zeros((len(documents) - 1, 4), np.float64)
    for document in range(len(out)):
        begin, stop = documents[document], documents[document + 1]
        characters = characters_in(data, begin, stop)
        if characters == 0:
            continue
        first, last = offsets[document], offsets[document + 1]
        out[document, 0], out[document, 1] = _duplicate_lines(chars, hashes, first, last, characters)
        begin, stop = stripped(data, begin, stop, classes)
        out[document, 2], out[document, 3] = _duplicate_paragraphs(
            data, begin, stop, starts, ends, chars, hashes, first, last, characters
        )
    return out


@numba.njit(cache=True, nogil=True)
def _duplicate_lines(chars, hashes, first, last, characters):
    """A run of line breaks separates two lines; one at either end of the text leaves an empty line there."""
    table = np.zeros(slots_for(last - first), np.uint64)
    repeated = repeated_chars = elements = 0
    for line in range(first, last):
        if chars[line] == 0 and first < line < last - 1:
            continue
        # A text that ends in several line breaks has the one empty line behind all of them.
        elements += 1
        if add(table, hashes[line]):
            repeated += 1
            repeated_chars += chars[line]
    return repeated / elements, repeated_chars / characters


@numba.njit(cache=True, nogil=True)
def _duplicate_paragraphs(data, begin, stop, starts, ends, chars, hashes, first, last, characters):
    """Runs of lines that are not empty, within the stripped text [begin, stop)."""
    table = np.zeros(slots_for(last - first), np.uint64)
    repeated = repeated_chars = elements = 0
    line = first
    while line < last and ends[line] < begin:
        line += 1
    while True:
        value, length = np.uint64(1), -1
        while line < last and starts[line] <= stop and (ends[line] > starts[line] or length < 0):
            left, right = max(starts[line], begin), min(ends[line], stop)
            whole = left == starts[line] and right == ends[line]
            value = mixed(value, hashes[line] if whole else hash_bytes(data, left, right))
            length += 1 + (chars[line] if whole else characters_in(data, left, right))
            line += 1
        elements += 1
        if add(table, value):
            repeated += 1
            repeated_chars += length
        while line < last and ends[line] == starts[line]:
            line += 1
        if line >= last or starts[line] >= stop:
            return repeated / elements, repeated_chars / characters


@numba.njit(cache=True, nogil=True)
def _ngrams(data, documents, offsets, chars, hashes):
    out = np.zeros((len(documents) - 1, 9), np.float64)
    longest = 0
    for document in range(len(out)):
        longest = max(longest, offsets[document + 1] - offsets[document])
    size = slots_for(longest)
    table, counts, heads = np.empty(size, np.uint64), np.empty(size, np.int32), np.empty(size, np.int32)
    grams, positions, slots = np.empty(longest, np.uint64), np.empty(longest, np.int32), np.empty(longest, np.int32)
    for document in range(len(out)):
        first, last = offsets[document], offsets[document + 1]
        count = last - first
        if count < 2:
            continue
        characters = characters_in(data, documents[document], documents[document + 1])
        for index in range(count):
            grams[index], positions[index] = hashes[first + index], index
        # A repeated n-gram begins with a repeated (n - 1)-gram: only where one stands is looked at again.
        held = count
        for n in range(2, 11):
            while held and positions[held - 1] + n > count:
                held -= 1
            for index in range(held):
                grams[index] = mixed(grams[index], hashes[first + positions[index] + n - 1])
            most, head = _counted(grams, positions, held, table, counts, heads, slots)
            if n <= 4:
                if n <= count:
                    length = chars[first + head : first + head + n].sum() + n - 1
                    out[document, n - 2] = most * length / characters
            elif most > 1:
                repeated = _repeated(positions, held, counts, slots, chars[first:last], n)
                out[document, n - 2] = repeated / characters
            kept = 0
            for index in range(held):
                # `_repeated` marks what it has seen by a negative count.
                if abs(counts[slots[index]]) > 1:
                    grams[kept], positions[kept] = grams[index], positions[index]
                    kept += 1
            held = kept
            if held == 0 and n >= 4:
                break
    return out


@numba.njit(cache=True, nogil=True)
def _counted(grams, positions, held, table, counts, heads, slots):
    """(count, first position) of the most frequent n-gram, ties to the first seen; (1, 0) where none repeats.

    Leaves the slot of each n-gram in `slots` and how often each slot's occurs in `counts`.
    """
    size = slots_for(held)
    mask = size - 1
    table[:size] = 0
    most, head = 1, 0
    for index in range(held):
        gram = grams[index]
        slot = np.int64(gram & np.uint64(mask))
        while table[slot] != 0 and table[slot] != gram:
            slot = (slot + 1) & mask
        slots[index] = slot
        if table[slot] == 0:
            table[slot], counts[slot], heads[slot] = gram, 1, positions[index]
            continue
        counts[slot] += 1
        if counts[slot] > most or (counts[slot] == most and heads[slot] < head):
            most, head = counts[slot], heads[slot]
    return most, head


@numba.njit(cache=True, nogil=True)
def _repeated(positions, held, counts, slots, chars, n):
    """Characters of the words in n-grams that occurred before, counted without overlap from the left."""
    repeated, free = 0, 0
    for index in range(held):
        at, slot = positions[index], slots[index]
        if at < free:
            continue
        if counts[slot] < 0:
            repeated += chars[at : at + n].sum()
            free = at + n
        elif counts[slot] > 1:
            counts[slot] = -counts[slot]
    return repeated
