"""Recognisers of secrets in source code and configuration: keys, tokens, passwords.

    known       forms that a maker gave its tokens, so that they are found: a prefix and a length
    assigned    a value that a name such as `api_key` is set to, where the value looks drawn and is no placeholder
    in a URL    user:password@ of an address, and of curl's command line
    wrapped     JSON web tokens and private keys

A version, a hash in a lock file, a UUID in a test and `git@github.com` have neither a maker's form nor such a name.
"""

import math
import re
from collections import Counter

import numpy as np

from corpus.deidentify.columns import Columns, Containing, Head, Inside, Sieve, Tail, possible, verdicts
from corpus.deidentify.recogniser import WINDOW, Candidate, Gated, Recogniser, Shape, nearby
from corpus.kernels.candidates import ASK, NO, YES, before_first, entropies
from corpus.kernels.spans import byte_table, trimmed

_W = r"[0-9A-Za-z_-]"
_B64 = r"[0-9A-Za-z+/]"
_KNOWN: dict[str, str] = {
    "adobe": r"p8e-[a-z0-9]{32}",
    "age": r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
    "airtable": r"pat[0-9A-Za-z]{14}\.[a-f0-9]{64}",
    "alibaba": r"LTAI[0-9A-Za-z]{12,26}",
    "anthropic": rf"sk-ant-(?:api03|admin01)-{_W}{{93}}AA",
    "artifactory": r"AKC[0-9A-Za-z]{64}[0-9A-Za-z]*|cmVmdGtuO[0-9A-Za-z]{55}",
    "atlassian": r"AT[AC]TT3[0-9A-Za-z_=-]{60}[0-9A-Za-z_=-]*",
    "aws": r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
    "aws.bedrock": rf"ABSK{_B64}{{109}}{_B64}*={{0,2}}|bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t{_B64}*={{0,2}}",
    "clojars": r"(?i)CLOJARS_[a-z0-9]{60}",
    "cloudflare": r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}",
    "databricks": r"dapi[a-f0-9]{32}(?:-\d)?",
    "defined": r"dnkey-[0-9A-Za-z_=-]{26}-[0-9A-Za-z_=-]{52}",
    "digitalocean": r"do[opr]_v1_[a-f0-9]{64}",
    "discord": rf"[MNO]{_W}{{23,25}}\.{_W}{{6}}\.{_W}{{27,38}}",
    "doppler": r"dp\.(?:pt|st|ct|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[0-9A-Za-z]{40,44}",
    "duffel": r"duffel_(?:test|live)_[0-9A-Za-z_=-]{43}",
    "dynatrace": r"(?i)dt0c01\.[a-z0-9]{24}\.[a-z0-9]{64}",
    "easypost": r"EZ[AT]K[0-9A-Za-z]{54}",
    "facebook": r"EAA[MC][0-9A-Za-z]{80}[0-9A-Za-z]*",
    "flutterwave": r"FLW(?:PUB|SEC)K(?:_TEST)?-[a-h0-9]{12,32}(?:-X)?",
    "fly": rf"fo1_{_W}{{43}}|fm[12][ar]?_{_B64}{{100}}{_B64}*={{0,3}}",
    "frame.io": r"fio-u-[0-9A-Za-z_=-]{64}",
    "freemius": r"sk_[^\s\"']{29}",
    "github": r"gh[opsur]_[0-9A-Za-z]{36}[0-9A-Za-z]*|github_pat_[0-9A-Za-z_]{36}[0-9A-Za-z_]*",
    "gitlab": rf"gl(?:pat|dt|rt|soat|ptt|ft|ffct|imt|agent|cbt|oas|wt)-{_W}{{20}}{_W}*(?:\.{_W}+)*|gloas-{_W}{{64}}"
    rf"|GR1348941{_W}{{20}}{_W}*",
    "google": rf"AIza{_W}{{35}}|GOCSPX-{_W}{{28}}|ya29\.{_W}{{30}}{_W}*",
    "grafana": r"glc_[0-9A-Za-z+/]{32}[0-9A-Za-z+/]*={0,2}|glsa_[0-9A-Za-z]{32}_[a-fA-F0-9]{8}",
    "grafana.key": r"(?i)eyJrIjoi[a-z0-9]{60}[a-z0-9]*={0,2}",
    "heroku": rf"HRKU-AA{_W}{{58}}{_W}*",
    "hugging face": r"hf_[a-zA-Z]{34}|api_org_[a-zA-Z]{34}",
    "infracost": r"ico-[0-9A-Za-z]{32}",
    "intra42": r"s-s4t2(?:ud|af)-[a-f0-9]{64}",
    "linear": r"lin_api_[0-9A-Za-z]{40}",
    "mailchimp": r"[a-f0-9]{32}-us\d{1,2}",
    "mailgun": r"(?:pub)?key-[a-f0-9]{32}|[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8}",
    "new relic": r"NRAK-[0-9A-Z]{27}|NRJS-[a-f0-9]{19}|NRII-[0-9A-Za-z-]{32}",
    "notion": r"(?:ntn_|secret_)[0-9A-Za-z]{43,46}",
    "npm": r"npm_[0-9A-Za-z]{36}|//[a-z0-9.-]{4,40}/:_authToken=[ ]?[0-9A-Za-z_-]{20}[0-9A-Za-z_-]*",
    "octopus": r"API-[A-Z0-9]{26}",
    "openai": rf"sk-(?:(?:proj|svcacct|admin)-)?{_W}{{20}}{_W}*",
    "openshift": rf"sha256~{_W}{{43}}",
    "perplexity": r"pplx-[0-9A-Za-z]{48}",
    "plaid": r"access-(?:sandbox|development|production)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "planetscale": r"pscale_(?:pw|tkn|oauth)_[0-9A-Za-z_=.-]{32}[0-9A-Za-z_=.-]*",
    "postman": r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
    "prefect": r"pn[ub]_[0-9A-Za-z]{36}",
    "pulumi": r"pul-[a-f0-9]{40}",
    "pypi": rf"pypi-AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZw){_W}{{70}}{_W}*",
    "readme": r"rdme_[a-z0-9]{70}",
    "rubygems": r"rubygems_[a-f0-9]{48}",
    "scalingo": rf"tk-us-{_W}{{48}}",
    "sendgrid": rf"SG\.{_W}{{20,24}}\.{_W}{{39,50}}",
    "sendinblue": r"xkeysib-[a-f0-9]{64}-[0-9A-Za-z]{16}",
    "sentry": r"sntry[su]_[0-9A-Za-z_=+/-]{60}[0-9A-Za-z_=+/-]*",
    "settlemint": r"sm_(?:pat|aat|sat)_[0-9A-Za-z]{16}",
    "shippo": r"shippo_(?:live|test)_[a-fA-F0-9]{40}",
    "shopify": r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    "slack": rf"xox[abceoprs][.-](?:xox[bp]-)?\d{_W}*|xapp-\d-[A-Z0-9]+-\d+-[0-9a-z]+",
    "slack.hook": r"(?:https?://)?hooks\.slack\.com/(?:services|workflows|triggers)/[0-9A-Za-z+/]{40}[0-9A-Za-z+/]*",
    "sourcegraph": r"sgp_(?:(?:local|[a-fA-F0-9]{16})_)?[a-fA-F0-9]{40}|slk_[a-f0-9]{64}",
    "square": rf"sq0(?:atp|csp|idp)-[0-9A-Za-z_^-]{{22}}[0-9A-Za-z_^-]*|EAAA{_W}{{60}}",
    "stripe": r"[rs]k_(?:live|test|prod)_[0-9A-Za-z]{10}[0-9A-Za-z]*",
    "telegram": rf"\d{{8,10}}:AA{_W}{{33}}",
    "twilio": r"SK[0-9a-f]{32}|AC[0-9a-f]{32}",
    "typeform": r"tfp_[0-9A-Za-z_.=-]{59}",
    "vault": rf"hvs\.{_W}{{90}}{_W}*|hvb\.{_W}{{138}}{_W}*|s\.[0-9A-Za-z]{{24}}",
}
# What fills the place of a secret in documentation and templates.
_PLACEHOLDER = nearby(r"(?i)x{5}|\*{3}|\.{3}|put_|<|>|\{\{|\$\{|%\(|\$\(|^\$|^@|(?:0123456789){2}")
_PLACEHOLDER_WORD = nearby(r"(?i)example|sample|placeholder|change_?me|your|insert|dummy|fake|redacted|todo_|real_")


