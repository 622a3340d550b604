"""Counts of words, symbols and lines per document, in one pass over the words and one over the bytes."""

import numba
import numpy as np

from corpus.kernels.characters import characters_in
from corpus.kernels.hashing import hashes_of
from corpus.kernels.words import ALPHABETIC, WORD, Words

# Column order of `word_statistics`.
STATISTICS = (
    "words",  # tokens with a letter or digit
    "characters",
    "lines",
    "stop_words",  # different ones of STOP_WORDS that occur
    "mean_word_length",  # characters per word
    "alphabetic_share",  # tokens with a letter / all tokens
    "hash_share",  # "#" / all tokens
    "ellipsis_share",  # "..." and "…" / all tokens
    "bullet_line_share",  # lines that start with "-" or "•"
    "ellipsis_line_share",  # lines that end with "..." or "…"
)
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Rae et al. 2021


def word_statistics(words: Words) -> np.ndarray:
    """float64[documents, len(STATISTICS)]; zeros for an empty document."""
    arguments = (words.data, words.documents, words.offsets, words.chars, words.flags)
    return _statistics(*arguments, words.hashes, hashes_of(STOP_WORDS))


@numba.njit(cache=True, nogil=True)
def _statistics(data, documents, offsets, chars, flags, hashes, stop_hashes):
    out = np.zeros((len(documents) - 1, 10), np.float64)
    for document in range(len(out)):
        first, last = offsets[document], offsets[document + 1]
        begin, stop = documents[document], documents[document + 1]
        if first == last:
            continue
        words = word_chars = alphabetic = 0
        seen = np.zeros(len(stop_hashes), np.bool_)
        for token in range(first, last):
            alphabetic += flags[token] & ALPHABETIC != 0
            if flags[token] & WORD:
                words += 1
                word_chars += chars[token]
                if chars[token] <= 4:
                    for index in range(len(stop_hashes)):
                        if hashes[token] == stop_hashes[index]:
                            seen[index] = True
        hashmarks, ellipses = _symbols(data, begin, stop)
        lines, bullets, endings = _lines(data, begin, stop)
        tokens = last - first
        row = out[document]
        row[0], row[1], row[2], row[3] = words, characters_in(data, begin, stop), lines, seen.sum()
        row[4] = word_chars / words if words else 0.0
        row[5], row[6], row[7] = alphabetic / tokens, hashmarks / tokens, ellipses / tokens
        row[8], row[9] = bullets / lines, endings / lines
    return out


@numba.njit(cache=True, nogil=True)
def _symbols(data, begin, stop):
    """(hash signs, ellipses) of the bytes, an ellipsis being three dots in a row or the one character."""
    hashmarks = ellipses = dots = 0
    for at in range(begin, stop):
        hashmarks += data[at] == 35
        dots = dots + 1 if data[at] == 46 else 0
        if dots == 3:
            ellipses += 1
            dots = 0
        ellipses += _is_ellipsis(data, at, stop)
    return hashmarks, ellipses


@numba.njit(cache=True, nogil=True)
def _is_break(byte):
    """The line breaks of str.splitlines that are one byte."""
    return 10 <= byte <= 13 or 28 <= byte <= 30


@numba.njit(cache=True, nogil=True)
def _lines(data, begin, stop):
    """(lines, lines that start with a bullet, lines that end with an ellipsis), as by str.splitlines."""
    lines = bullets = endings = 0
    at = begin
    while at < stop:
        end = at
        while end < stop and not _is_break(data[end]):
            end += 1
        left, right = at, end
        while left < right and data[left] <= 32:
            left += 1
        while right > left and data[right - 1] <= 32:
            right -= 1
        lines += 1
        if left < right:
            bullet = data[left] == 45 or (
                right - left >= 3 and data[left] == 0xE2 and data[left + 1] == 0x80 and data[left + 2] == 0xA2
            )
            bullets += bullet
            dots = right - left >= 3 and data[right - 1] == 46 and data[right - 2] == 46 and data[right - 3] == 46
            endings += dots or (right - left >= 3 and _is_ellipsis(data, right - 3, right))
        at = end + 2 if end + 1 < stop and data[end] == 13 and data[end + 1] == 10 else end + 1
    return max(lines, 1), bullets, endings


@numba.njit(cache=True, nogil=True)
def _is_ellipsis(data, start, end):
    return end - start >= 3 and data[start] == 0xE2 and data[start + 1] == 0x80 and data[start + 2] == 0xA6
