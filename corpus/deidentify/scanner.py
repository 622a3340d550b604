"""A scanner runs many recognisers over a batch of documents and settles where they overlap.

    documents ─ joined ─┬ one pass of the shapes' automaton ─► candidates ────────────────────────────┐
                        ├ one pass to word classes ─ one pass of the rules' automaton ─ validated ────┤
                        └ by document: a regex set ─► the few others that may match ──────────────────┴► settled by rank

Linear in the text: the automata look a fixed number of bytes or words ahead, re2's automata are linear whatever the
text, windows are of fixed size, and taken text is marked byte by byte. What a validator sees is its candidate with its
window, so of equal ones one is asked; and a candidate is asked about when its rank comes, where the text is still free.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import re2

from corpus.deidentify.automaton import Automaton
from corpus.deidentify.columns import Columns, Sieve
from corpus.deidentify.grammar import Grammar, GrammarFinder
from corpus.deidentify.joined import Joined
from corpus.deidentify.recogniser import (
    MANY,
    Everywhere,
    Finder,
    Gated,
    Placing,
    Preparing,
    Shape,
    Span,
    Windows,
    accepted,
)
from corpus.kernels.automaton import (
    AFTER,
    AFTER_WORD,
    BEFORE,
    COLONS,
    EVERY,
    FORBIDDEN,
    HYPHEN,
    INSIDE,
    LUHN,
    MEASURED,
    find_candidates,
    find_words,
    free,
    spoken_for,
    take,
    windows_around,
)
from corpus.kernels.candidates import ASK, NO, YES, stand

_REACH = np.array([44, 24], np.int64)  # bytes between a candidate and a word before it or after it that speaks for it


class Shapes:
    """Shapes that are looked for together."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self.shapes = tuple(shapes)
        self.steps = 0  # bytes that the automaton has read so far: what a text costs, whatever the clock says

    @cached_property
    def _automaton(self) -> Automaton:
        flags = self._asked[0]
        return Automaton(
            (shape.pattern for shape in self.shapes),
            [
                np.flatnonzero((flags & forbidden == 0) & ((flags & INSIDE != 0) | (kind != AFTER_WORD)))
                for kind, forbidden in enumerate(FORBIDDEN)
            ],
        )

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
            | MEASURED * (s.apart == "measured")
            for s in self.shapes
        ]
        return np.array(flags, np.uint8), np.array([shape.digits for shape in self.shapes], np.int16).reshape(-1, 2)

    def candidates(self, joined: Joined) -> np.ndarray:
        """int32[4, candidates]: start, end, place of the shape, document; in order of start, before validation."""
        own, asked = self._automaton, self._asked
        parts: list[np.ndarray] = []
        document = at = state = 0
        while state >= 0:
            tables = (own.starts, own.classes, own.table, own.first, own.accepted)
            found, document, at, state, steps = find_candidates(
                joined.view, joined.begins, joined.stops, document, at, *tables, *asked
            )
            parts.append(found)
            self.steps += steps
            if state >= 0:
                own.explore(state)
        found = np.concatenate(parts, axis=1)
        vocabulary, kinds, needs = self._words
        windows = windows_around(found, needs, joined.begins, joined.stops, _REACH)
        if windows.shape[1] == 0:
            return found
        words = find_words(joined.view, windows, *vocabulary)
        kept = spoken_for(joined.view, found, needs, kinds, words, joined.begins, joined.stops, _REACH)
        return found[:, kept]

    def proposed(self, joined: Joined) -> "Proposed":
        """The candidates, to be asked about."""
        starts, ends, places, _ = self.candidates(joined).astype(np.int64)
        return Proposed(self, joined, starts, ends, places)

    def find(self, joined: Joined) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(places of the shapes, starts, ends) of all findings. Those of one shape do not overlap."""
        own = self.proposed(joined)
        parts = [(np.zeros(0, np.int64),) * 3]
        for place, indices in grouped(own.places):
            starts, ends = own.standing(indices, bytearray(len(joined.data)))
            parts.append((np.full(len(starts), place), starts, ends))
        places, starts, ends = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(starts, kind="stable")
        return places[order], starts[order], ends[order]


class Proposed:
    """Candidates of shapes, in order of start, the longest first.

    starts, ends   int64[candidates], bytes of the joined documents
    places         int64[candidates]: of the shape
    """

    def __init__(
        self, shapes: Shapes, joined: Joined, starts: np.ndarray, ends: np.ndarray, places: np.ndarray
    ) -> None:
        self.starts, self.ends, self.places = starts, ends, places
        self._shapes, self._joined = shapes, joined

    def standing(self, indices: np.ndarray, taken: bytearray) -> tuple[np.ndarray, np.ndarray]:
        """(starts, ends) int64 of the identifiers of one shape's candidates that stand where nothing is taken (bytes of
        the joined documents, 1 where they are); they are taken now. Of those that overlap, the first one, and of those
        that begin together the longest."""
        shape = self._shapes.shapes[self.places[indices[0]]]
        if shape.group is None:
            indices = indices[free(np.frombuffer(taken, np.bool_), self.starts[indices], self.ends[indices])]
        starts, ends = self.starts[indices], self.ends[indices]
        if shape.sieve is None or len(starts) < MANY:
            return self._one_by_one(shape, starts, ends, taken)
        return self._together(shape, shape.sieve, starts, ends, taken)

    def _together(
        self, shape: Shape, sieve: Sieve, starts: np.ndarray, ends: np.ndarray, taken: bytearray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the columns cannot say is asked, once for those that look alike."""
        inner = shape.within(Columns(self._joined, starts, ends))
        said = np.where(inner.ends > inner.starts, sieve(inner), NO)
        asked = np.flatnonzero(said == ASK)
        said[asked] = np.where(accepted(shape.accept, self._joined, inner.starts[asked], inner.ends[asked]), YES, NO)
        kept = stand(np.frombuffer(taken, np.bool_), inner.starts, inner.ends, said)
        return inner.starts[kept], inner.ends[kept]

    def _one_by_one(
        self, shape: Shape, starts: np.ndarray, ends: np.ndarray, taken: bytearray
    ) -> tuple[np.ndarray, np.ndarray]:
        """A validator is asked when its candidate's turn comes, once for those that look alike."""
        windows = Windows(self._joined, starts, ends)
        verdicts: list[tuple[int, int] | None] = [_UNASKED] * len(windows)
        firsts, lasts, reached = [], [], -1
        for number, start in zip(windows.which.tolist(), starts.tolist(), strict=True):
            if shape.group is None and start < reached:
                continue
            inner = verdicts[number]
            if inner is _UNASKED:
                inner = verdicts[number] = shape.place(windows, number)
            if inner is None:
                continue
            first, last = start + inner[0], start + inner[1]
            if first >= reached and taken.find(1, first, last) < 0:
                taken[first:last] = b"\1" * (last - first)
                reached = last
                firsts.append(first)
                lasts.append(last)
        return np.array(firsts, np.int64), np.array(lasts, np.int64)


