"""Names of hospitals, clinics, schools, companies: capitalised words before or after one that says what it is.

Only what has a name of its own counts: "Longtown General Hospital", and not "Children's Hospital" or "General
Hospital", where every word is an ordinary one.
"""

from collections.abc import Sequence

from corpus.deidentify.grammar import GrammarFinder, Rule, one_by_one
from corpus.deidentify.wordclass import Classified

_PROPER = "FLBCflbUEk"
_NAME = rf"(?:[{_PROPER}RQq]\.?(?:[-&][{_PROPER}W])?s?)"  # Q: St. as in St. Kendra


def _named(document: Classified, first: int, last: int) -> bool:
    """One word at least is a proper one, and an ordinary sentence start ("The") is not the only thing before."""
    classes = document.classes[first:last].tobytes()
    proper = sum(classes.count(kind) for kind in b"FLBCUEk")
    listed = sum(classes.count(kind) for kind in b"flbq")
    saint = classes[:1] == b"Q" and document.text(first, first + 1).lower() in {"st", "saint", "mt"}
    return proper > 0 or saint or (listed > 0 and len(classes) > 2)


def organisation(profile: str) -> Sequence[GrammarFinder]:
    """The finder of organisations, the same for every profile."""
    return [
        GrammarFinder(
            "ORGANIZATION",
            (
                Rule("suffix", rf"((?:{_NAME}){{1,4}}(?:W|q|G|s|M){{0,2}}G?O(?:O|W?O)?)", 0.8, one_by_one(_named)),
                Rule("general", rf"(?:a|h|y)({_NAME}{{1,4}}G)", 0.7, one_by_one(_named)),
                Rule("general", rf"({_NAME}{{1,3}}GO)", 0.7, one_by_one(_named)),
                Rule("company", rf"((?:{_NAME}|[WO]){{0,3}}{_NAME}(?:[WO]){{0,2}},?X)", 0.8, one_by_one(_named)),
                Rule("of", rf"(O(?:W){{0,2}}oh?(?:{_NAME}|S){{1,3}})", 0.7),
            ),
            name="organisation",
        )
    ]
