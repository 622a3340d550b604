"""Recognisers of ways to reach somebody: e-mail, URL, phone, IP and MAC addresses.

The ranges that our own surrogates live in are skipped (surrogates.py names them), so that a second pass finds nothing.
"""

import ipaddress
from urllib.parse import urlsplit

import re2

from corpus.deidentify.recogniser import Candidate, Recogniser
from corpus.deidentify.reserved import (
    EMAIL_DOMAINS,
    IPV4_NETWORKS,
    IPV6_NETWORK,
    URL_HOSTS,
    is_fiction_phone,
)

# Letters of the scripts that stand in addresses. Not all of \p{L}: Chinese and Japanese put no space before an address.
_LETTER = r"0-9A-Za-z\p{Latin}\p{Greek}\p{Cyrillic}"
_LABEL = rf"[{_LETTER}](?:[{_LETTER}-]*[{_LETTER}])?"
_IPV4 = r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}"

_EMAIL = (
    rf"((?:[{_LETTER}_](?:[{_LETTER}_.+%&'!#/=?^`{{|}}~-]*[{_LETTER}_+-])?|\"[^\"\s@]+\")"
    rf"@(?:(?:{_LABEL}\.)+(?:xn--[0-9A-Za-z-]+|[A-Za-z\p{{Cyrillic}}]{{2,24}})|\[?{_IPV4}\]?))"
)
_TLD = r"(?:com|org|net|edu|gov|io|info|uk|de|fr|es|it|nl|eu)"
_SPELLED_EMAIL = (
    rf"\b([0-9A-Za-z_][0-9A-Za-z_.+-]*"
    rf"(?: at (?:[0-9A-Za-z-]+\.)+{_TLD}"
    r"|\s?[(\[{<]\s?(?:at|AT)\s?[)\]}>]\s?"
    rf"(?:[0-9A-Za-z-]+\s?(?:\.|[(\[{{<]\s?(?:dot|DOT)\s?[)\]}}>]| dot )\s?)+{_TLD}))\b"
)
_FILE_ENDINGS = {
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "js",
    "css",
    "json",
    "py",
    "html",
    "so",
    "service",
    "target",
}
_SERVICE_ACCOUNTS = {"git", "hg", "svn"}  # git@github.com is an address of a machine
_EMAIL_CONTEXT = re2.compile(r"(?i)\b(?:e-?mails?|mail|contact|write|reach|address|me)\b")


def _email(candidate: Candidate) -> bool:
    local, _, domain = candidate.value.lower().rpartition("@")
    if local in _SERVICE_ACCOUNTS or domain in EMAIL_DOMAINS or len(local) > 64:
        return False
    if candidate.after[:1] == "@" or domain.rpartition(".")[2] in _FILE_ENDINGS:
        return False
    return not domain.strip("[]").replace(".", "").isdigit() or _octets(domain.strip("[]")) is not None


def _spelled_email(candidate: Candidate) -> bool:
    plain = " at " not in candidate.value.lower()
    return plain or _EMAIL_CONTEXT.search(candidate.before) is not None


_URL = r"(?i)\b((?:(?:https?|ftps?|wss?)://|www\.)[^\s<>\"`{}|\\^]+)"
_URL_END = b".,;:!?)]}'*_>"
_PERSONAL_PATH = re2.compile(
    r"(?i)/(?:~[a-z]|(?:users|people|profiles?|members?|patients?|pt)/[^/\s?#]{2})"
    r"|[?&#](?:e?mail|user(?:name|_?id)?|name|phone|token|session(?:id)?|sid|patient|mrn|dob|key|auth)=[^&\s]"
    r"|(?:^|[/.])(?:facebook|instagram|twitter|x|tiktok|linkedin|vk)\.com/(?:in/)?@?[a-z0-9_.-]{3,}"
)


def _host(value: str) -> str:
    try:
        return (urlsplit(value if "://" in value else f"http://{value}").hostname or "").lower()
    except ValueError:  # an unbalanced bracket
        return ""


def _url(candidate: Candidate) -> bool:
    host = _host(candidate.value)
    if host in URL_HOSTS:
        return False
    last = host.rpartition(".")[2]
    named = "." in host.strip(".") and (last.startswith("xn--") or (last.isalpha() and len(last) > 1))
    return named or _octets(host) is not None or ":" in host


def _personal_url(candidate: Candidate) -> bool:
    """The URL points at one person: an account in its authority, a profile page, an identifier in its query."""
    if not _url(candidate):
        return False
    _, _, rest = candidate.value.rpartition("://")
    return "@" in rest.split("/", 1)[0] or _PERSONAL_PATH.search(candidate.value) is not None


_ADDRESS_CONTEXT = re2.compile(
    r"(?i)\b(?:ip(?:v[46])?|addr(?:ess)?|host|server|ping|inet6?|dns|gateway|subnet|client|connect(?:ed|ing|ion)?|login)\b"
)
_VERSION_CONTEXT = re2.compile(
    r"(?i)(?:\b(?:v|ver\.?|EC|kernel)|version|release[sd]?|build|firmware|revision|section|chapter|clause|python|[=<>~^]=)"
    r"[\"'\s:=]*$"
)


