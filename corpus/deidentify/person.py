"""Names of persons: by title, credential, label, signature and kinship, by lists of names, and by repetition.

Rules are patterns over word classes (lexicon.py says which). Strong ones take any capitalised word that nothing speaks
against ("Dr. Xyz"); weak ones need a listed first name. What a document has once named is then masked wherever it
stands in it: after "Mr. Hale" the word "Hale" is a name, if it is no ordinary word. Eponyms ("Foley catheter") and
words such as "Will" or "Rose" need a strong rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import re2

from corpus.deidentify.grammar import Accept, Findings, GrammarFinder, Rule, one_by_one
from corpus.deidentify.lexicon import BREAK
from corpus.deidentify.wordclass import Classified
from corpus.kernels.hashing import hashes_of, look_up, map_of
from corpus.kernels.spans import byte_table

_STRONG = "FLBCflbUEMqRQcS"  # what may be a name after a strong cue
_LISTED = "FLBflb"
_INITIALS = r"(?:I\.?){0,2}"
_PARTICLES = "(?:A-?){0,3}"


def _word(classes: str) -> str:
    """A word of these classes, or several joined by hyphens."""
    return f"[{classes}](?:-[{_STRONG}W])*"


def _full(first: str, rest: str = "FLBCflbUEMq") -> str:
    """A first word, then up to three more with initials and particles between, and Jr or III."""
    return f"{_INITIALS}{_PARTICLES}{_word(first)}(?:{_INITIALS}{_PARTICLES}{_word(rest)}){{0,3}}(?:,?J)?"


_ANY = _full(_STRONG)
_SURE = _full("FLBCfbU")
_NAMES = _full("FLBCUflb", "FLBCUflb").replace("{0,3}(?:,?J)?", "{1,3}(?:,?J)?")  # two words or more
_SINGLE = _word("FLBC")
_REVERSED = (  # Last, First M.
    f"{_PARTICLES}{_word('LBlbCUFfE')}(?:A?{_word('LBCU')})?(?:J)?,[FfBbCULl](?:-[FLBCfb]|I\\.?|[FBCULb])?"
)

_OFFICES = hashes_of(
    (
        *("speaker", "president", "chairman", "chairwoman", "secretary", "vice", "chief", "justice", "ambassador"),
        *("prime", "minister", "attorney"),
    )
)
_ABBREVIATED = hashes_of(("dr", "drs", "mr", "mrs", "ms", "mx", "prof", "messrs", "sr", "sra"))
_JOINED = {"MD", "PA", "MA", "NP"}  # credentials that are states too
_AGE = re2.compile(r"(?i)^,?\s+(?:(?:is|was)\s+)?(?:an?\s+)?\d{1,3}(?:[- ]?(?:years?|yrs?|y)\b|[- ]?y/?o|yo\b)")
_RECORD = re2.compile(r"(?i)^\s*\((?:\s*(?:MRN|DOB|ID|#|No\.?|SSN)|\s*[A-Z]{0,4}[- ]?\d[\d-]{4,}\d)")
_HEADED = re2.compile(
    r"(?i)^\s*\n\s*(?:MRN|DOB|D\.O\.B|(?:medical )?record|(?:date of )?birth|born|age|sex|room|unit no|hospital no)\b"
)
_SIGNED = re2.compile(r"/[sS]/\s*$")


def _any_of(classes: str) -> np.ndarray:
    """bool[256]: the class is one of these."""
    return byte_table(classes.encode())


_EPONYM_OR_PLACE, _LAST_LISTED, _PRACTICE = _any_of("eOXQcG"), _any_of("LBC"), _any_of("eX")
_S, _NOUN, _HYPHEN, _AND, _COMMA, _DOT, _LINE_END = (ord(c) for c in "se-&,.|")


def _no_eponym(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """No disease, street, company or institute follows that bears the name."""
    after, second, third = (document.near(lasts + step) for step in range(3))
    practice = (after == _AND) & _LAST_LISTED[second] & _PRACTICE[third]
    bearer = np.where(after == _S, second == _NOUN, _EPONYM_OR_PLACE[after])
    return ~(bearer | (after == _HYPHEN) | practice)


def _after_title(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """A full stop stands behind an abbreviation only ("a good doctor. She"); an office is no name ("Mr. Speaker")."""
    title, stopped = firsts - 1, np.zeros(len(firsts), bool)
    for _ in range(3):  # a full stop, a line's end
        before = document.near(title)
        stopped |= before == _DOT
        title = title - ((before == _DOT) | (before == _LINE_END))
    inside = np.maximum(title, 0)
    capital = (np.frombuffer(document.data, np.uint8)[document.starts[inside]] & 0xE0) == 0x40
    abbreviated = _is_one(document, inside, _ABBREVIATED)
    second = document.near(firsts - 1) == _AND
    office = _is_one(document, firsts, _OFFICES)
    return ~office & (second | abbreviated | (capital & ~stopped))


def _is_one(document: Classified, tokens: np.ndarray, words: np.ndarray) -> np.ndarray:
    """bool[tokens]: the token is one of the words (their hashes)."""
    return np.isin(document.words[tokens], words)


def _with_credential(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Not "Baltimore, MD 21201": a credential that names a state too, undotted, before a number or after "in"."""
    comma = document.near(lasts) == _COMMA
    credential = lasts + comma
    place = (document.near(credential + 1) == ord("N")) | (document.near(firsts - 1) == ord("a"))
    kept = np.ones(len(firsts), bool)
    for index in np.flatnonzero(comma & place).tolist():
        kept[index] = document.text(credential[index], credential[index] + 1) not in _JOINED
    return kept