def entropy(value: str) -> float:
    """Bits per character of the value's own distribution of characters (Shannon)."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)


def _real(candidate: Candidate) -> bool:
    """Nothing that fills a secret's place; a word may occur in what is drawn from many characters."""
    value = candidate.value
    if _PLACEHOLDER.search(value):
        return False
    return _PLACEHOLDER_WORD.search(value) is None or entropy(value) >= 4.0


_placeholder = Containing(r"(?i)x{5}|\*{3}|\.{3}|put_|<|>|\{\{|\$\{|%\(|\$\(|(?:0123456789){2}")
_placeholder_word = Containing(r"(?i)example|sample|placeholder|change_?me|your|insert|dummy|fake|redacted|todo_|real_")
_PLACEHOLDER_START = byte_table(b"$@")
_MARGIN = 1e-6  # of entropy, which is not the same to the last bit in both


def _reals(own: Columns) -> np.ndarray:
    """A word in what may be drawn is asked about."""
    plain = ~_placeholder(own) & ~_PLACEHOLDER_START[own.at(own.starts)]
    return verdicts(plain, plain & _placeholder_word(own))


def _knowns(least_size: int = 0, least_digits: int = 0) -> Sieve:
    def sieve(own: Columns) -> np.ndarray:
        fits = (own.ends - own.starts >= least_size) & (own.counts >= least_digits)
        bodies, exact = _bodies(own)
        drawn = exact & (entropies(own.joined.view, bodies, own.ends) >= _CLEARLY)
        said = _reals(own)
        return np.where(fits, np.where((said == YES) & ~drawn, ASK, said), NO).astype(np.int8)

    return sieve


