"""Dates: where they stand, what day they mean, and how they are shifted or generalised.

A year alone is no finding: Safe Harbor lets it stand, and so does the generalisation to it.
"""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpus.deidentify.columns import WORD_BYTES, Columns, Containing, Preceding, verdicts
from corpus.deidentify.recogniser import Candidate, Recogniser, Shape, nearby
from corpus.kernels.candidates import ASK, NO, numbers_of
from corpus.kernels.spans import byte_table

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTH_OF = {name[:3]: number for number, name in enumerate(MONTHS, 1)}
MONTH = (
    r"(?:[Jj]an(?:uary)?|[Ff]eb(?:ruary)?|[Mm]ar(?:ch)?|[Aa]pr(?:il)?|[Mm]ay|[Jj]une?|[Jj]uly?|[Aa]ug(?:ust)?|[Ss]ep(?:t(?:ember)?)?"
    r"|[Oo]ct(?:ober)?|[Nn]ov(?:ember)?|[Dd]ec(?:ember)?|JAN(?:UARY)?|FEB(?:RUARY)?|MAR(?:CH)?|APR(?:IL)?|MAY|JUNE?|JULY?"
    r"|AUG(?:UST)?|SEP(?:T(?:EMBER)?)?|OCT(?:OBER)?|NOV(?:EMBER)?|DEC(?:EMBER)?)\.?"
)
YEAR = r"(?:1[89]|20)\d\d"
DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th|d)?"
_DAY_WORD = (
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth"
    r"|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|twenty-(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|thirtieth|thirty-first)"
)
_CLOCK = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:\s?[AaPp][Mm]\b|Z\b|\s?[+-]\d{2}:?\d{2}\b)?)?"

_NUMERIC = (
    rf"((?:{YEAR}-\d{{1,2}}-\d{{1,2}}|{YEAR}/\d{{1,2}}/\d{{1,2}}|{YEAR}\.\d{{1,2}}\.\d{{1,2}}"
    rf"|\d{{1,2}}/\d{{1,2}}/(?:{YEAR}|\d\d)|\d{{1,2}}-\d{{1,2}}-(?:{YEAR}|\d\d)|\d{{1,2}}\.\d{{1,2}}\.(?:{YEAR}|\d\d))"
    rf"{_CLOCK})"
)
_NAMED = (
    rf"(\b{DAY}(?:-| (?:day )?(?:of )?){MONTH}(?:,? ?-?{YEAR}|-\d\d)?\b"
    rf"|\b{DAY}{MONTH}-?{YEAR}\b"
    rf"|\b{MONTH}[ -]{DAY}(?:,? {YEAR})?\b"
    rf"|\b{MONTH},?[ /-]?{YEAR}\b"
    rf"|\b(?:the )?{_DAY_WORD} (?:day )?of {MONTH}(?:,? {YEAR})?\b)"
)
_SHORT = r"\b(\d{1,2}/\d{1,2})\b"
# What must stand before two numbers for them to be a day of a month: without one of them near, nothing is asked.
SHORT_WORDS = (
    *(
        "on",
        "since",
        "until",
        "till",
        "from",
        "dob",
        "born",
        "birth",
        "dated?",
        "today",
        "yesterday",
        "tomorrow",
        "seen",
    ),
    *(
        "admitted",
        "admission",
        "discharged?",
        "implanted",
        "placed",
        "surgery",
        "visit",
        "due",
        "dos",
        "start(?:ed|ing)",
    ),
    *("through", "by", "last", "next", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "week of", "as of"),
    *("(?:mon|tues|wednes|thurs|fri|satur|sun)day", "follow-?up", "f/u", "d/c"),
)
_SHORT_BEFORE = rf"(?:{'|'.join(SHORT_WORDS)})(?: (?:is|was|date))?[\s:,(]*"
SHORT_CONTEXT, short_said = nearby(rf"(?i)\b{_SHORT_BEFORE}$"), Preceding(f"(?i){_SHORT_BEFORE}")
_BIRTH_GATE = r"(?i)\b(?:d\.?o\.?[bd]|birth|born|date of death)"
_BIRTH = nearby(
    r"(?i)\b(?:d\.?o\.?[bd]\b\.?|birth(?:day|date)|birth date|date of (?:birth|death)|born(?: on)?)[^0-9\n]{0,24}$"
)
# Two days in one: "3-5", "3/4 to 3/9".
RANGE = nearby(
    r"\d(?:st|nd|rd|th)?(?:/\d+)* ?(?:–| to | through | thru | - )|[A-Za-z]\.? \d{1,2}-\d|^\d{1,2}-\d{1,2} |/\d+-\d+/"
)
_LOWER_MAY = nearby(r"\b(?:may|mar|march)\b")


