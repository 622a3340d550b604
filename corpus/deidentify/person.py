"""Names of persons: by title, credential, label, signature and kinship, by lists of names, and by repetition.

Rules are patterns over word classes (lexicon.py says which). Strong ones take any capitalised word that nothing speaks
against ("Dr. Xyz"); weak ones need a listed first name. What a document has once named is then masked wherever it
stands in it: after "Mr. Hale" the word "Hale" is a name, if it is no ordinary word. Eponyms ("Foley catheter") and
words such as "Will" or "Rose" need a strong rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpus.deidentify.grammar import Findings, GrammarFinder, Rule
from corpus.deidentify.lexicon import BREAK
from corpus.deidentify.questions import Behind, Words, any_of, begins_large, byte_at, has_class, in_capitals, sizes
from corpus.deidentify.wordclass import Classified
from corpus.kernels.rules import repeated

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

_OFFICES = Words(
    (
        *("speaker", "president", "chairman", "chairwoman", "secretary", "vice", "chief", "justice", "ambassador"),
        *("prime", "minister", "attorney", "who", "america", "universe", "basketball"),
    )
)
_ABBREVIATED = Words(("dr", "drs", "mr", "mrs", "ms", "mx", "prof", "messrs", "sr", "sra"))
_JOINED = Words(("md", "pa", "ma", "np"))  # credentials that are states too
_AGE = Behind(r"(?i),?\s+(?:(?:is|was)\s+)?(?:an?\s+)?\d\d?\d?(?:[- ]?(?:years?|yrs?|y)|[- ]?y/?o[a-z]*)", edge=True)
_RECORD = Behind(r"(?i)\s*\(\s*(?:mrn|dob|id|#|no|ssn|[a-z]{0,4}[- ]?\d[\d-]{4,32}\d)")
_HEADED = Behind(
    r"(?i)\s*\n\s*(?:MRN|DOB|D\.O\.B|(?:medical )?record|(?:date of )?birth|born|age|sex|room|unit no|hospital no)",
    edge=True,
)


_EPONYM_OR_PLACE, _LAST_LISTED, _PRACTICE = any_of("eOXQcG"), any_of("LBC"), any_of("eX")
_S, _NOUN, _HYPHEN, _AND, _COMMA, _DOT, _LINE_END, _FIRM = (ord(c) for c in "se-&,.|X")


def _no_eponym(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """No disease, street, company or institute follows that bears the name."""
    after, second, third = (document.near(lasts + step) for step in range(3))
    practice = (after == _AND) & ((_LAST_LISTED[second] & _PRACTICE[third]) | (second == _FIRM))
    bearer = np.where(after == _S, second == _NOUN, _EPONYM_OR_PLACE[after])
    return ~(bearer | (after == _HYPHEN) | practice)


def _after_title(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """A full stop stands behind an abbreviation only ("a good doctor. She"); an office is no name ("Mr. Speaker")."""
    title, stopped = firsts - 1, np.zeros(len(firsts), bool)
    for _ in range(3):  # a full stop, a line's end
        before = document.near(title)
        stopped |= before == _DOT
        title = title - ((before == _DOT) | (before == _LINE_END))
    abbreviated = _ABBREVIATED.at(document, title)
    second = document.near(firsts - 1) == _AND
    return ~_OFFICES.at(document, firsts) & (second | abbreviated | (begins_large(document, title) & ~stopped))


def _with_credential(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Not "Baltimore, MD 21201": a credential that names a state too, undotted, before a number or after "in"."""
    comma = document.near(lasts) == _COMMA
    credential = lasts + comma
    place = (document.near(credential + 1) == ord("N")) | (document.near(firsts - 1) == ord("a"))
    own = np.minimum(credential, len(document.classes) - 1)
    state = _JOINED.at(document, own) & (sizes(document, own) == 2) & in_capitals(document, own, own + 1)
    return ~(comma & place & state)


_FIELD_END, _END, _DOUBTFUL, _NO_FIELD = any_of("|=_("), any_of("|=_(,;."), any_of("UMRcCflbE"), any_of("Rc")
_BY, _BY_CLASS, _LINE = any_of("yVr"), ord("y"), any_of("|=")