def _bodies(own: Columns) -> tuple[np.ndarray, np.ndarray]:
    """int64[candidates]: where what `_known` looks at begins, behind the last underscore where one is among the first
    twelve bytes; bool[candidates]: whether it does, for no more than _PARTS underscores are passed."""
    view, starts = own.joined.view, own.starts
    first = before_first(view, starts, own.ends, _UNDERSCORE)
    for _ in range(_PARTS):
        sign = before_first(view, starts, own.ends, _UNDERSCORE)
        starts = np.where(sign < own.ends, sign + 1, starts)
    early = first < np.minimum(own.starts + 12, own.ends)
    return np.where(early, starts, own.starts), ~early | (own.count(_UNDERSCORE) <= _PARTS)


def _openais(own: Columns) -> np.ndarray:
    fits = (own.ends - own.starts >= 40) | _openai_inside(own)
    other, _ = _anthropic.places(own.joined.view, own.starts, own.ends)
    return np.where(fits & (other < 0), _knowns(least_digits=3)(own), NO).astype(np.int8)


_openai_inside = Containing("T3BlbkFJ")
_anthropic = Head("sk-ant-")
_PARTS = 4
_UNDERSCORE = byte_table(b"_")
_CLEARLY = 2.0 + _MARGIN


def _known(candidate: Candidate) -> bool:
    """A maker's form with something drawn in it."""
    body = candidate.value.rpartition("_")[2] if "_" in candidate.value[:12] else candidate.value
    repeated = "QQQQQQQQ" in body or "ZZZZZZZZ" in body  # kept: makers' own specimens are of that form
    return _real(candidate) and (repeated or entropy(body) >= 2.0)


def _lettered(candidate: Candidate) -> bool:
    """Digits and letters of both cases, as a token has them and a name in a program has not."""
    value = candidate.value.rpartition(".")[2]
    kinds = (any(map(str.isdigit, value)), any(map(str.islower, value)), any(map(str.isupper, value)))
    return all(kinds) and _known(candidate)


def _numbered(candidate: Candidate) -> bool:
    return _known(candidate) and sum(c.isdigit() for c in candidate.value) >= 3


def _dotted(candidate: Candidate) -> bool:
    """Not the names of an object's fields: digits in each part."""
    return _known(candidate) and any(map(str.isdigit, candidate.value.rpartition(".")[2]))


