"""Packing: how the documents of a store become training sequences of equal length.

Concatenate and chunk: sequence q of a store is its tokens [q·S, (q+1)·S), whatever documents they belong to. No
padding, nothing repeated; the documents that straddle a boundary are cut there, and the last tokens that do not fill a
sequence, fewer than S, are not trained. Packing fixes two things, which is all that the plan and the loader know of
it: how many sequences a store has, and which token span a sequence is.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Packing:
    """Concatenate-and-chunk of a store of so many tokens."""

    tokens: int
    sequence_length: int

    @property
    def sequences(self) -> int:
        """Sequences of one epoch."""
        return self.tokens // self.sequence_length

    @property
    def tail_tokens(self) -> int:
        """Tokens at the end of the store that fill no sequence and are not trained."""
        return self.tokens % self.sequence_length

    def span(self, sequence: int) -> tuple[int, int]:
        """Token span [start, stop) of a sequence in the store."""
        return sequence * self.sequence_length, (sequence + 1) * self.sequence_length

    def sequences_of(self, start: int, stop: int) -> np.ndarray:
        """int64: the sequences that hold a token of [start, stop), in order; none for a span within the tail."""
        last = min(-(-stop // self.sequence_length), self.sequences)
        return np.arange(start // self.sequence_length, last, dtype=np.int64)