@dataclass(frozen=True)
class Parts:
    """A date's day, month and year as written; None where it does not say, `year` None for two digits too."""

    day: int | None
    month: int
    year: int | None


# Of the standard library, which is quicker on a value of a few bytes; nothing in them can backtrack.
_NUMBER = re.compile(r"\d+", re.ASCII)
_YEAR_INSIDE = re.compile(rf"(?<![\d+]){YEAR}(?!\d)", re.ASCII)
_TOKEN = re.compile(r"\d+|[A-Za-z]+", re.ASCII)


def parse(value: str) -> Parts | None:
    """What the date says, or None where no calendar has it. Between 5/6 and 6/5 the month is taken to come first,
    as in American notes, unless the separator is a point."""
    tokens = _TOKEN.findall(value)
    named = next((month for token in tokens if not token[0].isdigit() and (month := _month(token))), None)
    if named is not None:
        numbers = [token for token in tokens if token[0].isdigit()]
        year = next((int(n) for n in numbers if len(n) == 4), None)
        day = next((int(n) for n in numbers if len(n) <= 2), None)
        return Parts(day, named, year) if day is None or 1 <= day <= 31 else None
    numbers = _NUMBER.findall(value.partition(":")[0])[: 3 if value.count("/") != 1 else 2]
    if len(numbers) < 2 or (len(numbers) == 2 and 4 in map(len, numbers)):  # no day: 03/2024, 2024-W03
        return None
    if len(numbers[0]) == 4:
        year, month, day = map(int, numbers)
    else:
        first, second = int(numbers[0]), int(numbers[1])
        year = int(numbers[2]) if len(numbers) > 2 and len(numbers[2]) == 4 else None
        day_first = ("." in value.partition(":")[0] and second <= 12) or first > 12
        day, month = (first, second) if day_first else (second, first)
    return Parts(day, month, year) if 1 <= month <= 12 and 1 <= day <= 31 else None


def _month(word: str) -> int | None:
    """The month that `word` names, in full or cut to three letters or more."""
    lower = word.lower()
    number = _MONTH_OF.get(lower[:3])
    return number if number and MONTHS[number - 1].startswith(lower) else None


def _date(candidate: Candidate) -> bool:
    before, after = candidate.before[-1:], candidate.after[:2]
    if candidate.joined or (after[:1] in {"/", "-", "."} and after[1:].isalnum()):
        return False
    if before in {"/", "-", "."}:
        month = candidate.value[:1].isalpha()  # mid-March
        if not (month and candidate.before.lower().endswith(("mid-", "early-", "late-"))):
            return False
    return parse(candidate.value) is not None


_TOUCHED_BY = byte_table(b"/-.")
_lower_may = Containing(r"may|mar")


def _in_calendar(own: Columns) -> np.ndarray:
    """bool[candidates]: as `parse` has it, of dates in numbers."""
    values, sizes = numbers_of(own.joined.view, own.starts, own.ends)
    first, second, third = values.T
    points = own.at(own.starts + sizes[:, 0]) == ord(".")
    turned = (points & (second <= 12)) | (first > 12)
    year_first = sizes[:, 0] == 4
    month = np.where(year_first | turned, second, first)
    day = np.where(year_first, third, np.where(turned, first, second))
    return (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)


def _dates(own: Columns) -> np.ndarray:
    plain = _untouched(own) & ~_TOUCHED_BY[own.before] & _in_calendar(own)
    return verdicts(plain, plain & _perhaps_touched(own))


def _named_dates(own: Columns) -> np.ndarray:
    """A pattern with a month in letters has a day there is; what is left is a verb that may be a month's name, and what
    stands behind "mid-"."""
    unsure = _perhaps_touched(own) | _TOUCHED_BY[own.before] | _lower_may(own)
    return verdicts(_untouched(own), _untouched(own) & unsure)


