"""The social security number of the United States, by the rules of its administration."""

import numpy as np

from corpus.deidentify.columns import Columns, Preceding, verdicts
from corpus.deidentify.payment import apart, digits_of
from corpus.deidentify.recogniser import Candidate, Shape, nearby
from corpus.kernels.candidates import ASK, NO

_SPECIMENS = {"078051120", "219099999"}  # printed in advertisements, and so used by many: nobody's
_WORDS = r"(?:ssn?|social security|soc\.? sec\.?|ss#)"
_CONTEXT = nearby(rf"(?i)\b{_WORDS}")


def _ssn(candidate: Candidate) -> bool:
    """No area 000, 666 or 9xx, no group 00, no serial 0000."""
    digits = digits_of(candidate.value)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    valid = area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"
    return valid and digits not in _SPECIMENS and len(set(digits)) > 1 and digits != "123456789" and apart(candidate)


def _ssns(own: Columns) -> np.ndarray:
    digits = own.digits.astype(np.int64)
    area, group, serial = (digits[:, first:last] @ 10 ** np.arange(last - first)[::-1] for first, last in _PARTS)
    number = (area * 100 + group) * 10000 + serial
    plain = (area > 0) & (area != 666) & (area < 900) & (group > 0) & (serial > 0) & own.apart & (own.different > 1)
    return verdicts(plain & ~np.isin(number, _NUMBERS), plain & own.letters_beside)


_PARTS = (0, 3), (3, 5), (5, 9)
_NUMBERS = [*map(int, sorted(_SPECIMENS)), 123456789]
_said = Preceding(f"(?i){_WORDS}(?:.|\n)*")


def _bare_ssns(own: Columns) -> np.ndarray:
    return np.where(_said(own), _ssns(own), np.where(own.alone, ASK, NO)).astype(np.int8)


def _bare_ssn(candidate: Candidate) -> bool:
    return _ssn(candidate) and (candidate.alone or _CONTEXT.search(candidate.before) is not None)


def ssn() -> list[Shape]:
    words = (r"ssns?", r"ss", r"social security", r"soc\.? sec")
    return [
        Shape(
            "SSN", "us.ssn", r"\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}|\d{3}\.\d{2}\.\d{4}", _ssn, apart=True, sieve=_ssns
        ),
        Shape("SSN", "us.ssn.bare", r"\d{9}", _bare_ssn, words, apart=True, score=0.9, sieve=_bare_ssns),
    ]
