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
_BY_RANK: dict[str, Callable[[str], list[Recogniser]]] = {
    "URL": lambda profile: contact.url(every=profile == "clinical", keep=False),
    "EMAIL": lambda profile: contact.email(),
    "IBAN": lambda profile: identifiers.iban(),
    "MAC": lambda profile: contact.mac(),
    "IP": contact.ip,
    "MBI": lambda profile: identifiers.mbi(),
    "DEVICE": lambda profile: identifiers.device(),
    "HEALTH_PLAN": lambda profile: identifiers.health_plan(),
    "RECORD_NUMBER": identifiers.record,
    "SSN": lambda profile: identifiers.ssn(),
    "CREDIT_CARD": identifiers.card,
    "DATE": dates.date,
    "PHONE": contact.phone,
}
TYPES = tuple(sorted(_BY_RANK))


def default_policy(profile: Profile, type: str) -> Policy:
    if type == "DATE":
        return "keep" if profile == "code" else "year"
    if type == "URL" and profile == "code":
        return "keep"
    return "surrogate"


def scanner(profile: Profile, types: frozenset[str]) -> Scanner:
    """The recognisers of `types`. URLs always shield the digits in them, reported or not."""
    recognisers: list[Recogniser] = []
    for type, make in _BY_RANK.items():
        if type in types:
            recognisers += make(profile)
        elif type == "URL":
            recognisers += contact.url(every=False, keep=True)
    # A shield must not hide the address of an account or a machine: those rank above it.
    above = {"EMAIL", "IP"}
    found = [r for r in recognisers if not r.shield]
    shields = [r for r in recognisers if r.shield]
    urls = [r for r in found if r.type == "URL"]
    addresses = [r for r in found if r.type in above]
    rest = [r for r in found if r.type != "URL" and r.type not in above]
    return Scanner(urls + addresses + shields + rest)
