"""fastText's binary model file, version 12, as `fasttext.load_model` and every port of it reads it."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

MAGIC, VERSION = 793712314, 12
_SOFTMAX, SUPERVISED = 3, 3
WORD, _LABEL = 0, 1
PREFIX = "__label__"


def write_fasttext(
    path: Path,
    words: Sequence[tuple[bytes, int]],
    labels: Sequence[tuple[str, int]],
    vectors: np.ndarray,
    output: np.ndarray,
    *,
    ngrams: int,
    epochs: int,
    min_count: int,
) -> None:
    """Write a supervised model: words and labels with their counts in order of their rows; `vectors` float32[words +
    buckets, dim], `output` float32[labels, dim]. The same model gives the same bytes."""
    buckets, dim = len(vectors) - len(words), vectors.shape[1]
    entries = [(word, count, WORD) for word, count in words]
    entries += [((PREFIX + label).encode(), count, _LABEL) for label, count in labels]
    tokens = sum(count for _, count in words)
    with open(path, "wb") as file:
        file.write(struct.pack("<2i", MAGIC, VERSION))
        # dim, window, epochs, least count, negatives, n-grams, loss, model, buckets, subwords from and to, update rate.
        arguments = (dim, 5, epochs, min_count, 5, ngrams, _SOFTMAX, SUPERVISED, buckets, 0, 0, 100)
        file.write(struct.pack("<12id", *arguments, 1e-4))
        file.write(struct.pack("<3i2q", len(entries), len(words), len(labels), tokens, -1))
        for word, count, kind in entries:
            file.write(word + b"\0" + struct.pack("<qb", count, kind))
        for matrix in (vectors, output):
            file.write(struct.pack("<?2q", False, *matrix.shape))
            file.write(np.ascontiguousarray(matrix, "<f4").tobytes())
