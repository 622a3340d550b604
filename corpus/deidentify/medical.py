"""Recognisers of what a hospital, an insurer or a maker numbers: records, members, devices, licences, pictures.

Most have no form of their own and are known by their label, which the pattern holds.
"""

import numpy as np

from corpus.deidentify.columns import Columns, Containing, Inside, Tail, verdicts
from corpus.deidentify.payment import digits_of, enough, enough_digits
from corpus.deidentify.recogniser import Candidate, Shape, nearby
from corpus.deidentify.reserved import RECORD_MARK
from corpus.kernels.candidates import named_before

_VALUE = r"(?:[A-Z]{1,4}-?)?\d[0-9A-Z]*(?:[-/][0-9A-Z]+)*"
_LINK = r"(?: (?:number|num|no|id|nr))?\.?[ \t\n:#=-]{0,4}(?:(?:is|was)[ :#]{1,2})?"
_LAST = Tail(r"(?i)(?:[A-Z]{1,4}-?)?\d[0-9A-Z]*(?:[-/][0-9A-Z]+)*", skipped=3)  # the value at the end of a match

_RECORD_LABEL = (
    r"mrn|m\.r\.n\.|mr ?#|med(?:ical)?\.? rec(?:ord)?s?"
    r"|(?:hospital|patient|patient's|pt\.?|record) (?:number|no\.?|id)"
)
_CLINICAL_LABEL = r"|chart|accession|encounter|specimen|(?:unit|case|visit) (?:number|no\.?|id)"
# "Anna Diaz-Tran (165-72-15)": a number in brackets after a name.
_IN_BRACKETS = r"\((?:(?:[A-Z]{1,3})?\d{6,10}|\d{2,3}-\d{2}-\d{2})\)"
_GENBANK = nearby(r"^(?:[A-Z]\d{5}|[A-Z]{2}\d{6}|[A-Z]{3}\d{5})$")  # accession numbers of sequences, in papers


def _record(candidate: Candidate) -> bool:
    value = candidate.value
    marked = value[:2].upper() == RECORD_MARK
    return (
        len(digits_of(value)) >= 4 and len(value) <= 24 and not (marked or candidate.joined or _GENBANK.search(value))
    )


def _records(own: Columns) -> np.ndarray:
    size = own.ends - own.starts
    plain = (own.counts >= 4) & (size <= 24) & ~own.marked & ~own.in_word
    sequence = ((size == 6) | (size == 8)) & (own.counts < size)
    return verdicts(plain, plain & sequence)


def _bracketed_records(own: Columns) -> np.ndarray:
    return np.minimum(_records(own), named_before(own.joined.view, own.starts, own.lows))


def _name_before(before: str) -> bool:
    """A word with a capital, white space and a bracket are the last."""
    if before[-1:] != "(" or not before[-2:-1].isspace():
        return False
    for character in reversed(before[:-2]):
        if character.isupper():
            return True
        if not (character.isalpha() or character in ".'’-"):
            return False
    return False


def _bracketed_record(candidate: Candidate) -> bool:
    return _record(candidate) and _name_before(candidate.before)


def record(profile: str) -> list[Shape]:
    clinical = profile == "hipaa_safe_harbor"
    label = _RECORD_LABEL + (_CLINICAL_LABEL if clinical else "")
    labelled = rf"(?i)(?:{label}){_LINK}\(?{_VALUE}"
    brackets = Shape(
        "RECORD_NUMBER",
        "record.brackets",
        _IN_BRACKETS,
        _bracketed_record,
        group=Inside(b"(", b")"),
        sieve=_bracketed_records,
        score=0.8,
    )
    return [
        Shape("RECORD_NUMBER", "record.labelled", labelled, _record, group=_LAST, sieve=_records, score=0.9),
        *([brackets] if clinical else []),
    ]


MBI_LETTERS = "ACDEFGHJKMNPQRTUVWXY"  # no S, L, O, I, B, Z
_MBI = (
    rf"(?i)[1-9][{MBI_LETTERS}][{MBI_LETTERS}0-9]\d-?[{MBI_LETTERS}][{MBI_LETTERS}0-9]\d-?[{MBI_LETTERS}]{{2}}\d{{2}}"
)


def mbi() -> list[Shape]:
    return [
        Shape(
            "MBI",
            "us.mbi",
            _MBI,
            lambda candidate: not candidate.joined and candidate.value[:2].upper() != RECORD_MARK,
            sieve=lambda own: verdicts(~own.in_word & ~own.marked),
        )
    ]


