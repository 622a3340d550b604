"""Recognisers of ways to reach somebody: e-mail, URL, the names of accounts.

The ranges that our own surrogates live in are skipped (reserved.py names them), so that a second pass finds nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import re2

from corpus.deidentify.columns import Columns, Inside, verdicts
from corpus.deidentify.joined import Joined
from corpus.deidentify.network import octets
from corpus.deidentify.recogniser import Candidate, Gated, Shape, Validator, accepted, nearby
from corpus.deidentify.reserved import EMAIL_DOMAINS, URL_HOSTS
from corpus.kernels.addresses import find_emails, find_urls
from corpus.kernels.spans import byte_table, trimmed


@dataclass(frozen=True)
class AddressFinder:
    """E-mail addresses or URLs, found by a compiled loop; `trim` is cut from the end, as the full stop after a URL."""

    type: str
    name: str
    candidates: Callable[[np.ndarray], np.ndarray]
    accept: Validator
    gate: str = ""
    trim: bytes = b""
    shield: bool = False
    score: float = 1.0

    def everywhere(self, joined: Joined) -> tuple[np.ndarray, np.ndarray]:
        starts, ends = joined.once(self.candidates).astype(np.int64)
        if self.trim:
            ends = trimmed(joined.view, starts, ends, byte_table(self.trim))
        kept = accepted(self.accept, joined, starts, ends)
        return starts[kept], ends[kept]


_TLD = r"(?:com|org|net|edu|gov|io|info|uk|de|fr|es|it|nl|eu)"
_AT = r" {0,1}[(\[{<] {0,1}at {0,1}[)\]}>] {0,1}"
_DOT = r"(?: {0,1}[(\[{<] {0,1}dot {0,1}[)\]}>] {0,1}| dot |\.)"
_SPELLED = (
    rf"(?i)[0-9a-z_][0-9a-z_.+-]{{0,40}}"
    rf"(?: at (?:[0-9a-z-]+\.){{1,3}}{_TLD}|{_AT}(?:[0-9a-z-]+{_DOT}){{1,3}}{_TLD})"
)
_SPELLED_GATE = r"(?i) at [0-9a-z-]+\.[a-z]|[(\[{<] ?at ?[)\]}>]"
_FILE_ENDINGS = {
    *("png", "jpg", "jpeg", "gif", "svg", "webp", "js", "css", "json", "py", "html", "so", "service", "target"),
}
_SERVICE_ACCOUNTS = {"git", "hg", "svn"}  # git@github.com is an address of a machine
_EMAIL_CONTEXT = nearby(r"(?i)\b(?:e-?mails?|mail|contact|write|reach|address|me)\b")
_LICENSE_HEADER = re2.compile(r"(?i)copyright|\(c\)|©|\bauthors?\b|licen[sc]e|maintainer|@author|written by")


def _email(candidate: Candidate) -> bool:
    local, _, domain = candidate.value.lower().rpartition("@")
    if local in _SERVICE_ACCOUNTS or domain in EMAIL_DOMAINS:
        return False
    if candidate.after[:1] == "@" or domain.rpartition(".")[2] in _FILE_ENDINGS:
        return False
    return not domain.strip("[]").replace(".", "").isdigit() or octets(domain.strip("[]")) is not None


def _credited_email(candidate: Candidate) -> bool:
    """For source code whose licence headers stay: not the address after a copyright or an author's name."""
    line = candidate.before.rpartition("\n")[2]
    return _email(candidate) and _LICENSE_HEADER.search(line) is None


def _spelled_email(candidate: Candidate) -> bool:
    plain = " at " not in candidate.value.lower()
    return plain or _EMAIL_CONTEXT.search(candidate.before) is not None


_URL_TRIM = b".,;:!?)]}'*_>"
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
    return named or octets(host) is not None or ":" in host


