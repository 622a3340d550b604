"""What columns say of many candidates is what the validator says of each."""

import ipaddress
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
from corpus.deidentify.recogniser import Candidate, Recogniser, Shape, Windows
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


def test_so_it_is_where_re2_finds_the_candidates():
    """Of every recogniser with a sieve, on pieces of its own form and on settings of every kind of value."""
    draw = random.Random(3)
    values = (
        "hunter2",
        "1.2.3.4",
        "a1b2c3d4e5f6g7h8",
        "x.y.zeta_a",
        "correct-horse",
        "A9k2Lq8ZpR4t.,;",
        "xxxxx1234567",
    )
    settings = [
        setting
        for value in values
        for quote in ('"', "'", "")
        for setting in (
            *(f"{name}{sign}{quote}{value}{quote}" for name in ("api_key", "passwd", "csrf_token") for sign in "=:"),
            *(f"https://{user}:{value}@host" for user in ("me", "${user}", "ops")),
            *(f"curl -u {quote}{user}:{value}{quote} x" for user in ("me", "{{user}}", "$ME")),
        )
    ]
    scan = scanner(Search("code"), frozenset({"SECRET"}))
    known, asked = {form.name: form for form in forms(scan)}, set()
    for own in scan.recognisers:
        if not isinstance(own, Recogniser) or own.sieve is None:
            continue
        form = known[own.name]
        data = " ".join([form.piece(draw) for _ in range(400)] + settings * 2).encode()
        spans = [match.span(own.compiled.groups and 1) for match in own.compiled.finditer(data)]
        spans = [(start, start + len(data[start:end].rstrip(own.trim or b"\0"))) for start, end in spans]
        if not spans:
            continue
        starts, ends = np.array(spans, np.int64).T
        windows = Windows(Joined([data]), starts, ends)
        said = own.sieve(Columns(Joined([data]), starts, ends))
        right = np.array([own.accept(windows.candidate(int(number))) for number in windows.which])
        assert right[said == YES].all() and not right[said == NO].any(), own.name
        assert len(own.places(data)[0]) == right.sum()
        asked.add(own.name)
    assert {"secret.assigned", "secret.url", "secret.curl", "secret.jwt"} <= asked


def test_columns_know_the_public_network_as_the_validator_does():
    """Addresses at both ends of every range that is nobody's, and beside them; and of every first number and group."""
    four, six = (own for own in scanner(Search("code"), frozenset({"IP"})).recognisers if isinstance(own, Shape))
    if four.name != "ip.v4":
        four, six = six, four
    constants = ipaddress._IPv4Constants, ipaddress._IPv6Constants  # type: ignore[attr-defined]
    for shape, kind, own in ((four, ipaddress.IPv4Address, constants[0]), (six, ipaddress.IPv6Address, constants[1])):
        size, bits = (8, 32) if kind is ipaddress.IPv4Address else (16, 128)
        ends = [int(end) for network in own._private_networks for end in (network[0], network[-1])]
        numbers = {(end + step) % (1 << bits) for end in ends for step in (-1, 0, 1)}
        numbers |= {(first << bits - size) + 0x01020304_05060708 % (1 << bits - size) for first in range(1 << size)}
        values = sorted({str(kind(number)) for number in numbers})
        text = " ".join(f"host {value}" for value in values).encode()
        sizes = np.array([len(value) for value in values])
        stops = np.cumsum(sizes + 6) - 1
        inner = Columns(Joined([text]), stops - sizes, stops)
        windows = Windows(inner.joined, inner.starts, inner.ends)
        said = shape.sieve(inner)
        for index in np.flatnonzero(said != ASK).tolist():
            candidate = windows.candidate(int(windows.which[index]))
            assert (said[index] == YES) == shape.accept(candidate), candidate
        assert (said == ASK).mean() < 0.2


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
