"""Recognisers of machines' addresses: IP and MAC.

The ranges that our own surrogates live in are skipped (reserved.py names them), so that a second pass finds nothing.
"""

import ipaddress
from typing import Literal

import numpy as np

from corpus.deidentify.columns import DIGIT_BYTES, Columns, Containing, Preceding, Sieve, verdicts
from corpus.deidentify.recogniser import Candidate, Shape, nearby
from corpus.deidentify.reserved import IPV4_NETWORKS, IPV6_NETWORK
from corpus.kernels.ip import SHORT, WHOLE, kinds_of_ipv6, octets_of
from corpus.kernels.spans import byte_table

_HEX_VALUES = np.array([int(chr(byte), 16) if chr(byte) in "0123456789abcdefABCDEF" else -1 for byte in range(256)])

_IPV4 = r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"
_IPV4_NET = _IPV4 + r"(?:/\d{1,2})?"
_H = r"[0-9A-Fa-f]{1,4}"
# Eight groups, or fewer and a double colon; the last two may be written as an IPv4 address. A zone, a prefix length.
_IPV6 = (
    rf"(?:{_H}(?::{_H}){{7}}|{_H}(?::{_H}){{5}}:{_IPV4}|(?:{_H}(?::{_H}){{0,6}})?::(?:{_H}(?::{_H}){{0,6}})?"
    rf"|(?:{_H}(?::{_H}){{0,5}})?::(?:{_H}:){{0,5}}{_IPV4})(?:%[0-9A-Za-z]{{1,15}})?(?:/\d{{1,3}})?"
)
_MAC = r"[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}"

_ADDRESS_WORDS = (
    r"(?:ip(?:v[46])?|addr(?:ess)?|host|server|ping|inet6?|dns|gateway|subnet|client|connect(?:ed|ing|ion)?|login)"
)
_ADDRESS_CONTEXT = nearby(rf"(?i)\b{_ADDRESS_WORDS}\b")
_address_said = Preceding(rf"(?i){_ADDRESS_WORDS}(?:[^0-9A-Za-z_](?:.|\n)*)?")
_address_said_in_line = Preceding(rf"(?i){_ADDRESS_WORDS}(?:[^0-9A-Za-z_\n].*)?")
_VERSION, _VERSION_INSIDE = (
    r"(?:v|ver\.?|EC|kernel)",
    r"(?:version|release[sd]?|build|firmware|revision|section|chapter|clause|python|[=<>~^]=|[~^]|\d,\s?[<>]"
    r"|/[a-z0-9_.-]{1,30}:)",
)
_TO_NUMBER = r"[\"'\s:=]*"
_VERSION_CONTEXT = nearby(rf"(?i)(?:\b{_VERSION}|{_VERSION_INSIDE}){_TO_NUMBER}$")
_version = Preceding(f"(?i){_VERSION}{_TO_NUMBER}")
_version_inside = Preceding(f"(?i){_VERSION_INSIDE}{_TO_NUMBER}", edge=False)


def octets(value: str) -> tuple[int, ...] | None:
    """The four numbers of an IPv4 address in dotted decimals, or None where it is none."""
    parts = value.split(".")
    if len(parts) != 4 or not all(part.isdecimal() and (part == "0" or part[0] != "0") for part in parts):
        return None
    numbers = tuple(int(part) for part in parts)
    return numbers if max(numbers) <= 255 else None


def _ipv4(candidate: Candidate) -> bool:
    numbers = octets(candidate.value.partition("/")[0])
    if numbers is None or candidate.joined or candidate.before[-1:] == ".":
        return False
    if _VERSION_CONTEXT.search(candidate.before):
        return False
    return not any(ipaddress.IPv4Address(bytes(numbers)) in network for network in IPV4_NETWORKS)


def _routable_ipv4(candidate: Candidate) -> bool:
    """An address that can be somebody's: no loopback, netmask, multicast; no section number."""
    if not _ipv4(candidate):
        return False
    address = ipaddress.IPv4Address(candidate.value.partition("/")[0])
    if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_reserved:
        return False
    return max(address.packed) >= 32 or _ADDRESS_CONTEXT.search(candidate.before) is not None


def _public_ipv4(candidate: Candidate) -> bool:
    """For source code, where a private address is a default value."""
    return _routable_ipv4(candidate) and not ipaddress.IPv4Address(candidate.value.partition("/")[0]).is_private


def _ipv6(candidate: Candidate) -> bool:
    value = candidate.value.partition("/")[0]
    joined = candidate.joined and not (candidate.before[-1:] == "_" or candidate.after[:1] == "_")
    if (
        joined
        or candidate.before[-1:] == ":"
        or candidate.after[:1] == ":"
        or ("::" not in value and value.count(":") < 6)
    ):
        return False
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    if (candidate.after[:1] == "." and candidate.after[1:2].isdigit()) or address in IPV6_NETWORK:
        return False
    # `x[1::2]` and `a::b` are valid addresses too: a short one needs a word that speaks for it.
    groups = [group for group in value.replace(".", ":").split(":") if group]
    if len(groups) >= 3 or "%" in value or "/" in candidate.value:
        return True
    return _ADDRESS_CONTEXT.search(candidate.before.rpartition("\n")[2]) is not None