def _personal_url(candidate: Candidate) -> bool:
    """The URL points at one person: an account in its authority, a profile page, an identifier in its query."""
    if not _url(candidate):
        return False
    _, _, rest = candidate.value.rpartition("://")
    return "@" in rest.split("/", 1)[0] or _PERSONAL_PATH.search(candidate.value) is not None


def email(profile: str, headers: str = "mask") -> list[Gated | Shape]:
    """`headers`: addresses in the licence headers of source code are masked, or kept."""
    accept = _credited_email if profile == "code" and headers == "keep" else _email
    spelled = Shape("EMAIL", "email.spelled", _SPELLED, _spelled_email, gate=_SPELLED_GATE, score=0.8)
    return [AddressFinder("EMAIL", "email", find_emails, accept), *([] if profile == "code" else [spelled])]


def url(every: bool) -> list[Gated]:
    """`every`: each URL is a finding, else those that point at one person."""
    accept = _url if every else _personal_url
    return [AddressFinder("URL", "url" if every else "url.personal", find_urls, accept, trim=_URL_TRIM)]


def url_shield() -> Gated:
    """Every URL, to protect the digits in it."""
    return AddressFinder("URL", "url.shield", find_urls, lambda _: True, trim=_URL_TRIM, shield=True)


_HANDLE = r"[A-Za-z0-9_][A-Za-z0-9_.-]*[A-Za-z0-9_]"
_USER_LABEL = r"(?i)(?:user ?name|login|user ?id|user|skype(?: id| name)?|twitter|instagram|screen name)"
_NO_NAME = {
    "name",
    "id",
    "is",
    "the",
    "and",
    "or",
    "as",
    "in",
    "to",
    "for",
    "page",
    "with",
    "on",
    "at",
    "of",
    "from",
}


def _user_name(candidate: Candidate) -> bool:
    named = any(map(str.isalpha, candidate.value)) and candidate.value.lower() not in _NO_NAME
    return named and not candidate.joined and not candidate.alone


_LETTERS = byte_table(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def _user_names(own: Columns) -> np.ndarray:
    named = (own.count(_LETTERS) > 0) & ~own.in_word
    return verdicts(named, named & ((own.ends - own.starts <= max(map(len, _NO_NAME))) | own.alone))


def username() -> list[Shape]:
    """Names of accounts: after their label, beside the name of the service, or after an @ where people tweet."""
    services = (r"twitter", r"tweet\w{0,3}", r"instagram", r"insta", r"handle", r"threads", r"mastodon", r"tiktok")
    return [
        Shape(
            "USERNAME",
            "username.labelled",
            rf"{_USER_LABEL} {{0,2}}(?:is )?[:=] {{0,2}}{_HANDLE}",
            _user_name,
            group=Inside(b":="),
            sieve=_user_names,
            score=0.7,
        ),
        Shape(
            "USERNAME",
            "username.short",
            r"(?i)u: [a-z0-9_.@-]+\np: ",
            _user_name,
            group=Inside(b":", b"\n"),
            sieve=_user_names,
            score=0.7,
        ),
        Shape(
            "USERNAME",
            "username.login",
            rf"(?i)(?:user ?name|login) {_HANDLE} (?:password|passwd|pass|pw) ",
            _user_name,
            group=r"(?i)(?:user ?name|login) ([a-z0-9_.-]+) ",
            score=0.7,
        ),
        Shape(
            "USERNAME",
            "username.service",
            r"[A-Za-z0-9]{2,20}(?:[._][A-Za-z0-9]{1,20}){1,3}",
            _user_name,
            (r"skype",),
            sieve=_user_names,
            gate=r"(?i)skype",
            score=0.6,
        ),
        Shape("USERNAME", "username.mention", r"@[A-Za-z0-9_]{3,20}", _mention, services, score=0.6),
    ]


def _mention(candidate: Candidate) -> bool:
    """Not the firm's own, as @TwitterInfo."""
    own = candidate.value[1:].lower().startswith(("twitter", "admin", "support")) or "admin" in candidate.value.lower()
    return not own and candidate.before[-1:].isspace() and not candidate.joined
