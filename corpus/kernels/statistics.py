"""Counts of words, symbols and lines per document, in one pass over the words and one over the bytes."""

import numba
import numpy as np

from corpus.kernels.characters import characters_in, class_table, stripped
from corpus.kernels.hashing import contains, hashes_of, set_of
from corpus.kernels.lines import line_at
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
    arguments = (words.data, words.documents, words.offsets, words.chars, words.flags, words.hashes)
    return _statistics(*arguments, hashes_of(STOP_WORDS), set_of(STOP_WORDS), class_table())


@numba.njit(cache=True, nogil=True)
def _statistics(data, documents, offsets, chars, flags, hashes, stop_hashes, stop_set, classes):
    out = np.zeros((len(documents) - 1, 10), np.float64)
    for document in range(len(out)):
        first, last = offsets[document], offsets[document + 1]
        begin, stop = documents[document], documents[document + 1]
        if first == last:
            continue
        words = word_chars = alphabetic = seen = 0
        for token in range(first, last):
            alphabetic += flags[token] & ALPHABETIC != 0
            if flags[token] & WORD:
                words += 1
                word_chars += chars[token]
                if chars[token] <= 4 and contains(stop_set, hashes[token]):
                    for index in range(len(stop_hashes)):
                        seen |= (hashes[token] == stop_hashes[index]) << index
        hashmarks, ellipses = _symbols(data, begin, stop)
        lines, bullets, endings = _lines(data, begin, stop, classes)
        tokens = last - first
        row = out[document]
        row[0], row[1], row[2] = words, characters_in(data, begin, stop), lines
        while seen:
            row[3] += seen & 1
            seen >>= 1
        row[4] = word_chars / words if words else 0.0
        row[5], row[6], row[7] = alphabetic / tokens, hashmarks / tokens, ellipses / tokens
        row[8], row[9] = bullets / lines, endings / lines
    return out


@numba.njit(cache=True, nogil=True)
def _symbols(data, begin, stop):
    """(hash signs, ellipses) of the bytes, an ellipsis being three dots in a row or the one character."""
    hashmarks = ellipses = dots = 0
    for at in range(begin, stop):
        byte = data[at]
        if byte == 46:
            dots += 1
            if dots == 3:
                ellipses += 1
                dots = 0
            continue
        dots = 0
        hashmarks += byte == 35
        if byte == 0xA6:
            # The last byte of the one character.
            ellipses += at - begin >= 2 and data[at - 1] == 0x80 and data[at - 2] == 0xE2
    return hashmarks, ellipses


@numba.njit(cache=True, nogil=True)
def _lines(data, begin, stop, classes):
    """(lines, lines that start with a bullet, lines that end with an ellipsis), as by str.splitlines."""
    lines = bullets = endings = 0
    at = begin
    while at < stop:
        end, following = line_at(data, at, stop)
        left, right = stripped(data, at, end, classes)
        lines += 1
        if left < right:
            bullet = data[left] == 45 or (
                right - left >= 3 and data[left] == 0xE2 and data[left + 1] == 0x80 and data[left + 2] == 0xA2
            )
            bullets += bullet
            dots = right - left >= 3 and data[right - 1] == 46 and data[right - 2] == 46 and data[right - 3] == 46
            endings += dots or (
                right - left >= 3 and data[right - 3] == 0xE2 and data[right - 2] == 0x80 and data[right - 1] == 0xA6
            )
        at = following
    return max(lines, 1), bullets, endings
