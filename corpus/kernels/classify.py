"""Training of fastText's supervised model (Joulin et al. 2017): a softmax over the mean of word and n-gram vectors.

Its own trainer runs its threads against one another, so that no two runs agree; this one takes one document after the
other in a given order, and the same input gives the same bytes. The text is cut and hashed as fastText cuts it.
"""

from dataclasses import dataclass

import numba
import numpy as np
import pyarrow as pa

from corpus.document import utf8_buffers
from corpus.kernels.hashing import hash_bytes

END = "</s>"  # fastText puts it behind every line
_LABEL = np.frombuffer(b"__label__", np.uint8)


@dataclass(frozen=True)
class Features:
    """Words of some documents as the model sees them: `rows` their row in the vocabulary, -1 for an unknown one;
    `hashes` fastText's 32-bit hash, of which n-grams are made; document d owns offsets[d]:offsets[d + 1]."""

    rows: np.ndarray  # int32[tokens]
    hashes: np.ndarray  # int32[tokens]
    offsets: np.ndarray  # int64[documents + 1]


@dataclass(frozen=True)
class Tokens:
    """Words between white space, a final END included; `keys` are 64-bit hashes, `starts` and `ends` bytes of `data`
    (both -1 for END)."""

    data: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    keys: np.ndarray
    hashes: np.ndarray
    offsets: np.ndarray

    def word(self, token: int) -> bytes:
        start, end = self.starts[token], self.ends[token]
        return END.encode() if start < 0 else self.data[start:end].tobytes()


def tokens_of(text: pa.StringArray) -> Tokens:
    """The words of each text, those that look like labels left out."""
    data, documents = utf8_buffers(text)
    return Tokens(data, *_tokens(data, documents, np.frombuffer(END.encode(), np.uint8), _LABEL))


def train_model(
    features: Features,
    labels: np.ndarray,
    order: np.ndarray,
    *,
    words: int,
    buckets: int,
    ngrams: int,
    dim: int,
    classes: int,
    rate: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(input float32[words + buckets, dim], output float32[classes, dim]) after stochastic gradient descent over the
    documents in `order`, the rate falling linearly to 0. Some 10 M features of 16 dimensions a second."""
    generator = np.random.Generator(np.random.PCG64(seed))
    vectors = generator.uniform(-1 / dim, 1 / dim, (words + buckets, dim)).astype(np.float32)
    output = np.zeros((classes, dim), np.float32)
    arguments = (features.rows, features.hashes, features.offsets, labels.astype(np.int64), order)
    _train(*arguments, vectors, output, words, max(buckets, 1), ngrams if buckets else 1, rate)
    return vectors, output


@numba.njit(cache=True, nogil=True)
def fasttext_hash(data, start, end):
    """fastText's 32-bit FNV-1a, in which bytes are signed."""
    value = np.uint32(2166136261)
    for at in range(start, end):
        value = np.uint32((value ^ np.uint32(np.int8(data[at]))) * np.uint32(16777619))
    return value


@numba.njit(cache=True, nogil=True)
def _is_blank(byte):
    return byte == 32 or 9 <= byte <= 13 or byte == 0


@numba.njit(cache=True, nogil=True)
def _tokens(data, documents, end_mark, label):
    count = len(documents) - 1
    inside = False
    for at in range(documents[0], documents[-1]):
        blank = _is_blank(data[at])
        count += not blank and not inside
        inside = not blank
    # Two texts that touch without a blank make one run more than was counted.
    count += len(documents)
    starts, ends = np.empty(count, np.int64), np.empty(count, np.int64)
    keys, hashes = np.empty(count, np.uint64), np.empty(count, np.int32)
    offsets = np.zeros(len(documents), np.int64)
    end_key, end_hash = hash_bytes(end_mark, 0, len(end_mark)), np.int32(fasttext_hash(end_mark, 0, len(end_mark)))
    total = 0
    for document in range(len(documents) - 1):
        at, stop = documents[document], documents[document + 1]
        while at < stop:
            if _is_blank(data[at]):
                at += 1
                continue
            start = at
            while at < stop and not _is_blank(data[at]):
                at += 1
            same = 0
            while same < len(label) and start + same < at and data[start + same] == label[same]:
                same += 1
            if same == len(label):
                continue
            starts[total], ends[total] = start, at
            keys[total], hashes[total] = hash_bytes(data, start, at), np.int32(fasttext_hash(data, start, at))
            total += 1
        starts[total], ends[total], keys[total], hashes[total] = -1, -1, end_key, end_hash
        total += 1
        offsets[document + 1] = total
    return starts[:total].copy(), ends[:total].copy(), keys[:total].copy(), hashes[:total].copy(), offsets


@numba.njit(cache=True, nogil=True)
def _gather(rows, hashes, first, last, words, buckets, ngrams, into):
    """Write the rows of the input matrix that the words and n-grams of a document take; returns how many."""
    count = 0
    for token in range(first, last):
        if rows[token] >= 0:
            into[count] = rows[token]
            count += 1
    for token in range(first, last):
        value = np.uint64(np.int64(hashes[token]))
        for following in range(token + 1, min(last, token + ngrams)):
            value = value * np.uint64(116049371) + np.uint64(np.int64(hashes[following]))
            into[count] = words + np.int64(value % np.uint64(buckets))
            count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _train(rows, hashes, offsets, labels, order, vectors, output, words, buckets, ngrams, rate):
    longest = 0
    for document in range(len(offsets) - 1):
        longest = max(longest, offsets[document + 1] - offsets[document])
    taken = np.empty(longest * ngrams, np.int64)
    dim, classes = vectors.shape[1], output.shape[0]
    hidden, gradient = np.empty(dim, np.float32), np.empty(dim, np.float32)
    scores = np.empty(classes, np.float32)
    for step in range(len(order)):
        document = order[step]
        now = np.float32(rate * (1.0 - step / len(order)))
        count = _gather(rows, hashes, offsets[document], offsets[document + 1], words, buckets, ngrams, taken)
        hidden[:] = 0
        for index in range(count):
            row = taken[index]
            for axis in range(dim):
                hidden[axis] += vectors[row, axis]
        hidden /= np.float32(max(count, 1))
        for label in range(classes):
            score = np.float32(0)
            for axis in range(dim):
                score += output[label, axis] * hidden[axis]
            scores[label] = score
        scores = np.exp(scores - scores.max())
        scores /= scores.sum()
        gradient[:] = 0
        for label in range(classes):
            pull = now * (np.float32(label == labels[document]) - scores[label])
            for axis in range(dim):
                gradient[axis] += pull * output[label, axis]
                output[label, axis] += pull * hidden[axis]
        gradient /= np.float32(max(count, 1))
        for index in range(count):
            row = taken[index]
            for axis in range(dim):
                vectors[row, axis] += gradient[axis]
