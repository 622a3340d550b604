"""The automaton against Python's re, the work it does on hostile texts, and that workers agree."""

import re

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from corpus.deidentify.automaton import Automaton
from corpus.deidentify.joined import Joined
from corpus.deidentify.profiles import DEFAULT_TYPES, Search, scanner
from corpus.deidentify.recogniser import Shape
from corpus.deidentify.scanner import Scanner
from corpus.deidentify.shapes import Shapes

ATOMS = ["a", "b", "[ab]", "[^a]", r"\d", "1", "-", "é", ".", "(?:ab|b1)", "(a|-)", r"\w"]
REPEATS = ["", "?", "*", "+", "{2}", "{1,3}", "{0,2}"]
PATTERN = st.lists(
    st.tuples(st.sampled_from(ATOMS), st.sampled_from(REPEATS)).map("".join), min_size=1, max_size=4
).map("".join)
PATTERNS = st.lists(PATTERN, min_size=1, max_size=3)
TEXT = st.text("ab1-é", max_size=12)


def longest(automaton: Automaton, data: bytes) -> dict[int, int]:
    """By pattern, the longest prefix of `data` that it accepts."""
    automaton.complete()
    state, found = 1, {}
    for end in range(len(data) + 1):
        for index in range(automaton.first[state], automaton.first[state + 1]):
            found[int(automaton.accepted[index])] = end
        if end < len(data):
            state = automaton.table[state, automaton.classes[data[end]]]
    return found


@settings(max_examples=120, deadline=None)
@given(PATTERNS, TEXT)
def test_it_accepts_what_re_does(patterns, text):
    data = text.encode()
    found = longest(Automaton(patterns), data)
    for index, pattern in enumerate(patterns):
        compiled = re.compile(pattern.encode().replace("é".encode(), "(?:é)".encode()), re.ASCII)
        ends = [end for end in range(len(data) + 1) if compiled.fullmatch(data[:end])]
        assert found.get(index) == (ends[-1] if ends else None)


def test_case_is_folded_where_asked():
    assert longest(Automaton(["(?i)mrn"]), b"MrN") == {0: 3}
    assert longest(Automaton(["mrn"]), b"MRN") == {}


@pytest.mark.parametrize("pattern", [r"\pL", r"a\b", "(a", "[é]"])
def test_what_it_cannot_do_is_refused(pattern):
    with pytest.raises(ValueError, match=r"supported|unbalanced|beyond"):
        Automaton([pattern])


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4))
def test_states_worked_out_on_the_way_are_those_worked_out_before(texts):
    shapes = [Shape("A", "a", "[ab]{1,3}-?1*", lambda _: True), Shape("B", "b", "(?:é|1)+", lambda _: True, every=True)]
    lazy, eager = Shapes(shapes), Shapes(shapes)
    for _, _, automaton in eager._automata:
        automaton.complete()
    for text in texts:
        assert np.array_equal(lazy.candidates(Joined([text.encode()])), eager.candidates(Joined([text.encode()])))


def test_a_word_speaks_for_what_stands_near_it():
    scan = Scanner([Shape("N", "n", r"\d{4}", lambda _: True, words=("mrn", "record number"))])
    assert [s.start for s in scan.find(b"mrn 1234")] == [4]
    assert [s.start for s in scan.find(b"1234 is the record number")] == [0]
    assert scan.find(b"1234 is a year") == [] and scan.find(b"mrn" + b" " * 80 + b"1234") == []
    assert len(scan.find(b" 1234\n")) == 1  # all the text there is


UNITS = st.lists(
    st.sampled_from(
        [
            *"0159aAzZ.-_:/@+() ,#=~'\n",
            "12",
            "é",
            "😀",
            "http://",
            "://",
            "::",
            "www.",
            "tel ",
            "mrn ",
            "GB82",
            "sk-",
            "May ",
        ]
    ),
    min_size=1,
    max_size=6,
).map("".join)


@settings(max_examples=25, deadline=None)
@given(UNITS, st.sampled_from(["hipaa_safe_harbor", "web", "code"]))
def test_no_repeated_unit_makes_more_candidates_than_the_text_is_long(unit, profile):
    """The work beyond the compiled loops, which look a fixed number of bytes ahead, is that of the candidates: their
    number must grow with the text and no faster, and stay below a few for each token."""
    scan = scanner(Search(profile), frozenset(DEFAULT_TYPES[profile]))
    counts = []
    for size in (2_000, 4_000, 8_000):
        data = (unit * (size // len(unit.encode()) + 1)).encode()[:size]
        counts.append(scan._shapes.candidates(Joined([data])).shape[1])
    assert counts[2] <= 2 * counts[1] + 400 and counts[1] <= 2 * counts[0] + 400
    assert counts[2] <= 8_000


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.randoms())
def test_findings_do_not_depend_on_what_was_scanned_before(texts, random):
    scan = scanner(Search("hipaa_safe_harbor"), frozenset(DEFAULT_TYPES["hipaa_safe_harbor"]))
    once = [scan.find(text.encode()) for text in texts]
    order = list(range(len(texts)))
    random.shuffle(order)
    again = {place: scan.find(texts[place].encode()) for place in order}
    assert [again[place] for place in range(len(texts))] == once