def _octets(value: str) -> tuple[int, ...] | None:
    parts = value.split(".")
    if len(parts) != 4 or not all(part.isdecimal() and (part == "0" or part[0] != "0") for part in parts):
        return None
    octets = tuple(int(part) for part in parts)
    return octets if max(octets) <= 255 else None


def _ipv4(candidate: Candidate) -> bool:
    octets = _octets(candidate.value.partition("/")[0])
    if octets is None or candidate.joined or candidate.before[-1:] == ".":
        return False
    if _VERSION_CONTEXT.search(candidate.before):
        return False
    return not any(ipaddress.IPv4Address(bytes(octets)) in network for network in IPV4_NETWORKS)


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


_IPV6 = (
    rf"((?:[0-9A-Fa-f]{{1,4}})?(?::[0-9A-Fa-f]{{0,4}}){{1,7}}(?::{_IPV4}|:|)"
    rf"(?:%[0-9A-Za-z]+)?(?:/\d{{1,3}})?)"
)
_IPV6_MAPPED = rf"((?:[0-9A-Fa-f]{{1,4}})?(?::[0-9A-Fa-f]{{0,4}}){{0,6}}:{_IPV4}(?:/\d{{1,3}})?)"


def _ipv6(candidate: Candidate) -> bool:
    try:
        address = ipaddress.IPv6Address(candidate.value.partition("/")[0])
    except ValueError:
        return False
    longer = candidate.joined or candidate.before[-1:] == ":" or candidate.after[:1] == ":"
    if longer or (candidate.after[:1] == "." and candidate.after[1:2].isdigit()) or address in IPV6_NETWORK:
        return False
    # `x[1::2]` and `a::b` are valid addresses too: a short one needs a word that speaks for it.
    groups = [group for group in candidate.value.partition("/")[0].replace(".", ":").split(":") if group]
    if len(groups) >= 3 or "%" in candidate.value or "/" in candidate.value:
        return True
    return _ADDRESS_CONTEXT.search(candidate.before.rpartition("\n")[2]) is not None


def _public_ipv6(candidate: Candidate) -> bool:
    return _ipv6(candidate) and ipaddress.IPv6Address(candidate.value.partition("/")[0]).is_global


_MAC = (
    r"((?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4})"
)
_NO_MAC = {"000000000000", "FFFFFFFFFFFF"}


def _mac(candidate: Candidate) -> bool:
    digits = "".join(c for c in candidate.value if c.isalnum()).upper()
    outside = candidate.joined or candidate.before[-1:] in {":", "-", "."} or candidate.after[:1] in {":", "-"}
    # 02:00:5E is locally administered, so nobody's; it is where the surrogates live.
    return not outside and digits not in _NO_MAC and not digits.startswith("02005E")


# Shapes that are telephone numbers by themselves: international, North American, national with a trunk zero.
_EXTENSION = r"(?:\s?(?:x|ext\.?|extension)\s?\d{1,6})?"
_PHONE = (
    r"((?:\+|\b00[ -]?)\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,5}(?:[ .-]?\d{1,5}){1,5}" + _EXTENSION + r"|"
    r"(?:\b1[ .-])?\(\d{3}\)[ .-]?\d{3}[ .-]?\d{4}" + _EXTENSION + r"|"
    r"\b(?:1[ .-])?\d{3}(?:-\d{3}-|\.\d{3}\.| \d{3} )\d{4}" + _EXTENSION + r"|"
    r"\(\d{2,5}\)[ .-]?\d{3,5}[ .-]?\d{3,4}|"
    r"\b0\d{0,4}(?:[ -]\d{2,8}){1,4}|"
    r"\b0\d{9,10})"
)
_PHONE_GATE = r"\+\d|\b00[ -]?\d|\(\d{2,5}\)|\d{3}[-. ]\d{3}[-. ]\d{4}|\b0\d{0,4}[ -]\d{2}|\b0\d{9}"
_ANY_PHONE = r"(\(?\b\d{1,5}\)?(?:[ .-]?\d{1,5}){1,5}" + _EXTENSION + ")"
_PHONE_WORD = (
    r"(?:tele)?phones?|ph|tel|telefon|telefone|call(?:ed|ing)?|call me (?:on|at)|mobile|cell(?:ular)?|fax|pager|dial"
    r"|whatsapp|sms|text(?:ing)? (?:me|us|him|her)|reach(?:ed)?|ring|hotline|callback|contact(?: number)?|answering at"
    r"|voicemail|messages? (?:to|on)|registered"
)
_PHONE_USE = r"\s?[-,(]?\s?(?:office|fax|mobile|cell|home|work|tel|phone)\b"
_BEFORE_PHONE = rf"\b(?:{_PHONE_WORD})\b[^0-9;]{{0,24}}"
_LABELLED_PHONE = rf"(?i){_BEFORE_PHONE}{_ANY_PHONE}"
_PHONE_WITH_USE = rf"(?i){_ANY_PHONE}{_PHONE_USE}"
_PHONE_BEFORE = re2.compile(rf"(?i){_BEFORE_PHONE}$")
_PHONE_AFTER = re2.compile(rf"(?i)^{_PHONE_USE}")
_COUNTRY_CODE = re2.compile(r"\+\d{1,3}[ .-]?$")
_MEASURED_BEFORE = re2.compile(r"[\w.+/@#$€£%*=^-]$|\d[,:]$")


