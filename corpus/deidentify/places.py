"""Geographic units smaller than a state: street addresses, boxes, units, cities with context, counties, ZIP codes.

States and countries may stand under Safe Harbor. A city's name alone says nothing that a list of cities would not
confuse with surnames and common words, so it needs context: an address, a state behind it, "lives in", "city of".
"""

from collections.abc import Sequence

import numpy as np
import re2

from corpus.deidentify.grammar import GrammarFinder, Rule, one_by_one
from corpus.deidentify.recogniser import Candidate, Gated, Recogniser
from corpus.deidentify.wordclass import Classified

_PROPER = "FLBCflbUEqRW"
_NAMED = rf"[{_PROPER}MSA](?:[-'][{_PROPER}])?s?"
_UNIT = r"(?:[,|]?(?:H\.?\#?|\#)[NKI](?:-[NKI])?)"
_STREET = r"[QqT]\.?R?"
_ZIP = r"N(?:-N)?"
_STATES = frozenset(
    (
        *("AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY"),
        *("LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND"),
        *("OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA", "WA", "WV", "WI", "WY", "DC"),
        *("PR", "AA", "AE", "AP"),
    )
)
_CORE = re2.compile(
    r"(?i)\b(?:st|street|ave?|avenue|rd|road|blvd|boulevard|ln|lane|dr|drive|hwy|highway|pkwy|parkway|ct|court|cir|circle"
    r"|ter|terrace|pl|place|way|trl|trail)\b"
)
_YEAR = re2.compile(r"^(?:1[5-9]|20)\d\d$")
_MEASURE = re2.compile(r"(?i)^\d+(?:[.,]\d+)+$")


def _address(document: Classified, first: int, last: int) -> bool:
    """A house number, and no year before a place ("in 1998 Forest Hills"); rarer street words need more."""
    number = document.text(first, first + 1)
    if len(number) > 6 or _MEASURE.match(number):
        return False
    text = document.text(first + 1, last)
    core = _CORE.search(text) is not None
    year = _YEAR.match(number) is not None
    before, after = (chr(kind) for kind in document.near(np.array([first - 1, last])))
    field = before in "=|_:,>" and after in "=|_,H#N"
    if core:
        return not year or (before in "=|_:,a" and before != "a") or after in ",H|#"
    return field or (after in ",H#" and not year and len(number) >= 3)


def _before_state(document: Classified, first: int, last: int) -> bool:
    """ ", TX" or ", Texas" follows; ", MD" only before a ZIP code, since it is a physician's too."""
    own, after = document.near(np.array([last + 1, last + 2]))
    if own == ord("S"):
        return True
    return document.text(last + 1, last + 2) in _STATES and (after == ord("N") or own != ord("D"))


def _five_digits(document: Classified, first: int, last: int) -> bool:
    return bool(4 <= document.ends[first] - document.starts[first] <= 6)


_STATES_OF_TWO_WORDS = frozenset(
    f"{one} {two}"
    for one, twos in (
        ("north", ("carolina", "dakota", "america", "korea", "macedonia")),
        ("south", ("carolina", "dakota", "america", "korea", "africa", "sudan")),
        ("new", ("hampshire", "jersey", "mexico", "zealand")),
        ("west", ("virginia",)),
        ("rhode", ("island",)),
        ("el", ("salvador",)),
    )
    for two in twos
)


def _proper(document: Classified, first: int, last: int) -> bool:
    if document.text(first, last).lower() in _STATES_OF_TWO_WORDS:
        return False
    return any(kind in b"FLBCflbUE" for kind in document.classes[first:last].tobytes())


_PLACE = r"(?:[RqQ]\.?)?[FLBCflbUEqR](?:-[FLBCW])?"
_LINE = rf"[NK](?:-[NKI])?(?:N|K|I)?(?:R\.?|I\.)?(?:{_NAMED}){{1,4}}?{_STREET}{_UNIT}{{0,2}}"
_TO_CITY = r"(?:,[|]?|[|]>?,?|_)"
_STATE = r"(?:,?[|]?[SUWDITJ]{1,2})"
_RESIDENCE = r"Pw?[ao](?:h?vo)?h?"
_UNIT_WORDS = {"apt", "apartment", "ste", "suite", "unit"}


def _with_state(document: Classified, first: int, last: int) -> bool:
    return _proper(document, first, last) and _before_state(document, first, last)


def _unit(document: Classified, first: int, last: int) -> bool:
    return document.text(first, first + 1).lower() in _UNIT_WORDS


