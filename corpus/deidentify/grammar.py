"""Rules over word classes: how names, organisations and places are found.

    document ─ one compiled pass ─► class string ─ each rule's pattern ─► groups of tokens ─ validator ─► spans

A rule's pattern is one of google-re2, so the whole is linear in the text. Every group of it that took part in a match
is a finding of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import re2

from corpus.deidentify.recogniser import Span
from corpus.deidentify.wordclass import Classified, classified
from corpus.kernels.automaton import settle

Accept = Callable[[Classified, int, int], bool]  # document, first token, the one after the last


def anything(document: Classified, first: int, last: int) -> bool:
    return True


@dataclass(frozen=True)
class Rule:
    """A pattern over classes whose groups are findings, how sure they are, and a validator of each."""

    name: str
    pattern: str
    score: float
    accept: Accept = anything

    @cached_property
    def compiled(self) -> "re2._Regexp":
        return re2.compile(self.pattern)

    def groups(self, document: Classified) -> Iterator[tuple[int, int]]:
        """(first token, the one after the last) of each finding."""
        groups = range(1, self.compiled.groups + 1)
        for match in self.compiled.finditer(document.classes):
            for group in groups:
                first, last = match.span(group)
                if first < last and self.accept(document, first, last):
                    yield first, last


class Findings(NamedTuple):
    """Disjoint findings in order: tokens [firsts, lasts) and the place of the rule that took each."""

    firsts: np.ndarray  # int64[findings]
    lasts: np.ndarray  # int64[findings]
    rules: np.ndarray  # int64[findings]

    def settled(self, tokens: int) -> "Findings":
        """Of what overlaps, the finding of the earlier rule, and of one rule the first."""
        kept = settle(self.rules, self.firsts, self.lasts, tokens)
        return Findings(self.firsts[kept], self.lasts[kept], self.rules[kept])


@dataclass(frozen=True)
class GrammarFinder:
    """The rules of one type, in order of rank. It is a Finder of the scanner."""

    type: str
    rules: tuple[Rule, ...]
    name: str = ""
    gate: str = ""
    shield: bool = False

    def findings(self, document: Classified) -> Findings:
        numbers = [(first, last, rank) for rank, rule in enumerate(self.rules) for first, last in rule.groups(document)]
        columns = np.array(numbers, np.int64).reshape(-1, 3).T
        return Findings(*columns).settled(len(document.classes))

    def find(self, data: bytes) -> list[Span]:
        document = classified(data)
        return self.spans(document, self.findings(document))

    def spans(self, document: Classified, found: Findings, also: tuple[tuple[str, float], ...] = ()) -> list[Span]:
        """As bytes of the document; `also`: (name, score) of what stands behind the last rule in rank."""
        named = [
            (f"{self.type.lower()}.{rule}", score) for rule, score in (*((r.name, r.score) for r in self.rules), *also)
        ]
        starts = document.starts[found.firsts].tolist()
        ends = document.ends[found.lasts - 1].tolist()
        return [
            Span(start, end, self.type, *named[rule])
            for start, end, rule in zip(starts, ends, found.rules.tolist(), strict=True)
        ]