def _phone_digits(value: str) -> str:
    return "".join(c for c in value.lower().partition("x")[0].partition("e")[0] if c.isdigit())


def _loose(candidate: Candidate) -> bool:
    """Nothing that continues the number, or makes it a part of an expression, touches it."""
    after = candidate.after[:2]
    tail = (
        after[:1].isalnum()
        or after[:1] in {"_", "%", "/"}
        or (after[:1] in {"-", ".", ",", ":"} and after[1:].isdigit())
    )
    return not tail and not _MEASURED_BEFORE.search(candidate.before)


def _phone(candidate: Candidate) -> bool:
    value, digits = candidate.value, _phone_digits(candidate.value)
    if not _loose(candidate) or not 8 <= len(digits) <= 15 or is_fiction_phone(digits) or len(set(digits)) < 3:
        return False
    if _phone_context(candidate) or value.startswith("+"):
        return True
    if value.startswith("00"):
        return len(digits) >= 11 and digits[2] != "0"
    if value.startswith("0"):
        groups = re2.split(r"[ -]", value)
        if [len(group) for group in groups] == [3, 2, 4]:  # the shape of a social security number
            return False
        return digits[1] != "0" and (len(groups) >= 3 or len(digits) >= 10) and 9 <= len(digits) <= 11
    if value.startswith("("):
        return True
    area, exchange = digits[-10:-7], digits[-7:-4]
    return len(digits) >= 10 and area[0] not in "01" and exchange[0] not in "01"


def _phone_context(candidate: Candidate) -> bool:
    return bool(_PHONE_BEFORE.search(candidate.before) or _PHONE_AFTER.search(candidate.after))


def _phone_in_context(candidate: Candidate) -> bool:
    digits = _phone_digits(candidate.value)
    if not _loose(candidate) or _COUNTRY_CODE.search(candidate.before):
        return False
    return 7 <= len(digits) <= 14 and not is_fiction_phone(digits) and _phone_context(candidate)


def _code_phone(candidate: Candidate) -> bool:
    """For source code, where digits are data: only with a word that says so."""
    return _phone(candidate) and _phone_context(candidate)


def email() -> list[Recogniser]:
    return [
        Recogniser("EMAIL", _EMAIL, _email, gate="@"),
        Recogniser(
            "EMAIL",
            _SPELLED_EMAIL,
            _spelled_email,
            gate=r"\bat (?:[0-9A-Za-z-]+\.)+[a-z]|[(\[{<]\s?(?:at|AT)\s?[)\]}>]",
        ),
    ]


_URL_GATE = r"(?i)://|www\."


def url(every: bool) -> list[Recogniser]:
    """`every`: each URL is a finding, else those that point at one person."""
    return [Recogniser("URL", _URL, _url if every else _personal_url, gate=_URL_GATE, trim=_URL_END)]


def url_shield() -> Recogniser:
    """Every URL, to protect the digits in it."""
    return Recogniser("URL", _URL, lambda _: True, gate=_URL_GATE, trim=_URL_END, shield=True)


def ip(profile: str) -> list[Recogniser]:
    four = {"hipaa_safe_harbor": _ipv4, "web": _routable_ipv4, "code": _public_ipv4}[profile]
    six = _public_ipv6 if profile == "code" else _ipv6
    return [
        Recogniser("IP", _IPV6_MAPPED, six, gate=rf":{_IPV4}"),
        Recogniser("IP", _IPV6, six, gate=r"::|(?::[0-9A-Fa-f]{1,4}){7}"),
        Recogniser("IP", rf"({_IPV4}(?:/\d{{1,2}})?)", four),
    ]


def mac() -> list[Recogniser]:
    return [Recogniser("MAC", _MAC, _mac)]


def phone(profile: str) -> list[Recogniser]:
    if profile == "code":
        return [Recogniser("PHONE", _PHONE, _code_phone, gate=_PHONE_GATE)]
    return [
        Recogniser("PHONE", _LABELLED_PHONE, _phone_in_context, gate=rf"(?i){_BEFORE_PHONE}\(?\d"),
        Recogniser("PHONE", _PHONE_WITH_USE, _phone_in_context, gate=rf"(?i)\d{_PHONE_USE}"),
        Recogniser("PHONE", _PHONE, _phone, gate=_PHONE_GATE),
    ]
