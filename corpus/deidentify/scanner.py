"""A scanner runs many recognisers over a batch of documents and settles where they overlap.

    documents ─ joined ─┬ one pass of the shapes' automaton ─► candidates ────────────────────────────┐
                        ├ one pass to word classes ─ one pass of the rules' automaton ─ validated ────┤
                        └ by document: a regex set ─► the few others that may match ──────────────────┴► settled by rank

Linear in the text: the automata look a fixed number of bytes or words ahead, re2's automata are linear whatever the
text, windows are of fixed size, and taken text is marked byte by byte. What a validator sees is its candidate with its
window, so of equal ones one is asked; and a candidate is asked about when its rank comes, where the text is still free.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from corpus.deidentify.gates import Gates
from corpus.deidentify.grammar import Grammar, GrammarFinder
from corpus.deidentify.joined import Joined
from corpus.deidentify.recogniser import (
    Everywhere,
    Finder,
    Gated,
    Placing,
    Preparing,
    Shape,
    Span,
)
from corpus.deidentify.shapes import Proposed, Shapes, grouped
from corpus.kernels.automaton import free, take


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
        self._always = [rank for rank, finder in finders if not finder.gate]
        gates = dict.fromkeys(own.gate for own in self.recognisers if own.gate)
        self._gates = Gates(list(gates))
        self._gated = [[rank for rank, finder in finders if finder.gate == gate] for gate in gates]
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
        gates = self._gates.open(joined)
        proposed = self._shapes.proposed(joined, self._opened(gates))
        by_rank = {rank: [indices] for rank, indices in grouped(self._shape_ranks[proposed.places])}
        if others := self._others(joined, gates):
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
        gates = self._gates.open(joined)
        places, starts, ends = self._shapes.find(joined, self._opened(gates))
        ranks = self._shape_ranks[places]
        return [(ranks, starts, ends, self._rank_labels[ranks]), *self._others(joined, gates)]

    def _opened(self, gates: list[tuple[int, list[int]]]) -> dict[str, np.ndarray]:
        """The documents int64 that each gate opens."""
        documents: dict[str, list[int]] = {}
        for document, places in gates:
            for place in places:
                documents.setdefault(self._gates.patterns[place], []).append(document)
        return {gate: np.array(own) for gate, own in documents.items()}

    def _others(
        self, joined: Joined, gates: list[tuple[int, list[int]]]
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
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
        for document, ranks in self._asking(joined, gates):
            begin = joined.begins[document]
            for rank in ranks:
                starts, ends, labels = self._places(rank, joined.texts[document])
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

    def _asking(self, joined: Joined, gates: list[tuple[int, list[int]]]) -> Iterable[tuple[int, list[int]]]:
        """(document, ranks of the finders that may find something in it), where there are some."""
        gated = {document: [rank for place in places for rank in self._gated[place]] for document, places in gates}
        if not self._always:
            return gated.items()
        return ((document, gated.get(document, []) + self._always) for document in range(len(joined.texts)))

    def _said_by(self, recogniser: Gated | Shape) -> Label:
        return Label(recogniser.type, recogniser.name, getattr(recogniser, "score", 1.0))

    def _label(self, label: Label) -> int:
        number = self._label_numbers.setdefault(label, len(self.labels))
        if number == len(self.labels):
            self.labels.append(label)
        return number

    def _span(self, start: int, end: int, label: int) -> Span:
        return Span(start, end, *self.labels[label])
