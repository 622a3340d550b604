"""Check digits of many numbers at once: what leaves few of a text's numbers to python-stdnum, which has the last word.

Each test is a necessary condition: a number that fails it has no valid check digit. Sums are over the digits from the
left; sources are those that python-stdnum's modules name.
"""

from collections.abc import Callable

import numpy as np

from corpus.deidentify.columns import DIGIT_BYTES, Columns, Sieve, verdicts
from corpus.kernels.spans import byte_table

Test = Callable[[np.ndarray], np.ndarray]
"""digits int64[numbers, 24] → bool[numbers]"""


def _sum(digits: np.ndarray, weights: tuple[int, ...]) -> np.ndarray:
    return digits[:, : len(weights)] @ np.array(weights)


def _divides(modulus: int, *weights: int, remainder: int = 0) -> Test:
    """The weighted sum leaves the remainder."""
    return lambda digits: _sum(digits, weights) % modulus == remainder


def _check_is(place: int, of: Callable[[np.ndarray], np.ndarray]) -> Test:
    """The digit at the place is what the others say."""
    return lambda digits: digits[:, place] == of(digits)


def _mod_11_10(digits: np.ndarray, length: int) -> np.ndarray:
    """ISO/IEC 7064, MOD 11,10."""
    check = np.full(len(digits), 5)
    for place in range(length):
        check = (np.where(check == 0, 10, check) * 2 % 11 + digits[:, place]) % 10
    return check == 1


_PERMUTED = np.array([1, 5, 7, 6, 2, 8, 3, 0, 9, 4])


def _verhoeff(digits: np.ndarray, length: int) -> np.ndarray:
    """Verhoeff's check (1969): permuted digits from the right, multiplied in the dihedral group of ten elements."""
    product, order = np.zeros(len(digits), np.int64), np.arange(10)
    for place in range(length - 1, -1, -1):
        one, other = product, order[digits[:, place]]
        turned = np.where(one < 5, one + other, one - other)
        product = np.where(
            other < 5,
            np.where(one < 5, turned % 5, turned % 5 + 5),
            np.where(one < 5, turned % 5 + 5, turned % 5),
        )
        order = order[_PERMUTED] if place < length else order
    return product == 0


def _luhn_of(digits: np.ndarray, first: int, length: int, added: int = 0) -> np.ndarray:
    """ISO/IEC 7812-1 over so many digits from the place `first`; `added` is what digits before them add."""
    total = np.full(len(digits), added)
    for place in range(length):
        digit = digits[:, first + length - 1 - place]
        total = total + (digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4))
    return total % 10 == 0


def _dated(month: int, day: int) -> Test:
    """Two digits at each place are a month and a day."""

    def test(digits: np.ndarray) -> np.ndarray:
        months = digits[:, month] * 10 + digits[:, month + 1]
        days = digits[:, day] * 10 + digits[:, day + 1]
        return (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)

    return test


def _all(*tests: Test) -> Test:
    def test(digits: np.ndarray) -> np.ndarray:
        passed = tests[0](digits)
        for other in tests[1:]:
            passed = passed & other(digits)
        return passed

    return test


def _cpf(digits: np.ndarray) -> np.ndarray:
    one = (11 - _sum(digits, tuple(range(10, 1, -1)))) % 11 % 10
    two = (11 - _sum(digits, tuple(range(11, 2, -1))) - 2 * one) % 11 % 10
    return (digits[:, 9] == one) & (digits[:, 10] == two)


def _tckimlik(digits: np.ndarray) -> np.ndarray:
    one = (10 - _sum(digits, (3, 1, 3, 1, 3, 1, 3, 1, 3))) % 10
    two = (one + _sum(digits, (1,) * 9)) % 10
    return (digits[:, 0] > 0) & (digits[:, 9] == one) & (digits[:, 10] == two)


_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def _czech_birthday(digits: np.ndarray, length: int) -> np.ndarray:
    """The first six digits are a day of the calendar, 50 or 20 or both added to the month; numbers of nine digits were
    given until 1953, those of ten since."""
    year, month, day = (digits[:, place] * 10 + digits[:, place + 1] for place in (0, 2, 4))
    month = month % 50 % 20
    given = (year >= 80) | (year <= 53) if length == 9 else True
    year = year + np.where(year >= 80, 1800, 1900) if length == 9 else year + np.where(year < 54, 2000, 1900)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0)) & (month == 2)
    return given & (month >= 1) & (month <= 12) & (day >= 1) & (day <= _DAYS[np.minimum(month, 12)] + leap)


