"""What stands where an identifier stood: same value, same surrogate; nobody's value; the form it had.

All come from HMAC-SHA256 of the normalised value under the key, so the mapping is the same in every document and
worker, and lost with the key. Values live in the ranges of reserved.py. Small ranges repeat: 762 IPv4
addresses, 8,000 telephone numbers with an area code.
"""

import re
from collections.abc import Callable

from corpus.deidentify.key import Key
from corpus.deidentify.payment import luhn
from corpus.deidentify.reserved import EMAIL_DOMAINS, IPV4_NETWORKS, NAME_MARK, RECORD_MARK, URL_HOSTS, fiction_phone

_CONSONANTS, _VOWELS = "bdfgklmnprstv", "aeiou"


def surrogate(type: str, value: str, key: Key) -> str | None:
    """The surrogate of `value`, or None where its type or its form has none: then a tag stands for it."""
    make = MAKERS.get(type)
    return make(value, key) if make else None


class _Stream:
    """A keyed sequence of numbers for one value."""

    def __init__(self, key: Key, type: str, value: str) -> None:
        self._key, self._parts, self._block = key, (type, value), 0
        self._number = key.number(*self._parts)
        self._left = 1 << 256

    def below(self, bound: int) -> int:
        if self._left < bound << 32:  # keep the bias under 2^-32
            self._block += 1
            self._number, self._left = self._key.number(*self._parts, str(self._block)), 1 << 256
        self._number, drawn = divmod(self._number, bound)
        self._left //= bound
        return drawn


def _word(stream: _Stream, syllables: int) -> str:
    letters = (_CONSONANTS, _VOWELS) * syllables
    return "".join(alphabet[stream.below(len(alphabet))] for alphabet in letters)


def _fill(value: str, draw: Callable[[str], str]) -> str:
    """`value` with each letter and digit drawn anew, punctuation kept."""
    return "".join(draw(c) if c.isalnum() else c for c in value)


def _same_class(stream: _Stream) -> Callable[[str], str]:
    def draw(character: str) -> str:
        if character.isdigit():
            return str(stream.below(10))
        letter = chr(ord("A") + stream.below(26))
        return letter if character.isupper() else letter.lower()

    return draw


def _email(value: str, key: Key) -> str:
    stream = _Stream(key, "EMAIL", value.lower())
    name = f"{_word(stream, 3)}.{_word(stream, 3)}{stream.below(100):02d}"
    return f"{name}@{EMAIL_DOMAINS[stream.below(len(EMAIL_DOMAINS))]}"


def _url(value: str, key: Key) -> str:
    stream = _Stream(key, "URL", value)
    scheme, separator, _ = value.partition("://")
    prefix = scheme + separator if separator else "https://"
    return f"{prefix}{URL_HOSTS[stream.below(len(URL_HOSTS))]}/{_word(stream, 3)}/{stream.below(10**8):08d}"


def _phone(value: str, key: Key) -> str | None:
    main, mark, extension = _extension(value)
    digits = "".join(c for c in main if c.isdigit())
    national = digits.removeprefix("00")
    national = national[-10:] if len(national) > 10 and national[0] == "1" else national
    stream = _Stream(key, "PHONE", national)
    north_american = len(digits) == 11 and digits[0] == "1"
    fiction = iter(fiction_phone(len(digits), stream.below(8000), "1" if north_american else ""))
    rest = _fill(extension, lambda _: str(stream.below(10)))
    return _fill(main, lambda _: next(fiction)) + mark + rest


def _extension(value: str) -> tuple[str, str, str]:
    at = next((i for i, c in enumerate(value) if c.isalpha()), len(value))
    end = next((i for i in range(at, len(value)) if value[i].isdigit()), len(value))
    return value[:at], value[at:end], value[end:]


def _ssn(value: str, key: Key) -> str:
    """Area 9xx with a group below 50: neither a social security number nor a taxpayer's (ITIN: 50 and above)."""
    stream = _Stream(key, "SSN", "".join(c for c in value if c.isdigit()))
    digits = iter(f"9{stream.below(100):02d}{1 + stream.below(49):02d}{1 + stream.below(9999):04d}")
    return _fill(value, lambda _: next(digits))


def _card(value: str, key: Key) -> str:
    """First digit 0, which no issuer has, and a wrong check digit."""
    plain = "".join(c for c in value if c.isdigit())
    stream = _Stream(key, "CREDIT_CARD", plain)
    body = "0" + "".join(str(stream.below(10)) for _ in plain[1:-1])
    wrong = [check for check in "0123456789" if not luhn(body + check)]
    digits = iter(body + wrong[stream.below(len(wrong))])
    return _fill(value, lambda _: next(digits))


def _ip(value: str, key: Key) -> str:
    address, slash, prefix = value.partition("/")
    stream = _Stream(key, "IP", address.lower())
    if ":" not in address:
        network = IPV4_NETWORKS[stream.below(len(IPV4_NETWORKS))]
        return str(network[1 + stream.below(254)]) + slash + prefix
    return f"2001:db8:de1d:{1 + stream.below(0xFFFF):x}::{1 + stream.below(0xFFFF):x}" + slash + prefix


def _record(value: str, key: Key) -> str | None:
    """Begins with ZZ in the place of its first two characters; the rest keeps its shape."""
    plain = "".join(c for c in value if c.isalnum())
    if len(plain) < 6:  # too few surrogates for the values
        return None
    mark = iter(RECORD_MARK)
    draw = _same_class(_Stream(key, "RECORD_NUMBER", plain.upper()))
    return _fill(value, lambda c: next(mark, None) or draw(c))


def _mac(value: str, key: Key) -> str:
    stream = _Stream(key, "MAC", "".join(c for c in value.upper() if c.isalnum()))
    digits = iter(f"02005e{stream.below(1 << 24):06x}")
    return _fill(value, lambda c: next(digits).upper() if value.isupper() else next(digits))


def _iban(value: str, key: Key) -> str:
    """Of the same country, with the check digits 00, which no account has (they run from 02 to 98)."""
    plain = "".join(c for c in value.upper() if c.isalnum())
    head = iter(plain[:2] + "00")
    draw = _same_class(_Stream(key, "IBAN", plain))
    return _fill(value, lambda c: next(head, None) or draw(c))


def _name(value: str, key: Key) -> str:
    """Word by word, so that "Mr. Hale" and "Hale" stay the same person: syllables that end as no name does, in the
    capitals of the word; an initial stays one."""
    return _NAME_PART.sub(lambda match: _name_part(match.group(), key), value)


def _name_part(word: str, key: Key) -> str:
    stream = _Stream(key, "PERSON", word.lower())
    if len(word) == 1:
        return chr(ord("A") + stream.below(26))
    new = _word(stream, 2) + NAME_MARK
    return new.upper() if word.isupper() else new.capitalize()


_NAME_PART = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


# By type; a type without a maker is tagged.
MAKERS: dict[str, Callable[[str, Key], str | None]] = {
    "EMAIL": _email,
    "URL": _url,
    "PHONE": _phone,
    "SSN": _ssn,
    "CREDIT_CARD": _card,
    "IP": _ip,
    "RECORD_NUMBER": _record,
    "HEALTH_PLAN": _record,
    "MAC": _mac,
    "IBAN": _iban,
    "PERSON": _name,
    **dict.fromkeys(
        ("ACCOUNT", "DRIVER_LICENSE", "LICENSE", "MBI", "NATIONAL_ID", "PASSPORT", "TAX_ID", "VEHICLE"), _record
    ),
}
