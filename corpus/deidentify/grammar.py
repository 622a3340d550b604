"""Rules over word classes: how names, organisations and places are found.

    documents ─ one compiled pass ─► class string ─ one automaton of all rules ─► matches ─ groups ─ validators ─► spans

A rule's pattern is one of google-re2, and every group of it that took part in a match is a finding. The automaton says
where a rule matches; re2 says where the groups are, once for each different match, of which a language has few.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import re2

from corpus.deidentify.automaton import Automaton
from corpus.deidentify.joined import Joined
from corpus.deidentify.wordclass import Classified, classified
from corpus.kernels.automaton import settle
from corpus.kernels.distinct import distinct
from corpus.kernels.rules import find_matches, standing

Accept = Callable[[Classified, np.ndarray, np.ndarray], np.ndarray]
"""(document, first tokens, the ones after the last) int64[findings] → bool[findings]"""


def anything(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    return np.ones(len(firsts), bool)


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

    def groups(self, matched: bytes) -> list[tuple[int, int]]:
        """The match at the beginning of the class string and its groups, (-1, -1) where one took no part."""
        match = self.compiled.match(matched)
        assert match is not None
        return [match.span(group) for group in range(self.compiled.groups + 1)]


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
    """The rules of one type, in order of rank."""

    type: str
    rules: tuple[Rule, ...]
    name: str = ""
    gate: str = ""
    shield: bool = False

    @property
    def said(self) -> list[tuple[str, str, float]]:
        """Type, name and score of what each rule finds."""
        return [(self.type, f"{self.type.lower()}.{rule.name}", rule.score) for rule in self.rules]

    def completed(self, document: Classified, found: Findings) -> Findings:
        """What else follows from what the rules have found."""
        return found


class Located(NamedTuple):
    """One finder's findings in bytes: disjoint, in order."""

    starts: np.ndarray  # int64[findings]
    ends: np.ndarray  # int64[findings]
    rules: np.ndarray  # int64[findings]: place in `said`
    said: list[tuple[str, str, float]]


class Grammar:
    """The rules of several finders, looked for together."""

    def __init__(self, finders: Sequence[GrammarFinder]) -> None:
        self.finders = tuple(finders)
        self._rules = tuple(rule for finder in self.finders for rule in finder.rules)
        self._known: dict[tuple[int, bytes], list[tuple[int, int]]] = {}
        self.steps = 0  # words that the automaton has read so far

    @cached_property
    def _automaton(self) -> Automaton:
        return Automaton(rule.pattern.replace("}?", "}") for rule in self._rules)  # a match is one, greedy or not

    def find(self, joined: Joined) -> list[Located]:
        """The findings of each finder."""
        if not self.finders:
            return []
        document = classified(joined.data)
        firsts, lasts, rules = self._groups(document)
        located, before = [], 0
        for finder in self.finders:
            parts = []
            for place, rule in enumerate(finder.rules):
                own = rules == before + place
                if own.any():
                    own[own] = rule.accept(document, firsts[own], lasts[own])
                    parts.append((firsts[own], lasts[own], np.full(own.sum(), place)))
            before += len(finder.rules)
            nothing = np.zeros(0, np.int64)
            columns = (np.concatenate(column) for column in zip((nothing, nothing, nothing), *parts, strict=True))
            found = finder.completed(document, Findings(*columns).settled(len(document.classes)))
            starts, ends = document.starts[found.firsts], document.ends[found.lasts - 1]
            located.append(Located(starts.astype(np.int64), ends.astype(np.int64), found.rules, finder.said))
        return located

    def _groups(self, document: Classified) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(firsts, lasts, rules) int64: the groups of all matches, before validation."""
        tokens, own = document.classes, self._automaton
        parts: list[np.ndarray] = []
        at = state = 0
        while state >= 0:
            tables = (own.classes, own.table, own.first, own.accepted)
            found, at, state, steps = find_matches(tokens, at, *tables, len(self._rules))
            parts.append(found)
            self.steps += steps
            if state >= 0:
                own.explore(state)
        starts, ends, rules = np.concatenate(parts, axis=1)
        which, examples = distinct(tokens, starts, starts, ends, ends, rules)
        groups = np.full((len(examples), 3, 2), -1, np.int32)
        for number, example in enumerate(examples.tolist()):
            matched = document.classes[starts[example] : ends[example]].tobytes()
            for group, span in enumerate(self._matched(rules[example], matched)):
                groups[number, group] = span
        return standing(starts, rules, which, groups[:, 0, 1], groups[:, 1:], len(self._rules))

    def _matched(self, rule: int, classes: bytes) -> list[tuple[int, int]]:
        key = (int(rule), classes)
        if key not in self._known:
            if len(self._known) >= 1 << 16:
                self._known.clear()
            self._known[key] = self._rules[rule].groups(classes)
        return self._known[key]
