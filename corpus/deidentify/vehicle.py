"""Recognisers of vehicles: identification numbers by their check digit, plates by a country's form or a word near."""

import numpy as np

from corpus.deidentify.columns import Columns, verdicts
from corpus.deidentify.payment import apart, digits_of
from corpus.deidentify.recogniser import Candidate, Shape
from corpus.deidentify.reserved import RECORD_MARK
from corpus.kernels.spans import byte_table

_VIN = r"[A-HJ-NPR-Z0-9]{17}"
# ISO 3779 as North America uses it (49 CFR 565.15): letters stand for digits, the ninth place checks the weighted sum.
_VIN_VALUE = dict(
    zip("ABCDEFGHJKLMNPRSTUVWXYZ", (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9), strict=True)
)
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin_checks(value: str) -> bool:
    total = sum(w * (int(c) if c.isdigit() else _VIN_VALUE[c]) for c, w in zip(value, _VIN_WEIGHTS, strict=True))
    return "0123456789X"[total % 11] == value[8]


def _free(candidate: Candidate) -> bool:
    return apart(candidate) and candidate.value[:2].upper() != RECORD_MARK


def _mixed_vin(candidate: Candidate) -> bool:
    """Ends in four digits, as every maker's serial does, and has letters."""
    value = candidate.value
    return _free(candidate) and value[-4:].isdigit() and 3 <= len(value) - len(digits_of(value)) <= 13


def _checked_vin(candidate: Candidate) -> bool:
    return _mixed_vin(candidate) and vin_checks(candidate.value)


_PLATE_WORDS = (
    *(r"plates?", r"(?:number|licen[cs]e) plates?", r"registration", r"reg", r"vehicle", r"car", r"plaka\w{0,4}"),
    *(r"kennzeichen", r"matr[ií]cula".replace("[ií]", "(?:i|í)"), r"targa", r"vrn", r"tag"),
)
_GENERIC_PLATE = r"[A-Z0-9]{1,3}[ -]?[A-Z0-9]{2,4}(?:[ -]?[A-Z0-9]{1,4})?"
_PLATES = {
    "GB": (
        ("gb.plate", r"[A-HK-PR-Y][A-HJ-PR-Y](?:0[2-9]|[12]\d|5[1-9]|[67]\d) ?[A-HJ-PR-Z]{3}"),
        ("gb.plate", r"[A-HJ-NPR-TV-Y]\d{1,3} ?[A-HJ-PR-Y]{3}|[A-HJ-PR-Y]{3} ?\d{1,3}[A-HJ-NPR-TV-Y]"),
    ),
    "DE": (("de.plate", r"(?:[A-Z]|Ä|Ö|Ü){1,3}[- ][A-Z]{1,2}[- ]\d{1,4}[EH]?"),),
    "TR": (
        ("tr.plate", r"(?:0[1-9]|[1-7]\d|8[01]) ?(?:[A-Z] ?\d{4,5}|[A-Z] ?\d{3}|[A-Z]{2} ?\d{2,4}|[A-Z]{3} ?\d{2,4})"),
    ),
    "NG": (("ng.plate", r"(?i)[A-Z]{3}[- ]?\d{3}[- ]?[A-Z]{2}"),),
    "IN": (("in.plate", r"[A-Z]{2}[ -]?\d{1,2}[ -]?[A-Z]{1,3}[ -]?\d{4}"),),
    "IT": (("it.plate", r"[A-HJ-NPR-TV-Z]{2} ?\d{3} ?[A-HJ-NPR-TV-Z]{2}"),),
    "ES": (("es.plate", r"\d{4} ?[BCDFGHJKLMNPRSTVWXYZ]{3}"),),
    "FR": (("fr.plate", r"[A-HJ-NP-TV-Z]{2}-\d{3}-[A-HJ-NP-TV-Z]{2}"),),
}
_STRONG = {"in.plate", "fr.plate"}


def _plate(candidate: Candidate) -> bool:
    value = candidate.value
    return _free(candidate) and any(map(str.isdigit, value)) and any(map(str.isalpha, value))


_LETTERS = byte_table(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def _plates(own: Columns) -> np.ndarray:
    """In a German one a letter may be beyond ASCII."""
    plain = own.apart & ~own.marked & (own.counts > 0)
    lettered = own.count(_LETTERS) > 0
    return verdicts(plain & lettered, plain & (~lettered | own.letters_beside))


def vehicle(countries: tuple[str, ...] | None) -> list[Shape]:
    chosen = sorted(_PLATES) if countries is None else countries
    plates = [plate for country in chosen for plate in _PLATES.get(country, ())]
    return [
        Shape("VEHICLE", "vin", _VIN, _checked_vin, apart=True),
        Shape("VEHICLE", "vin.labelled", _VIN, _mixed_vin, (r"vin", r"vehicle", r"chassis"), apart=True, score=0.8),
        *(
            Shape(
                "VEHICLE",
                name,
                form,
                _plate,
                () if name in _STRONG else _PLATE_WORDS,
                apart=True,
                score=0.8,
                sieve=_plates,
            )
            for name, form in plates
        ),
        Shape(
            "VEHICLE",
            "plate.labelled",
            _GENERIC_PLATE,
            _generic_plate,
            (r"plates?", r"(?:number|licen[cs]e) plates?"),
            apart=True,
            digits=(1, 11),
            lettered=True,
            score=0.5,
        ),
    ]


def _generic_plate(candidate: Candidate) -> bool:
    plain = [c for c in candidate.value if c.isalnum()]
    return _plate(candidate) and 5 <= len(plain) <= 8 and not candidate.alone
