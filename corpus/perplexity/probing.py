"""KenLM model files of the probing kind, mapped and scored by our own compiled loop, a column of documents at a time.

KenLM's Python module takes a line at a time, twice the time of its own look-ups; this reads the same tables, and gives
the same probabilities up to the order of the sums. Other kinds of files (.arpa, tries) are left to KenLM.

    header     "mmap lm … format version 5", test values, order, counts of n-grams by order
    words      hash table, its header of 8 bytes before it
    unigrams   by word id, one more than there are words
    n-grams    a hash table for each order
    strings    of the words, which are not needed
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from corpus.document import utf8_buffers
from corpus.kernels.characters import class_table
from corpus.kernels.ngrams import (
    LONGEST_ENTRY,
    MIDDLE_ENTRY,
    UNIGRAM_ENTRY,
    WORD_ENTRY,
    murmur,
    score_lines,
    word_id,
)
from corpus.mapping import map_file

MAGIC = b"mmap lm http://kheafield.com/code format version 5\n\0"
# After the magic, padded to 8 bytes: 0.0, 1.0, -0.5, word ids 1 and the largest, padding, 1.
TEST_VALUES = b"".join(
    (
        np.array([0.0, 1.0, -0.5], "<f4").tobytes(),
        np.array([1, 0xFFFFFFFF, 0], "<u4").tobytes(),
        np.array([1], "<u8").tobytes(),
    )
)
FIXED = np.dtype(
    {
        "names": ["order", "multiplier", "kind", "strings", "version"],
        "formats": ["u1", "<f4", "<i4", "?", "<u4"],
        "offsets": [0, 4, 8, 12, 16],
        "itemsize": 20,
    }
)
PROBING = 0  # KenLM's number of this kind
WORDS_HEADER = 8


def _aligned(size: int) -> int:
    return -(-size // 8) * 8


def _buckets(entries: int, multiplier: np.float32) -> int:
    """Slots of a table, by KenLM's arithmetic of 32-bit floats."""
    return max(entries + 1, int(multiplier * np.float32(entries)))


@dataclass(frozen=True)
class ProbingModel:
    """A mapped model file and where its tables are; see `corpus.kernels.ngrams.score_lines`."""

    data: np.ndarray  # uint8, the file
    starts: np.ndarray  # int64[order + 1]
    buckets: np.ndarray  # int64[order + 1]
    begin_word: int
    end_word: int

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The model of a file, or None when the file is of another kind or shorter than its header says."""
        data = map_file(path, np.uint8)
        head = MAGIC.ljust(_aligned(len(MAGIC)), b"\0") + TEST_VALUES
        after = len(head) + FIXED.itemsize
        if data[: len(head)].tobytes() != head or len(data) < after:
            return None
        fixed = np.frombuffer(data[len(head) : after].tobytes(), FIXED)[0]
        order = int(fixed["order"])
        counts = np.frombuffer(data[after : after + 8 * order].tobytes(), "<u8").tolist()
        if fixed["kind"] != PROBING or fixed["version"] or order < 2 or len(counts) < order:
            return None
        sizes = [_buckets(counts[0], fixed["multiplier"]), counts[0] + 1]
        sizes += [_buckets(count, fixed["multiplier"]) for count in counts[1:]]
        entries = [WORD_ENTRY, UNIGRAM_ENTRY, *[MIDDLE_ENTRY] * (order - 2), LONGEST_ENTRY]
        start = _aligned(after + 8 * order) + WORDS_HEADER
        starts = [start]
        for size, entry in zip(sizes, entries, strict=True):
            starts.append(starts[-1] + size * entry)
        if len(data) < starts[-1]:
            return None
        marks = np.frombuffer(b"<s></s>", np.uint8)
        begin, end = (word_id(data, start, sizes[0], murmur(marks, *bounds)) for bounds in ((0, 3), (3, 7)))
        return cls(data, np.array(starts[:-1], np.int64), np.array(sizes, np.int64), int(begin), int(end))

    def score(self, text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
        """(Σ log10 p float64, words and line ends int64) of each normalised text (no nulls), line by line."""
        return self._score(text, np.empty(0))

    def score_each(self, text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
        """(log10 p float64[tokens of all texts], tokens int64[rows]); tokens are words and line ends in their order."""
        _, offsets = utf8_buffers(text)
        # A word has a byte and one after it, but for the last of the texts; so has a line's end.
        each = np.empty(int(offsets[-1] - offsets[0]) + 2 * len(text) + 1)
        _, tokens = self._score(text, each)
        return each[: tokens.sum()], tokens

    def _score(self, text: pa.StringArray, each: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        model = (self.data, self.starts, self.buckets, self.begin_word, self.end_word)
        return score_lines(*utf8_buffers(text), class_table(), *model, each)
