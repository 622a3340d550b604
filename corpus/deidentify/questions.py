"""What validators of rules ask of many findings at once: of their classes, words and letters, and of what follows them.

A text may be nothing but findings, so a question is answered in a compiled loop, for all findings of a rule together.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from corpus.deidentify.automaton import Automaton
from corpus.deidentify.lexicon import BREAK
from corpus.deidentify.wordclass import Classified
from corpus.kernels.hashing import set_of
from corpus.kernels.rules import followed_by, of_class_within, without_small, word_near, word_within, words_at
from corpus.kernels.spans import byte_table


def any_of(classes: str) -> np.ndarray:
    """bool[256]: the class is one of these."""
    return byte_table(classes.encode())


class Words:
    """A set of words in lower case."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(words)

    @cached_property
    def _set(self) -> np.ndarray:
        return set_of(self._words)

    def at(self, document: Classified, tokens: np.ndarray) -> np.ndarray:
        """bool[tokens]: the token is one of the words."""
        return words_at(document.words, tokens, self._set)

    def near(self, document: Classified, firsts: np.ndarray, lasts: np.ndarray, reach: int) -> np.ndarray:
        """bool[spans]: one of the words stands within so many tokens of the span, in the same document."""
        return word_near(document.words, document.classes, firsts, lasts, self._set, reach, ord(BREAK))

    def within(self, document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
        """bool[spans]: a token of the span is one of the words."""
        return word_within(document.words, firsts, lasts, self._set)


class Behind:
    """A pattern in the syntax of automaton.py for what follows a finding at once; `edge`: it ends where a word does."""

    def __init__(self, pattern: str, *, edge: bool = False, reach: int = 40) -> None:
        self.pattern, self.edge, self.reach = pattern, edge, reach

    @cached_property
    def _automaton(self) -> Automaton:
        return Automaton([self.pattern]).complete()

    def __call__(self, document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
        own = self._automaton
        places = document.ends[lasts - 1].astype(np.int64)
        return followed_by(document.view, places, self.reach, own.classes, own.table, own.first, self.edge)


def has_class(document: Classified, firsts: np.ndarray, lasts: np.ndarray, table: np.ndarray) -> np.ndarray:
    """bool[spans]: a token of the span has one of the classes."""
    return of_class_within(document.classes, firsts, lasts, table)


def sizes(document: Classified, tokens: np.ndarray) -> np.ndarray:
    """Bytes of each token; 0 beyond the last."""
    inside = np.clip(tokens, 0, len(document.words) - 1)
    return np.where(inside == tokens, document.ends[inside] - document.starts[inside], 0)


def in_capitals(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """bool[spans]: no small letter is in the span."""
    return without_small(document.view, document.starts[firsts], document.ends[lasts - 1])


def begins_large(document: Classified, tokens: np.ndarray) -> np.ndarray:
    """bool[tokens]: the token begins with a capital letter of ASCII."""
    first = document.view[document.starts[np.clip(tokens, 0, len(document.words) - 1)]]
    return (first >= 0x41) & (first <= 0x5A)


def byte_at(document: Classified, tokens: np.ndarray, place: int) -> np.ndarray:
    """uint8[tokens]: a byte of each token, 0 beyond its end."""
    starts = document.starts[tokens]
    inside = document.ends[tokens] - starts > place
    return np.where(inside, document.view[np.where(inside, starts + place, 0)], 0).astype(np.uint8)
