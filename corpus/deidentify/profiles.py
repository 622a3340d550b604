"""Profiles: which recognisers look, how strictly, and what becomes of a finding, for one kind of text.

web                crawled prose: dates only where they are birthdays, URLs only where they point at a person
code               source code: secrets; URLs and dates stay, private addresses and bare constants are no findings
hipaa_safe_harbor  notes about patients: the 18 identifiers of 45 CFR 164.514(b)(2), every date, URL and address
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from corpus.deidentify import (
    ages,
    contact,
    credentials,
    dates,
    datespans,
    medical,
    network,
    organisations,
    payment,
    person,
    phone,
    places,
    postcode,
    social,
    vehicle,
)
from corpus.deidentify.national import registers
from corpus.deidentify.recogniser import Gated, Shape
from corpus.deidentify.scanner import Scanner
from corpus.deidentify.surrogates import MAKERS

Profile = Literal["web", "code", "hipaa_safe_harbor"]
Policy = Literal["tag", "surrogate", "shift", "generalise", "keep"]


class Search(NamedTuple):
    """What is looked for: the kind of text, and what a recipe may choose beside it."""

    profile: Profile
    countries: tuple[str, ...] | None = None
    phone_regions: tuple[str, ...] = ("US",)
    ip_ranges: network.Ranges | None = None
    license_headers: Literal["mask", "keep"] = "mask"


Family = Callable[[Search], Sequence[Gated | Shape]]

# By type, in order of rank: where two findings overlap, the first family's stands. A type may have several families.
FAMILIES: tuple[tuple[str, Family], ...] = (
    ("SECRET", lambda search: credentials.secrets()),
    ("URL", lambda search: contact.url(every=search.profile == "hipaa_safe_harbor")),
    ("EMAIL", lambda search: contact.email(search.profile, search.license_headers)),
    ("IP", lambda search: network.ip(search.ip_ranges or network.RANGES[search.profile])),
    ("", lambda search: [contact.url_shield()]),  # what a URL that stays protects: no account's or machine's address
    ("CRYPTO", lambda search: payment.crypto()),
    ("IBAN", lambda search: payment.iban()),
    ("MAC", lambda search: network.mac()),
    ("MBI", lambda search: medical.mbi()),
    ("BIOMETRIC", lambda search: medical.biometric()),
    ("PHOTO", lambda search: medical.photo()),
    ("DEVICE", lambda search: medical.device()),
    ("HEALTH_PLAN", lambda search: medical.health_plan()),
    ("HEALTH_PLAN", lambda search: registers("HEALTH_PLAN", search.countries)),
    ("RECORD_NUMBER", lambda search: medical.record(search.profile)),
    ("SSN", lambda search: social.ssn()),
    ("CREDIT_CARD", lambda search: payment.card(search.profile)),
    ("DATE", lambda search: datespans.date_span(search.profile)),
    ("DATE", lambda search: dates.date(search.profile)),
    ("PASSPORT", lambda search: registers("PASSPORT", search.countries)),
    ("DRIVER_LICENSE", lambda search: registers("DRIVER_LICENSE", search.countries)),
    ("LICENSE", lambda search: registers("LICENSE", search.countries)),
    ("LICENSE", lambda search: medical.license_number()),
    ("VEHICLE", lambda search: vehicle.vehicle(search.countries)),
    ("NATIONAL_ID", lambda search: registers("NATIONAL_ID", search.countries)),
    ("TAX_ID", lambda search: registers("TAX_ID", search.countries)),
    ("BANK", lambda search: payment.bank()),
    ("ACCOUNT", lambda search: payment.account()),
    ("PHONE", lambda search: phone.phone(search.profile, search.phone_regions)),
    ("ZIP", lambda search: postcode.postcode(search.countries)),
    ("AGE", lambda search: ages.age(search.profile)),
    ("ZIP", lambda search: places.zip_code(search.profile)),
    ("LOCATION", lambda search: places.location(search.profile)),
    ("ORGANIZATION", lambda search: organisations.organisation(search.profile)),
    ("PERSON", lambda search: person.person(search.profile)),
    ("USERNAME", lambda search: contact.username()),
    ("SECRET", lambda search: credentials.assigned() if search.profile == "code" else credentials.passwords()),
)
TYPES = tuple(sorted({type for type, _ in FAMILIES if type}))
# In prose that was published, names of people, places and firms are meant to be read, and such numbers rarely are.
_NOTES_ONLY = {"AGE", "BIOMETRIC", "DEVICE", "LOCATION", "ORGANIZATION", "PERSON", "PHOTO", "TAX_ID", "USERNAME", "ZIP"}
DEFAULT_TYPES: dict[Profile, tuple[str, ...]] = {
    "web": tuple(type for type in TYPES if type not in _NOTES_ONLY),
    "code": ("CREDIT_CARD", "CRYPTO", "EMAIL", "IBAN", "IP", "PHONE", "SECRET", "SSN"),
    "hipaa_safe_harbor": TYPES,
}
GENERALISED = ("AGE", "DATE", "ZIP")


def default_policy(profile: Profile, type: str, replace: Literal["surrogate", "tag"]) -> Policy:
    """What becomes of a type that the recipe says nothing about."""
    if profile == "code" and type in {"DATE", "URL"}:
        return "keep"
    if type in GENERALISED:
        return "generalise"
    return replace if type in MAKERS else "tag"


@lru_cache(maxsize=16)
def scanner(search: Search, types: frozenset[str]) -> Scanner:
    """The recognisers of `types`, ready to run."""
    wanted = [family for type, family in FAMILIES if type in types or not type]
    return Scanner(recogniser for family in wanted for recogniser in family(search))
