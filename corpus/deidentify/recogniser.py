"""A recogniser finds one type of identifier. There are three kinds.

    Shape        a bounded pattern at the beginning of a token, run with all others in one automaton (scanner.py), with
                 the words that must stand near where the form alone does not say enough
    Recogniser   a pattern of google-re2, run over the whole document where a cheaper gate matches
    Finder       anything else that can say where its findings are, in time linear in the text

What a pattern matched is a candidate; a validator that may look at a window of fixed size around it accepts or rejects
it. Offsets are bytes of UTF-8 until `characters` turns them into characters.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import re2

from corpus.deidentify.columns import Columns, Group, Sieve
from corpus.deidentify.joined import Joined
from corpus.kernels.candidates import ASK, NO, YES
from corpus.kernels.distinct import distinct, windows_of
from corpus.kernels.spans import byte_table, trimmed

DIGITS = frozenset("0123456789")
WORD = DIGITS | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
WINDOW = 48  # bytes of context on either side of a candidate
MANY = 32  # candidates of one shape from which on they are looked at together


class Span(NamedTuple):
    """[start, end) of one finding, its type, and who found it with what certainty (0 to 1)."""

    start: int
    end: int
    type: str
    recogniser: str = ""
    score: float = 1.0


class Candidate(NamedTuple):
    """What a pattern matched, with the text around it: what a validator may look at."""

    value: str
    before: str
    after: str

    @property
    def alone(self) -> bool:
        """The candidate is all there is, as in a table's cell: nothing around it speaks for it or against it."""
        return not self.before.strip() and not self.after.strip()

    @property
    def joined(self) -> bool:
        """A letter, digit or underscore touches the candidate: it is a part of something longer."""
        return self.before[-1:] in WORD or self.after[:1] in WORD


Validator = Callable[[Candidate], bool]


def nearby(pattern: str) -> "re.Pattern[str]":
    """A validator's pattern for what stands within WINDOW of a candidate: there a search that backtracks is bounded,
    and one of the standard library costs a fraction of a call of re2. As in re2, `$` at its end is the very end."""
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern, re.ASCII)


class Windows:
    """Candidates with all that a validator may look at; those that have the same in theirs share a number, where
    there are enough of them to look.

    which   int32[candidates]: the number
    """

    def __init__(self, joined: Joined, starts: np.ndarray, ends: np.ndarray) -> None:
        lows, highs = windows_of(starts, ends, joined.begins, joined.stops, joined.documents_of(starts), WINDOW)
        columns = lows, starts, ends, highs
        if len(starts) < MANY:
            self.which = np.arange(len(starts), dtype=np.int32)
        else:
            self.which, firsts = distinct(joined.view, lows, starts, ends, highs, np.zeros_like(starts))
            columns = lows[firsts], starts[firsts], ends[firsts], highs[firsts]
        self._data, self._letters = joined.data, joined.letters
        self._bounds = list(zip(*(column.tolist() for column in columns), strict=True))

    def __len__(self) -> int:
        return len(self._bounds)

    def candidate(self, number: int, inner: tuple[int, int] | None = None) -> Candidate:
        """The candidate of a number; with `inner`, the part of it that the offsets name."""
        low, start, end, high = self._bounds[number]
        if inner is not None:
            start, end = start + inner[0], start + inner[1]
            low, high = max(low, start - WINDOW), min(high, end + WINDOW)
        letters = self._letters
        if letters[low:high].isascii():
            return Candidate(letters[start:end], letters[low:start], letters[end:high])
        cuts = self._data[start:end], self._data[low:start], self._data[end:high]
        return Candidate(*(cut.decode(errors="ignore") for cut in cuts))

    def matched(self, number: int) -> bytes:
        _, start, end, _ = self._bounds[number]
        return self._data[start:end]