_PLAN = r"(?:member|insurance|subscriber|policy|beneficiary|health plan|group|medicaid|medicare|payer)"
_PLAN_LABEL = rf"{_PLAN}(?: (?:member|policy|plan))? {{0,1}}(?:id|number|no\.?|#)[ \t\n:#]{{0,3}}(?:is )?"
_PLAN_VALUE = r"[A-Z]{0,4}[- ]?\d[0-9A-Z]*(?:-[0-9A-Z]+)*"


def health_plan() -> list[Shape]:
    value = rf"(?i)^{_PLAN}(?: (?:member|policy|plan))? ?(?:id|number|no\.?|#)\s*(?:is|:|#)?\s*([A-Z]{{0,4}}[- ]?\d.*)$"
    return [
        Shape("HEALTH_PLAN", "plan.labelled", rf"(?i){_PLAN_LABEL}{_PLAN_VALUE}", enough_digits, group=value, score=0.9)
    ]


_DEVICE = (
    r"(?i)(?:s/n|(?:serial|model)(?: number| no\.?| #)?|device (?:id|number|serial|no\.?)|imei|udi|lot|asset tag)"
    r"(?: is)?[:# ]{0,3}[A-Z0-9][A-Z0-9-]+|sn-[A-Z0-9]{1,4}-[A-Z0-9]{4,12}"
)


def device() -> list[Shape]:
    """The label is a part of the finding, as in `S/N 77997424`."""
    return [Shape("DEVICE", "device.labelled", _DEVICE, enough_digits, sieve=enough, score=0.9)]


_LICENSE = (
    r"(?i)(?:medical |state |professional |nursing |pharmacy |pilot |board )?"
    r"(?:certificat(?:e|ion)|licen[cs]e|registration|gmc|nmc|permit)(?: (?:number|no\.?|#|id))[ :#]{0,3}(?:is )?"
)


def license_number() -> list[Shape]:
    form = _LICENSE + _VALUE
    return [Shape("LICENSE", "license.labelled", form, enough_digits, group=_LAST, sieve=enough, score=0.8)]


_TRAIT = r"(?:finger ?prints?|palm ?prints?|retinal?|iris|voice ?prints?|face ?prints?|facial|biometrics?|dna|gait)"
_BIOMETRIC = (
    rf"(?i){_TRAIT}(?: (?:scan|template|id|identifier|image|record|file|sample|profile|recording|hash|ref"
    r"|reference|number|no\.?)){0,2}[ :#=]{1,3}(?:is )?" + _VALUE
)
_PHOTO = (
    r"(?i)(?:IMG|DSC|DSCN|DSCF|PXL|PHOTO|PIC|SELFIE|FACE|HEADSHOT|MUGSHOT|PORTRAIT)[_-]?[0-9A-Z_-]+"
    r"\.(?:jpe?g|png|heic|tiff?|dcm|bmp|raw|gif)"
)
_PHOTO_LABEL = (
    r"(?i)(?:full[ -]face )?(?:photo(?:graph)?s?|picture|portrait|selfie|headshot|mugshot|image of (?:patient|face))"
    r"(?: (?:file|id|ref|reference|number|no\.?|on file))?[ :#=]{1,3}[0-9A-Za-z_-]*\d[0-9A-Za-z_-]*"
    r"(?:\.(?:jpe?g|png|heic|tiff?|dcm|bmp|raw|gif))?"
)


def _numbered(candidate: Candidate) -> bool:
    marked = RECORD_MARK in candidate.value.upper()
    return len(digits_of(candidate.value)) >= 3 and not marked and not candidate.joined


_mark_inside = Containing(f"(?i){RECORD_MARK}")


def _numbers(own: Columns) -> np.ndarray:
    return verdicts((own.counts >= 3) & ~_mark_inside(own) & ~own.in_word)


def biometric() -> list[Shape]:
    return [Shape("BIOMETRIC", "biometric.labelled", _BIOMETRIC, _numbered, group=_LAST, sieve=_numbers, score=0.8)]


def photo() -> list[Shape]:
    """References to pictures of somebody: the file of a camera, or what a label calls a photograph."""
    group = r"(?i)[ :#=]([0-9A-Za-z_-]*\d[0-9A-Za-z_.-]*)$"
    return [
        Shape("PHOTO", "photo.file", _PHOTO, _numbered, sieve=_numbers, score=0.8),
        Shape("PHOTO", "photo.labelled", _PHOTO_LABEL, _numbered, group=rf".*?{group}", score=0.7),
    ]