# Makers whose form is short of letters that only a token has: what else must hold.
_CHECKS = {
    "vault": lambda c: (len(c.value) > 60 and _known(c)) or _lettered(c),
    "hugging face": lambda c: (
        _known(c) and sum(map(str.isupper, c.value)) >= 3 and not c.joined and "_" not in c.value[8:]
    ),
    "slack": lambda c: _numbered(c) and len(c.value) >= 24,
    "discord": _dotted,
    "twilio": lambda c: _known(c) and c.before[-1:] in {"", '"', "'", "=", " ", "`", "\n", ">"},
    "mailgun": _known,
    "sourcegraph": lambda c: _known(c) and entropy(c.value[-40:]) >= 3.0,
    "openai": lambda c: (
        _numbered(c) and not c.value.startswith("sk-ant-") and ("T3BlbkFJ" in c.value or len(c.value) >= 40)
    ),
    "freemius": lambda c: _numbered(c) and not c.value[3:].isalnum() and c.before[-1:] in {'"', "'"},
}


def _freemiuses(own: Columns) -> np.ndarray:
    quoted = (own.before == ord('"')) | (own.before == ord("'"))
    return np.where(quoted & (own.counts >= 3), ASK, NO).astype(np.int8)


def _twilios(own: Columns) -> np.ndarray:
    return np.where(_BEFORE_TWILIO[own.before], np.where(own.before == 0, ASK, _knowns()(own)), NO).astype(np.int8)


def _vaults(own: Columns) -> np.ndarray:
    return np.where(own.ends - own.starts > 60, _knowns()(own), ASK).astype(np.int8)


def _hugging_faces(own: Columns) -> np.ndarray:
    fits = ~own.in_word & (own.count(_CAPITALS) >= 3)
    short = own.count(_UNDERSCORE) == 1
    return np.where(fits, np.where(short, _knowns()(own), ASK), NO).astype(np.int8)


