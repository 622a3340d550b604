"""A recogniser finds one type of identifier. There are three kinds.

    Shape        a bounded pattern at the beginning of a token, run with all others in one automaton (scanner.py), with
                 the words that must stand near where the form alone does not say enough
    Recogniser   a pattern of google-re2, run over the whole document where a cheaper gate matches
    Finder       anything else that can say where its findings are, in time linear in the text

What a pattern matched is a candidate; a validator that may look at a window of fixed size around it accepts or rejects
it. Offsets are bytes of UTF-8 until `characters` turns them into characters.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import re2

WINDOW = 48  # bytes of context on either side of a candidate


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
        return bool(_word(self.before[-1:]) or _word(self.after[:1]))


def _word(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


Validator = Callable[[Candidate], bool]

_REMEMBERED = 1 << 14
_Window = tuple[bytes, bytes, bytes]  # a candidate, what stands before it, what stands after it


def _window(data: bytes, start: int, end: int) -> _Window:
    return data[start:end], data[max(0, start - WINDOW) : start], data[end : end + WINDOW]


def _candidate(window: _Window) -> Candidate:
    return Candidate(*(part.decode(errors="ignore") for part in window))


def _remember(known: dict[_Window, Any], window: _Window, verdict: Any) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[window] = verdict


class Verdicts:
    """A validator that remembers: tables, logs and hostile texts repeat themselves, window and all."""

    def __init__(self, accept: Validator) -> None:
        self.accept = accept
        self._known: dict[_Window, bool] = {}

    def __call__(self, data: bytes, start: int, end: int) -> bool:
        window = _window(data, start, end)
        verdict = self._known.get(window)
        if verdict is None:
            verdict = self.accept(_candidate(window))
            _remember(self._known, window, verdict)
        return verdict


class Finder(Protocol):
    """What a scanner can run. `gate` is a pattern of re2 without which a document has no finding ("" runs always). The
    findings of a `shield` are not reported, but protect their text from lower ranks, as a URL that stays its digits."""

    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def gate(self) -> str: ...
    @property
    def shield(self) -> bool: ...
    def find(self, data: bytes) -> Iterable[Span]:
        """The findings in order, disjoint."""


@runtime_checkable
class Placing(Protocol):
    """A finder whose findings are all of its own type, name and score."""

    def places(self, data: bytes) -> Iterable[tuple[int, int]]: ...


@dataclass(frozen=True)
class Recogniser:
    """How one type is found by a pattern of re2 over the whole document.

    pattern  re2 syntax; its first group, where it has one, is the identifier
    accept   the validator
    gate     a cheaper pattern; a document where it does not match has no finding (default: the pattern itself)
    trim     cut from the end of a match, as the full stop after a URL
    """

    type: str
    pattern: str
    accept: Validator
    gate: str = None  # type: ignore[assignment]
    trim: bytes = b""
    shield: bool = False
    name: str = ""
    score: float = 1.0

    def __post_init__(self) -> None:
        if self.gate is None:
            object.__setattr__(self, "gate", self.pattern)
        if not self.name:
            object.__setattr__(self, "name", self.type.lower())

    @cached_property
    def _verdicts(self) -> Verdicts:
        return Verdicts(self.accept)

    @cached_property
    def compiled(self) -> "re2._Regexp":
        return re2.compile(self.pattern)

    def find(self, data: bytes) -> Iterable[Span]:
        for start, end in self.places(data):
            yield Span(start, end, self.type, self.name, self.score)

    def places(self, data: bytes) -> Iterable[tuple[int, int]]:
        """[start, end) of the findings."""
        group = 1 if self.compiled.groups else 0
        accepted = self._verdicts
        for match in self.compiled.finditer(data):
            start, end = match.span(group)
            if self.trim:
                end = start + len(data[start:end].rstrip(self.trim))
            if accepted(data, start, end):
                yield start, end


@dataclass(frozen=True)
class Shape:
    """How one type is found by its form, at the beginning of a token.

    pattern  the syntax of automaton.py; what it matches ends where a token ends
    accept   the validator
    words    patterns of words one of which must stand near; where the candidate is all the text, none need
    group    a pattern of re2 whose first group, within the match, is the identifier
    every    candidates of every length are tried, the longest first, and not the longest only
    inside   it may begin where a digit follows a letter, inside a token
    apart    nothing that would continue it touches it, such as a hyphen; or nothing "before" it; or no "hyphen" before
             it; or nor do "colons"
    digits   how many digits it has, at least and at most
    luhn     its digits pass the check of ISO/IEC 7812-1
    """

    type: str
    name: str
    pattern: str
    accept: Validator
    words: tuple[str, ...] = ()
    group: str | None = None
    every: bool = False
    inside: bool = False
    apart: bool | Literal["before", "hyphen", "colons"] = False
    digits: tuple[int, int] = (0, 1000)
    luhn: bool = False
    score: float = 1.0
    shield: bool = False

    @cached_property
    def _known(self) -> dict[_Window, tuple[int, int] | None]:
        return {}

    def place(self, data: bytes, start: int, end: int) -> tuple[int, int] | None:
        """Where the identifier of the candidate data[start:end] is, from its start; None where it is rejected."""
        key = _window(data, start, end)
        try:
            return self._known[key]
        except KeyError:
            pass
        inner = (0, end - start) if self.group is None else self._within(key[0])
        if inner is not None and not self.accept(_candidate(_window(data, start + inner[0], start + inner[1]))):
            inner = None
        _remember(self._known, key, inner)
        return inner

    @cached_property
    def compiled_group(self) -> "re2._Regexp":
        assert self.group is not None
        return re2.compile(self.group)

    def _within(self, matched: bytes) -> tuple[int, int] | None:
        match = self.compiled_group.match(matched)
        return match.span(1) if match else None


def characters(data: bytes, spans: list[Span]) -> list[Span]:
    """The spans in characters of the text `data` encodes. One pass over the text, none where it is ASCII."""
    if data.isascii() or not spans:
        return spans
    first = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80  # the first byte of each character
    before = np.concatenate(([0], np.cumsum(first)))
    return [span._replace(start=int(before[span.start]), end=int(before[span.end])) for span in spans]
