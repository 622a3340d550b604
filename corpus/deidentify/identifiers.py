"""Recognisers of numbers that stand for a person or an account, each with its check where one exists."""

import re2

from corpus.deidentify.recogniser import Candidate, Recogniser
from corpus.deidentify.reserved import RECORD_MARK

_OPEN = re2.compile(r"[\w.$€£#+/@-]$")
_CLOSED = re2.compile(r"^(?:\w|[-.]\d|[-@/]\w)")


def _apart(candidate: Candidate) -> bool:
    return not _OPEN.search(candidate.before) and not _CLOSED.search(candidate.after)


def _digits(value: str) -> str:
    return "".join(c for c in value if c.isdigit())


# SSN: no area 000, 666 or 9xx, no group 00, no serial 0000; two famous specimens are nobody's.
_SSN = r"\b(\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}|\d{3}\.\d{2}\.\d{4})\b"
_BARE_SSN = r"\b(\d{9})\b"
_SSN_CONTEXT = re2.compile(r"(?i)\b(?:ssn?|social security|soc\.? sec\.?|ss#)")
_SPECIMENS = {"078051120", "219099999"}


def _ssn(candidate: Candidate) -> bool:
    digits = _digits(candidate.value)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    valid = area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"
    return valid and digits not in _SPECIMENS and len(set(digits)) > 1 and digits != "123456789" and _apart(candidate)


def _bare_ssn(candidate: Candidate) -> bool:
    return _ssn(candidate) and (candidate.alone or _SSN_CONTEXT.search(candidate.before) is not None)


# Card numbers: ISO/IEC 7812. (first, last) of the leading digits, and the lengths the issuer uses.
_ISSUERS = (
    ("4", "4", {13, 16, 19}),  # Visa
    ("51", "55", {16}),  # Mastercard
    ("2221", "2720", {16}),
    ("34", "34", {15}),  # American Express
    ("37", "37", {15}),
    ("300", "305", {14, 16}),  # Diners Club
    ("3095", "3095", {14, 16}),
    ("36", "36", {14, 16}),
    ("38", "39", {14, 16}),
    ("6011", "6011", {16, 19}),  # Discover
    ("644", "649", {16, 19}),
    ("65", "65", {16, 19}),
    ("62", "62", {16, 17, 18, 19}),  # UnionPay
    ("35", "35", {16, 17, 18, 19}),  # JCB (3528 to 3589 so far)
    ("1800", "1800", {15}),
    ("2131", "2131", {15}),
    ("50", "50", {12, 13, 14, 15, 16, 17, 18, 19}),  # Maestro
    ("56", "58", {12, 13, 14, 15, 16, 17, 18, 19}),
    ("63", "63", {16, 17, 18, 19}),
    ("67", "67", {12, 13, 14, 15, 16, 17, 18, 19}),
)
_CARD = r"\b(\d{12,19}|\d{4}(?:-\d{4}){3}|\d{4}(?: \d{4}){3}(?: \d{1,3})?|\d{4}-\d{6}-\d{4,5}|\d{4} \d{6} \d{4,5})\b"
_CARD_CONTEXT = re2.compile(
    r"(?i)\b(?:card|cc|credit|debit|visa|mastercard|amex|american express|maestro|discover|payment|pan|paid)\b"
)


def luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812-1: from the right, every second digit doubled, the sum of digits divisible by 10."""
    odd, even = digits[-1::-2], digits[-2::-2]
    doubled = sum(int(d) * 2 - 9 * (d > "4") for d in even)
    return (sum(map(int, odd)) + doubled) % 10 == 0


def _card(candidate: Candidate) -> bool:
    digits = _digits(candidate.value)
    known = any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _ISSUERS)
    if not known or len(set(digits)) == 1 or not luhn(digits) or not _apart(candidate):
        return False
    # One number in ten passes Luhn, so the lengths that few cards have need a word that speaks for them.
    return len(digits) in {14, 15, 16} or candidate.alone or _CARD_CONTEXT.search(candidate.before) is not None


def _code_card(candidate: Candidate) -> bool:
    """For source code: a bare number is a constant unless a word says otherwise."""
    grouped = len(candidate.value) > len(_digits(candidate.value))
    return _card(candidate) and (grouped or _CARD_CONTEXT.search(candidate.before) is not None)


# Record numbers: known by their label.
_RECORD_LABEL = (
    r"mrn|m\.r\.n\.|mr ?#|med(?:ical)?\.? rec(?:ord)?s?|acct"
    r"|(?:hospital|patient|patient's|pt\.?|record|account) (?:number|no\.?|id)"
)
_CLINICAL_LABEL = r"|chart|accession|encounter|specimen|(?:unit|case|visit) (?:number|no\.?|id)"
_RECORD = (
    r"(?i)\b(?:{})(?:\s(?:number|num|no|id|nr)\b)?\.?\s*(?:is|was|:|#|=|-)*\s*(?:#\s*)?"
    r"\(?((?:[A-Z]{{1,4}}-?)?\d[0-9A-Z]*(?:[-/][0-9A-Z]+)*)"
)
# "Anna Diaz-Tran (165-72-15)": a number in brackets after a name.
_RECORD_IN_BRACKETS = r"[^\s\d]\s\(((?:[A-Z]{1,3})?\d{6,10}|\d{2,3}-\d{2}-\d{2})\)"
_NAME_BEFORE = re2.compile(r"\p{Lu}[\p{L}.'’-]*\s\($")
_GENBANK = re2.compile(r"^(?:[A-Z]\d{5}|[A-Z]{2}\d{6}|[A-Z]{3}\d{5})$")  # accession numbers of sequences, in papers


def _record(candidate: Candidate) -> bool:
    value = candidate.value
    digits = _digits(value)
    marked = value[:2].upper() == RECORD_MARK
    return len(digits) >= 4 and len(value) <= 24 and not (marked or candidate.joined or _GENBANK.search(value))


def _bracketed_record(candidate: Candidate) -> bool:
    return _record(candidate) and _NAME_BEFORE.search(candidate.before) is not None


MBI_LETTERS = "ACDEFGHJKMNPQRTUVWXY"  # no S, L, O, I, B, Z
_MBI = (
    rf"(?i)\b([1-9][{MBI_LETTERS}][{MBI_LETTERS}0-9]\d-?[{MBI_LETTERS}][{MBI_LETTERS}0-9]\d-?"
    rf"[{MBI_LETTERS}]{{2}}\d{{2}})\b"
)

_IBAN = r"(?i)\b([A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?)\b"
# ISO 13616 registry: country and length.
_IBAN_LENGTHS = dict(
    entry.split(":")
    for entry in """
        AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24 DE:22
        DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28 HR:21 HU:28
        IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27
        MD:24 ME:22 MK:19 MR:27 MT:31 MU:30 NL:18 NO:15 PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 SA:24
        SC:31 SE:24 SI:19 SK:24 SM:27 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20
    """.split()  # noqa: SIM905
)


def _iban(candidate: Candidate) -> bool:
    compact = "".join(c for c in candidate.value.upper() if c.isalnum())
    # (?i) lets the Kelvin sign pass for a K
    if not compact.isascii() or _IBAN_LENGTHS.get(compact[:2]) != str(len(compact)) or not _apart(candidate):
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


_DEVICE = (
    r"(?i)((?:\bs/n|\bserial(?: number| no\.?| #)?|\bdevice id|\bimei|\budi|\blot)[:# ]{0,3}[A-Z0-9][A-Z0-9-]{4,20}"
    r"|\bsn-[A-Z0-9]{1,4}-[A-Z0-9]{4,12})\b"
)
_HEALTH_PLAN = (
    r"(?i)\b(?:member|insurance|subscriber|policy|beneficiary|health plan|group)(?: (?:member|policy|plan))?"
    r" ?(?:id|number|no\.?|#)\s*(?:is|:|#)?\s*([A-Z]{0,4}[- ]?\d[0-9A-Z]*(?:-[0-9A-Z]+)*)"
)


def _enough_digits(candidate: Candidate) -> bool:
    marked = candidate.value[:2].upper() == RECORD_MARK
    return sum(c.isdigit() for c in candidate.value) >= 5 and not marked and not candidate.joined


def ssn() -> list[Recogniser]:
    return [Recogniser("SSN", _SSN, _ssn), Recogniser("SSN", _BARE_SSN, _bare_ssn)]


def card(profile: str) -> list[Recogniser]:
    return [Recogniser("CREDIT_CARD", _CARD, _code_card if profile == "code" else _card)]


def record(profile: str) -> list[Recogniser]:
    if profile != "hipaa_safe_harbor":
        return [Recogniser("RECORD_NUMBER", _RECORD.format(_RECORD_LABEL), _record)]
    return [
        Recogniser("RECORD_NUMBER", _RECORD.format(_RECORD_LABEL + _CLINICAL_LABEL), _record),
        Recogniser("RECORD_NUMBER", _RECORD_IN_BRACKETS, _bracketed_record),
    ]


def mbi() -> list[Recogniser]:
    return [Recogniser("MBI", _MBI, _apart)]


def iban() -> list[Recogniser]:
    return [Recogniser("IBAN", _IBAN, _iban)]


def device() -> list[Recogniser]:
    return [Recogniser("DEVICE", _DEVICE, _enough_digits)]


def health_plan() -> list[Recogniser]:
    return [Recogniser("HEALTH_PLAN", _HEALTH_PLAN, _enough_digits)]