def _public_ipv6(candidate: Candidate) -> bool:
    return _ipv6(candidate) and ipaddress.IPv6Address(candidate.value.partition("/")[0]).is_global


_DOCUMENTATION = np.array([tuple(network.network_address.packed[:3]) for network in IPV4_NETWORKS], np.int16)
# First numbers and groups with ranges that are nobody's in the public network: the validator knows which.
_SPECIAL_V4 = np.isin(np.arange(256), [0, 10, 100, 127, 169, 172, 192, 198, 203, *range(224, 256)])
_SPECIAL_V6 = np.isin(np.arange(1 << 16), [0, 0x64, 0x100, 0x2001, 0x2002, 0x3FFF, 0x5F00, *range(0xFC00, 1 << 16)])
_RESERVED = np.array([int(group, 16) for group in IPV6_NETWORK.network_address.exploded.split(":")[:3]])


def _v4(ranges: "Ranges") -> Sieve:
    def sieve(own: Columns) -> np.ndarray:
        numbers = octets_of(own.joined.view, own.starts, own.ends)
        ours = (numbers[:, None, :3] == _DOCUMENTATION).all(axis=2).any(axis=1)
        plain = (numbers[:, 0] >= 0) & ~ours & ~own.in_word & (own.before != ord("."))
        plain &= ~(_version(own) | _version_inside(own))
        if ranges == "all":
            return verdicts(plain)
        somebodys = (numbers[:, 0] != 127) & (numbers[:, 0] < 224) & numbers.any(axis=1)
        said = (numbers.max(axis=1) >= 32) | _address_said(own)
        found = plain & somebodys & said
        return verdicts(found, found & (ranges == "public") & _SPECIAL_V4[np.clip(numbers[:, 0], 0, 255)])

    return sieve


_BEHIND_V6, _POINT, _NOT_ZERO = byte_table(b"%/"), byte_table(b"."), byte_table(b"123456789abcdefABCDEF")
_mapped = Containing("(?i)ffff")


def _first_groups(own: Columns) -> np.ndarray:
    """int64[candidates]: the number that each IPv6 address begins with, 0 where it begins with a colon."""
    value, going = np.zeros(len(own), np.int64), np.ones(len(own), bool)
    for place in range(4):
        digit = _HEX_VALUES[own.at(own.starts + place)]
        going &= digit >= 0
        value = np.where(going, 16 * value + digit, value)
    return value


def _v6(ranges: "Ranges") -> Sieve:
    def sieve(own: Columns) -> np.ndarray:
        kinds = kinds_of_ipv6(own.joined.view, own.starts, own.ends, _RESERVED)
        joined = own.in_word & (own.before != ord("_")) & (own.after != ord("_"))
        touched = joined | (own.before == ord(":")) | (own.after == ord(":"))
        touched |= (own.after == ord(".")) & DIGIT_BYTES[own.beyond]
        found = ~touched & ((kinds == WHOLE) | ((kinds == SHORT) & _address_said_in_line(own)))
        unsure = (own.after == ord(".")) & (own.beyond >= 0x80)
        if ranges == "public":
            first, rest = _first_groups(own), own.until(_BEHIND_V6)
            # Of the first group 0, :: and ::1 are nobody's, and what holds an IPv4 address may be.
            plain = (first == 0) & (rest.count(_POINT) == 0) & ~_mapped(rest)
            marks = rest.count(_NOT_ZERO)
            found &= ~(plain & ((marks == 0) | ((marks == 1) & (own.at(rest.ends - 1) == ord("1")))))
            unsure |= _SPECIAL_V6[first] & ~plain
        return verdicts(found, found & unsure)

    return sieve


_NO_MAC = {"000000000000", "FFFFFFFFFFFF"}


def _mac(candidate: Candidate) -> bool:
    digits = "".join(c for c in candidate.value if c.isalnum()).upper()
    outside = candidate.joined or candidate.before[-1:] in {":", "-", "."} or candidate.after[:1] in {":", "-"}
    # 02:00:5E is locally administered, so nobody's; it is where the surrogates live.
    return not outside and digits not in _NO_MAC and not digits.startswith("02005E")


Ranges = Literal["all", "routable", "public"]
RANGES: dict[str, Ranges] = {"hipaa_safe_harbor": "all", "web": "routable", "code": "public"}


def ip(ranges: Ranges) -> list[Shape]:
    """`all`: every address. `routable`: those a machine of somebody's can have, on a private network too. `public`:
    no private or documentation range."""
    four = {"all": _ipv4, "routable": _routable_ipv4, "public": _public_ipv4}[ranges]
    six = _public_ipv6 if ranges == "public" else _ipv6
    return [
        Shape("IP", "ip.v6", _IPV6, six, every=True, apart="colons", sieve=_v6(ranges)),
        Shape("IP", "ip.v4", _IPV4_NET, four, apart="before", digits=(4, 14), sieve=_v4(ranges)),
    ]


def mac() -> list[Shape]:
    return [Shape("MAC", "mac", _MAC, _mac, apart="colons")]
