"""Names of persons: by title, credential, label, signature and kinship, by lists of names, and by repetition.

Rules are patterns over word classes (lexicon.py says which). Strong ones take any capitalised word that nothing speaks
against ("Dr. Xyz"); weak ones need a listed first name. What a document has once named is then masked wherever it
stands in it: after "Mr. Hale" the word "Hale" is a name, if it is no ordinary word. Eponyms ("Foley catheter") and
words such as "Will" or "Rose" need a strong rule.
"""

from collections.abc import Sequence

import numpy as np
import re2

from corpus.deidentify.grammar import Findings, GrammarFinder, Rule
from corpus.deidentify.recogniser import Finder, Span
from corpus.deidentify.wordclass import Classified, classified

_STRONG = "FLBCflbUEMqRQcS"  # what may be a name after a strong cue
_LISTED = "FLBflb"
_INITIALS = r"(?:I\.?){0,2}"
_PARTICLES = "A{0,3}"


def _word(classes: str) -> str:
    """A word of these classes, or several joined by hyphens."""
    return f"[{classes}](?:-[{_STRONG}W])*"


def _full(first: str, rest: str = "FLBCflbUEMq") -> str:
    """A first word, then up to three more with initials and particles between, and Jr or III."""
    return f"{_INITIALS}{_PARTICLES}{_word(first)}(?:{_INITIALS}{_PARTICLES}{_word(rest)}){{0,3}}(?:,?J)?"


_ANY = _full(_STRONG)
_SURE = _full("FLBCfbU")
_KNOWN_FIRST = _full("FfBb", "FLBClbUEMq")
_REVERSED = (
    f"{_word('LBlbCUFfE')}(?:A?{_word('LBCU')})?(?:J)?,[FfBbCULl](?:-[FLBCfb]|I\\.?|[FBCULb])?"  # Last, First M.
)

_OFFICES = frozenset(
    (
        *("speaker", "president", "chairman", "chairwoman", "secretary", "vice", "chief", "justice", "ambassador"),
        *("prime", "minister", "attorney"),
    )
)
_ABBREVIATED = frozenset({"dr", "drs", "mr", "mrs", "ms", "mx", "prof", "messrs", "sr", "sra"})
_JOINED = {"MD", "PA", "MA", "NP"}  # credentials that are states too
_DOUBTFUL = frozenset({b"U", b"M", b"R", b"c", b"C", b"f", b"l", b"b", b"E"})
_AGE = re2.compile(r"(?i)^,?\s+(?:(?:is|was)\s+)?(?:an?\s+)?\d{1,3}(?:[- ]?(?:years?|yrs?|y)\b|[- ]?y/?o|yo\b)")
_RECORD = re2.compile(r"(?i)^\s*\((?:\s*(?:MRN|DOB|ID|#|No\.?|SSN)|\s*[A-Z]{0,4}[- ]?\d[\d-]{4,}\d)")
_SIGNED = re2.compile(r"/[sS]/\s*$")


def _next(document: Classified, last: int) -> str:
    return chr(document.classes[last]) if last < len(document.classes) else "="


def _previous(document: Classified, first: int) -> str:
    return chr(document.classes[first - 1]) if first else "="


def _no_eponym(document: Classified, first: int, last: int) -> bool:
    """No disease, street, company or institute follows that bears the name."""
    after = _next(document, last)
    if after == "s":
        after = _next(document, last + 1)
        return after != "e"
    if after == "-":
        return False
    if after in "&" and _next(document, last + 1) in "LBC" and _next(document, last + 2) in "eX":
        return False
    return after not in "eOXQcG"


def _after_title(document: Classified, first: int, last: int) -> bool:
    """A full stop stands behind an abbreviation only ("a good doctor. She"); an office is no name ("Mr. Speaker")."""
    if document.text(first, first + 1).lower() in _OFFICES:
        return False
    if _previous(document, first) == "&":
        return True
    before = first - 1
    while before >= 0 and document.classes[before] in b"|.":
        before -= 1
    title = document.text(before, before + 1)
    stopped = b"." in document.classes[before + 1 : first]
    return title.lower() in _ABBREVIATED if stopped else title[:1].isupper() or title.lower() in _ABBREVIATED


