"""Dates of rarer forms: ranges, a month and a year, ISO weeks, days without a month, holidays.

They stand before the plain forms of dates.py in rank, since a range has two of those in it. What they name is no one
day, so a shift turns them into a tag, and the generalisation keeps the year where one is written.
"""

import re

import numpy as np

from corpus.deidentify.columns import DIGIT_BYTES, Columns, verdicts
from corpus.deidentify.dates import DAY, MONTH, SHORT_CONTEXT, SHORT_WORDS, YEAR, bounded, short_said
from corpus.deidentify.recogniser import Candidate, Recogniser, Shape, nearby
from corpus.kernels.candidates import NO
from corpus.kernels.spans import byte_table

_TO = r"(?: ?(?:-|–) ?| to | through | thru | until )"
_NUMBERED = r"(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])"
_END_YEAR = rf"(?:{YEAR}|\d\d)"
_NUMERIC_RANGE = rf"\b({_NUMBERED}(?:/{_END_YEAR})?{_TO}{_NUMBERED}/{_END_YEAR})\b"
_SHORT_RANGE = rf"\b({_NUMBERED}{_TO}{_NUMBERED})\b"
_NAMED_RANGE = (
    rf"(\b{MONTH} {DAY}{_TO}(?:{MONTH} )?{DAY}(?:,? (?:{YEAR}|'\d\d))?\b"
    rf"|\b{DAY}{_TO}{DAY} (?:of )?{MONTH}(?:,? {YEAR})?\b)"
)
_MONTH_YEAR = rf"\b((?:0?[1-9]|1[0-2])/{YEAR})\b"
_SPACED = rf"\b(\d{{1,2}} / \d{{1,2}} / {_END_YEAR})\b"
_WEEK = rf"\b({YEAR}-?W[0-5]\d(?:-?[1-7])?)\b"
_COMPACT = (
    r"(?i)\b(?:dos|dob|doa|dod|dated?|admit(?:ted)?|admission|discharged?|birth|visit)(?: date)?[\s:#=]{1,3}"
    r"((?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))\b"
)
_APOSTROPHE = rf"\b({MONTH}(?: {DAY},?)? (?:'|’)\d\d)\b"
_MONTH_OF_YEAR = rf"\b({MONTH} of {YEAR})\b"
_NO_MONTH = r"(?i)\b(?:on|until|by|since) the (\d{1,2}(?:st|nd|rd|th))\b"
_ENDS = nearby(r"(?i)^\s*(?:[.,;)]|$|\n|and\b|for\b|with\b|(?:s?he|we|pt|patient)\b)")
_PAIR = re.compile(r"(\d+)/(\d+)", re.ASCII)
_HOLIDAY = (
    r"\b((?:Christmas|Thanksgiving|Easter|New Year(?:'|’)?s|Halloween|Independence|Memorial|Labor"
    rf"|Mother(?:'|’)s|Father(?:'|’)s|Valentine(?:'|’)s)(?: Day| Eve)?(?:,| of| in)? {YEAR})\b"
)


def _apart(candidate: Candidate) -> bool:
    touched = candidate.joined or candidate.before[-1:] in {"/", "-", "."} or candidate.after[:1] == "/"
    return not touched and not (candidate.after[:1] in {"-", "."} and candidate.after[1:2].isdigit())


def _days_of_months(candidate: Candidate) -> bool:
    """Each n/m of a range is a month and a day: not "1/2 - 3/4"'s like, for which the words before must speak."""
    pairs = _PAIR.findall(candidate.value)
    return _apart(candidate) and all(1 <= int(a) <= 12 and 1 <= int(b) <= 31 for a, b in pairs)


def _short_range(candidate: Candidate) -> bool:
    return _days_of_months(candidate) and SHORT_CONTEXT.search(candidate.before) is not None


_TOUCHED, _CONTINUED = byte_table(b"/-."), byte_table(b"-.")


def _spans(own: Columns) -> np.ndarray:
    touched = own.in_word | _TOUCHED[own.before] | (own.after == ord("/"))
    plain = ~touched & ~(_CONTINUED[own.after] & (DIGIT_BYTES[own.beyond] | (own.beyond >= 0x80)))
    return verdicts(plain, plain & (_CONTINUED[own.after] & (own.beyond >= 0x80)))


def _short_spans(own: Columns) -> np.ndarray:
    return np.where(short_said(own), _spans(own), NO).astype(np.int8)


def _ordinal(candidate: Candidate) -> bool:
    day = int("".join(c for c in candidate.value if c.isdigit()))
    return 1 <= day <= 31 and _ENDS.search(candidate.after) is not None


def date_span(profile: str) -> list[Recogniser | Shape]:
    """For clinical notes only: elsewhere such dates are nobody's birthday."""
    if profile != "hipaa_safe_harbor":
        return []
    return [
        Shape("DATE", "date.range", bounded(_NUMERIC_RANGE), _days_of_months, sieve=_spans),
        Shape("DATE", "date.range", bounded(_SHORT_RANGE), _short_range, SHORT_WORDS, sieve=_short_spans),
        Shape("DATE", "date.range", bounded(_NAMED_RANGE), _apart, sieve=_spans),
        Shape("DATE", "date.month", bounded(_MONTH_YEAR), _apart, sieve=_spans),
        Shape("DATE", "date.spaced", bounded(_SPACED), _apart, sieve=_spans),
        Shape("DATE", "date.week", bounded(_WEEK), _apart, sieve=_spans),
        Recogniser("DATE", _COMPACT, _apart, name="date.compact"),
        Shape("DATE", "date.apostrophe", bounded(_APOSTROPHE), _apart, sieve=_spans),
        Shape("DATE", "date.month", bounded(_MONTH_OF_YEAR), _apart, sieve=_spans),
        Recogniser("DATE", _NO_MONTH, _ordinal, name="date.day", score=0.6),
        Shape("DATE", "date.holiday", bounded(_HOLIDAY), _apart, sieve=_spans),
    ]
