"""fastText's prediction with a quantised model and a hierarchical softmax, text by text, to the bit.

    text → words → the word's row, and those of its character n-grams that the model kept → their mean
         → down the tree of labels, the two best kept

fastText's own loop looks every n-gram up in a `std::unordered_map`, which is most of its time; here it is a bit in a
map of 256 KB and then a slot of an open-addressing table. Sums are made in fastText's order and width.
"""

import math

import numba
import numpy as np

_OFFSET, _PRIME = np.uint32(2166136261), np.uint32(16777619)  # of 32-bit FNV-1a
_LEAST = np.float32(math.log(1e-5))  # fastText's logarithm of 0, below which no label is looked for
_BEGIN, _END = 60, 62  # < and >, which stand for the ends of a word
_END_OF_LINE = np.frombuffer(b"</s>", np.uint8)
_LABEL = np.frombuffer(b"__label__", np.uint8)


@numba.njit(cache=True, nogil=True)
def _step(value, byte):
    """One byte more; fastText takes bytes for signed."""
    wide = np.uint32(byte) | (np.uint32(0xFFFFFF00) if byte >= 128 else np.uint32(0))
    return np.uint32((value ^ wide) * _PRIME)  # which numba would make wider


@numba.njit(cache=True, nogil=True)
def hash_word(data, begin, stop):
    """uint32: fastText's hash of the bytes [begin, stop)."""
    value = _OFFSET
    for at in range(begin, stop):
        value = _step(value, data[at])
    return value


@numba.njit(cache=True, nogil=True)
def fill_words(words, offsets, slots):
    """Put words, one after another in `words`, into the open-addressing table `slots` int32[power of two], -1 empty."""
    mask = np.uint32(len(slots) - 1)
    for word in range(len(offsets) - 1):
        slot = hash_word(words, offsets[word], offsets[word + 1]) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint32(1)) & mask
        slots[slot] = word


@numba.njit(cache=True, nogil=True)
def fill_ngrams(kept, rows, bits, keys, values):
    """Put the kept n-grams (their buckets) and their rows into a bit map and an open-addressing table, -1 empty."""
    mask = len(keys) - 1
    for index in range(len(kept)):
        bucket = kept[index]
        bits[bucket >> 3] |= np.uint8(1 << (bucket & 7))
        slot = _slot(bucket, mask)
        while keys[slot] >= 0:
            slot = (slot + 1) & mask
        keys[slot], values[slot] = bucket, rows[index]


@numba.njit(cache=True, nogil=True)
def _slot(bucket, mask):
    return ((np.int64(bucket) * 0x9E3779B1) >> 8) & mask


@numba.njit(cache=True, nogil=True)
def _same(data, begin, stop, other, first):
    at = begin
    while at < stop and data[at] == other[first + at - begin]:
        at += 1
    return at == stop


@numba.njit(cache=True, nogil=True)
def _word_row(data, begin, stop, value, words, offsets, slots):
    """The row of a word, -1 for one that the model does not know."""
    mask = np.uint32(len(slots) - 1)
    slot = value & mask
    while slots[slot] >= 0:
        word = slots[slot]
        first = offsets[word]
        if offsets[word + 1] - first == stop - begin and _same(data, begin, stop, words, first):
            return np.int64(word)
        slot = (slot + np.uint32(1)) & mask
    return np.int64(-1)


@numba.njit(cache=True, nogil=True)
def _added(hidden, vectors, row):
    for index in range(len(hidden)):
        hidden[index] += vectors[row, index]


@numba.njit(cache=True, nogil=True)
def _add_ngrams(word, size, ngrams, buckets, bits, keys, values, vectors, first_row, hidden):
    """Add the rows of the n-grams of word[:size], which has its two ends; returns how many."""
    shortest, longest = ngrams
    mask = len(keys) - 1
    count = 0
    for begin in range(size):
        if word[begin] & 0xC0 == 0x80:
            continue
        value, at, length = _OFFSET, begin, 1
        while at < size and length <= longest:
            value = _step(value, word[at])
            at += 1
            while at < size and word[at] & 0xC0 == 0x80:
                value = _step(value, word[at])
                at += 1
            if length >= shortest and not (length == 1 and (begin == 0 or at == size)):
                bucket = np.int64(value % buckets)
                if bits[bucket >> 3] >> (bucket & 7) & 1:
                    slot = _slot(bucket, mask)
                    while keys[slot] != bucket:
                        slot = (slot + 1) & mask
                    _added(hidden, vectors, first_row + values[slot])
                    count += 1
            length += 1
    return count