def _in_label(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """A word alone that no list knows is a name where the field ends with it ("Patient: Xyz")."""
    own, after = document.near(firsts), document.near(lasts)
    by = (document.near(firsts - 1) == ord(":")) & _BY[document.near(firsts - 2)]
    fits = np.where(by, _END[after], _FIELD_END[after]) & ~_NO_FIELD[own]
    return _no_eponym(document, firsts, lasts) & ((lasts - firsts > 1) | ~_DOUBTFUL[own] | fits)


_THING_BEFORE, _THING_AFTER = any_of("hRQ"), any_of("WCUOGqQceXk")
_ORDINARY = any_of("flb")  # a name that is a word or a place too
_GIVEN, _EDGE, _FIELD_EDGE = any_of("FBfb"), any_of("=|_:("), any_of("=|_(NKT~I")


def _reversed(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """ "Hall, Martin": joined without a space, or at the beginning of a line or field and before its end."""
    comma = firsts.copy()
    while (more := (document.near(comma) != _COMMA) & (comma < lasts)).any():
        comma += more
    given = _GIVEN[document.near(comma + 1)]
    tight = document.ends[comma - 1] + 1 == document.starts[comma + 1]
    field = _EDGE[document.near(firsts - 1)] & _FIELD_EDGE[document.near(lasts)]
    upper = tight & in_capitals(document, firsts, lasts)
    return upper | (given & (tight | field | _RECORD(document, firsts, lasts)))


_JOINT, _NO_FIRST_BEFORE, _NO_FIRST_AFTER = any_of("-/@#'"), any_of("WCUOkh"), any_of("WCUkRqNS/@(")
_COMPASS, _OF, _CAPITAL = ord("R"), ord("o"), any_of("WCUOGqQceX")
_WHERE, _SITE = Words(("in", "near", "outside")), Words(("fort", "mount", "camp", "cape", "lake", "port"))


def _of_place(document: Classified, firsts: np.ndarray) -> np.ndarray:
    """A word such as "San", "New", "Fort" stands before: what follows is a part of a place's name."""
    site = _SITE.at(document, firsts - 1) & begins_large(document, firsts - 1)
    return (document.near(firsts - 1) == _COMPASS) | site


def _within_place(document: Classified, firsts: np.ndarray) -> np.ndarray:
    """As `_of_place`, or a word that a full stop abbreviates, as "St."."""
    before, second = document.near(firsts - 1), document.near(firsts - 2)
    return _of_place(document, firsts) | ((before == _DOT) & ((second == _COMPASS) | (second == ord("Q"))))


def _where(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """ "in Adelaide", "the Battle of Crete": a lone word there is a place, unless something is somebody's ("in
    Angela's room")."""
    before = np.maximum(firsts - 1, 0)
    of = (document.classes[before] == _OF) & _CAPITAL[document.near(firsts - 2)]
    return (of | _WHERE.at(document, before)) & (document.near(lasts) != _S)


def _pair(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """A listed first name alone or before something capitalised. In a title of its own kind, inside another name
    (a hyphen, a street, a disease), behind an article or where a place would stand, it is no person's."""
    before = document.near(firsts - 1)
    long = document.ends[firsts] - document.starts[firsts] >= 4
    alone = long & ~_NO_FIRST_BEFORE[before] & ~_NO_FIRST_AFTER[document.near(lasts)]
    alone &= ~_where(document, firsts, lasts)
    kept = _no_eponym(document, firsts, lasts) & ~_JOINT[before] & ~_within_place(document, firsts)
    return kept & ((lasts - firsts > 1) | alone)


def _subject(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Not the end of a longer word or name: "the Tai-Shan states"."""
    before = document.near(firsts - 1)
    return ~_JOINT[before] & ~_NO_FIRST_BEFORE[before] & ~_within_place(document, firsts)


def _relative(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """ "His wife, Rose," and not "the Grand Chancellor, Adelaide": behind a comma a name that is a word or a place too
    needs a relative in lower case."""
    comma = document.near(firsts - 1) == _COMMA
    capital = begins_large(document, firsts - 2)
    return _no_eponym(document, firsts, lasts) & ~(comma & capital & _ORDINARY[document.near(firsts)])


def _headed(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """A line of its own above a record number or a birthday."""
    return _LINE[document.near(firsts - 1)] & _HEADED(document, firsts, lasts)


def _met(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Two words, or the end of what is said: "spoke with Xyz.", and not "met Xyz Ltd"."""
    ends = _END[document.near(lasts)] | (document.near(lasts) == ord("w"))
    return _no_eponym(document, firsts, lasts) & ((lasts - firsts > 1) | ends)


def _acting(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """ "Xyz Abc denies", and not "the Denver Post reported"."""
    return _no_eponym(document, firsts, lasts) & (document.near(firsts - 1) != ord("h"))


# What notes about patients say and other prose hardly does.
_OF_NOTES = Words(
    (
        *("patient", "patient's", "pt", "pts", "mrn", "dob", "bid", "tid", "prn", "qhs", "mg", "mcg", "rn", "md", "np"),
        *("icu", "picu", "nicu", "hx", "pmh", "vitals", "denies", "c/o", "s/p", "discharged", "admitted", "consent"),
        *(
            "consented",
            "bedside",
            "rounds",
            "rounding",
            "paged",
            "prescribed",
            "dosage",
            "refill",
            "appointment",
            "ward",
        ),
        *("clinic", "wound", "staples", "sutures", "surgery", "medicine", "chart", "npo", "discharge", "labs", "dose"),
        *("insulin", "nursing", "therapy", "medication", "medications", "allergies", "resuscitation", "diagnosis"),
        *("hospice", "dialysis", "oncology", "cardiology", "radiology", "ultrasound", "catheter", "antibiotics"),
        *("health", "symptoms", "exam", "resident", "attending", "physician", "nurse", "shift", "pharmacy", "vaccine"),
        *("outpatient", "inpatient", "caregiver", "telemetry", "intubated", "extubated", "handoff", "preop", "postop"),
    )
)
_THING_AROUND, _SENTENCE = any_of("hWOGRQqxkS-/@#&"), any_of(".|=_\n")


def _in_note(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Two capitalised words or more that no list has, inside a sentence of a note about a patient and not in the name
    of a thing."""
    before, after = document.near(firsts - 1), document.near(lasts)
    inside = ~_THING_AROUND[before] & ~(_THING_AFTER[after] | (after == _HYPHEN) | (after == ord("&")))
    fits = _no_eponym(document, firsts, lasts) & inside & ~in_capitals(document, firsts, lasts)
    fits &= ~_SENTENCE[before] | _AFTER_NAME[after]
    near = np.flatnonzero(fits)
    fits[near] = _OF_NOTES.near(document, firsts[near], lasts[near], 30)
    return fits


_AFTER_NAME = any_of("tViwN,;.|=(")
_PATIENT = Words(("patient", "pt", "student", "client", "informant", "witness", "examiner", "scribe", "recipient"))


def _after_patient(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """ "Pt Xyz refuses": not in capitals, and no eponym behind."""
    patient = _PATIENT.at(document, firsts - 1) | _PATIENT.at(document, firsts - 2)
    after = document.near(lasts)
    return patient & _no_eponym(document, firsts, lasts) & ~_THING_AFTER[after] & (sizes(document, firsts) >= 3)


_NATION = Words(("us", "uk", "dc", "eu"))


def _initialled(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Two initials in one, as "F.T. Xyz", which no species has; one after "by"."""
    several = (sizes(document, firsts) >= 4) & (byte_at(document, firsts, 3) == _DOT) & ~_NATION.at(document, firsts)
    return (document.near(firsts - 1) == _BY_CLASS) | several


_LETTER_S = Words(("s",))


def _slash_signed(document: Classified, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """ "/s/ Xyz"."""
    return _LETTER_S.at(document, firsts - 2 - (document.near(firsts - 1) != ord("/")))


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
    Rule("signature", rf"/[wI]/[|_]?({_ANY})", 0.9, _slash_signed),
    Rule("reversed", rf"({_REVERSED})", 0.8, _reversed),
    Rule("record", rf"({_full('FLBCflbUE')})\(", 0.85, _RECORD),
    Rule("age", rf"({_full('FLBCfb')})(?:,|,?iw?|,?w)[NK]", 0.8, _AGE),
    Rule("greeting", rf"g(?:,?[|=]{{0,2}})({_full('FLBCfb')})", 0.75, _no_eponym),
    Rule("contact", rf"p~({_SURE})", 0.8, _no_eponym),
    Rule("header", rf"({_NAMES})[|=]", 0.85, _headed),
    Rule("kin", rf"({_NAMES}|{_SINGLE})sr", 0.8),
    Rule("relative", rf"r(?:,?n)?(?:[,(]({_full('FLBCfb')})|({_full('FLBCfblME')}))", 0.8, _no_eponym),
    Rule("relative", rf"ri({_NAMES})", 0.7, _no_eponym),
    Rule("met", rf"m[way]{{0,3}}({_full('FLBC')})|V[way]{{1,3}}({_NAMES})", 0.7, _met),
    Rule("acts", rf"({_NAMES})(?:t|iw?[tVm]|V)", 0.7, _acting),
    Rule("named", rf"n(?:w?i|s)?:?({_full('FLBCfbl')})", 0.75, _in_label),
    Rule("self", rf"j({_full('FLBCfb')})", 0.7, _no_eponym),
    Rule("patient", rf"p\.?({_full('FLBC', 'FLBC')})", 0.7, _after_patient),
    Rule("note", rf"({_word('CFLB')}(?:{_INITIALS}{_PARTICLES}{_word('CLB')}){{1,2}})", 0.5, _in_note),
    Rule("subject", r"([FLB])t|[.|=\n](C)t", 0.6, _subject),
    Rule("initials", rf"((?:I\.){{1,3}}{_word('LB')})", 0.6, _no_eponym),
    Rule("initials", rf"(?:[y,]|Vw?)(I\.?{_PARTICLES}{_word('C')})", 0.6, _initialled),
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
_LISTED_RULES = frozenset({"listed", "initials", "subject", "note"})  # nothing but a list says that it is a name
_SURE_RANKS = np.array([rule.name in _SURE_RULES for rule in _RULES])
_LISTED_RANKS = np.array([rule.name in _LISTED_RULES for rule in _RULES])

_LISTED_NAME, _LAST_NAME, _UNKNOWN, _UNLISTED = any_of("FLB"), any_of("LB"), any_of("CU"), any_of("CUW")
_BEGINNING, _GOES_ON = any_of('.:=|"('), any_of("weN")
_REPEATABLE = np.stack([_LISTED_NAME | _UNKNOWN, _ORDINARY])


@dataclass(frozen=True)
class PersonFinder(GrammarFinder):
    """The rules, then the repetition of the names they found."""

    @property
    def said(self) -> list[tuple[str, str, float]]:
        return [*super().said, (self.type, "person.repeated", 0.7)]

    def completed(self, document: Classified, found: Findings) -> Findings:
        """`found`, with what it names wherever it stands again in its document. A name that is an ordinary word too, or
        that no list has, spreads from a strong rule only; the ordinary word not to the beginning of a sentence, where
        any word has a capital. Of names that a list alone told, the last spreads, and not into the name of a thing
        ("Ann Warner", "Warner Music")."""
        if len(found.firsts) == 0:
            return found
        classes = document.classes
        lengths = found.lasts - found.firsts
        tokens = np.arange(lengths.sum()) + np.repeat(found.firsts - (np.cumsum(lengths) - lengths), lengths)
        long = document.ends[tokens] - document.starts[tokens] > 2
        kinds = classes[tokens]
        sure, listed = (np.repeat(ranks[found.rules], lengths) for ranks in (_SURE_RANKS, _LISTED_RANKS))
        unlisted = has_class(document, found.firsts, found.lasts, _UNLISTED)
        all_listed = np.repeat(~unlisted & (lengths > 1), lengths)
        names = tokens[long & ~listed & (_LISTED_NAME[kinds] | (_UNKNOWN[kinds] & sure))]
        lasts = tokens[long & listed & all_listed & _LAST_NAME[kinds]]
        ordinary = tokens[long & sure & _ORDINARY[kinds]]
        capital, inside, alone = repeated(
            *(classes, document.words, ord(BREAK), _REPEATABLE, names, ordinary, lasts, _THING_BEFORE, _THING_AFTER)
        )
        within = np.flatnonzero(inside)
        inside[within[_BEGINNING[document.near(within - 1)] | _GOES_ON[document.near(within + 1)]]] = False
        again = np.flatnonzero(capital | inside | alone)
        after = document.near(again + 1)
        bearer = np.where(after == _S, document.near(again + 2) == _NOUN, _EPONYM_OR_PLACE[after])
        again = again[~bearer & ~_of_place(document, again)]
        every = Findings(
            np.concatenate([found.firsts, again]),
            np.concatenate([found.lasts, again + 1]),
            np.concatenate([found.rules, np.full(len(again), len(self.rules))]),
        )
        return every.settled(len(classes))


def person(profile: str) -> Sequence[GrammarFinder]:
    """The finder of names, the same for every profile."""
    return [PersonFinder("PERSON", _RULES, name="person")]