def _with_credential(document: Classified, first: int, last: int) -> bool:
    """Not "Baltimore, MD 21201": a credential that names a state too, undotted, before a number or after "in"."""
    comma = _next(document, last) == ","
    credential = last + comma
    state = document.text(credential, credential + 1) in _JOINED
    place = _next(document, credential + 1) == "N" or _previous(document, first) == "a"
    return not (state and comma and place)


def _in_label(document: Classified, first: int, last: int) -> bool:
    """A word alone that no list knows is a name where the field ends with it ("Patient: Xyz")."""
    if not _no_eponym(document, first, last):
        return False
    if last - first == 1 and document.classes[first : first + 1] in _DOUBTFUL:
        by = document.classes[max(0, first - 2) : first] in (b"y:", b"V:", b"r:")
        return _next(document, last) in ("|=_(,;." if by else "|=_(") and document.classes[first : first + 1] not in (
            b"R",
            b"c",
        )
    return True


def _before_record(document: Classified, first: int, last: int) -> bool:
    end = int(document.ends[last - 1])
    return _RECORD.search(document.data[end : end + 40].decode(errors="ignore")) is not None


def _before_age(document: Classified, first: int, last: int) -> bool:
    end = int(document.ends[last - 1])
    return _AGE.search(document.data[end : end + 40].decode(errors="ignore")) is not None


def _reversed(document: Classified, first: int, last: int) -> bool:
    """ "Hall, Martin": joined without a space, or at the beginning of a line or field and before its end."""
    comma = document.classes.index(b",", first, last)
    tight = document.ends[comma - 1] + 1 == document.starts[comma + 1]
    upper = document.text(first, last).isupper()
    if tight:
        return upper or document.classes[comma + 1 : comma + 2] in (b"F", b"f", b"B", b"b")
    if document.classes[comma + 1 : comma + 2] not in (b"F", b"B", b"f", b"b"):
        return False
    return (_previous(document, first) in "=|_:(" and _next(document, last) in "=|_(NKT~I") or _before_record(
        document, first, last
    )


def _pair(document: Classified, first: int, last: int) -> bool:
    """A listed first name alone or before something capitalised. In a title of its own kind, or inside another name
    (a hyphen, a street, a disease), it is no person's."""
    if not _no_eponym(document, first, last) or (first and _previous(document, first) in "-/@#'"):
        return False
    if last - first > 1:
        return True
    return (
        document.ends[first] - document.starts[first] >= 4
        and _previous(document, first) not in "WCUOk"
        and _next(document, last) not in "WCUkRqN/@("
    )


def _slash_signed(document: Classified, first: int, last: int) -> bool:
    start = int(document.starts[first])
    return _SIGNED.search(document.data[max(0, start - 8) : start].decode(errors="ignore")) is not None


_RULES = (
    Rule("reversed.label", rf"[prn]\.?w?(?:[ny])?:[|_]?({_REVERSED})", 0.95, _in_label),
    Rule("title", rf"(?:T\.?)+\|?({_full(_STRONG + 'W')})(?:&({_full('LBClC')}))?", 0.95, _after_title),
    Rule("credential", rf"({_ANY}),?[|]?D", 0.9, _with_credential),
    Rule(
        "label",
        rf"(?:[prn]\.?(?:[wnyi]{{0,2}}|Ny?)|[VO]?y|V):[|_]{{0,2}}({_full('FLBCflbUEM')})(?:[,;&]({_SURE}))?",
        0.9,
        _in_label,
    ),
    Rule("recorded", rf"V(?:w{{0,2}})?y:?[|_]?({_full('FLBCflbU')})(?:&({_SURE}))?", 0.8, _in_label),
    Rule("signature", rf"/w/[|_]?({_ANY})", 0.9, _slash_signed),
    Rule("reversed", rf"({_REVERSED})", 0.8, _reversed),
    Rule("record", rf"({_full('FLBCflbUE')})\(", 0.85, _before_record),
    Rule("age", rf"({_full('FLBCfb')})(?:,|,?iw?|,?w)[NK]", 0.8, _before_age),
    Rule("greeting", rf"g(?:,?[|=]{{0,2}})({_full('FLBCfb')})", 0.75, _no_eponym),
    Rule("relative", rf"r(?:,?n)?(?:,({_full('FfBb')})|({_full('FLBCfblME')}))", 0.8, _no_eponym),
    Rule("named", rf"n(?:w?i|s)?:?({_full('FLBCfbl')})", 0.75, _in_label),
    Rule("self", rf"j({_full('FLBCfb')})", 0.7, _no_eponym),
    Rule("subject", r"([FLB])t|[.|=](C)t", 0.6),
    Rule("initials", rf"((?:I\.){{1,3}}{_word('LB')})", 0.6, _no_eponym),
    Rule(
        "listed",
        rf"([FB](?:-[{_LISTED}])?(?:{_INITIALS}{_PARTICLES}{_word('LBClbF')}){{1,2}}J?"
        rf"|[fb](?:{_INITIALS}{_PARTICLES}{_word('LB')}){{1,2}}J?|F)",
        0.6,
        _pair,
    ),
)