_RULES = (
    Rule("street", rf"({_LINE})", 0.85, one_by_one(_address)),
    Rule("street", rf"(N(?:R\.?|I\.)?KQ\.?R?{_UNIT}{{0,2}})", 0.85, one_by_one(_address)),
    Rule("street.city", rf"{_LINE}{_TO_CITY}((?:{_NAMED}){{1,3}}){_STATE}?,?[|]?{_ZIP}", 0.85),
    Rule("city.state", rf"((?:{_PLACE}){{1,3}}),[SUWDJ]", 0.75, one_by_one(_with_state)),
    Rule("county", r"((?:[RqQ]\.?)?[FLBCflbUES]{1,3}c)", 0.8, one_by_one(_proper)),
    Rule("settlement", rf"(?:v|c)oh?((?:{_PLACE}){{1,3}})", 0.8),
    Rule("residence", rf"{_RESIDENCE}({_PLACE}(?:[FLBCflbUEqRW]){{0,2}})", 0.7, one_by_one(_proper)),
    Rule("unit", r"(H\.?#?[NK])", 0.6, one_by_one(_unit)),
)
_ZIP_RULES = (
    Rule("address", rf"{_LINE}{_TO_CITY}(?:{_NAMED}){{1,3}}{_STATE}?,?[|]?({_ZIP})", 0.9, one_by_one(_five_digits)),
)

_BOX = (
    r"(?i)\b((?:p\.?\s?o\.?\s*box|post office box|postfach|apartado|psc\s+\d{1,5},?\s+box"
    r"|(?:apo|fpo|dpo)\s+(?:aa|ae|ap))\s*#?\s*\d[\d-]{0,9})\b"
)
_STREET_ENDINGS = "gasse|platz|allee|gatan|vägen|veien|straat|laan"
_STREET_WORDS = "rue|via|calle|avenida|rua|avenue|boulevard|place|strada|piazza"
_EUROPEAN = (
    r"((?:\b\d{1,5}[ ,]+)?\b(?:\p{Lu}[\p{L}.-]*[ -])?\p{Lu}?[\p{L}-]*"
    rf"(?:stra(?:ss|ß)e|str\.|{_STREET_ENDINGS}) \d{{1,4}}[a-z]?\b"
    rf"|\b\d{{1,4}},? (?:{_STREET_WORDS}) (?:(?:de|du|des|la|le|del|della|da|do) )*"
    r"\p{Lu}[\p{L}'-]+(?: \p{Lu}[\p{L}'-]+){0,2})"
)
_EUROPEAN_GATE = rf"(?:stra(?:ss|ß)e|str\.|{_STREET_ENDINGS}) \d|\d,? (?:{_STREET_WORDS}) "
_ZIP_LABELLED = (
    r"(?i)\b(?:zip(?:[ -]?codes?)?|post(?:al)?[ -]?codes?)\b[^0-9\n]{0,32}?\b(\d{5}(?:-\d{4})?|\d{4} ?[A-Z]{2})\b"
)
_STATE_CODES = "|".join(sorted(_STATES))
_ZIP_AFTER_STATE = rf"\b(?:{_STATE_CODES})\.?,?\s{{1,2}}(\d{{5}}(?:-\d{{4}})?)\b"
_STATE_NAMES = (
    r"(?:Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa"
    r"|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada"
    r"|Hampshire|Jersey|Mexico|York|Carolina|Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|Island|Tennessee|Texas|Utah|Vermont|Virginia"
    r"|Washington|Wisconsin|Wyoming)"
)
_ZIP_AFTER_NAME = rf"\b{_STATE_NAMES},? (\d{{5}}(?:-\d{{4}})?)\b"


def _number(candidate: Candidate) -> bool:
    return not candidate.joined and candidate.after[:1] not in {"%", "/"}


def location(profile: str) -> Sequence[Gated]:
    """Addresses, cities and counties, the same for every profile."""
    return [
        Recogniser("LOCATION", _BOX, _number, name="location.box"),
        Recogniser(
            "LOCATION",
            _EUROPEAN,
            _number,
            gate=_EUROPEAN_GATE,
            name="location.european",
        ),
        GrammarFinder("LOCATION", _RULES, name="location"),
    ]


def zip_code(profile: str) -> Sequence[Gated]:
    """American ZIP codes with a word, a state or an address before them."""
    return [
        Recogniser("ZIP", _ZIP_LABELLED, _number, gate=r"(?i)\bzip|post(?:al)?[ -]?code", name="zip.label"),
        Recogniser("ZIP", _ZIP_AFTER_STATE, _number, name="zip.state"),
        Recogniser("ZIP", _ZIP_AFTER_NAME, _number, name="zip.state"),
        GrammarFinder("ZIP", _ZIP_RULES, name="zip.address"),
    ]


# The initial three digits that Safe Harbor asks to be 000: fewer than 20,000 people live there (census of 2000).
_SPARSE = frozenset(
    (
        *("036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884"),
        *("890", "893"),
    )
)


def zip3(value: str) -> str | None:
    """The first three digits of an American ZIP code and zeros after; 00000 where too few people live behind them."""
    digits = value.partition("-")[0].strip()
    if len(digits) != 5 or not digits.isdecimal():
        return None
    return "000**" if digits[:3] in _SPARSE else f"{digits[:3]}**"
