"""Recognisers of accounts: cards, bank accounts and what routes to them, coins; with their checks."""

import hashlib
from functools import cache
from itertools import product
from string import ascii_uppercase

import numpy as np
import stdnum.bic
import stdnum.us.rtn

from corpus.deidentify.checkdigits import sieve
from corpus.deidentify.columns import Columns, Tail, possible, verdicts
from corpus.deidentify.recogniser import DIGITS, WORD, Candidate, Shape, nearby
from corpus.deidentify.reserved import RECORD_MARK
from corpus.kernels.candidates import bech32_checks
from corpus.kernels.keccak import eip55_checks
from corpus.kernels.spans import byte_table

_OPEN = WORD | frozenset(".$€£#+/@-")


def apart(candidate: Candidate) -> bool:
    """Nothing that would continue it touches the candidate: a word, or a sign such as a hyphen and a word behind it."""
    sign, after = candidate.after[:1], candidate.after[1:2]
    if candidate.before[-1:] in _OPEN or sign in WORD:
        return False
    return not (sign in {"-", "@", "/"} and after in WORD) and not (sign == "." and after in DIGITS)


def digits_of(value: str) -> str:
    return "".join(c for c in value if c.isdigit())


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
_CARD = (
    r"\d{12,19}|\d{4}(?:-\d{4}){3}|\d{4}(?: \d{4}){3}(?: \d{1,3})?|\d{4}[ -]\d{6}[ -]\d{4,5}"
    r"|\d{4}(?:\.\d{4}){3}"
)
_CARD_CONTEXT = nearby(
    r"(?i)\b(?:card|cc|credit|debit|visa|mastercard|amex|american express|maestro|discover|payment|pan|paid)\b"
)


def luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812-1: from the right, every second digit doubled, the sum of digits divisible by 10."""
    odd, even = digits[-1::-2], digits[-2::-2]
    doubled = sum(int(d) * 2 - 9 * (d > "4") for d in even)
    return (sum(map(int, odd)) + doubled) % 10 == 0


def _card(candidate: Candidate) -> bool:
    digits = digits_of(candidate.value)
    known = any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _ISSUERS)
    if not known or len(set(digits)) == 1 or not luhn(digits) or not apart(candidate):
        return False
    # One number in ten passes Luhn, so the lengths that few cards have need a word that speaks for them.
    return len(digits) in {14, 15, 16} or candidate.alone or _CARD_CONTEXT.search(candidate.before) is not None


def _code_card(candidate: Candidate) -> bool:
    """For source code: a bare number is a constant unless a word says otherwise."""
    grouped = len(candidate.value) > len(digits_of(candidate.value))
    return _card(candidate) and (grouped or _CARD_CONTEXT.search(candidate.before) is not None)


_IBAN = r"(?i)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?"
# ISO 13616 registry: country and length.
_IBAN_LENGTHS = {
    entry[:2]: int(entry[2:])
    for entry in """
        AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27
        DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28
        IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27
        MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24
        SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
    """.split()  # noqa: SIM905
}


def _iban(candidate: Candidate) -> bool:
    compact = "".join(c for c in candidate.value.upper() if c.isalnum())
    if _IBAN_LENGTHS.get(compact[:2]) != len(compact) or not apart(candidate):
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


@cache
def _lengths_of_ibans() -> np.ndarray:
    """int64[65,536]: how long an IBAN of the country of two capitals is, -1 where there are none."""
    table = np.full(1 << 16, -1)
    for country, length in _IBAN_LENGTHS.items():
        table[ord(country[0]) << 8 | ord(country[1])] = length
    return table


def _ibans(own: Columns) -> np.ndarray:
    country = (own.at(own.starts) & 0xDF).astype(np.int64) << 8 | (own.at(own.starts + 1) & 0xDF)
    whole = own.count(_IBAN_SIGNS) == _lengths_of_ibans()[country]
    return possible(whole & (own.apart | own.letters_beside))


_IBAN_SIGNS = byte_table(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def _swift(candidate: Candidate) -> bool:
    return apart(candidate) and stdnum.bic.is_valid(candidate.value)


@cache
def _bank_countries() -> np.ndarray:
    """bool[65,536]: the two bytes are a country's code in python-stdnum's list."""
    table = np.zeros(1 << 16, bool)
    for one, other in product(ascii_uppercase, repeat=2):
        table[ord(one) << 8 | ord(other)] = stdnum.bic.is_valid(f"AAAA{one}{other}AA")
    return table


def _swifts(own: Columns) -> np.ndarray:
    code = own.at(own.starts + 4).astype(np.int64) << 8 | own.at(own.starts + 5)
    plain = own.apart & _bank_countries()[code]
    return verdicts(plain, plain & own.letters_beside)


def _routing(candidate: Candidate) -> bool:
    return apart(candidate) and stdnum.us.rtn.is_valid(digits_of(candidate.value))


def enough_digits(candidate: Candidate) -> bool:
    """A number somebody gave out: five digits or more, not one of our surrogates."""
    marked = candidate.value[:2].upper() == RECORD_MARK
    return len(digits_of(candidate.value)) >= 5 and not marked and not candidate.joined


def enough(own: Columns) -> np.ndarray:
    return verdicts((own.counts >= 5) & ~own.marked & ~own.in_word)


_BASE58_DIGITS = bytes.maketrans(b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", bytes(range(58)))
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BITCOIN = r"[13][1-9A-HJ-NP-Za-km-z]{25,34}"
_SEGWIT = r"(?:bc1|tb1|ltc1)[02-9ac-hj-np-z]{11,71}|(?:BC1|TB1)[02-9AC-HJ-NP-Z]{11,71}"
_ETHER = r"0x[0-9a-fA-F]{40}"


def _base58check(candidate: Candidate) -> bool:
    """A version byte and 20 bytes, then the first four bytes of their double SHA-256."""
    if candidate.joined:
        return False
    number = 0
    for digit in candidate.value.encode().translate(_BASE58_DIGITS):
        number = number * 58 + digit
    if number >> 200:
        return False
    raw = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4] == raw[21:]


def _bech32(candidate: Candidate) -> bool:
    """BIP 173 and BIP 350: the checksum's polynomial leaves 1, or 0x2bc830a3."""
    prefix, _, data = candidate.value.lower().rpartition("1")
    values = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + [_BECH32.index(c) for c in data]
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= term if top >> bit & 1 else 0
    return check in {1, 0x2BC830A3} and not candidate.joined