_SURE_RULES = frozenset(
    {"title", "credential", "label", "reversed.label", "recorded", "record", "reversed", "relative"}
)
_SURE_RANKS = np.array([rule.name in _SURE_RULES for rule in _RULES])
_REPEATED = ("repeated", 0.7)


def _table(classes: str) -> np.ndarray:
    """bool[256]: the class is one of these."""
    table = np.zeros(256, bool)
    table[np.frombuffer(classes.encode(), np.uint8)] = True
    return table


_LISTED_NAME, _UNLISTED, _ORDINARY = _table("FLB"), _table("CU"), _table("flb")
_BEGINNING, _GOES_ON, _BEARER = _table('.:=|"('), _table("weN"), _table("eOXQcG")


class PersonFinder(GrammarFinder):
    """The rules, then the repetition of the names they found."""

    def find(self, data: bytes) -> list[Span]:
        document = classified(data)
        found = self.findings(document)
        if len(found.firsts):
            found = self._repeated(document, found)
        return self.spans(document, found, (_REPEATED,))

    def _repeated(self, document: Classified, found: Findings) -> Findings:
        """`found`, with what it names wherever it stands again. A name that is an ordinary word too, or that no
        list has, spreads from a strong rule only; the ordinary word not to the beginning of a sentence, where any word
        has a capital."""
        classes = np.frombuffer(document.classes, np.uint8)
        lengths = found.lasts - found.firsts
        tokens = np.arange(lengths.sum()) + np.repeat(found.firsts - (np.cumsum(lengths) - lengths), lengths)
        sure = np.repeat(_SURE_RANKS[found.rules], lengths)
        long = document.ends[tokens] - document.starts[tokens] > 2
        kinds, words = classes[tokens], document.words[tokens]
        names = np.unique(words[long & (_LISTED_NAME[kinds] | (_UNLISTED[kinds] & sure))])
        ordinary = np.unique(words[long & sure & _ORDINARY[kinds]])
        padded = np.concatenate([classes, np.full(2, ord("="), np.uint8)])
        capital = np.flatnonzero(_LISTED_NAME[classes] | _UNLISTED[classes])
        capital = capital[np.isin(document.words[capital], names)]
        inside = np.flatnonzero(_ORDINARY[classes])
        inside = inside[np.isin(document.words[inside], ordinary)]
        before = np.where(inside > 0, classes[inside - 1], ord("="))
        inside = inside[~_BEGINNING[before] & ~_GOES_ON[padded[inside + 1]]]
        again = np.concatenate([capital, inside])
        possessive = padded[again + 1] == ord("s")
        again = again[~np.where(possessive, padded[again + 2] == ord("e"), _BEARER[padded[again + 1]])]
        every = Findings(
            np.concatenate([found.firsts, again]),
            np.concatenate([found.lasts, again + 1]),
            np.concatenate([found.rules, np.full(len(again), len(self.rules))]),
        )
        return every.settled(len(classes))


def person(profile: str) -> Sequence[Finder]:
    """The finder of names, the same for every profile."""
    return [PersonFinder("PERSON", _RULES, name="person")]
