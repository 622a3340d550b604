"""Sentences, as spaCy's sentencizer makes them from words (datatrove counts by it).

A sentence ends behind a sign that ends sentences and the signs that follow it (quotes, brackets, more such signs); the
next begins at the next word, or at white space that is more than one space.
"""

import numba
import numpy as np

from corpus.kernels.words import SENTENCE_END, SIGNS, Words


def sentence_starts(words: Words, *, within_lines: bool) -> tuple[np.ndarray, np.ndarray]:
    """(starts int64[sentences] into words.data, offsets int64[documents + 1]): where each sentence begins.

    `within_lines`: a line feed always ends a sentence, as if each line were a text of its own.
    """
    return _starts(words.data, words.documents, words.starts, words.ends, words.flags, words.offsets, within_lines)


@numba.njit(cache=True, nogil=True)
def _starts(data, documents, starts, ends, flags, offsets, within_lines):
    out = np.empty(len(starts) + (documents[-1] - documents[0]), np.int64)
    bounds = np.zeros(len(documents), np.int64)
    total = 0
    for document in range(len(documents) - 1):
        begins, ended = True, False
        at = documents[document]
        for token in range(offsets[document], offsets[document + 1]):
            start = starts[token]
            if start - at > 1 or (start > at and data[at] != 32):
                # More white space than a space is a token of its own, and no sign: it begins the next sentence.
                if within_lines:
                    line = at
                    while line < start and data[line] != 10:
                        line += 1
                    if line < start:
                        if ended and (line - at > 1 or (line > at and data[at] != 32)):
                            out[total] = at
                            total += 1
                        begins, ended = True, False
                if ended:
                    out[total] = at
                    total += 1
                    ended = False
            flag = flags[token]
            if begins or (ended and not flag & (SIGNS | SENTENCE_END)):
                out[total] = start
                total += 1
                begins = ended = False
            if flag & SENTENCE_END:
                ended = True
            at = ends[token]
        bounds[document + 1] = total
    return out[:total].copy(), bounds
