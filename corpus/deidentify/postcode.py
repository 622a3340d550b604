"""Postcodes whose form speaks for itself: the United Kingdom's, by the letters that Royal Mail uses in each place."""

import numpy as np

from corpus.deidentify.columns import Columns, verdicts
from corpus.deidentify.payment import apart
from corpus.deidentify.recogniser import Shape

_AREA = r"[A-PR-UWYZ](?:\d{1,2}|[A-HK-Y]\d{1,2}|\d[A-HJKPSTUW]|[A-HK-Y]\d[ABEHMNPRVWXY])"
_UNIT = r"\d[ABD-HJLNP-UW-Z]{2}"


def _apart(own: Columns) -> np.ndarray:
    return verdicts(own.apart, own.apart & own.letters_beside)


def postcode(countries: tuple[str, ...] | None) -> list[Shape]:
    if countries is not None and "GB" not in countries:
        return []
    words = (r"post ?codes?", r"address", r"zip")
    return [
        Shape("ZIP", "gb.postcode", rf"{_AREA} {_UNIT}|GIR 0AA", apart, apart=True, score=0.8, sieve=_apart),
        Shape("ZIP", "gb.postcode", rf"(?i){_AREA} ?{_UNIT}", apart, words, apart=True, score=0.6, sieve=_apart),
    ]