_BEFORE_TWILIO = byte_table(b"\0\"'= `\n>")
_CAPITALS = byte_table(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SIEVES = {
    "slack": _knowns(24, 3),
    "mailgun": _knowns(),
    "openai": _openais,
    "freemius": _freemiuses,
    "twilio": _twilios,
    "vault": _vaults,
    "hugging face": _hugging_faces,
}


def known() -> list[Shape]:
    return [
        *(
            Shape(
                "SECRET",
                f"secret.{maker}",
                form,
                _CHECKS.get(maker, _known),
                apart="hyphen",
                score=0.95,
                sieve=_SIEVES.get(maker) if maker in _CHECKS else _knowns(),
            )
            for maker, form in _KNOWN.items()
        ),
        Shape(
            "SECRET",
            "secret.bundler",
            r"[a-f0-9]{8}:[a-f0-9]{8}",
            lambda c: not c.joined,
            (r"bundle_\w+",),
            apart="hyphen",
        ),
    ]


_NAMES = (
    r"token|secret|passw(?:or)?d|passphrase|pwd|db_?pass|api_?key|access_?key|private[_-]?key|encryption[_-]?key|auth"
    r"|credentials?|creds|client(?:_?id)?|[a-z]key|_key|-key|artifactory|jfrog|bintray|xray|sourcegraph|sumo"
)
_ASSIGNED = (
    rf"(?i)(?:{_NAMES})[0-9A-Za-z_-]{{0,24}}[\]\"'\\]{{0,4}}\s{{0,20}}(?:string\s{{1,3}}|:\s{{0,2}}str\s{{1,3}})?"
    r"(?:[:?.+]{0,3}=>?|:|,|>|=>)\s{0,8}[a-z]{0,1}(?:\\?[\"'`]{1,3})?([0-9A-Za-z_.=~%^+/@:*&$#!?-]{8,})"
)
_ASSIGNED_GATE = (
    rf"(?i)(?:{_NAMES})[0-9A-Za-z_-]{{0,24}}[\]\"'\\]{{0,4}}\s{{0,20}}(?:string\s|:\s{{0,2}}str\s)?[:=,>?.+]"
)
_PUBLIC_NAME = nearby(
    r"(?i)(?:public|hash|sha\d*|digest|checksum|integrity|csrf|commit|etag|primary|foreign|sort)[\w-]*$"
)
_PASSWORD = nearby(r"(?i)(?:passw(?:or)?d|passphrase|pwd|db_?pass)[\w\]\"'-]{0,24}\s*[:=>]+\s*[\"']$")
# Each way through a value is the only one, so that a search that backtracks is linear too.
_UNDRAWN = re.compile(r"^(?:[a-z]+[_.-])*[a-z]+\Z|^(?:[A-Z]+_)*[A-Z]+\Z|^[\d.]+\Z|://|^/|^\.|^\w+\(", re.ASCII)
_NAME, _LAST_NAME, _NAMES_BEFORE = (re.compile(form, re.ASCII) for form in (r"\w+", r"[a-z_]+", r"[\w.]+"))


_VERSION = nearby(r"^[=<>~^!]*v?\d+(?:\.\d+)+$")


def _attribute(value: str) -> bool:
    """Names of objects with dots between, at least three, as of an object's field."""
    rest, _, last = value.rpartition(".")
    before, _, name = rest.rpartition(".")
    parts = ((_LAST_NAME, last), (_NAME, name), (_NAMES_BEFORE, before))
    return all(form.fullmatch(part) is not None for form, part in parts)


def _assigned(candidate: Candidate) -> bool:
    value = candidate.value.rstrip(".,;:")
    if _VERSION.search(value):
        return False
    if not _real(candidate) or _PUBLIC_NAME.search(candidate.before.rstrip("\"'` :=>")):
        return False
    if _PASSWORD.search(candidate.before):
        return sum(map(str.isalnum, value)) >= 6 and "_" not in value
    if len(value) < 12 or _UNDRAWN.search(value) or _attribute(value):
        return False
    drawn = any(map(str.isdigit, value)) and entropy(value) >= 3.0
    words = sum(value.count(c) for c in "_./-") > len(value) // 6  # a path, a name
    return drawn and not (words and value.lower() == value and entropy(value) < 3.6)


def _assigneds(own: Columns) -> np.ndarray:
    """What is no password must be long, with a digit, and look drawn."""
    view = own.joined.view
    value = Columns(own.joined, own.starts, trimmed(view, own.starts, own.ends, _ENDS_OF_VALUES))
    drawn = entropies(view, value.starts, value.ends) >= 3.0 - _MARGIN
    before, _ = own.around(WINDOW)
    return possible(_password_word(before) | ((value.ends - value.starts >= 12) & (value.counts > 0) & drawn))


_ENDS_OF_VALUES = byte_table(b".,;:")
_password_word = Containing("(?i)pass|pwd")


def assigned() -> list[Gated]:
    own = Recogniser(
        "SECRET", _ASSIGNED, _assigned, _ASSIGNED_GATE, sieve=_assigneds, name="secret.assigned", score=0.7
    )
    return [own]


_IN_URL = r"[a-z][a-z+]{1,12}://([^\s:/?#\"'<>@]{0,64}:[^\s:/?#\"'<>@]{2,128})@[0-9A-Za-z\[]"
_CURL = (
    r"curl(?:\s[^|;]{0,400}?)?\s(?:-u|--user)\s{1,3}"
    r"(\"[^\"\n]{2,160}\"|'[^'\n]{2,160}'|[^\s\"':]{0,80}:(?:'[^'\n]{2,80}'|[^\s\"']{2,80})|\"[^\"\n]{1,80}\":\"[^\"\n]{1,80}\")"
)
_VARIABLE = nearby(r"[$%]\{|\{\{|<[^>]*>|\[[A-Z_]+\]|(?:^|:)[\"']?\$|%s|\{\w*\}")
_WEAK = {"password", "passwd", "pass", "token", "test", "secret", "user", "username", "yyy", "xxx", "pwd", "changeme"}


def _login(candidate: Candidate) -> bool:
    """user:password, where neither is a variable nor the word itself."""
    value = candidate.value.strip("\"'")
    user, colon, password = value.partition(":")
    password = password.strip("\"'")
    variable = bool(_VARIABLE.search(value))
    if variable and not (value.startswith("{") and any(map(str.isdigit, value))):
        return False
    longest = max(user, password, key=len)
    return bool(colon) and len(longest) >= 4 and password.lower() not in _WEAK and _real(candidate)


def _login_pairs(own: Columns) -> np.ndarray:
    """A password that is longer than any of the words in _WEAK, without a sign of a variable, is one."""
    colon = before_first(own.joined.view, own.starts, own.ends, _COLON)
    sure = (own.ends - colon > _LONGEST_WEAK + 1) & (own.count(_OF_VARIABLES) == 0)
    said = _reals(own)
    return np.where(said == NO, NO, np.where(sure & (said == YES), YES, ASK)).astype(np.int8)


_COLON, _OF_VARIABLES = byte_table(b":"), byte_table(b"$%{}[]<>\"'")
_LONGEST_WEAK = max(map(len, _WEAK))


def logins() -> list[Gated]:
    return [
        Recogniser("SECRET", _IN_URL, _login, r"://[^\s/]*@", sieve=_login_pairs, name="secret.url", score=0.9),
        Recogniser("SECRET", _CURL, _login, r"\s(?:-u|--user)\s", sieve=_login_pairs, name="secret.curl", score=0.9),
    ]


_JWT = r"\b(eyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.?[0-9A-Za-z_.+/=-]*)"
_KEY_LINE = r"[A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
_PRIVATE_KEY = rf"(-----BEGIN {_KEY_LINE}[0-9A-Za-z+/=\s\\\":,.()-]{{32,}}?-----END {_KEY_LINE})"


def _header(candidate: Candidate) -> bool:
    """Three parts or two, of which the first holds a JSON object in base64url, as far as specimens do."""
    first = candidate.value.partition(".")[0]
    return len(candidate.value) >= 40 and len(first) % 4 != 1


def _headers(own: Columns) -> np.ndarray:
    point = before_first(own.joined.view, own.starts, own.ends, _POINT)
    return verdicts((own.ends - own.starts >= 40) & ((point - own.starts) % 4 != 1))


_POINT = byte_table(b".")


def _private_key(candidate: Candidate) -> bool:
    return True


# Forms that begin as any word does, and are told by a sign inside: cheaper for re2 than for the automaton.
_MARKED = (
    ("azure", r"(?:^|[^0-9A-Za-z_~.-])([0-9A-Za-z_~.]{3}\dQ~[0-9A-Za-z_~.-]{31,34})", "Q~", _numbered, _knowns(0, 3)),
    ("maxmind", r"\b([0-9A-Za-z]{6}_[0-9A-Za-z]{29}_mmk)\b", "_mmk", _known, _knowns()),
    ("terraform", r"(?i)\b([a-z0-9]{14}\.atlasv1\.[a-z0-9_=-]{60,70})", r"\.atlasv1\.", _known, _knowns()),
)


def marked() -> list[Gated]:
    return [
        Recogniser("SECRET", form, accept, gate, sieve=sieve, name=f"secret.{maker}", score=0.95)
        for maker, form, gate, accept, sieve in _MARKED
    ]


def wrapped() -> list[Gated]:
    return [
        Recogniser("SECRET", _JWT, _header, r"eyJ[0-9A-Za-z_-]+\.eyJ", b".", _headers, name="secret.jwt"),
        Recogniser("SECRET", _PRIVATE_KEY, _private_key, gate="PRIVATE KEY", name="secret.private_key"),
    ]


def passwords() -> list[Shape]:
    """In prose and forms: what follows the word, with the account before it."""
    value = r"[^\s\"'<>,;]{3,64}"
    label = r"(?:pass ?word|passwd|pass ?code|pw|pwd|pin)"
    return [
        Shape(
            "SECRET",
            "password.labelled",
            rf"(?i){label}(?: is)?[:=] {{0,2}}{value}",
            _password,
            group=Inside(b":="),
            score=0.7,
            sieve=_passwords,
        ),
        Shape(
            "SECRET",
            "password.login",
            rf"(?i)(?:user ?name|login|user) [a-z0-9_.@-]+ {label} {value}",
            _password,
            group=Tail(r"[^\s]+"),
            score=0.7,
            sieve=_passwords,
        ),
        Shape(
            "SECRET",
            "password.short",
            rf"(?i)u: [a-z0-9_.@-]+\np: {value}",
            _password,
            group=Inside(b"\n", skipped=2),
            score=0.7,
            sieve=_passwords,
        ),
    ]


_variable = Containing(r"[$%]\{|\{\{|<[^>]*>|\[[A-Z_]+\]|:[\"']?\$|%s|\{[0-9A-Za-z_]*\}")
_variable_start = Head(r"[\"']?\$|\[")


def _passwords(own: Columns) -> np.ndarray:
    starts, _ = _variable_start.places(own.joined.view, own.starts, own.ends)
    return np.where((starts >= 0) | _variable(own), NO, _reals(own)).astype(np.int8)


def _password(candidate: Candidate) -> bool:
    return _real(candidate) and _VARIABLE.search(candidate.value) is None and not candidate.value.startswith("[")


def secrets() -> list[Gated | Shape]:
    """Everything whose own form tells it."""
    return [*known(), *marked(), *wrapped(), *logins()]
