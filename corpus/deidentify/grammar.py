"""Rules over word classes: how names, organisations and places are found.

    document ─ one compiled pass ─► class string ─ each rule's pattern ─► groups of tokens ─ validator ─► spans

A rule's pattern is one of google-re2, so the whole is linear in the text. Every group of it that took part in a match is
a finding of its own.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import re2

from corpus.deidentify.recogniser import Span
from corpus.deidentify.wordclass import Classified, classified

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
        for match in self.compiled.finditer(document.classes):
            for group in range(1, self.compiled.groups + 1):
                first, last = match.span(group)
                if first < last and self.accept(document, first, last):
                    yield first, last


@dataclass(frozen=True)
class Finding:
    """Tokens [first, last) that a rule took."""

    first: int
    last: int
    rule: str
    score: float


class Findings:
    """Disjoint findings in order; what overlaps one that is there is refused."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self.items: list[Finding] = []

    def add(self, finding: Finding) -> bool:
        at = bisect_left(self._firsts, finding.first)
        if at and self.items[at - 1].last > finding.first:
            return False
        if at < len(self.items) and self.items[at].first < finding.last:
            return False
        self._firsts.insert(at, finding.first)
        self.items.insert(at, finding)
        return True


@dataclass(frozen=True)
class GrammarFinder:
    """The rules of one type, in order of rank. It is a Finder of the scanner."""

    type: str
    rules: tuple[Rule, ...]
    name: str = ""
    gate: str = ""
    shield: bool = False

    def findings(self, document: Classified) -> list[Finding]:
        found = sorted(
            (first, rank, last) for rank, rule in enumerate(self.rules) for first, last in rule.groups(document)
        )
        # By rank first; `found` is sorted within each rank, so that insertions come mostly at the end.
        taken = Findings()
        for first, rank, last in sorted(found, key=lambda item: item[1]):
            rule = self.rules[rank]
            taken.add(Finding(first, last, rule.name, rule.score))
        return taken.items

    def find(self, data: bytes) -> list[Span]:
        document = classified(data)
        return [self.span(document, finding) for finding in self.findings(document)]

    def span(self, document: Classified, finding: Finding) -> Span:
        start, end = int(document.starts[finding.first]), int(document.ends[finding.last - 1])
        return Span(start, end, self.type, f"{self.type.lower()}.{finding.rule}", finding.score)
