"""Ages over 89, in figures and in words. Younger ages may stand under Safe Harbor."""

from collections.abc import Sequence

import numpy as np

from corpus.deidentify.columns import BLANK_BYTES, Columns, Following, Group, Head, Tail, verdicts
from corpus.deidentify.recogniser import WINDOW, Candidate, Shape, nearby
from corpus.kernels.candidates import ASK, NO
from corpus.kernels.spans import byte_table

_FIGURE = r"(?:9\d|1[01]\d|12[0-5])"
_UNIT_WORD = r"(?:one|two|three|four|five|six|seven|eight|nine)"
_WORD = rf"(?:ninety(?:[- ]{_UNIT_WORD})?|(?:a |one )?hundred(?: and {_UNIT_WORD}| {_UNIT_WORD})?)"
_YEARS_OLD = r"[ -]?(?:years?|yrs?|yr)\.?[ -]?(?:old|of age)"
_OLD = rf"(?:{_YEARS_OLD}|[ -]?y(?:[./-] ?|ears? )?o|[ -]?yr?s?[. ]?o(?:ld)?)"
_VALUE = rf"(?:{_FIGURE}|{_WORD})"
_PERSON = r"(?:s?he|patient|pt|who|mother|father|grandmother|grandfather|woman|man|lady|gentleman)"
_PATTERNS = {
    "figure": rf"{_FIGURE}{_OLD}",
    "word": rf"{_WORD}{_YEARS_OLD}",
    "label": rf"age[d]?(?: is| of| was)?(?: ?[:=]| of| at)? ?{_VALUE}",
    "event": (
        r"(?:turn(?:ed|s|ing)|birthday,?|lived to(?: be)?|survived to|(?:died|passed away) at)(?: the age of)? "
        f"{_VALUE}"
    ),
    "predicate": rf"{_PERSON}(?:'s| is| was|,)(?: now| currently| nearly| almost| over)? {_VALUE}",
    "sex": rf"{_FIGURE} ?(?:y|yr|f|m|female|male|man|woman)",
}
_VALUES = f"(?i){_VALUE}"
# Where the number stands in what a pattern matches; the label "aged" is no number.
_GROUPS: dict[str, Group] = {
    "figure": Head(_VALUES),
    "word": Head(_VALUES),
    "sex": Head(_VALUES),
    "label": Tail(_VALUES, skipped=3),
    "event": Tail(_VALUES),
    "predicate": Tail(_VALUES),
}
_DECADE = r"(?i)(?:her|his|their|my)[ -](?:(?:early|mid|late)[ -])?(?:nineties|90'?s)"
_NAMED = r"(?i)(?:super)?(?:centenarian|nonagenarian)s?"
_UNIT = (
    r"\s*(?:%|percent|mg|ml|mcg|kg|lb|cm|mm|bpm|days?|weeks?|months?|hours?|minutes?|mins?|hrs?|/|units?|people|miles"
    r"|°|degrees)"
)
_UNITS, _units = nearby(f"(?i)^{_UNIT}"), Following(f"(?i){_UNIT}")
_NO_AGE_BEFORE = byte_table(b"./-$#")


def _age(candidate: Candidate) -> bool:
    before = candidate.before[-1:]
    return (
        before not in {".", "/", "-", "$", "£", "#"}
        and not _UNITS.match(candidate.after)
        and candidate.after[:1] != "+"
    )


def _ages(own: Columns) -> np.ndarray:
    refused = _NO_AGE_BEFORE[own.before] | (own.after == ord("+")) | _units(own)
    return verdicts(~refused, ~refused & own.letters_beside)


_DECADE_OF_LIFE = nearby(r"(?i)\b(?:in|into|reached|well into|entering)\s*$")


def _decade(candidate: Candidate) -> bool:
    """ "in her nineties" is an age; "in the 90s" is a decade of the calendar, or a blood pressure."""
    own = candidate.value.lower().startswith(("her", "his", "their", "my"))
    return own and _DECADE_OF_LIFE.search(candidate.before) is not None


_ENDS = nearby(r"(?i)^(?:[.,;)]|\s*$| years?\b| and\b)")


def _predicate(candidate: Candidate) -> bool:
    """ "She is 93." and not "she is 93 percent"."""
    return _age(candidate) and _ENDS.search(candidate.after) is not None


_WITH = r",? (?:(?:with|who|presents?|presenting|here|admitted|brought|found|in|has|was)|(?:w|p|c|s)/)"
_SOMEBODY = nearby(f"(?i)^{_WITH}")
_METRES = nearby(r"^ ?[mf]\b")


def _sex(candidate: Candidate) -> bool:
    """ "98F", "a 94 M", "93 m with chest pain"; "90 m long" is a length."""
    metres = _METRES.search(candidate.after)
    return _age(candidate) and (metres is None or _SOMEBODY.search(candidate.after[metres.end() :]) is not None)


_metres, _somebody = Following(r" ?[mf]", edge=True), Following(f"(?i) ?[mf]{_WITH}")


def _sexes(own: Columns) -> np.ndarray:
    metres = _metres(own)
    return np.where(metres & ~_somebody(own), NO, _ages(own)).astype(np.int8)


_ends, _ends_in_word = Following(r"[.,;)]"), Following(r"(?i) years?| and", edge=True)


def _predicates(own: Columns) -> np.ndarray:
    blank = own.around(WINDOW)[1]
    unsure = blank.count(BLANK_BYTES) == blank.ends - blank.starts
    return np.where(_ends(own) | _ends_in_word(own), _ages(own), np.where(unsure, ASK, NO)).astype(np.int8)


_CHECKS = {"predicate": (_predicate, _predicates), "sex": (_sex, _sexes)}


def age(profile: str) -> Sequence[Shape]:
    """Ages over 89; what is masked is the number, or the word that stands for it."""
    return [
        *(
            Shape(
                "AGE",
                f"age.{name}",
                f"(?i){pattern}",
                _CHECKS.get(name, (_age, _ages))[0],
                group=_GROUPS[name],
                sieve=_CHECKS.get(name, (_age, _ages))[1],
                score=0.9,
            )
            for name, pattern in _PATTERNS.items()
        ),
        Shape("AGE", "age.decade", _DECADE, _decade, score=0.8),
        Shape("AGE", "age.named", _NAMED, lambda _: True, score=0.9),
    ]


def ninety_or_more(value: str) -> str:
    """What an age over 89 generalises to: Safe Harbor's one category for all of them."""
    return "90+"
