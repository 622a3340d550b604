"""What columns say of many candidates is what the validator says of each."""

import random

import numpy as np
import pytest

from benchmarks.hostile import GLUES, Gene, Recipe, forms
from corpus.deidentify.columns import Columns
from corpus.deidentify.joined import Joined
from corpus.deidentify.profiles import DEFAULT_TYPES, Search, scanner
from corpus.deidentify.recogniser import Shape, Windows
from corpus.deidentify.scanner import Shapes
from corpus.kernels.candidates import ASK, NO, YES

PROFILES = ("hipaa_safe_harbor", "web", "code")


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
    joined = Joined(texts(profile, 700))
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
