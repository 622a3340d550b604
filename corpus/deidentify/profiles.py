"""Profiles: which recognisers look, how strictly, and what becomes of a finding, for one kind of text.

web                crawled prose: dates only where they are birthdays, URLs only where they point at a person
code               source code: secrets; URLs and dates stay, private addresses and bare constants are no findings
hipaa_safe_harbor  notes about patients: the 18 identifiers of 45 CFR 164.514(b)(2), every date, URL and address
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from corpus.deidentify import contact, dates, identifiers
from corpus.deidentify.recogniser import Finder, Shape
from corpus.deidentify.scanner import Scanner

Profile = Literal["web", "code", "hipaa_safe_harbor"]
Policy = Literal["tag", "surrogate", "shift", "generalise", "keep"]
Family = Callable[[Profile], Sequence[Finder | Shape]]

# By type, in order of rank: where two findings overlap, the first family's stands. A type may have several families.
FAMILIES: tuple[tuple[str, Family], ...] = (
    ("URL", lambda profile: contact.url(every=profile == "hipaa_safe_harbor")),
    ("EMAIL", lambda profile: contact.email()),
    ("IP", contact.ip),
    ("", lambda profile: [contact.url_shield()]),  # what a URL that stays protects: no account's or machine's address
    ("IBAN", lambda profile: identifiers.iban()),
    ("MAC", lambda profile: contact.mac()),
    ("MBI", lambda profile: identifiers.mbi()),
    ("DEVICE", lambda profile: identifiers.device()),
    ("HEALTH_PLAN", lambda profile: identifiers.health_plan()),
    ("RECORD_NUMBER", identifiers.record),
    ("SSN", lambda profile: identifiers.ssn()),
    ("CREDIT_CARD", identifiers.card),
    ("DATE", dates.date),
    ("PHONE", contact.phone),
)
TYPES = tuple(sorted({type for type, _ in FAMILIES if type}))
DEFAULT_TYPES: dict[Profile, tuple[str, ...]] = {
    "web": ("EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IP", "URL", "DATE", "RECORD_NUMBER"),
    "code": ("EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IP", "RECORD_NUMBER"),
    "hipaa_safe_harbor": TYPES,
}
GENERALISED = ("AGE", "DATE", "ZIP")


def default_policy(profile: Profile, type: str) -> Policy:
    if type == "DATE":
        return "keep" if profile == "code" else "generalise"
    if type == "URL" and profile == "code":
        return "keep"
    return "generalise" if type in GENERALISED else "surrogate"


@lru_cache(maxsize=16)
def scanner(profile: Profile, types: frozenset[str]) -> Scanner:
    """The recognisers of `types`, ready to run."""
    wanted = [family for type, family in FAMILIES if type in types or not type]
    return Scanner(recogniser for family in wanted for recogniser in family(profile))
