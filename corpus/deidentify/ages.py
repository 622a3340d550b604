"""Ages over 89, in figures and in words. Younger ages may stand under Safe Harbor."""

from collections.abc import Sequence

import re2

from corpus.deidentify.recogniser import Candidate, Finder, Recogniser

_FIGURE = r"(?:9\d|1[01]\d|12[0-5])"
_UNIT_WORD = r"(?:one|two|three|four|five|six|seven|eight|nine)"
_WORD = rf"(?:ninety(?:[- ]{_UNIT_WORD})?|(?:a |one )?hundred(?: and {_UNIT_WORD}| {_UNIT_WORD})?)"
_OLD = r"(?:[- ]?(?:years?|yrs?|yr)\.?[- ]?(?:old|of age)|[- ]?y(?:[./-]\s?|ears? )?o\b\.?|[- ]?yr?s?[. ]?o(?:ld)?\b)"
_FIGURE_OLD = rf"(?i)\b({_FIGURE}){_OLD}"
_WORD_OLD = rf"(?i)\b({_WORD})(?:[- ](?:years?|yrs?)[- ]?(?:old|of age)|[- ]year[- ]old)"
_AGED = rf"(?i)\b(?:age[d]?|age is|age of|age was)(?: ?[:=]| of| at)? ?({_FIGURE}|{_WORD})\b"
_TURNED = rf"(?i)\b(?:turn(?:ed|s|ing)|birthday,?|lived to(?: be)?|survived to|died at|passed away at)(?: the age of)? ({_FIGURE}|{_WORD})\b"
_YEARS = rf"(?i)\b(?:he|she|patient|pt|who|mother|father|grandmother|grandfather|woman|man|lady|gentleman)(?:'s| is| was|,)(?: now| currently| nearly| almost| over)? ({_FIGURE}|{_WORD})(?:,|\.| years?\b| and\b|$)"
_DECADE = r"(?i)\b((?:early|mid|late|her|his|their|the|my|in)[- ](?:(?:early|mid|late)[- ])?(?:nineties|90'?s))\b"
_NAMED = r"(?i)\b((?:super)?centenarian|nonagenarian)s?\b"
_SEXED = rf"(?i)\b({_FIGURE}) ?(?:y|yr|F\b|M\b|female|male|man|woman)(?: |,|\.|$)"
_UNITS = re2.compile(
    r"(?i)^\s*(?:%|percent|mg|ml|mcg|kg|lb|cm|mm|bpm|days?|weeks?|months?|hours?|minutes?|mins?|hrs?|/|units?|people|miles|°|degrees)"
)


def _age(candidate: Candidate) -> bool:
    before = candidate.before[-1:]
    return (
        before not in {".", "/", "-", "$", "£", "#"}
        and not _UNITS.match(candidate.after)
        and candidate.after[:1] != "+"
    )


_DECADE_OF_LIFE = re2.compile(r"(?i)\b(?:in|into|reached|well into|entering)\s*$")


def _decade(candidate: Candidate) -> bool:
    """ "in her nineties" is an age; "in the 90s" is a decade of the calendar, or a blood pressure."""
    own = candidate.value.lower().startswith(("her", "his", "their", "my"))
    return own and _DECADE_OF_LIFE.search(candidate.before) is not None


def age(profile: str) -> Sequence[Finder]:
    """Ages over 89; what is masked is the number, or the word that stands for it."""
    patterns = (
        ("figure", _FIGURE_OLD, _age, r"(?i)\b(?:9\d|1[0-2]\d)[- ]?y"),
        ("word", _WORD_OLD, _age, r"(?i)\b(?:ninety|hundred)[\w -]{0,16}y"),
        ("label", _AGED, _age, r"(?i)\bage[d]?\b[^\n]{0,6}(?:9|1|n|h|a|o)"),
        ("event", _TURNED, _age, r"(?i)(?:turn|birthday|lived|survived|died|passed)"),
        ("predicate", _YEARS, _age, rf"(?i)(?:'s|is|was|,) [a-z]* ?(?:{_FIGURE}|ninety|hundred)"),
        ("decade", _DECADE, _decade, r"(?i)nineties|90'?s"),
        ("named", _NAMED, lambda _: True, r"(?i)centenarian|nonagenarian"),
        ("sex", _SEXED, _age, r"(?i)\b(?:9\d|1[0-2]\d) ?(?:y|f|m|w)"),
    )
    return [
        Recogniser("AGE", pattern, accept, gate=gate, name=f"age.{name}", score=0.9)
        for name, pattern, accept, gate in patterns
    ]


def ninety_or_more(value: str) -> str:
    """What an age over 89 generalises to: Safe Harbor's one category for all of them."""
    return "90+"