def _untouched(own: Columns) -> np.ndarray:
    """bool[candidates]: no word of ASCII touches it, nor a sign and a letter or digit behind it."""
    return ~(own.in_word | (_TOUCHED_BY[own.after] & WORD_BYTES[own.beyond] & (own.beyond != ord("_"))))


def _perhaps_touched(own: Columns) -> np.ndarray:
    return _TOUCHED_BY[own.after] & (own.beyond >= 0x80)


def _named_date(candidate: Candidate) -> bool:
    # "type 1 may": a verb unless it begins with a capital or a year follows.
    if not candidate.value[-4:].isdecimal() and _LOWER_MAY.search(candidate.value):
        return False
    return _date(candidate)


def _short_date(candidate: Candidate) -> bool:
    alone = candidate.alone or SHORT_CONTEXT.search(candidate.before) is not None
    return alone and _date(candidate)


def _short_dates(own: Columns) -> np.ndarray:
    said = short_said(own)
    return np.where(said | own.alone, np.where(said, _dates(own), ASK), NO).astype(np.int8)


def _born(candidate: Candidate) -> bool:
    return _named_date(candidate) and _BIRTH.search(candidate.before) is not None


def bounded(pattern: str) -> str:
    """The pattern without the marks of a word's edge, which a shape has by itself."""
    return pattern.replace(r"\b", "")


def date(profile: str) -> Sequence[Recogniser | Shape]:
    """Every date of a clinical note; elsewhere a date is somebody's only where it is a birthday or a day of death."""
    if profile == "hipaa_safe_harbor":
        return [
            Shape("DATE", "date.numeric", bounded(_NUMERIC), _date, sieve=_dates),
            Shape("DATE", "date.named", bounded(_NAMED), _named_date, sieve=_named_dates),
            Shape("DATE", "date.short", bounded(_SHORT), _short_date, SHORT_WORDS, sieve=_short_dates),
        ]
    return [Recogniser("DATE", pattern, _born, gate=_BIRTH_GATE) for pattern in (_NUMERIC, _NAMED)]


def year(value: str) -> str | None:
    """The year a date names in four digits."""
    found = _YEAR_INSIDE.search(value)
    return found.group() if found else None


def shifted(value: str, days: int) -> str | None:
    """The date moved by `days`, in its own form; None where it does not name a day of a year, or its form says more
    than we can write (an ordinal day in words, a two-digit year)."""
    parts = parse(value)
    if parts is None or parts.year is None or parts.day is None or RANGE.search(value):
        return None
    try:
        new = datetime.date(parts.year, parts.month, parts.day) + datetime.timedelta(days)
    except (ValueError, OverflowError):
        return None
    return _rewrite(value, parts, new)


def _rewrite(value: str, old: Parts, new: datetime.date) -> str:
    """`value` with its day, month and year replaced in their order and writing."""
    tokens = [match.group() for match in _TOKEN.finditer(value)]
    padded = len(tokens[0]) == 4 or any(token[0] == "0" for token in tokens)
    named = any(map(_month, tokens))
    numbers = iter(_number_order(value, old, named))
    year_written = False

    def rewritten(token: str) -> str:
        nonlocal year_written
        if token.isdigit():
            if len(token) == 4 and not year_written:
                year_written = True
                return f"{new.year:04d}"
            part = next(numbers, None) if len(token) <= 2 else None
            return token if part is None else str(getattr(new, part)).zfill(2 if padded else 1)
        if _month(token):
            return _named_like(token, new.month)
        return _ordinal(new.day) if token.lower() in {"st", "nd", "rd", "th"} else token

    pieces, at = [], 0
    for match in _TOKEN.finditer(value):
        pieces += [value[at : match.start()], rewritten(match.group())]
        at = match.end()
    return "".join(pieces) + value[at:]


def _number_order(value: str, parts: Parts, named: bool) -> tuple[str, ...]:
    """What the numbers of one or two digits say, first to last; those of a clock come after and stay."""
    if named:
        return ("day",)
    first = _NUMBER.findall(value)[0]
    day_first = len(first) <= 2 and int(first) == parts.day and ("." in value or int(first) > 12)
    return ("day", "month") if day_first else ("month", "day")


def _named_like(written: str, month: int) -> str:
    full = MONTHS[month - 1]
    name = full if written.lower() in MONTHS and len(written) > 3 else full[:3]
    return name.upper() if written.isupper() else name.capitalize()


def _ordinal(day: int) -> str:
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
