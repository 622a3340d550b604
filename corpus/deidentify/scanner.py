"""A scanner runs many recognisers over one document and settles where they overlap.

    document ─┬ one pass of the shapes' automaton ─► candidates ─ validators ─┐
              └ one pass of a regex set ─► the few others that may match ─────┴► findings ─ overlaps by rank ─► spans

Linear in the document: the automaton looks a fixed number of bytes ahead, re2's automata are linear whatever the text,
windows are of fixed size, and taken text is marked byte by byte.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
import re2

from corpus.deidentify.automaton import Automaton
from corpus.deidentify.recogniser import Finder, Placing, Shape, Span
from corpus.kernels.automaton import (
    AFTER,
    BEFORE,
    COLONS,
    EVERY,
    HYPHEN,
    INSIDE,
    LUHN,
    find_candidates,
    find_words,
    settle,
)

_REACH = np.array([44, 24], np.int64)  # bytes between a candidate and a word before it or after it that speaks for it


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
    def _asked(self) -> tuple[np.ndarray, np.ndarray]:
        """flags uint8[shapes] and digits int16[shapes, 2], as the kernel reads them."""
        flags = [
            EVERY * s.every
            | INSIDE * s.inside
            | BEFORE * (s.apart in (True, "before", "colons"))
            | AFTER * (s.apart in (True, "colons"))
            | COLONS * (s.apart == "colons")
            | LUHN * s.luhn
            | HYPHEN * (s.apart == "hyphen")
            for s in self.shapes
        ]
        return np.array(flags, np.uint8), np.array([shape.digits for shape in self.shapes], np.int16)

    def candidates(self, data: bytes) -> np.ndarray:
        """int32[3, candidates]: start, end, place of the shape; in order of start, before validation."""
        view = np.frombuffer(data, np.uint8)
        vocabulary, kinds, needs = self._words
        words = find_words(view, *vocabulary) if kinds else np.empty((3, 0), np.int32)
        own, asked = self._automaton, self._asked
        last = np.full(kinds, -(1 << 30), np.int64)
        parts: list[np.ndarray] = []
        at = state = 0
        while state >= 0:
            tables = (own.classes, own.table, own.first, own.accepted)
            found, at, state = find_candidates(view, at, *tables, *asked, needs, words, _REACH, last)
            parts.append(found)
            if state >= 0:
                own.explore(state)
        return np.concatenate(parts, axis=1)

    def find(self, data: bytes) -> Iterator[tuple[int, int, int]]:
        """(place of the shape, start, end) of the findings. Those of one shape do not overlap."""
        if not self.shapes:
            return
        reached = [0] * len(self.shapes)
        for start, end, place in zip(*self.candidates(data).tolist(), strict=True):
            if start < reached[place]:
                continue
            inner = self.shapes[place].place(data, start, end)
            if inner is not None:
                reached[place] = start + inner[1]
                yield place, start + inner[0], start + inner[1]


class Scanner:
    """Recognisers in order of rank: where two findings overlap, the earlier recogniser's stands."""

    def __init__(self, recognisers: Iterable[Finder | Shape]) -> None:
        self.recognisers = tuple(recognisers)
        ranked = list(enumerate(self.recognisers))
        self._shapes = Shapes([recogniser for recogniser in self.recognisers if isinstance(recogniser, Shape)])
        self._shape_ranks = [rank for rank, recogniser in ranked if isinstance(recogniser, Shape)]
        self._placing = {rank: recogniser for rank, recogniser in ranked if isinstance(recogniser, Placing)}
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
        # Numbers and not objects: a text may hold a hundred thousand findings.
        ranks: list[int] = []
        starts: list[int] = []
        ends: list[int] = []
        for place, start, end in self._shapes.find(data):
            ranks.append(self._shape_ranks[place])
            starts.append(start)
            ends.append(end)
        made: dict[int, Span] = {}
        for rank, finder in self._matching(data):
            if rank in self._placing:
                for start, end in self._placing[rank].places(data):
                    ranks.append(rank)
                    starts.append(start)
                    ends.append(end)
                continue
            for span in finder.find(data):
                made[len(ranks)] = span
                ranks.append(rank)
                starts.append(span.start)
                ends.append(span.end)
        if not ranks:
            return []
        kept = settle(np.array(ranks), np.array(starts), np.array(ends), len(data)).tolist()
        return [
            made[index] if index in made else self._span(ranks[index], starts[index], ends[index])
            for index in kept
            if not self.recognisers[ranks[index]].shield
        ]

    def findings(self, data: bytes) -> list[tuple[int, Span]]:
        """(rank, finding) of every recogniser, where they overlap too: all that a number could be."""
        found = [(self._shape_ranks[place], start, end) for place, start, end in self._shapes.find(data)]
        shaped = [(rank, self._span(rank, start, end)) for rank, start, end in found]
        return shaped + [(rank, span) for rank, finder in self._matching(data) for span in finder.find(data)]

    def _matching(self, data: bytes) -> list[tuple[int, Finder]]:
        matched = [self._gated[index] for index in self._set.Match(data) or ()] if self._gated else []
        return matched + [own for own in self._finders if not own[1].gate]

    def _span(self, rank: int, start: int, end: int) -> Span:
        shape = self.recognisers[rank]
        return Span(start, end, shape.type, shape.name, shape.score)  # type: ignore[union-attr]