_FIELD_END, _END, _DOUBTFUL, _NO_FIELD = _any_of("|=_("), _any_of("|=_(,;."), _any_of("UMRcCflbE"), _any_of("Rc")
_BY = _any_of("yVr")


def _in_label(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """A word alone that no list knows is a name where the field ends with it ("Patient: Xyz")."""
    own, after = document.near(firsts), document.near(lasts)
    by = (document.near(firsts - 1) == ord(":")) & _BY[document.near(firsts - 2)]
    fits = np.where(by, _END[after], _FIELD_END[after]) & ~_NO_FIELD[own]
    return _no_eponym(document, firsts, lasts) & ((lasts - firsts > 1) | ~_DOUBTFUL[own] | fits)


def _before(pattern: "re2._Regexp") -> Accept:
    """The pattern matches what follows the name."""

    def accept(document: Classified, first: int, last: int) -> bool:
        return pattern.search(document.behind(last, 40)) is not None

    return one_by_one(accept)


_before_record, _before_age = _before(_RECORD), _before(_AGE)
_GIVEN, _EDGE, _FIELD_EDGE = _any_of("FBfb"), _any_of("=|_:("), _any_of("=|_(NKT~I")


def _reversed(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """ "Hall, Martin": joined without a space, or at the beginning of a line or field and before its end."""
    comma = firsts.copy()
    while (more := (document.near(comma) != _COMMA) & (comma < lasts)).any():
        comma += more
    given = _GIVEN[document.near(comma + 1)]
    tight = document.ends[comma - 1] + 1 == document.starts[comma + 1]
    field = _EDGE[document.near(firsts - 1)] & _FIELD_EDGE[document.near(lasts)]
    kept = given & (tight | field)
    for index in np.flatnonzero(~kept & (given | tight)).tolist():
        first, last = int(firsts[index]), int(lasts[index])
        upper = bool(tight[index]) and document.text(first, last).isupper()
        kept[index] = upper or (given[index] and _RECORD.search(document.behind(last, 40)) is not None)
    return kept


_JOINT, _NO_FIRST_BEFORE, _NO_FIRST_AFTER = _any_of("-/@#'"), _any_of("WCUOk"), _any_of("WCUkRqN/@(")


def _pair(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """A listed first name alone or before something capitalised. In a title of its own kind, or inside another name
    (a hyphen, a street, a disease), it is no person's."""
    before = document.near(firsts - 1)
    long = document.ends[firsts] - document.starts[firsts] >= 4
    alone = long & ~_NO_FIRST_BEFORE[before] & ~_NO_FIRST_AFTER[document.near(lasts)]
    return _no_eponym(document, firsts, lasts) & ~_JOINT[before] & ((lasts - firsts > 1) | alone)


def _headed(document: Classified, first: int, last: int) -> bool:
    """A line of its own above a record number or a birthday."""
    before = chr(document.near(np.array([first - 1]))[0])
    return before in "|=" and _HEADED.search(document.behind(last, 40)) is not None


def _met(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Two words, or the end of what is said: "spoke with Xyz.", and not "met Xyz Ltd"."""
    ends = _END[document.near(lasts)] | (document.near(lasts) == ord("w"))
    return _no_eponym(document, firsts, lasts) & ((lasts - firsts > 1) | ends)


def _initialled(document: Classified, first: int, last: int) -> bool:
    """Two initials in one, as "F.T. Xyz", which no species has; one after "by"."""
    initials = document.text(first, first + 1)
    by = chr(document.near(np.array([first - 1]))[0]) == "y"
    return by or (initials.count(".") > 1 and initials not in {"U.S.", "U.K.", "D.C.", "E.U."})


def _slash_signed(document: Classified, first: int, last: int) -> bool:
    return _SIGNED.search(document.ahead(first, 8)) is not None


_RULES = (
    Rule("reversed.label", rf"[prn]\.?w?(?:[ny])?:[|_]?({_REVERSED})", 0.95, _in_label),
    Rule("title", rf"(?:T\.?)+\|?({_full(_STRONG + 'W')})(?:&({_full('LBClC')}))?", 0.95, _after_title),
    Rule("credential", rf"({_ANY}),?[|]?D", 0.9, _with_credential),
    Rule(
        "label",
        rf"(?:[prn]\.?(?:[wnyi]{{0,2}}|Ny?)|[VO]?y|V):[|_]{{0,2}}(?:T\.?)?({_full('FLBCflbUEM')})(?:[,;&](?:T\.?)?({_SURE}))?",
        0.9,
        _in_label,
    ),
    Rule("recorded", rf"V(?:w{{0,2}})?y:?[|_]?({_full('FLBCflbU')})(?:&({_SURE}))?", 0.8, _in_label),
    Rule("signature", rf"/w/[|_]?({_ANY})", 0.9, one_by_one(_slash_signed)),
    Rule("reversed", rf"({_REVERSED})", 0.8, _reversed),
    Rule("record", rf"({_full('FLBCflbUE')})\(", 0.85, _before_record),
    Rule("age", rf"({_full('FLBCfb')})(?:,|,?iw?|,?w)[NK]", 0.8, _before_age),
    Rule("greeting", rf"g(?:,?[|=]{{0,2}})({_full('FLBCfb')})", 0.75, _no_eponym),
    Rule("contact", rf"p~({_SURE})", 0.8, _no_eponym),
    Rule("header", rf"({_NAMES})[|=]", 0.85, one_by_one(_headed)),
    Rule("kin", rf"({_NAMES}|{_SINGLE})sr", 0.8),
    Rule("relative", rf"r(?:,?n)?(?:[,(]({_full('FLBCfb')})|({_full('FLBCfblME')}))", 0.8, _no_eponym),
    Rule("met", rf"m[way]{{0,3}}({_full('FLBC')})|V[way]{{1,3}}({_NAMES})", 0.7, _met),
    Rule("acts", rf"({_NAMES})(?:t|iw?[tVm]|V)", 0.7, _no_eponym),
    Rule("named", rf"n(?:w?i|s)?:?({_full('FLBCfbl')})", 0.75, _in_label),
    Rule("self", rf"j({_full('FLBCfb')})", 0.7, _no_eponym),
    Rule("subject", r"([FLB])t|[.|=\n](C)t", 0.6),
    Rule("initials", rf"((?:I\.){{1,3}}{_word('LB')})", 0.6, _no_eponym),
    Rule("initials", rf"(?:[y,]|Vw?)(I\.?{_PARTICLES}{_word('C')})", 0.6, one_by_one(_initialled)),
    Rule(
        "listed",
        rf"([FB](?:-[{_LISTED}])?(?:{_INITIALS}{_PARTICLES}{_word('LBClbF')}){{1,2}}J?"
        rf"|[fb](?:{_INITIALS}{_PARTICLES}{_word('LB')}){{1,2}}J?|F)",
        0.6,
        _pair,
    ),
)


_SURE_RULES = frozenset(
    {"title", "credential", "label", "reversed.label", "recorded", "record", "reversed", "relative", "header", "kin"}
)
_SURE_RANKS = np.array([rule.name in _SURE_RULES for rule in _RULES])


_LISTED_NAME, _UNLISTED, _ORDINARY = _any_of("FLB"), _any_of("CU"), _any_of("flb")
_BEGINNING, _GOES_ON = _any_of('.:=|"('), _any_of("weN")
_APART = np.uint64(0x9E3779B97F4A7C15)  # makes another word of the same word in another document


@dataclass(frozen=True)
class PersonFinder(GrammarFinder):
    """The rules, then the repetition of the names they found."""

    @property
    def said(self) -> list[tuple[str, str, float]]:
        return [*super().said, (self.type, "person.repeated", 0.7)]

    def completed(self, document: Classified, found: Findings) -> Findings:
        """`found`, with what it names wherever it stands again in its document. A name that is an ordinary word too, or
        that no list has, spreads from a strong rule only; the ordinary word not to the beginning of a sentence, where
        any word has a capital."""
        if len(found.firsts) == 0:
            return found
        classes = document.classes
        words = document.words ^ (np.cumsum(classes == ord(BREAK)).astype(np.uint64) * _APART)
        lengths = found.lasts - found.firsts
        tokens = np.arange(lengths.sum()) + np.repeat(found.firsts - (np.cumsum(lengths) - lengths), lengths)
        sure = np.repeat(_SURE_RANKS[found.rules], lengths)
        long = document.ends[tokens] - document.starts[tokens] > 2
        kinds = classes[tokens]
        names = tokens[long & (_LISTED_NAME[kinds] | (_UNLISTED[kinds] & sure))]
        ordinary = tokens[long & sure & _ORDINARY[kinds]]
        capital = _among(words, np.flatnonzero(_LISTED_NAME[classes] | _UNLISTED[classes]), names)
        inside = _among(words, np.flatnonzero(_ORDINARY[classes]), ordinary)
        inside = inside[~_BEGINNING[document.near(inside - 1)] & ~_GOES_ON[document.near(inside + 1)]]
        again = np.concatenate([capital, inside])
        after = document.near(again + 1)
        again = again[~np.where(after == _S, document.near(again + 2) == _NOUN, _EPONYM_OR_PLACE[after])]
        every = Findings(
            np.concatenate([found.firsts, again]),
            np.concatenate([found.lasts, again + 1]),
            np.concatenate([found.rules, np.full(len(again), len(self.rules))]),
        )
        return every.settled(len(classes))


def _among(words: np.ndarray, tokens: np.ndarray, named: np.ndarray) -> np.ndarray:
    """Those of the tokens whose word is that of a named one."""
    table, held = map_of(words[named], named)
    return tokens[look_up(table, held, words[tokens], -1) >= 0]


def person(profile: str) -> Sequence[GrammarFinder]:
    """The finder of names, the same for every profile."""
    return [PersonFinder("PERSON", _RULES, name="person")]
