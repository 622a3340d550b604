"""Many bounded patterns as one deterministic automaton over bytes.

    pattern ─ parse ─► tree ─ Thompson ─► states with free moves ─ subsets ─► one table for all patterns

The syntax is the plain part of re2's: literals, `.`, classes, `\\d` `\\s` `\\w`, groups, `|`, `?`, `*`, `+`,
`{m,n}`, and a leading `(?i)`. A compiled loop (corpus/kernels/automaton.py) tries every position where a token begins
and looks a fixed number of bytes ahead, so a whole scan is linear in the text. Characters beyond ASCII are written out
as their bytes. Counted repeats of overlapping classes multiply the states: write `*` where the count does not matter.
"""

from collections.abc import Iterable

import numpy as np

from corpus.deidentify.joined import SEPARATOR

_SHORTHANDS = {
    "d": frozenset(b"0123456789"),
    "s": frozenset(b" \t\r\n\f\v"),
    "w": frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"),
}
_LETTERS = _SHORTHANDS["w"] - frozenset(b"0123456789_")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_BYTES = frozenset(range(256)) - {SEPARATOR}
_ANY = _BYTES - {10}


class _Nfa:
    """States with moves on sets of bytes and free moves; built by `fragment` from a parsed tree."""

    def __init__(self) -> None:
        self.free: list[list[int]] = []
        self.move: list[tuple[frozenset[int], int] | None] = []

    def state(self) -> int:
        self.free.append([])
        self.move.append(None)
        return len(self.free) - 1

    def fragment(self, tree: tuple, after: int) -> int:
        """The state from which `tree` leads to the state `after`."""
        kind = tree[0]
        if kind == "set":
            begin = self.state()
            self.move[begin] = (tree[1], after)
            return begin
        if kind == "join":
            for part in reversed(tree[1]):
                after = self.fragment(part, after)
            return after
        if kind == "any of":
            begin = self.state()
            self.free[begin] = [self.fragment(part, after) for part in tree[1]]
            return begin
        _, part, least, most = tree
        if most is None:
            loop = self.state()
            self.free[loop] = [self.fragment(part, loop), after]
            return self.fragment(part, loop) if least else loop
        begin = after
        for left in range(most, 0, -1):
            inner = self.fragment(part, begin)
            begin = inner
            if left > least:
                begin = self.state()
                self.free[begin] = [inner, after]
        return begin


class _Parser:
    """Recursive descent over one pattern. ValueError names what is not supported."""

    def __init__(self, pattern: str) -> None:
        self.fold = pattern.startswith("(?i)")
        self.pattern, self.at = pattern.removeprefix("(?i)"), 0

    def tree(self) -> tuple:
        tree = self._alternatives()
        if self.at < len(self.pattern):
            raise ValueError(f"unbalanced bracket at {self.at} of {self.pattern}")
        return tree

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _take(self) -> str:
        self.at += 1
        return self.pattern[self.at - 1]

    def _alternatives(self) -> tuple:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._take()
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else ("any of", parts)

    def _sequence(self) -> tuple:
        parts: list[tuple] = []
        while self._peek() not in {"", "|", ")"}:
            parts.append(self._repeated(self._atom()))
        return ("join", parts)

    def _repeated(self, atom: tuple) -> tuple:
        if self._peek() == "?":
            self._take()
            return ("repeat", atom, 0, 1)
        if self._peek() in {"*", "+"}:
            return ("repeat", atom, int(self._take() == "+"), None)
        if self._peek() == "{":
            end = self.pattern.index("}", self.at)
            least, _, most = self.pattern[self.at + 1 : end].partition(",")
            self.at = end + 1
            return ("repeat", atom, int(least or 0), int(most or least))
        return atom

    def _atom(self) -> tuple:
        character = self._take()
        if character == "(":
            if self.pattern.startswith("?:", self.at):
                self.at += 2
            tree = self._alternatives()
            if self._peek() != ")":
                raise ValueError(f"unbalanced bracket in {self.pattern}")
            self._take()
            return tree
        if character == "[":
            return ("set", self._class())
        if character == ".":
            return ("set", _ANY)
        if character == "\\":
            return self._escaped(self._take())
        return self._literal(character)

    def _escaped(self, character: str) -> tuple:
        if character in _SHORTHANDS:
            return ("set", _SHORTHANDS[character])
        if character.isalnum() and character not in _ESCAPES:
            raise ValueError(f"\\{character} is not supported, in {self.pattern}")
        return self._literal(_ESCAPES.get(character, character))

    def _literal(self, character: str) -> tuple:
        if character.isascii():
            return ("set", self._folded({ord(character)}))
        return ("join", [("set", frozenset({byte})) for byte in character.encode()])

    def _folded(self, codes: set[int]) -> frozenset[int]:
        if not self.fold:
            return frozenset(codes)
        return frozenset(ord(c) for code in codes for c in (chr(code).lower(), chr(code).upper()) if ord(c) < 128)

    def _class(self) -> frozenset[int]:
        negated = self._peek() == "^"
        self.at += negated
        codes: set[int] = set()
        while self._peek() != "]":
            character = self._take()
            if character == "\\":
                character = self._take()
                if character in _SHORTHANDS:
                    codes |= _SHORTHANDS[character]
                    continue
                character = _ESCAPES.get(character, character)
            final = character
            if self._peek() == "-" and self.pattern[self.at + 1] != "]":
                self._take()
                final = self._take()
            codes |= set(range(ord(character), ord(final) + 1))
        self._take()
        if any(code > 127 for code in codes):
            raise ValueError(f"a class beyond ASCII in {self.pattern}")
        return _BYTES - self._folded(codes) if negated else self._folded(codes)


