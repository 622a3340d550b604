"""What columns say of many candidates is what the validator says of each."""

import random
import re
from string import ascii_uppercase

import numpy as np
import pytest

from benchmarks.hostile import GLUES, Form, Gene, Recipe, forms
from corpus.deidentify.checkdigits import LETTERED, LETTERS, TESTS
from corpus.deidentify.columns import Columns
from corpus.deidentify.joined import Joined
from corpus.deidentify.profiles import DEFAULT_TYPES, TYPES, Search, scanner
from corpus.deidentify.recogniser import Candidate, Shape, Windows
from corpus.deidentify.shapes import Shapes
from corpus.kernels.candidates import ASK, NO, YES

PROFILES = ("hipaa_safe_harbor", "code")


def texts(profile: str, size: int) -> list[bytes]:
    """Drawn texts of every form of the profile, whole and spoken for, with many kinds of signs between."""
    draw = random.Random(7)
    known = forms(scanner(Search(profile), frozenset(DEFAULT_TYPES[profile])))
    return [
        Recipe((Gene(form, 0, spoken),), draw.choice(GLUES), True, draw.randrange(1000)).text(size)
        for form in known
        for spoken in ({False, bool(form.words)})
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_columns_never_contradict_the_validator(profile):
    shapes = [
        own for own in scanner(Search(profile), frozenset(DEFAULT_TYPES[profile])).recognisers if isinstance(own, Shape)
    ]
    joined = Joined(texts(profile, 400))
    starts, ends, places, _ = Shapes(shapes).candidates(joined).astype(np.int64)
    said_yes, said_no = set(), set()
    for place, shape in enumerate(shapes):
        own = np.flatnonzero(places == place)[:700]
        if shape.sieve is None or len(own) == 0:
            continue
        inner = shape.within(Columns(joined, starts[own], ends[own]))
        found = inner.ends > inner.starts
        said = shape.sieve(inner)
        windows = Windows(joined, inner.starts, inner.ends)
        for index in np.flatnonzero(found & (said != ASK)).tolist():
            candidate = windows.candidate(int(windows.which[index]))
            assert (said[index] == YES) == shape.accept(candidate), (shape.name, candidate)
        said_yes |= {shape.name} if (said[found] == YES).any() else set()
        said_no |= {shape.name} if (said[found] == NO).any() else set()
    assert len(said_no | said_yes) > 3


def test_check_digits_are_those_of_the_validators():
    """Numbers drawn from each register's own form, with every last sign: some of them check."""
    draw = random.Random(5)
    shapes = [
        own for own in scanner(Search("hipaa_safe_harbor"), frozenset(TYPES)).recognisers if isinstance(own, Shape)
    ]
    accepted = set()
    for shape in shapes:
        if shape.name not in {*TESTS, *LETTERS, *LETTERED, "it.fiscal"}:
            continue
        form = Form(shape.name, shape.pattern)
        values = list(dict.fromkeys(variant for _ in range(60) for variant in _endings(form.piece(draw))))
        text = " ".join(values).encode()
        sizes = np.array([len(value) for value in values])
        ends = np.cumsum(sizes + 1) - 1
        inner = Columns(Joined([text]), ends - sizes, ends)
        for value, said in zip(values, shape.sieve(inner).tolist(), strict=True):
            whole = re.fullmatch(shape.pattern, value) is not None
            if whole and said != ASK:
                right = shape.accept(Candidate(value, " ", " "))
                assert (said == YES) == right, (shape.name, value)
            if whole and said != NO:
                accepted.add(shape.name)
    assert len(accepted) > 35


def _endings(piece: str) -> list[str]:
    return [piece[:-1] + last for last in ("0123456789" + ascii_uppercase)]
