"""A recogniser finds one type of identifier; a scanner runs many over one document.

    document ─ one pass of a regex set ─► the few recognisers that may match ─ pattern ─► candidates
             ─ validator, context ─► findings ─ overlaps settled by rank ─► spans

Every pattern runs in google-re2, whose automata are linear in the text whatever the text is; the windows handed to a
validator are of fixed size, so a scan is linear as a whole. Offsets are bytes of UTF-8 until `characters`
turns them into characters.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import re2

WINDOW = 48  # bytes of context on either side of a candidate


class Span(NamedTuple):
    """[start, end) of one finding, and its type."""

    start: int
    end: int
    type: str


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


@dataclass(frozen=True)
class Recogniser:
    """How one type is found.

    pattern  re2 syntax; its first group, where it has one, is the identifier
    accept   the validator
    gate     a cheaper pattern; a document where it does not match has no finding (default: the pattern itself)
    trim     cut from the end of a match, as the full stop after a URL
    shield   the finding is not reported, but protects its text from lower ranks, as a URL that stays does its digits
    """

    type: str
    pattern: str
    accept: Validator
    gate: str | None = None
    trim: bytes = b""
    shield: bool = False

    @cached_property
    def compiled(self) -> "re2._Regexp":
        return re2.compile(self.pattern)

    def find(self, data: bytes) -> Iterable[Span]:
        group = 1 if self.compiled.groups else 0
        for match in self.compiled.finditer(data):
            start, end = match.span(group)
            if self.trim:
                end = start + len(data[start:end].rstrip(self.trim))
            candidate = Candidate(
                data[start:end].decode(errors="ignore"),
                data[max(0, start - WINDOW) : start].decode(errors="ignore"),
                data[end : end + WINDOW].decode(errors="ignore"),
            )
            if self.accept(candidate):
                yield Span(start, end, self.type)


class Scanner:
    """Recognisers in order of rank: where two findings overlap, the earlier recogniser's stands."""

    def __init__(self, recognisers: Iterable[Recogniser]) -> None:
        self.recognisers = tuple(recognisers)
        options = re2.Options()
        options.max_mem = 64 << 20  # the set's automaton; too little makes it start over again and again
        self._set = re2.Set.SearchSet(options)
        for recogniser in self.recognisers:
            self._set.Add(recogniser.gate or recogniser.pattern)
        self._set.Compile()

    def find(self, data: bytes) -> list[Span]:
        """The findings in `data`, disjoint and in order, in bytes."""
        taken = _Intervals()
        shields = set()
        for index in sorted(self._set.Match(data) or ()):  # None where nothing matches
            recogniser = self.recognisers[index]
            for span in recogniser.find(data):
                if taken.add(span) and recogniser.shield:
                    shields.add(span)
        return [span for span in taken.spans if span not in shields]


class _Intervals:
    """Disjoint spans in order of their start."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def add(self, span: Span) -> bool:
        """Insert `span` unless it overlaps one that is there."""
        at = bisect_left(self.spans, span)
        if at and self.spans[at - 1].end > span.start:
            return False
        if at < len(self.spans) and self.spans[at].start < span.end:
            return False
        self.spans.insert(at, span)
        return True


def characters(data: bytes, spans: list[Span]) -> list[Span]:
    """The spans in characters of the text `data` encodes. One pass over the text, none where it is ASCII."""
    if data.isascii():
        return spans
    first = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80  # the first byte of each character
    before = np.concatenate(([0], np.cumsum(first)))
    return [Span(int(before[span.start]), int(before[span.end]), span.type) for span in spans]
