"""fastText's quantised models (.ftz) read by our own compiled loop: lid.176.ftz five times as fast, to the bit.

A file holds arguments, a dictionary with the n-grams that pruning kept, the input vectors as codes of product
quantisation (Joulin et al. 2016, "FastText.zip") and the output matrix. Vectors are written out when it is read.
Other kinds of models (full vectors, another loss, n-grams of words, a quantised output) are left to fastText.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np

from corpus.kernels.fasttext import fill_ngrams, fill_words, two_best
from corpus.quality.fasttext_file import MAGIC, PREFIX, SUPERVISED, VERSION, WORD

HIERARCHICAL = 1  # fastText's number of this loss
CENTROIDS = 256


class _File:
    """Values one after another."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def array(self, kind: str, count: int) -> np.ndarray:
        values = np.frombuffer(self.data, kind, count, self.at)
        self.at += values.nbytes
        return values

    def string(self) -> bytes:
        end = self.data.index(b"\0", self.at)
        value = self.data[self.at : end]
        self.at = end + 1
        return value

    def quantiser(self) -> tuple[np.ndarray, int, int, int]:
        """(centroids, parts, width of a part, width of the last)."""
        dim, parts, width, last = self.take("4i")
        return self.array("<f4", dim * CENTROIDS), parts, width, last


@dataclass(frozen=True)
class QuantisedModel:
    """A model that is in memory; see `corpus.kernels.fasttext.two_best`."""

    labels: tuple[str, ...]
    arrays: tuple[Any, ...]

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The model of a file, or None for one of another kind. A file that is cut short is left to fastText, too."""
        with open(path, "rb") as handle:
            if handle.read(8) != struct.pack("<2i", MAGIC, VERSION):
                return None
            head = handle.read(60)
        if len(head) < 60:
            return None
        dim, *_, loss, model, buckets, shortest, longest, _ = struct.unpack("<12i", head[:48])
        order = struct.unpack("<12i", head[:48])[5]
        if (loss, model, order) != (HIERARCHICAL, SUPERVISED, 1) or longest < 1:
            return None
        try:
            return cls._parsed(_File(path.read_bytes()), dim, buckets, (shortest, longest))
        except (struct.error, ValueError, IndexError):
            return None

    @classmethod
    def _parsed(cls, file: _File, dim: int, buckets: int, ngrams: tuple[int, int]) -> Self | None:
        file.take("2i12id")
        entries, known, _, _, pruned = file.take("3i2q")
        if pruned < 0:
            return None
        listed = [(file.string(), *file.take("qb")) for _ in range(entries)]
        index = file.array("<i4", 2 * pruned).reshape(-1, 2)
        if not file.take("?")[0]:
            return None
        vectors = _vectors(file, dim)
        if file.take("?")[0]:
            return None
        rows, width = file.take("2q")
        output = file.array("<f4", rows * width).reshape(rows, width)
        words = [word for word, _, kind in listed if kind == WORD]
        named = [(word, count) for word, count, kind in listed if kind != WORD]
        if len(words) != known or len(named) != rows or len(vectors) != known + pruned or rows < 2:
            return None
        offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
        data = np.frombuffer(b"".join(words) or b"\0", np.uint8)
        slots = np.full(_room(len(words)), -1, np.int32)
        fill_words(data, offsets, slots)
        bits = np.zeros(buckets // 8 + 1, np.uint8)
        keys, values = np.full(_room(pruned), -1, np.int32), np.zeros(_room(pruned), np.int32)
        fill_ngrams(index[:, 0].copy(), index[:, 1].copy(), bits, keys, values)
        tree = _tree([count for _, count in named])
        labels = tuple(word.decode().removeprefix(PREFIX) for word, _ in named)
        arrays = (data, offsets, slots, ngrams, np.uint32(buckets), bits, keys, values, vectors, output.copy(), *tree)
        return cls(labels, arrays)

    def best(self, lines: Sequence[str]) -> list[tuple[str, float, float] | None]:
        """(label, its probability, that of the second label or 0) of each line, which has no line feed; None for one
        that the model says nothing of."""
        encoded = [line.encode() for line in lines]
        offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        data = np.frombuffer(b"".join(encoded) or b"\0", np.uint8)
        labels, probabilities = two_best(data, offsets, *self.arrays)
        return [
            (self.labels[label], best, second) if label >= 0 else None
            for label, (best, second) in zip(labels[:, 0].tolist(), probabilities.tolist(), strict=True)
        ]


def _room(entries: int) -> int:
    """Slots of a table that is at most a quarter full."""
    return 1 << max(4, (4 * entries).bit_length())


def _vectors(file: _File, dim: int) -> np.ndarray:
    """float32[rows, dim]: the input vectors, each code's centroid times the row's norm."""
    with_norm, rows, width, codes = file.take("?2qi")
    parts_of = file.array("u1", codes)
    centroids, parts, size, last = file.quantiser()
    coded = parts_of.reshape(rows, parts)
    vectors = np.empty((rows, width), np.float32)
    for part, (begin, end) in enumerate(pairwise([*range(0, size * parts, size), dim])):
        first = part * CENTROIDS * size
        table = centroids[first : first + CENTROIDS * (last if part == parts - 1 else size)]
        vectors[:, begin:end] = table.reshape(CENTROIDS, end - begin)[coded[:, part]]
    if with_norm:
        codes_of_norms = file.array("u1", rows)
        norms, *_ = file.quantiser()
        vectors *= norms[codes_of_norms][:, None]
    return vectors


def _tree(counts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(left, right) int32[2 · labels - 1] of fastText's Huffman tree; labels come in order of falling count."""
    size = len(counts)
    left, right = np.full(2 * size - 1, -1, np.int32), np.full(2 * size - 1, -1, np.int32)
    weights = [*counts, *[10**15] * (size - 1)]
    leaf, node = size - 1, size
    for parent in range(size, 2 * size - 1):
        pair = []
        for _ in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(node)
                node += 1
        left[parent], right[parent] = pair
        weights[parent] = weights[pair[0]] + weights[pair[1]]
    return left, right
