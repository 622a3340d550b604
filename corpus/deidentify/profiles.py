"""Profiles: which recognisers look, how strictly, and what becomes of a finding, for one kind of text.

web        crawled prose: dates only where they are birthdays, URLs only where they point at a person
code       source code: URLs and dates stay, private addresses and bare constants are no findings
clinical   notes about patients: every date, URL and address; label-less record numbers in brackets
"""

from collections.abc import Callable
from typing import Literal

from corpus.deidentify import contact, dates, identifiers
from corpus.deidentify.recogniser import Recogniser, Scanner

Profile = Literal["web", "code", "clinical"]
Policy = Literal["tag", "surrogate", "shift", "year", "keep"]

DEFAULT_TYPES = ("EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IP", "URL", "DATE", "RECORD_NUMBER")

# In order of rank: where two findings overlap, the first type's stands.
_ADDRESSES: dict[str, Callable[[Profile], list[Recogniser]]] = {
    "URL": lambda profile: contact.url(every=profile == "clinical"),
    "EMAIL": lambda profile: contact.email(),
    "IP": contact.ip,
}
_NUMBERS: dict[str, Callable[[Profile], list[Recogniser]]] = {
    "IBAN": lambda profile: identifiers.iban(),
    "MAC": lambda profile: contact.mac(),
    "MBI": lambda profile: identifiers.mbi(),
    "DEVICE": lambda profile: identifiers.device(),
    "HEALTH_PLAN": lambda profile: identifiers.health_plan(),
    "RECORD_NUMBER": identifiers.record,
    "SSN": lambda profile: identifiers.ssn(),
    "CREDIT_CARD": identifiers.card,
    "DATE": dates.date,
    "PHONE": contact.phone,
}
TYPES = tuple(sorted(_ADDRESSES | _NUMBERS))


def default_policy(profile: Profile, type: str) -> Policy:
    if type == "DATE":
        return "keep" if profile == "code" else "year"
    if type == "URL" and profile == "code":
        return "keep"
    return "surrogate"


def scanner(profile: Profile, types: frozenset[str]) -> Scanner:
    """The recognisers of `types`. A URL that stays protects the digits in it, but no account's or machine's address."""
    addresses = [recogniser for type, make in _ADDRESSES.items() if type in types for recogniser in make(profile)]
    numbers = [recogniser for type, make in _NUMBERS.items() if type in types for recogniser in make(profile)]
    return Scanner([*addresses, contact.url_shield(), *numbers])
