"""Candidates as columns: the validator's question, asked of all candidates of a shape together.

A text may be nothing but numbers, each another, and then a call of Python for each is what it costs. A `Sieve` answers
for all of them in compiled loops: rejected, accepted, or for the validator to say. It may leave anything to the
validator, and never contradicts it (tests/corpus/test_deidentify_columns.py).
"""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from corpus.deidentify.automaton import Automaton
from corpus.deidentify.joined import Joined
from corpus.deidentify.reserved import RECORD_MARK
from corpus.kernels.candidates import ASK, NO, YES, before_first, counted, digits_of, first_to_end, run_back, run_from
from corpus.kernels.spans import byte_table

_WIDTH = 24  # digits of a number that are looked at
WORD_BYTES = byte_table(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
DIGIT_BYTES = byte_table(b"0123456789")
BEYOND_ASCII = byte_table(bytes(range(0x80, 0xFF)))
_OPEN = WORD_BYTES | byte_table(b".$#+/@-")
BLANK_BYTES = byte_table(bytes(range(33)) + bytes(range(0x80, 0xFF)))  # beyond ASCII it may be white space
_NO_BLANK = ~byte_table(b" ")
_LETTER_NEEDS_WORD = byte_table(b"-@/")


class Columns:
    """Candidates [starts, ends) of joined documents: int64[candidates], bytes."""

    def __init__(self, joined: Joined, starts: np.ndarray, ends: np.ndarray) -> None:
        self.joined, self.starts, self.ends = joined, starts, ends
        documents = joined.documents_of(starts)
        self.lows, self.highs = joined.begins[documents], joined.stops[documents]

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, places: np.ndarray) -> np.ndarray:
        """uint8[candidates]: the bytes at these places, 0 outside of the document."""
        inside = (places >= self.lows) & (places < self.highs)
        return np.where(inside, self.joined.view[np.where(inside, places, 0)], 0).astype(np.uint8)

    @cached_property
    def before(self) -> np.ndarray:
        """uint8[candidates]: the byte before each."""
        return self.at(self.starts - 1)

    @cached_property
    def after(self) -> np.ndarray:
        """uint8[candidates]: the byte behind each."""
        return self.at(self.ends)

    @cached_property
    def beyond(self) -> np.ndarray:
        """uint8[candidates]: the second byte behind each."""
        return self.at(self.ends + 1)

    @cached_property
    def _digits(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return digits_of(self.joined.view, self.starts, self.ends, _WIDTH)

    @property
    def digits(self) -> np.ndarray:
        """int8[candidates, 24]: their digits from the left, zeros behind."""
        return self._digits[0]

    @property
    def counts(self) -> np.ndarray:
        """int32[candidates]: how many digits each has."""
        return self._digits[1]

    @property
    def different(self) -> np.ndarray:
        """int32[candidates]: how many different digits each has."""
        return self._digits[2]

    def last(self, place: int) -> np.ndarray:
        """int8[candidates]: the digit that stands at this place from the end (1: the last), 0 where there is none."""
        at = self.counts - place
        return np.where(at >= 0, self.digits[np.arange(len(self)), np.clip(at, 0, _WIDTH - 1)], 0)

    def until(self, table: np.ndarray) -> "Columns":
        """Each before its first byte that is in the table, bool[256]."""
        return Columns(self.joined, self.starts, before_first(self.joined.view, self.starts, self.ends, table))

    def around(self, reach: int) -> tuple["Columns", "Columns"]:
        """What stands within so many bytes before each, and behind each."""
        low, high = np.maximum(self.lows, self.starts - reach), np.minimum(self.highs, self.ends + reach)
        return Columns(self.joined, low, self.starts), Columns(self.joined, self.ends, high)

    @property
    def alone(self) -> np.ndarray:
        """bool[candidates]: there is nothing but white space around it, as far as the windows of validators go."""
        blank = [side.ends - side.starts - side.count(BLANK_BYTES) for side in self.around(48)]
        return (blank[0] == 0) & (blank[1] == 0)

    def count(self, table: np.ndarray) -> np.ndarray:
        """int32[candidates]: how many bytes of each are in the table, bool[256]."""
        return counted(self.joined.view, self.starts, self.ends, table)

    @property
    def letters_beside(self) -> np.ndarray:
        """bool[candidates]: what touches it is beyond ASCII, and may be a letter."""
        return (self.before >= 0x80) | (self.after >= 0x80)

    @property
    def in_word(self) -> np.ndarray:
        """bool[candidates]: a letter, digit or underscore touches it."""
        return WORD_BYTES[self.before] | WORD_BYTES[self.after]

    @property
    def apart(self) -> np.ndarray:
        """bool[candidates]: as `apart` of payment.py; a sign of money beyond ASCII is not looked at."""
        after, beyond = self.after, self.beyond
        goes_on = (_LETTER_NEEDS_WORD[after] & WORD_BYTES[beyond]) | ((after == ord(".")) & DIGIT_BYTES[beyond])
        return ~(_OPEN[self.before] | WORD_BYTES[after] | goes_on)

    @property
    def marked(self) -> np.ndarray:
        """bool[candidates]: it begins as the surrogate of a record number does."""
        one, other = (ord(c) for c in RECORD_MARK)
        return (self.at(self.starts) & 0xDF == one) & (self.at(self.starts + 1) & 0xDF == other)


Sieve = Callable[[Columns], np.ndarray]
"""candidates → int8[candidates]: NO, ASK or YES"""


def verdicts(accepted: np.ndarray, unsure: np.ndarray | bool = False) -> np.ndarray:
    """int8[candidates]: YES where accepted, else NO; ASK where the columns cannot say."""
    return np.where(unsure, ASK, np.where(accepted, YES, NO)).astype(np.int8)


def possible(candidates: np.ndarray) -> np.ndarray:
    """int8[candidates]: ASK for what may be one, else NO."""
    return np.where(candidates, ASK, NO).astype(np.int8)


class _Pattern:
    """A pattern in the syntax of automaton.py, worked out when it is first asked for."""

    def __init__(self, pattern: str, *, backwards: bool = False) -> None:
        self.pattern, self._backwards = pattern, backwards

    @cached_property
    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(classes, table, first) of its automaton, as the kernels want them."""
        automaton = Automaton([self.pattern], backwards=self._backwards).complete()
        return automaton.classes, automaton.table, automaton.first


class Following(_Pattern):
    """What stands behind a candidate at once; `edge`: it ends where a word does."""

    def __init__(self, pattern: str, *, edge: bool = False, reach: int = 48) -> None:
        super().__init__(pattern)
        self._edge, self._reach = edge, reach

    def __call__(self, own: Columns) -> np.ndarray:
        """bool[candidates]"""
        highs = np.minimum(own.highs, own.ends + self._reach)
        return run_from(own.joined.view, own.ends, highs, *self.tables, self._edge) >= 0


class Preceding(_Pattern):
    """What stands before a candidate at once; `edge`: it begins where a word does."""

    def __init__(self, pattern: str, *, edge: bool = True, reach: int = 48) -> None:
        super().__init__(pattern, backwards=True)
        self._edge, self._reach = edge, reach

    def __call__(self, own: Columns) -> np.ndarray:
        """bool[candidates]"""
        lows = np.maximum(own.lows, own.starts - self._reach)
        return run_back(own.joined.view, own.starts, lows, *self.tables, self._edge)


class Containing(_Pattern):
    """What stands somewhere in a candidate."""

    def __init__(self, pattern: str) -> None:
        fold = "(?i)" if pattern.startswith("(?i)") else ""
        super().__init__(rf"{fold}(?:.|\n)*(?:{pattern.removeprefix('(?i)')})")

    def __call__(self, own: Columns) -> np.ndarray:
        """bool[candidates]"""
        return run_from(own.joined.view, own.starts, own.ends, *self.tables, False) >= 0


Places = tuple[np.ndarray, np.ndarray]


@runtime_checkable
class Group(Protocol):
    """Where in candidates data[start:end] the identifiers are."""

    def places(self, data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Places:
        """(starts, ends) int64[candidates] of the identifiers, -1 where there is none."""


class Inside:
    """The identifier stands behind the first of the bytes `after`, `skipped` more bytes and blanks, up to the first of
    the bytes `before`, or the end."""

    def __init__(self, after: bytes, before: bytes = b"", *, skipped: int = 0) -> None:
        self._after, self._before, self._skipped = byte_table(after), byte_table(before), skipped

    def places(self, data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Places:
        signs = before_first(data, starts, ends, self._after)
        firsts = np.minimum(signs + 1 + self._skipped, ends)
        firsts = before_first(data, firsts, ends, _NO_BLANK)
        lasts = before_first(data, firsts, ends, self._before)
        return np.where(firsts < lasts, firsts, -1), lasts


class Head(_Pattern):
    """The identifier is the longest match of a pattern at the beginning of a candidate."""

    def places(self, data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Places:
        lasts = run_from(data, starts, ends, *self.tables, False)
        return np.where(lasts < 0, -1, starts), lasts


class Tail(_Pattern):
    """The identifier is what a pattern matches up to the end of a candidate, without `behind` bytes, from the first
    place behind its first `skipped` bytes where a word or a number begins."""

    def __init__(self, pattern: str, *, skipped: int = 0, behind: int = 0) -> None:
        super().__init__(pattern)
        self._skipped, self._behind = skipped, behind

    def places(self, data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Places:
        lasts = ends - self._behind
        firsts = first_to_end(data, starts + self._skipped, lasts, *self.tables)
        return firsts, np.where(firsts < 0, -1, lasts)