@numba.njit(cache=True, nogil=True)
def _is_space(byte):
    return byte == 32 or 9 <= byte <= 13 or byte == 0


@numba.njit(cache=True, nogil=True)
def _log(value):
    return np.float32(math.log(np.float64(value) + 1e-5))


@numba.njit(cache=True, nogil=True)
def _two_best(hidden, output, left, right, stack, scores):
    """(label, score, label, score) of the two labels of the highest log probability; label -1 for none."""
    leaves = len(output)
    first, second = -1, -1
    best, next_best = np.float32(0), np.float32(0)
    stack[0], scores[0] = 2 * leaves - 2, np.float32(0)
    held = 1
    while held:
        held -= 1
        node, score = stack[held], scores[held]
        if score < _LEAST or (second >= 0 and score < next_best):
            continue
        if node < leaves:
            if first < 0 or score > best:
                second, next_best = first, best
                first, best = node, score
            elif second < 0 or score > next_best:
                second, next_best = node, score
            continue
        product = np.float32(0)
        for index in range(len(hidden)):
            product += output[node - leaves, index] * hidden[index]
        share = np.float32(1.0 / np.float64(np.float32(1) + math.exp(-product)))
        stack[held], scores[held] = right[node], score + _log(share)
        stack[held + 1], scores[held + 1] = left[node], score + _log(np.float32(1.0 - np.float64(share)))
        held += 2
    return first, best, second, next_best


@numba.njit(cache=True, nogil=True)
def two_best(
    data, offsets, words, word_offsets, slots, ngrams, buckets, bits, keys, values, vectors, output, left, right
):
    """(labels int32[texts, 2], probabilities float32[texts, 2]) of texts that are one line each; label -1 for none.

    ngrams    (shortest, longest) in characters
    vectors   float32[rows, dim] of the words, then of the kept n-grams
    left, right   int32[2 · labels - 1], the tree: leaves first, the root last
    """
    rows = len(offsets) - 1
    labels, probabilities = np.full((rows, 2), -1, np.int32), np.zeros((rows, 2), np.float32)
    hidden = np.empty(vectors.shape[1], np.float32)
    longest = 0
    for row in range(rows):
        longest = max(longest, offsets[row + 1] - offsets[row])
    word = np.empty(longest + 2, np.uint8)
    stack, scores = np.empty(len(left) + 2, np.int64), np.empty(len(left) + 2, np.float32)
    known = len(word_offsets) - 1
    end = len(_END_OF_LINE)
    end_row = _word_row(_END_OF_LINE, 0, end, hash_word(_END_OF_LINE, 0, end), words, word_offsets, slots)
    for row in range(rows):
        hidden[:] = 0
        count = 0
        at, stop = offsets[row], offsets[row + 1]
        ended = False
        while not ended:
            while at < stop and _is_space(data[at]):
                at += 1
            if at == stop:
                if end_row >= 0:
                    _added(hidden, vectors, end_row)
                    count += 1
                break
            begin = at
            word[0] = _BEGIN
            value = _OFFSET
            while at < stop and not _is_space(data[at]):
                word[at - begin + 1] = data[at]
                value = _step(value, data[at])
                at += 1
            size = at - begin
            if size >= len(_LABEL) and _same(data, begin, begin + len(_LABEL), _LABEL, 0):
                continue
            ended = size == len(_END_OF_LINE) and _same(data, begin, at, _END_OF_LINE, 0)
            found = _word_row(data, begin, at, value, words, word_offsets, slots)
            if found >= 0:
                _added(hidden, vectors, found)
                count += 1
            if not ended:
                word[size + 1] = _END
                count += _add_ngrams(word, size + 2, ngrams, buckets, bits, keys, values, vectors, known, hidden)
        if count == 0:
            continue
        share = np.float32(1.0 / count)
        for index in range(len(hidden)):
            hidden[index] *= share
        first, best, second, next_best = _two_best(hidden, output, left, right, stack, scores)
        if first >= 0:
            labels[row, 0], probabilities[row, 0] = first, math.exp(best)
        if second >= 0:
            labels[row, 1], probabilities[row, 1] = second, math.exp(next_best)
    return labels, probabilities
