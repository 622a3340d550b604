"""Geographic units smaller than a state: street addresses, boxes, units, cities with context, counties, ZIP codes.

States and countries may stand under Safe Harbor. A city's name alone says nothing that a list of cities would not
confuse with surnames and common words, so it needs context: an address, a state behind it, "lives in", "city of".
"""

from collections.abc import Sequence

import numpy as np

from corpus.deidentify.grammar import GrammarFinder, Rule
from corpus.deidentify.questions import Words, any_of, byte_at, has_class, in_capitals, sizes
from corpus.deidentify.recogniser import Candidate, Gated, Recogniser
from corpus.deidentify.wordclass import Classified

_PROPER = "FLBCflbUEqRW"
_NAMED = rf"[{_PROPER}MSA](?:[-'][{_PROPER}])?s?"
_UNIT = r"(?:[,|]?(?:H\.?\#?|\#)[NKI](?:-[NKI])?)"
_STREET = r"[QqT]\.?R?"
_ZIP = r"N(?:-N)?"
_STATES = (
    *("AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY"),
    *("LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND"),
    *("OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA", "WA", "WV", "WI", "WY", "DC"),
    *("PR", "AA", "AE", "AP"),
)
_STATE_CODE = Words(tuple(state.lower() for state in _STATES))
_CORE = Words(
    (
        *("st", "street", "av", "ave", "avenue", "rd", "road", "blvd", "boulevard", "ln", "lane", "dr", "drive", "hwy"),
        *("highway", "pkwy", "parkway", "ct", "court", "cir", "circle", "ter", "terrace", "pl", "place", "way", "trl"),
        *("trail",),
    )
)
_NUMBER, _AT, _STATE_CLASS, _DEGREE = (ord(c) for c in "NaSD")
_FIELD, _FIELD_OR_AT, _FIELD_END = any_of("=|_:,>"), any_of("=|_:,"), any_of("=|_,H#N")
_UNIT_AFTER, _LINE_OR_UNIT_AFTER = any_of(",H#"), any_of(",H|#")


def _address(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """A house number, and no year before a place ("in 1998 Forest Hills"); rarer street words need more."""
    size = sizes(document, firsts)
    digits = np.stack([byte_at(document, firsts, place) for place in range(6)])
    plain = document.near(firsts) == _NUMBER
    measured = plain & ((digits == ord(".")) | (digits == ord(","))).any(axis=0)
    century = digits[0].astype(int) * 10 + digits[1] - 11 * ord("0")
    year = plain & ~measured & (size == 4) & (century >= 15) & (century <= 20)
    before, after = document.near(firsts - 1), document.near(lasts)
    core = _CORE.within(document, firsts + 1, lasts)
    street = ~year | _FIELD_OR_AT[before] | _LINE_OR_UNIT_AFTER[after]
    rarer = (_FIELD[before] & _FIELD_END[after]) | (_UNIT_AFTER[after] & ~year & (size >= 3))
    return (size <= 6) & ~measured & np.where(core, street, rarer)


def _before_state(document: Classified, lasts: np.ndarray) -> np.ndarray:
    """ ", TX" or ", Texas" follows; ", MD" only before a ZIP code, since it is a physician's too."""
    own, after = document.near(lasts + 1), document.near(lasts + 2)
    state = np.minimum(lasts + 1, len(document.classes) - 1)
    code = _STATE_CODE.at(document, state) & in_capitals(document, state, state + 1)
    return (own == _STATE_CLASS) | (code & ((after == _NUMBER) | (own != _DEGREE)))


def _five_digits(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    size = document.ends[firsts] - document.starts[firsts]
    return (size >= 4) & (size <= 6)


_STATES_OF_TWO_WORDS = tuple(
    (Words((one,)), Words(twos))
    for one, twos in (
        ("north", ("carolina", "dakota", "america", "korea", "macedonia")),
        ("south", ("carolina", "dakota", "america", "korea", "africa", "sudan")),
        ("new", ("hampshire", "jersey", "mexico", "zealand")),
        ("west", ("virginia",)),
        ("rhode", ("island",)),
        ("el", ("salvador",)),
    )
)
_NAME_LIKE = any_of("FLBCflbUE")


def _proper(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    two = lasts - firsts == 2
    state = np.zeros(len(firsts), bool)
    for one, other in _STATES_OF_TWO_WORDS:
        state |= two & one.at(document, firsts) & other.at(document, firsts + 1)
    return has_class(document, firsts, lasts, _NAME_LIKE) & ~state


_BORN, _NOT_BORN = Words(("born",)), Words(("to", "into", "from", "outside", "of"))


def _residence(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """ "born in Tulare", and not "Born to Run"."""
    no_birth = _BORN.at(document, firsts - 2) & _NOT_BORN.at(document, firsts - 1)
    return _proper(document, firsts, lasts) & ~no_birth


_PLACE = r"(?:[RqQ]\.?)?[FLBCflbUEqR](?:-[FLBCW])?"
_LINE = rf"[NK](?:-[NKI])?(?:N|K|I)?(?:R\.?|I\.)?(?:{_NAMED}){{1,4}}?{_STREET}{_UNIT}{{0,2}}"
_TO_CITY = r"(?:,[|]?|[|]>?,?|_)"
_STATE = r"(?:,?[|]?[SUWDITJ]{1,2})"
_RESIDENCE = r"Pw?[ao](?:h?vo)?h?"
_UNIT_WORDS = Words(("apt", "apartment", "ste", "suite", "unit"))


def _with_state(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    return _proper(document, firsts, lasts) & _before_state(document, lasts)


def _unit(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    return _UNIT_WORDS.at(document, firsts)


_RULES = (
    Rule("street", rf"({_LINE})", 0.85, _address),
    Rule("street", rf"(N(?:R\.?|I\.)?KQ\.?R?{_UNIT}{{0,2}})", 0.85, _address),
    Rule("street.city", rf"{_LINE}{_TO_CITY}((?:{_NAMED}){{1,3}}){_STATE}?,?[|]?{_ZIP}", 0.85),
    Rule("city.state", rf"((?:{_PLACE}){{1,3}}),[SUWDJ]", 0.75, _with_state),
    Rule("county", r"((?:[RqQ]\.?)?[FLBCflbUES]{1,3}c)", 0.8, _proper),
    Rule("settlement", rf"(?:v|c)oh?((?:{_PLACE}){{1,3}})", 0.8),
    Rule("residence", rf"{_RESIDENCE}({_PLACE}(?:[FLBCflbUEqRW]){{0,2}})", 0.7, _residence),
    Rule("unit", r"(H\.?#?[NK])", 0.6, _unit),
)
_ZIP_RULES = (Rule("address", rf"{_LINE}{_TO_CITY}(?:{_NAMED}){{1,3}}{_STATE}?,?[|]?({_ZIP})", 0.9, _five_digits),)

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
