"""A scanner runs many recognisers over one document and settles where they overlap.

    document ─┬ one pass of the shapes' automaton ─► candidates ─ validators ─┐
              └ one pass of a regex set ─► the few others that may match ─────┴► findings ─ overlaps by rank ─► spans

Linear in the document: the automaton looks a fixed number of bytes ahead, re2's automata are linear whatever the text,
windows are of fixed size, and taken text is marked byte by byte.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import re2

from corpus.deidentify.automaton import Automaton
from corpus.deidentify.recogniser import Finder, Shape, Span
from corpus.kernels.automaton import find_candidates, find_words

_BEFORE, _AFTER = 44, 24  # bytes between a candidate and a word that speaks for it


class Shapes:
    """Shapes that are looked for together."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self.shapes = tuple(shapes)

    @cached_property
    def _automaton(self) -> Automaton:
        return Automaton(shape.pattern for shape in self.shapes)

    @cached_property
    def _words(self) -> tuple[tuple[np.ndarray, ...], int, np.ndarray]:
        """The tables of the words' automaton, how many kinds of words there are, and which kind each shape needs."""
        kinds = list(dict.fromkeys(shape.words for shape in self.shapes if shape.words))
        patterns, kind_of = [], []
        for number, words in enumerate(kinds):
            patterns += [f"(?i){word}" for word in words]
            kind_of += [number] * len(words)
        automaton = Automaton(patterns).complete()
        accepted = np.array(kind_of, np.int32)[automaton.accepted[: automaton.first.max()]]
        needs = np.array([kinds.index(shape.words) if shape.words else -1 for shape in self.shapes], np.int32)
        return (automaton.classes, automaton.table, automaton.first, accepted), len(kinds), needs

    @cached_property
    def _flags(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([shape.every for shape in self.shapes]), np.array([shape.inside for shape in self.shapes])

    def candidates(self, data: bytes) -> list[tuple[int, int, int]]:
        """(start, end, place of the shape) in order of start, before validation."""
        view = np.frombuffer(data, np.uint8)
        vocabulary, kinds, needs = self._words
        words = find_words(view, *vocabulary)
        own, (every, inside) = self._automaton, self._flags
        last = np.full(kinds, -(1 << 30), np.int64)
        candidates: list[tuple[int, int, int]] = []
        at = 0
        while True:
            tables = (own.classes, own.table, own.first, own.accepted)
            found, at, state = find_candidates(view, at, *tables, needs, every, inside, words, _BEFORE, _AFTER, last)
            candidates += zip(*found.tolist(), strict=True)
            if state < 0:
                return candidates
            own.explore(state)

    def find(self, data: bytes) -> Iterable[tuple[int, Span]]:
        """(place of the shape, finding). Findings of one shape do not overlap."""
        reached = [0] * len(self.shapes)
        for start, end, place in self.candidates(data):
            if start >= reached[place]:
                span = self.shapes[place].span(data, start, end)
                if span is not None:
                    reached[place] = span.end
                    yield place, span


class Scanner:
    """Recognisers in order of rank: where two findings overlap, the earlier recogniser's stands."""

    def __init__(self, recognisers: Iterable[Finder | Shape]) -> None:
        self.recognisers = tuple(recognisers)
        ranked = list(enumerate(self.recognisers))
        self._shapes = Shapes([recogniser for _, recogniser in ranked if isinstance(recogniser, Shape)])
        self._shape_ranks = [rank for rank, recogniser in ranked if isinstance(recogniser, Shape)]
        self._finders = [(rank, finder) for rank, finder in ranked if not isinstance(finder, Shape)]
        options = re2.Options()
        options.max_mem = 64 << 20  # the set's automaton; too little makes it start over again and again
        self._set = re2.Set.SearchSet(options)
        self._gated = [(rank, finder) for rank, finder in self._finders if finder.gate]
        for _, finder in self._gated:
            self._set.Add(finder.gate)
        self._set.Compile()

    def find(self, data: bytes) -> list[Span]:
        """The findings in `data`, disjoint and in order, in bytes."""
        return self.settled(self.findings(data), len(data))

    def findings(self, data: bytes) -> list[tuple[int, Span]]:
        """(rank, finding) of every recogniser, where they overlap too: what a number could be."""
        findings: list[tuple[int, Span]] = []
        if self._shape_ranks:
            findings += [(self._shape_ranks[place], span) for place, span in self._shapes.find(data)]
        matched = [self._gated[index] for index in self._set.Match(data) or ()] if self._gated else []
        for rank, finder in [*matched, *(own for own in self._finders if not own[1].gate)]:
            findings += [(rank, span) for span in finder.find(data)]
        return findings

    def settled(self, findings: list[tuple[int, Span]], size: int) -> list[Span]:
        """The findings that no finding of an earlier rank overlaps, without those of shields."""
        if not findings:
            return []
        findings.sort()
        taken = bytearray(size)
        spans = []
        for rank, span in findings:
            if span.end > span.start and taken.find(1, span.start, span.end) < 0:
                taken[span.start : span.end] = b"\1" * (span.end - span.start)
                if not self.recognisers[rank].shield:
                    spans.append(span)
        spans.sort()
        return spans