def _ends_in_remainder(digits: np.ndarray) -> np.ndarray:
    """Nine digits modulo 11, and 10 as 0, are the tenth: Czech numbers."""
    return digits[:, 9] == _sum(digits, tuple(10**power for power in range(8, -1, -1))) % 11 % 10


def _abn(digits: np.ndarray) -> np.ndarray:
    less = digits.copy()
    less[:, 0] -= 1
    return _sum(less, (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)) % 89 == 0


def _nir(digits: np.ndarray) -> np.ndarray:
    number = _sum(digits, tuple(10**power for power in range(12, -1, -1)))
    return 97 - number % 97 == digits[:, 13] * 10 + digits[:, 14]


def _belgian(digits: np.ndarray) -> np.ndarray:
    """Nine digits modulo 97, with a 2 before them for those born since 2000."""
    number = _sum(digits, tuple(10**power for power in range(8, -1, -1)))
    check = digits[:, 9] * 10 + digits[:, 10]
    return (97 - number % 97 == check) | (97 - (number + 2_000_000_000) % 97 == check)


def _cnpj(digits: np.ndarray) -> np.ndarray:
    one = -_sum(digits, (5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) % 11 % 10
    two = -_sum(digits, (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) % 11 % 10
    return (digits[:, 12] == one) & (digits[:, 13] == two)


_CNP = (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)

# By the register's name (national.py): the tests, by how many digits the number has. Other lengths are left to the
# validator.
TESTS: dict[str, dict[int, Test]] = {
    "us.npi": {10: lambda d: _luhn_of(d, 0, 10, added=24)},  # 24: of the prefix 80840
    "us.dea": {7: _divides(10, 1, 2, 1, 2, 1, 2, 9)},
    "us.routing": {9: _divides(10, 3, 7, 1, 3, 7, 1, 3, 7, 1)},
    "ca.sin": {9: lambda d: _luhn_of(d, 0, 9)},
    "au.abn": {11: _abn},
    "au.acn": {9: _divides(10, 8, 7, 6, 5, 4, 3, 2, 1, 1)},
    "au.tfn": {9: _divides(11, 1, 4, 3, 7, 5, 8, 6, 9, 10)},
    "au.medicare": {10: _divides(10, 1, 3, 7, 9, 1, 3, 7, 9, 9)},
    "gb.nhs": {10: _divides(11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)},
    "de.tax": {11: lambda d: _mod_11_10(d, 11)},
    "de.vat": {9: lambda d: _mod_11_10(d, 9)},
    "de.doctor": {9: _divides(10, 4, 9, 4, 9, 4, 9, 1)},
    "nl.bsn": {9: _divides(11, 9, 8, 7, 6, 5, 4, 3, 2, -1)},
    "ch.ahv": {13: _divides(10, *(1, 3) * 6, 1)},
    "pt.nif": {9: _check_is(8, lambda d: (11 - _sum(d, (9, 8, 7, 6, 5, 4, 3, 2))) % 11 % 10)},
    "pl.pesel": {11: _divides(10, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)},
    "cz.rc": {
        9: lambda d: _czech_birthday(d, 9),
        10: _all(_ends_in_remainder, lambda d: _czech_birthday(d, 10)),
    },
    "ro.cnp": {13: _all(_check_is(12, lambda d: _sum(d, _CNP) % 11 % 10 + (_sum(d, _CNP) % 11 == 10)), _dated(3, 5))},
    "hr.oib": {11: lambda d: _mod_11_10(d, 11)},
    "se.personnummer": {10: lambda d: _luhn_of(d, 0, 10), 12: lambda d: _luhn_of(d, 2, 10)},
    "se.orgnr": {10: lambda d: _luhn_of(d, 0, 10)},
    "dk.cpr": {10: _dated(2, 0)},
    "no.fodselsnummer": {
        11: _all(
            _divides(11, 3, 7, 6, 1, 8, 9, 4, 5, 2, 1),
            _divides(11, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1),
        )
    },
    "tr.id": {11: _tckimlik},
    "il.id": {9: lambda d: _luhn_of(d, 0, 9)},
    "za.id": {13: _all(lambda d: _luhn_of(d, 0, 13), _dated(2, 4))},
    "ng.nin": {11: lambda d: _verhoeff(d, 11)},
    "in.aadhaar": {12: lambda d: _verhoeff(d, 12)},
    "kr.rrn": {13: _dated(2, 4)},
    "kr.frn": {13: _dated(2, 4)},
    "th.pin": {13: _check_is(12, lambda d: (1 - _sum(d, tuple(range(2, -10, -1))) % 11) % 10)},
    "ph.tin": dict.fromkeys((9, 12, 13, 14), _check_is(8, lambda d: _sum(d, tuple(range(9, 1, -1))) % 11 % 10)),
    "br.cpf": {11: _cpf},
    "br.cnpj": {14: _cnpj},
    "be.nn": {11: _belgian},
    "fr.nir": {15: _nir},
}

_POWERS = {length: tuple(10**power for power in range(length - 1, -1, -1)) for length in (7, 8, 9)}
_SPANISH = b"TRWAGMYFPDXBNJZSQVHLCKE"
# By the register's name and how many digits the number has: the weights, the modulus and the letter of each remainder.
LETTERS: dict[str, dict[int, tuple[tuple[int, ...], int, bytes]]] = {
    "es.nif": {length: (_POWERS[length], 23, _SPANISH) for length in (7, 8)},
    "cl.rut": {
        7: ((2, 7, 6, 5, 4, 3, 2), 11, b"0K987654321"),
        8: ((3, 2, 7, 6, 5, 4, 3, 2), 11, b"0K987654321"),
    },
    "cn.ric": {17: ((7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), 11, b"10X98765432")},
    "fi.hetu": {9: (_POWERS[9], 31, b"0123456789ABCDEFHJKLMNPRSTUVWXY")},
    "sg.uen": {
        8: ((10, 4, 9, 3, 8, 2, 7, 1), 11, b"XMKECAWLJDB"),
        9: ((10, 8, 6, 4, 9, 7, 5, 3, 1), 11, b"ZKCMDNERGWH"),
    },
}

# Registers whose test is all there is to their check; for numbers of one digit or two over and over it is asked.
EXACT = {
    *(
        "us.dea",
        "us.npi",
        "au.acn",
        "gb.nhs",
        "de.vat",
        "de.doctor",
        "nl.bsn",
        "hr.oib",
        "se.orgnr",
        "tr.id",
        "il.id",
        "cz.rc",
    ),
    *("ng.nin", "br.cpf", "br.cnpj", "ph.tin"),
}


def _checked_by_letter(
    own: Columns, digits: np.ndarray, length: int, rule: tuple[tuple[int, ...], int, bytes]
) -> np.ndarray:
    """bool[numbers]: it has not so many digits before one last sign, or that is the one the digits ask for."""
    weights, modulus, letters = rule
    last = own.at(own.ends - 1)
    last = np.where(last >= 0x61, last & 0xDF, last)
    counts = own.counts - DIGIT_BYTES[last]
    return (counts != length) | (np.frombuffer(letters, np.uint8)[_sum(digits, weights) % modulus] == last)


def _personal_code(own: Columns, digits: np.ndarray) -> np.ndarray:
    """The Mexican CURP: places in the alphabet, weights 18 to 2."""
    values = _CURP_VALUES[np.stack([own.at(own.starts + place) & 0x7F for place in range(17)], axis=1)]
    return -(values @ np.arange(18, 1, -1)) % 10 == own.at(own.ends - 1).astype(np.int64) - ord("0")


_CURP_VALUES = np.zeros(128, np.int64)
for _place, _sign in enumerate("0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ"):
    _CURP_VALUES[[ord(_sign), ord(_sign.lower())]] = _place


def _foreign(own: Columns, digits: np.ndarray) -> np.ndarray:
    """The Spanish NIE: the letter before the digits counts as 0, 1 or 2."""
    number = _sum(digits, _POWERS[7]) + ((own.at(own.starts) & 0xDF).astype(np.int64) - ord("X")) * 10**7
    return np.frombuffer(_SPANISH, np.uint8)[number % 23] == own.at(own.ends - 1) & 0xDF


_FISCAL_ODD = np.zeros(128, np.int64)
for _sign, _value in zip(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    (*(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3), *(6, 8, 12, 14, 16, 10, 22, 25, 24, 23)),
    strict=True,
):
    _FISCAL_ODD[[ord(_sign), ord(_sign.lower())]] = _value
_FISCAL_ODD[48:58] = _FISCAL_ODD[65:75]


def _fiscal(own: Columns, digits: np.ndarray) -> np.ndarray:
    """The Italian codice fiscale: places in the alphabet, at odd places by a table of their own; where figures stand
    for themselves the form is enough."""
    signs = np.stack([own.at(own.starts + place) & 0x7F for place in range(15)], axis=1).astype(np.int64)
    plain = np.where(signs < 65, signs - 48, (signs | 32) - 97)
    total = np.where(np.arange(15) % 2 == 0, _FISCAL_ODD[signs], plain).sum(axis=1)
    return _in_figures(own) | (total % 26 == (own.at(own.ends - 1) | 32).astype(np.int64) - 97)


def _in_figures(own: Columns) -> np.ndarray:
    return DIGIT_BYTES[own.at(own.starts + 6)] & DIGIT_BYTES[own.at(own.starts + 7)]


_IRISH = np.frombuffer(b"WABCDEFGHIJKLMNOPQRSTUV", np.uint8)


def _pps(own: Columns, digits: np.ndarray) -> np.ndarray:
    """The Irish PPS: a second letter counts nine times, in the newer numbers."""
    number = _sum(digits, tuple(range(8, 1, -1)))
    letter, second = own.at(own.starts + 7) & 0xDF, own.at(own.starts + 8) & 0xDF
    added = np.where(second == ord("W"), 0, second.astype(np.int64) - ord("A") + 1) * 9
    return (_IRISH[number % 23] == letter) | (_IRISH[(number + added) % 23] == letter)


_SINGAPORE = {"S": b"JZIHGFEDCBA", "T": b"JZIHGFEDCBA", "F": b"XWUTRQPNMLK", "G": b"XWUTRQPNMLK", "M": b"KLJNPQRTUWX"}
_ADDED = {"S": 0, "F": 0, "T": 4, "G": 4, "M": 3}


def _nric(own: Columns, digits: np.ndarray) -> np.ndarray:
    first, last = own.at(own.starts) & 0xDF, own.at(own.ends - 1) & 0xDF
    passed = np.zeros(len(own), bool)
    for kind, letters in _SINGAPORE.items():
        place = (_sum(digits, (2, 7, 6, 5, 4, 3, 2)) + _ADDED[kind]) % 11
        place = 10 - place if kind == "M" else place
        passed |= (first == ord(kind)) & (np.frombuffer(letters, np.uint8)[place] == last)
    return passed


_ALPHABET = byte_table(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def _pension(own: Columns, digits: np.ndarray) -> np.ndarray:
    """German pension insurance: the letter counts as two digits, products as the sums of theirs."""
    letter = (own.at(own.until(_ALPHABET).ends) & 0xDF).astype(np.int64) - 64
    plain = np.concatenate([digits[:, :8], (letter // 10)[:, None], (letter % 10)[:, None], digits[:, 8:10]], axis=1)
    products = plain * np.array([2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1])
    return (products // 10 + products % 10).sum(axis=1) % 10 == digits[:, 10]


LETTERED: dict[str, Callable[[Columns, np.ndarray], np.ndarray]] = {
    "es.nie": _foreign,
    "ie.pps": _pps,
    "sg.nric": _nric,
    "de.pension": _pension,
    "mx.curp": _personal_code,
    "it.fiscal": _fiscal,
}


def sieve(name: str, *, apart: bool = True, checked: bool = True) -> Sieve:
    """The sieve of a register: its numbers must be `apart`, are no surrogates, and pass its test. Where the form is
    all there is (`checked` false), that decides."""
    tests, letters = TESTS.get(name, {}), LETTERS.get(name, {})
    exact, lengths = name in EXACT, [*tests, *letters]

    def sieved(own: Columns) -> np.ndarray:
        free = ~own.marked & (own.apart if apart else True)
        if not checked:
            return verdicts(free, free & own.letters_beside)
        passed = np.ones(len(own), bool)
        digits = own.digits.astype(np.int64)
        for length, test in tests.items():
            of_length = own.counts == length
            if of_length.any():
                passed[of_length] = test(digits[of_length])
        for length, rule in letters.items():
            passed &= _checked_by_letter(own, digits, length, rule)
        if name in LETTERED:
            passed &= LETTERED[name](own, digits)
        sure = exact & (own.different > 2) & ~own.letters_beside & np.isin(own.counts, lengths)
        if name == "it.fiscal":
            sure = _in_figures(own) & ~own.letters_beside
        return verdicts(free & passed, free & passed & ~sure)

    return sieved