class Automaton:
    """`table[state, classes[byte]]` is the next state: 0 is dead, 1 the start, and -1 not known yet. The patterns that
    end in a state are accepted[first[state]:first[state + 1]], by their place in the list, in ascending order.

    A state is worked out when a text first leads out of it (`explore`), since texts visit few of them. `starts` are
    the start states that were asked for (`start_with`).
    """

    def __init__(self, patterns: Iterable[str], *, backwards: bool = False) -> None:
        """`backwards`: it reads from the end of what the patterns match. ValueError for one outside the syntax."""
        nfa = _Nfa()
        start = nfa.state()
        self._nfa, self._ends = nfa, dict[int, int]()
        for index, pattern in enumerate(patterns):
            end = nfa.state()
            self._ends[end] = index
            tree = _Parser(pattern).tree()
            nfa.free[start].append(nfa.fragment(_reversed(tree) if backwards else tree, end))
        self.classes, self._width = _byte_classes(move[0] for move in nfa.move if move)
        self._steps = [sorted({int(self.classes[c]) for c in move[0]}) if move else [] for move in nfa.move]
        self._closures: dict[int, frozenset[int]] = {}
        self._subsets: list[frozenset[int]] = []
        self._numbers: dict[frozenset[int], int] = {}
        self._begins = list(nfa.free[start])
        self.table = np.full((64, self._width), -1, np.int32)
        self.first = np.zeros(65, np.int32)
        self.accepted = np.empty(64, np.int32)
        self._number(frozenset())
        self.table[0] = 0
        self._number(self._closure(start))
        self.starts = np.zeros(0, np.int32)

    def start_with(self, chosen: Iterable[int]) -> None:
        """One more start state, of the patterns in these places of the list."""
        subset = frozenset[int]().union(*(self._closure(self._begins[index]) for index in chosen))
        self.starts = np.append(self.starts, np.int32(self._number(subset)))

    def begins_with_word(self, index: int) -> bool:
        """The pattern in this place matches something that begins with a word of letters of ASCII alone, neither a
        digit nor an underscore behind them."""
        open_, seen = list(self._closure(self._begins[index])), set[int]()
        while open_:
            move = self._nfa.move[open_.pop()]
            if move and not _LETTERS.isdisjoint(move[0]):
                reached = self._closure(move[1]) - seen
                seen |= reached
                open_ += reached
        moves = [self._nfa.move[state] for state in seen]
        return any(state in self._ends for state in seen) or any(m and not m[0] <= _SHORTHANDS["w"] for m in moves)

    def explore(self, state: int) -> None:
        """Work out where the state leads on every byte."""
        targets: dict[int, set[int]] = {}
        for own in self._subsets[state]:
            move = self._nfa.move[own]
            if move:
                for number in self._steps[own]:
                    targets.setdefault(number, set()).update(self._closure(move[1]))
        row = np.zeros(self._width, np.int32)
        for number, reached in targets.items():
            row[number] = self._number(frozenset(reached))
        self.table[state] = row

    def complete(self) -> "Automaton":
        """Work out every state: for automata that are small."""
        state = 1
        while state < len(self._subsets):
            self.explore(state)
            state += 1
        return self

    def _number(self, subset: frozenset[int]) -> int:
        """The state that stands for a subset of the nondeterministic states; a new one is given a row."""
        if subset in self._numbers:
            return self._numbers[subset]
        state = self._numbers[subset] = len(self._subsets)
        self._subsets.append(subset)
        ends = sorted(self._ends[own] for own in subset if own in self._ends)
        if state == len(self.table):
            self.table = np.concatenate([self.table, np.full_like(self.table, -1)])
            self.first = np.concatenate([self.first, np.zeros(state, np.int32)])
        reached = int(self.first[state]) + len(ends)
        while reached > len(self.accepted):
            self.accepted = np.concatenate([self.accepted, np.empty_like(self.accepted)])
        self.accepted[self.first[state] : reached] = ends
        self.first[state + 1] = reached
        return state

    def _closure(self, state: int) -> frozenset[int]:
        """What `state` reaches by free moves, of the states that move or end."""
        if state not in self._closures:
            seen, open_ = {state}, [state]
            while open_:
                for reached in self._nfa.free[open_.pop()]:
                    if reached not in seen:
                        seen.add(reached)
                        open_.append(reached)
            self._closures[state] = frozenset(s for s in seen if self._nfa.move[s] or s in self._ends)
        return self._closures[state]


def _reversed(tree: tuple) -> tuple:
    """The tree of what is read backwards."""
    if tree[0] == "join":
        return ("join", [_reversed(part) for part in reversed(tree[1])])
    if tree[0] == "any of":
        return ("any of", [_reversed(part) for part in tree[1]])
    return ("repeat", _reversed(tree[1]), *tree[2:]) if tree[0] == "repeat" else tree


def _byte_classes(sets: Iterable[frozenset[int]]) -> tuple[np.ndarray, int]:
    """uint8[256] and how many: bytes that no set tells apart share a class."""
    member = np.zeros(256, dtype=object)
    for bit, codes in enumerate(dict.fromkeys(sets)):
        for code in codes:
            member[code] |= 1 << bit
    numbers: dict[int, int] = {}
    classes = np.array([numbers.setdefault(signature, len(numbers)) for signature in member], np.uint8)
    return classes, len(numbers)