_UNASKED = (-2, -2)


class Found(NamedTuple):
    """Findings, disjoint and in order, in bytes of the joined documents."""

    starts: np.ndarray  # int64[findings]
    ends: np.ndarray  # int64[findings]
    labels: np.ndarray  # int64[findings]: place in the scanner's `labels`

    def only(self, kept: np.ndarray) -> "Found":
        return Found(*(column[kept] for column in self))


class Label(NamedTuple):
    """What is said of a finding."""

    type: str
    recogniser: str
    score: float


class Scanner:
    """Recognisers in order of rank: where two findings overlap, the earlier recogniser's stands."""

    def __init__(self, recognisers: Iterable[Gated | Shape]) -> None:
        self.recognisers = tuple(recognisers)
        ranked = list(enumerate(self.recognisers))
        self._shapes = Shapes([own for own in self.recognisers if isinstance(own, Shape)])
        self._shape_ranks = np.array([rank for rank, own in ranked if isinstance(own, Shape)], np.int64)
        grammars = [(rank, own) for rank, own in ranked if isinstance(own, GrammarFinder)]
        self._grammar = Grammar([finder for _, finder in grammars])
        self._grammar_ranks = [rank for rank, _ in grammars]
        self._everywhere = {rank: own for rank, own in ranked if isinstance(own, Everywhere)}
        finders = [(rank, own) for rank, own in ranked if not isinstance(own, Shape | GrammarFinder | Everywhere)]
        self._placing = {rank: own for rank, own in finders if isinstance(own, Placing)}
        self._telling = {rank: own for rank, own in finders if isinstance(own, Finder)}
        options = re2.Options()
        options.max_mem = 64 << 20  # the set's automaton; too little makes it start over again and again
        self._set = re2.Set.SearchSet(options)
        self._gated = [rank for rank, finder in finders if finder.gate]
        self._always = [rank for rank, finder in finders if not finder.gate]
        for rank in self._gated:
            self._set.Add(self.recognisers[rank].gate)  # type: ignore[union-attr]
        self._set.Compile()
        self.labels: list[Label] = []
        self._label_numbers: dict[Label, int] = {}
        self._rank_labels = np.array([self._label(self._said_by(own)) for own in self.recognisers], np.int64)

    @property
    def steps(self) -> int:
        """Bytes and words that automata have read so far, beyond the passes over the text."""
        return self._shapes.steps + self._grammar.steps

    @property
    def contextual(self) -> bool:
        """A finder looks at documents as a whole, as a model does."""
        return bool(self._always)

    def scan(self, joined: Joined) -> Found:
        """The findings in the documents."""
        proposed = self._shapes.proposed(joined)
        by_rank = {rank: [indices] for rank, indices in grouped(self._shape_ranks[proposed.places])}
        if others := self._others(joined):
            ranks, *columns = (np.concatenate(column) for column in zip(*others, strict=True))
            by_rank |= {rank: [column[indices] for column in columns] for rank, indices in grouped(ranks)}
        taken = bytearray(len(joined.data))
        nothing = np.zeros(0, np.int64)
        parts = [(nothing, nothing, nothing)]
        for rank in sorted(by_rank):
            starts, ends, labels = self._standing(rank, by_rank[rank], proposed, taken)
            if not self.recognisers[rank].shield:
                parts.append((starts, ends, labels))
        starts, ends, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(starts, kind="stable")
        return Found(starts[order], ends[order], labels[order])

    def _standing(
        self, rank: int, found: list[np.ndarray], proposed: Proposed, taken: bytearray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(starts, ends, labels) of a recogniser's findings that stand where nothing is taken; they are taken now."""
        if isinstance(self.recognisers[rank], Shape):
            starts, ends = proposed.standing(found[0], taken)
            return starts, ends, np.full(len(starts), self._rank_labels[rank])
        starts, ends, labels = found
        view = np.frombuffer(taken, np.bool_)
        kept = free(view, starts, ends)
        starts, ends, labels = starts[kept], ends[kept], labels[kept]
        take(view, starts, ends)
        return starts, ends, labels

    def find(self, data: bytes) -> list[Span]:
        """The findings in one document, disjoint and in order, in bytes."""
        return [self._span(*finding) for finding in zip(*(c.tolist() for c in self.scan(Joined([data]))), strict=True)]

    def findings(self, data: bytes) -> list[tuple[int, Span]]:
        """(rank, finding) of every recogniser in one document, where they overlap too: all that a number could be."""
        columns = (np.concatenate(column).tolist() for column in zip(*self._every(Joined([data])), strict=True))
        return [(rank, self._span(start, end, label)) for rank, start, end, label in zip(*columns, strict=True)]

    def _every(self, joined: Joined) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """(ranks, starts, ends, labels) of every recogniser's findings, in parts."""
        places, starts, ends = self._shapes.find(joined)
        ranks = self._shape_ranks[places]
        return [(ranks, starts, ends, self._rank_labels[ranks]), *self._others(joined)]

    def _others(self, joined: Joined) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """(ranks, starts, ends, labels) of the findings of every recogniser that is no shape, in parts; in each, those
        of a rank are in order of start and disjoint."""
        parts = []
        for rank, found in zip(self._grammar_ranks, self._grammar.find(joined), strict=True):
            own = np.array([self._label(Label(*said)) for said in found.said], np.int64)
            parts.append((np.full(len(found.starts), rank), found.starts, found.ends, own[found.rules]))
        for rank, finder in self._everywhere.items():
            starts, ends = finder.everywhere(joined)
            same = np.full(len(starts), rank)
            parts.append((same, starts, ends, self._rank_labels[same]))
        for rank in self._always:
            if isinstance(model := self.recognisers[rank], Preparing):
                model.prepare(joined.texts)
        for document, data in enumerate(joined.texts):
            begin = joined.begins[document]
            for rank in self._matching(data):
                starts, ends, labels = self._places(rank, data)
                if len(starts):
                    parts.append((np.full(len(starts), rank), starts + begin, ends + begin, labels))
        return parts

    def _places(self, rank: int, data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(starts, ends, labels) of one finder's findings in one document."""
        if rank in self._placing:
            starts, ends = self._placing[rank].places(data)
            return starts, ends, np.full(len(starts), self._rank_labels[rank])
        rows = [
            (s.start, s.end, self._label(Label(s.type, s.recogniser, s.score))) for s in self._telling[rank].find(data)
        ]
        starts, ends, labels = np.array(rows, np.int64).reshape(-1, 3).T
        return starts, ends, labels

    def _matching(self, data: bytes) -> list[int]:
        """Ranks of the finders that may find something in the document."""
        matched = [self._gated[index] for index in self._set.Match(data) or ()] if self._gated else []
        return matched + self._always

    def _said_by(self, recogniser: Gated | Shape) -> Label:
        return Label(recogniser.type, recogniser.name, getattr(recogniser, "score", 1.0))

    def _label(self, label: Label) -> int:
        number = self._label_numbers.setdefault(label, len(self.labels))
        if number == len(self.labels):
            self.labels.append(label)
        return number

    def _span(self, start: int, end: int, label: int) -> Span:
        return Span(start, end, *self.labels[label])


def grouped(ranks: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(rank, places of it in `ranks`, ascending) for each rank there is."""
    if len(ranks) == 0:
        return []
    order = np.argsort(ranks, kind="stable")
    cuts = np.flatnonzero(np.diff(ranks[order])) + 1
    return [(int(ranks[own[0]]), own) for own in np.split(order, cuts)]
