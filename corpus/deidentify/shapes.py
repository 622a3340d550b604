"""The shapes of a scanner: one automaton finds their candidates, validators say when their rank comes which stand."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from corpus.deidentify.automaton import Automaton
from corpus.deidentify.columns import Columns, Sieve
from corpus.deidentify.joined import Joined
from corpus.deidentify.recogniser import MANY, Shape, Windows, settled
from corpus.kernels.automaton import (
    AFTER,
    AFTER_WORD,
    BEFORE,
    COLONS,
    EVERY,
    FORBIDDEN,
    HYPHEN,
    INSIDE,
    LETTERED,
    LUHN,
    MEASURED,
    find_candidates,
    find_words,
    free,
    spoken_for,
    windows_around,
)
from corpus.kernels.candidates import NO, stand

_REACH = np.array([44, 24], np.int64)  # bytes between a candidate and a word before it or after it that speaks for it


class Shapes:
    """Shapes that are looked for together."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self.shapes = tuple(shapes)
        self.steps = 0  # bytes that the automaton has read so far: what a text costs, whatever the clock says

    @cached_property
    def _automata(self) -> list[tuple[str, np.ndarray, Automaton]]:
        """(gate, places of the shapes int32, their automaton) of the shapes that have no gate, and of each gate's."""
        return [(gate, *self._of_gate(gate)) for gate in dict.fromkeys(["", *(shape.gate for shape in self.shapes)])]

    def _of_gate(self, gate: str) -> tuple[np.ndarray, Automaton]:
        places = np.array([place for place, shape in enumerate(self.shapes) if shape.gate == gate], np.int32)
        automaton = Automaton(self.shapes[place].pattern for place in places)
        flags = self._asked[0][places]
        wordy = np.array([automaton.begins_with_word(index) for index in range(len(places))], bool)
        for own in (np.ones(len(places), bool), wordy):
            for kind, forbidden in enumerate(FORBIDDEN):
                allowed = (flags & forbidden == 0) & ((flags & INSIDE != 0) | (kind != AFTER_WORD))
                automaton.start_with(np.flatnonzero(own & allowed).tolist())
        return places, automaton

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
        """flags uint16[shapes] and digits int16[shapes, 2], as the kernel reads them."""
        flags = [
            EVERY * s.every
            | INSIDE * s.inside
            | BEFORE * (s.apart in (True, "before", "colons"))
            | AFTER * (s.apart in (True, "colons"))
            | COLONS * (s.apart == "colons")
            | LUHN * s.luhn
            | HYPHEN * (s.apart == "hyphen")
            | MEASURED * (s.apart == "measured")
            | LETTERED * s.lettered
            for s in self.shapes
        ]
        return np.array(flags, np.uint16), np.array([shape.digits for shape in self.shapes], np.int16).reshape(-1, 2)

    def candidates(self, joined: Joined, opened: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """int32[4, candidates]: start, end, place of the shape, document; in order of start, before validation.
        `opened`: the documents int64 that each gate opens; without, all."""
        everywhere = np.arange(len(joined.texts))
        parts = [
            self._matched(
                joined,
                everywhere if opened is None or not gate else opened.get(gate, everywhere[:0]),
                places,
                automaton,
            )
            for gate, places, automaton in self._automata
        ]
        found = np.concatenate(parts, axis=1)
        if any(part.shape[1] for part in parts[1:]):
            found = found[:, np.lexsort((-found[1], found[0]))]
        vocabulary, kinds, needs = self._words
        windows = windows_around(found, needs, joined.begins, joined.stops, _REACH)
        if windows.shape[1] == 0:
            return found
        words = find_words(joined.view, windows, *vocabulary)
        kept = spoken_for(joined.view, found, needs, kinds, words, joined.begins, joined.stops, _REACH)
        return found[:, kept]

    def _matched(self, joined: Joined, documents: np.ndarray, places: np.ndarray, automaton: Automaton) -> np.ndarray:
        """int32[4, candidates] of the shapes in these places, in some of the documents."""
        asked = [column[places] for column in self._asked]
        begins, stops = joined.begins[documents], joined.stops[documents]
        parts: list[np.ndarray] = [np.zeros((4, 0), np.int32)]
        document = at = 0
        state = 0 if len(documents) else -1
        while state >= 0:
            tables = (automaton.starts, automaton.classes, automaton.table, automaton.first, automaton.accepted)
            found, document, at, state, steps = find_candidates(
                joined.view, begins, stops, document, at, *tables, *asked
            )
            parts.append(found)
            self.steps += steps
            if state >= 0:
                automaton.explore(state)
        found = np.concatenate(parts, axis=1)
        found[2], found[3] = places[found[2]], documents[found[3]]
        return found

    def proposed(self, joined: Joined, opened: Mapping[str, np.ndarray]) -> "Proposed":
        """The candidates, to be asked about."""
        starts, ends, places, _ = self.candidates(joined, opened).astype(np.int64)
        return Proposed(self, joined, starts, ends, places)

    def find(self, joined: Joined, opened: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(places of the shapes, starts, ends) of all findings. Those of one shape do not overlap."""
        own = self.proposed(joined, opened)
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
        inner = shape.within(Columns(self._joined, starts, ends))
        said = settled(np.where(inner.ends > inner.starts, sieve(inner), NO), shape.accept, inner)
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


def grouped(ranks: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(rank, places of it in `ranks`, ascending) for each rank there is."""
    if len(ranks) == 0:
        return []
    order = np.argsort(ranks, kind="stable")
    cuts = np.flatnonzero(np.diff(ranks[order])) + 1
    return [(int(ranks[own[0]]), own) for own in np.split(order, cuts)]