def _bech32s(own: Columns) -> np.ndarray:
    return verdicts(bech32_checks(own.joined.view, own.starts, own.ends) & ~own.in_word)


_COIN_CONTEXT = nearby(
    r"(?i)\b(?:eth(?:ereum|er)?|wallet|crypto|token|erc-?20|send|donat\w*|address|pay|usdt|coins?)\b"
)


def _ether(candidate: Candidate) -> bool:
    """In letters of both cases, those of the checksum of EIP-55; in letters of one, which carry none, a word must speak
    for the address."""
    digits = candidate.value[2:]
    if candidate.joined or len(set(digits)) <= 8:
        return False
    if digits.lower() != digits and digits.upper() != digits:
        return bool(eip55_checks(np.frombuffer(digits.encode(), np.uint8)))
    return candidate.alone or _COIN_CONTEXT.search(candidate.before) is not None


_ACCOUNT = (
    r"(?i)(?:bank |checking |savings? |customer |billing |loan |policy )?(?:account|acct|a/c)(?:'s)?"
    r"(?: ?(?:number|num|no|nr|id|#))?\.?[ :#=]{0,4}(?:is |was )?[:# ]{0,2}"
)
_ACCOUNT_VALUE = r"[A-Z]{0,4}-?\d[0-9A-Z]*(?:[- ]\d+)*"
_GROUP = Tail(r"(?i)(?:[A-Z]{1,4}-?)?\d[0-9A-Z]*(?:[- ]\d+)*", skipped=3)


def card(profile: str) -> list[Shape]:
    return [Shape("CREDIT_CARD", "card", _CARD, _code_card if profile == "code" else _card, apart=True, luhn=True)]


def iban() -> list[Shape]:
    return [Shape("IBAN", "iban", _IBAN, _iban, every=True, apart=True, sieve=_ibans)]


_BANK_WORDS = (r"swift", r"bic", r"bank", r"iban", r"wire", r"transfer")
_ROUTING_WORDS = (r"routing", r"aba", r"rtn", r"bank", r"wire", r"transit")


def bank() -> list[Shape]:
    """SWIFT/BIC and ABA routing numbers."""
    return [
        Shape(
            "BANK",
            "swift",
            r"[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?",
            _swift,
            words=_BANK_WORDS,
            apart=True,
            score=0.8,
            sieve=_swifts,
        ),
        Shape(
            "BANK",
            "us.routing",
            r"\d{9}|\d{4}-\d{4}-\d",
            _routing,
            words=_ROUTING_WORDS,
            apart=True,
            score=0.9,
            sieve=sieve("us.routing"),
        ),
    ]


def account() -> list[Shape]:
    """Account numbers, by their label."""
    return [
        Shape(
            "ACCOUNT",
            "account.labelled",
            _ACCOUNT + _ACCOUNT_VALUE,
            enough_digits,
            group=_GROUP,
            sieve=enough,
            score=0.8,
        )
    ]


def crypto() -> list[Shape]:
    return [
        Shape("CRYPTO", "crypto.base58", _BITCOIN, _base58check),
        Shape("CRYPTO", "crypto.bech32", _SEGWIT, _bech32, sieve=_bech32s),
        Shape("CRYPTO", "crypto.ethereum", _ETHER, _ether, score=0.9),
    ]