def accepted(accept: Validator, joined: Joined, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """bool[candidates]; the validator is asked once for those that have the same around them."""
    if len(starts) == 0:
        return np.zeros(0, bool)
    windows = Windows(joined, starts, ends)
    return np.array([accept(windows.candidate(number)) for number in range(len(windows))], bool)[windows.which]


def settled(said: np.ndarray, accept: Validator, own: Columns) -> np.ndarray:
    """int8[candidates]: NO or YES; what columns have not `said` is asked, once for those that look alike."""
    asked = np.flatnonzero(said == ASK)
    answers = accepted(accept, own.joined, own.starts[asked], own.ends[asked])
    said[asked] = np.where(answers, YES, NO)
    return said


class Gated(Protocol):
    """What a scanner can run beside the shapes. `gate` is a pattern of re2 without which a document has no finding (""
    runs always; gates.py says what it may ask). The findings of a `shield` are not reported, but protect their text
    from lower ranks, as a URL that stays its digits."""

    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def gate(self) -> str: ...
    @property
    def shield(self) -> bool: ...


@runtime_checkable
class Finder(Gated, Protocol):
    """Its findings have types, names and scores of their own."""

    def find(self, data: bytes) -> Iterable[Span]:
        """The findings of one document in order, disjoint."""


@runtime_checkable
class Placing(Gated, Protocol):
    """A finder whose findings are all of its own type, name and score."""

    def places(self, data: bytes) -> tuple[np.ndarray, np.ndarray]:
        """(starts, ends) int64 of the findings in one document, in order and disjoint."""


@runtime_checkable
class Everywhere(Gated, Protocol):
    """A finder that reads the joined documents at once; its findings are of its own type, name and score."""

    def everywhere(self, joined: Joined) -> tuple[np.ndarray, np.ndarray]:
        """(starts, ends) int64 of the findings, in order and disjoint, in bytes of the joined documents."""


@runtime_checkable
class Preparing(Protocol):
    """A finder that reads many documents at once more quickly than one by one."""

    def prepare(self, texts: Iterable[bytes]) -> None:
        """Read the documents that `find` will be asked about next."""


@dataclass(frozen=True)
class Recogniser:
    """How one type is found by a pattern of re2 over the whole document.

    pattern  re2 syntax; its first group, where it has one, is the identifier
    accept   the validator
    gate     a cheaper pattern; a document where it does not match has no finding (default: the pattern itself)
    trim     cut from the end of a match, as the full stop after a URL
    sieve    answers for many candidates at once what it can of the validator's question
    """

    type: str
    pattern: str
    accept: Validator
    gate: str = None  # type: ignore[assignment]
    trim: bytes = b""
    sieve: Sieve | None = None
    shield: bool = False
    name: str = ""
    score: float = 1.0

    def __post_init__(self) -> None:
        if self.gate is None:
            object.__setattr__(self, "gate", self.pattern)
        if not self.name:
            object.__setattr__(self, "name", self.type.lower())

    @cached_property
    def compiled(self) -> "re2._Regexp":
        return re2.compile(self.pattern)

    def places(self, data: bytes) -> tuple[np.ndarray, np.ndarray]:
        group = 1 if self.compiled.groups else 0
        spans = np.array([match.span(group) for match in self.compiled.finditer(data)], np.int64).reshape(-1, 2)
        starts, ends = spans[:, 0], spans[:, 1]
        if self.trim:
            ends = trimmed(np.frombuffer(data, np.uint8), starts, ends, byte_table(self.trim))
        joined = Joined([data])
        if self.sieve is None or len(starts) < MANY:
            kept = accepted(self.accept, joined, starts, ends)
            return starts[kept], ends[kept]
        own = Columns(joined, starts, ends)
        kept = settled(self.sieve(own), self.accept, own) == YES
        return starts[kept], ends[kept]


@dataclass(frozen=True)
class Shape:
    """How one type is found by its form, at the beginning of a token.

    pattern  the syntax of automaton.py; what it matches ends where a token ends
    accept   the validator
    words    patterns of words one of which must stand near; where the candidate is all the text, none need
    group    where the identifier is within the match: a Group of columns.py, or the first group of a pattern of re2
    sieve    answers for many candidates at once what it can of the validator's question
    every    candidates of every length are tried, the longest first, and not the longest only
    inside   it may begin where a digit follows a letter, inside a token
    apart    nothing that would continue it touches it, such as a hyphen; or nothing "before" it; or no "hyphen" before
             it; or nor do "colons"; or nothing that makes it a "measured" number, as in 2*1234567 or 1234567%
    digits   how many digits it has, at least and at most
    luhn     its digits pass the check of ISO/IEC 7812-1
    lettered a letter of ASCII is in it
    gate     a pattern of re2 without which a document has no candidate: for forms that begin as any word does
    """

    type: str
    name: str
    pattern: str
    accept: Validator
    words: tuple[str, ...] = ()
    group: str | Group | None = None
    sieve: Sieve | None = None
    every: bool = False
    inside: bool = False
    apart: bool | Literal["before", "hyphen", "colons", "measured"] = False
    digits: tuple[int, int] = (0, 1000)
    luhn: bool = False
    lettered: bool = False
    gate: str = ""
    score: float = 1.0
    shield: bool = False

    def place(self, windows: Windows, number: int) -> tuple[int, int] | None:
        """Where the identifier of a candidate is, from its start; None where it is rejected."""
        if self.group is None:
            candidate = windows.candidate(number)
            return (0, len(windows.matched(number))) if self.accept(candidate) else None
        inner = self._within(windows.matched(number))
        return inner if inner is not None and self.accept(windows.candidate(number, inner)) else None

    def within(self, own: Columns) -> Columns:
        """The identifiers of candidates; an empty one where there is none. They must be told by columns."""
        if self.group is None:
            return own
        assert not isinstance(self.group, str)
        starts, ends = self.group.places(own.joined.view, own.starts, own.ends)
        return Columns(own.joined, np.maximum(starts, 0), np.maximum(ends, 0))

    @cached_property
    def compiled_group(self) -> "re2._Regexp":
        assert isinstance(self.group, str)
        return re2.compile(self.group)

    def _within(self, matched: bytes) -> tuple[int, int] | None:
        if isinstance(self.group, str):
            match = self.compiled_group.match(matched)
            return match.span(1) if match else None
        assert self.group is not None
        starts, ends = self.group.places(
            np.frombuffer(matched, np.uint8), np.zeros(1, np.int64), np.array([len(matched)])
        )
        return (int(starts[0]), int(ends[0])) if ends[0] > starts[0] >= 0 else None


def characters(data: bytes, spans: list[Span]) -> list[Span]:
    """The spans in characters of the text `data` encodes. One pass over the text, none where it is ASCII."""
    if data.isascii() or not spans:
        return spans
    first = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80  # the first byte of each character
    before = np.concatenate(([0], np.cumsum(first)))
    return [span._replace(start=int(before[span.start]), end=int(before[span.end])) for span in spans]
