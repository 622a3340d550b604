"""The social security number of the United States, by the rules of its administration."""

from corpus.deidentify.payment import apart, digits_of
from corpus.deidentify.recogniser import Candidate, Shape, nearby

_SPECIMENS = {"078051120", "219099999"}  # printed in advertisements, and so used by many: nobody's
_CONTEXT = nearby(r"(?i)\b(?:ssn?|social security|soc\.? sec\.?|ss#)")


def _ssn(candidate: Candidate) -> bool:
    """No area 000, 666 or 9xx, no group 00, no serial 0000."""
    digits = digits_of(candidate.value)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    valid = area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"
    return valid and digits not in _SPECIMENS and len(set(digits)) > 1 and digits != "123456789" and apart(candidate)


def _bare_ssn(candidate: Candidate) -> bool:
    return _ssn(candidate) and (candidate.alone or _CONTEXT.search(candidate.before) is not None)


def ssn() -> list[Shape]:
    words = (r"ssns?", r"ss", r"social security", r"soc\.? sec")
    return [
        Shape("SSN", "us.ssn", r"\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}|\d{3}\.\d{2}\.\d{4}", _ssn, apart=True),
        Shape("SSN", "us.ssn.bare", r"\d{9}", _bare_ssn, words, apart=True, score=0.9),
    ]
