"""Names of hospitals, clinics, schools, companies: capitalised words before or after one that says what it is.

Only what has a name of its own counts: "Longtown General Hospital", and not "Children's Hospital" or "General
Hospital", where every word is an ordinary one.
"""

from collections.abc import Sequence

import numpy as np

from corpus.deidentify.grammar import GrammarFinder, Rule
from corpus.deidentify.questions import Words, any_of, has_class
from corpus.deidentify.wordclass import Classified

_PROPER = "FLBCflbUEk"
_NAME = rf"(?:[{_PROPER}RQq]\.?(?:[-&][{_PROPER}W])?s?)"  # Q: St. as in St. Kendra


_PROPER_CLASS, _LISTED, _STREET = any_of("FLBCUEk"), any_of("flbq"), ord("Q")
_SAINT = Words(("st", "saint", "mt"))


def _named(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """One word at least is a proper one, and an ordinary sentence start ("The") is not the only thing before."""
    saint = (document.near(firsts) == _STREET) & _SAINT.at(document, firsts)
    listed = has_class(document, firsts, lasts, _LISTED) & (lasts - firsts > 2)
    return has_class(document, firsts, lasts, _PROPER_CLASS) | saint | listed


def organisation(profile: str) -> Sequence[GrammarFinder]:
    """The finder of organisations, the same for every profile."""
    return [
        GrammarFinder(
            "ORGANIZATION",
            (
                Rule("suffix", rf"((?:{_NAME}){{1,4}}(?:W|q|G|s|M){{0,2}}G?O(?:O|W?O)?)", 0.8, _named),
                Rule("general", rf"(?:a|h|y)({_NAME}{{1,4}}G)", 0.7, _named),
                Rule("general", rf"({_NAME}{{1,3}}GO)", 0.7, _named),
                Rule("company", rf"((?:{_NAME}|[WO]){{0,3}}{_NAME}(?:[WO]){{0,2}},?X)", 0.8, _named),
                Rule("of", rf"(O(?:W){{0,2}}oh?(?:{_NAME}|S){{1,3}})", 0.7),
            ),
            name="organisation",
        )
    ]
