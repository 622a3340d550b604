"""Checks of the numbers that states give out, where python-stdnum has none or one that is too strict or too lax."""

import datetime
from collections.abc import Callable

import stdnum.fi.hetu
import stdnum.th.pin
from stdnum import luhn
from stdnum.iso7064 import mod_11_10

from corpus.deidentify.payment import digits_of

Check = Callable[[str], bool]


def anything(value: str) -> bool:
    return True


def weighted(value: str, weights: tuple[int, ...], modulus: int) -> int:
    return sum(int(digit) * weight for digit, weight in zip(value, weights, strict=False)) % modulus


def icao(value: str) -> bool:
    """ICAO 9303: letters count from 10, weights 7 3 1, the last digit is the sum's. German cards and passports."""
    value = value.upper()
    return sum(int(c, 36) * (7, 3, 1)[i % 3] for i, c in enumerate(value[:-1])) % 10 == int(value[-1])


def german_insured(value: str) -> bool:
    """A letter as two digits, then eight digits and their Luhn-like check with the weights 1 2 from the left."""
    value = value.upper()
    plain = f"{ord(value[0]) - 64:02d}" + value[1:-1]
    products = [int(digit) * (1, 2)[i % 2] for i, digit in enumerate(plain)]
    return sum(p // 10 + p % 10 for p in products) % 10 == int(value[-1])


def german_pension(value: str) -> bool:
    """Area, date of birth, initial, serial, check: weights 2 1 2 5 7 1 2 1 2 1 2 1 and sums of digits."""
    value = value.upper().replace(" ", "")
    day, month = int(value[2:4]), int(value[4:6])
    plain = value[:8] + f"{ord(value[8]) - 64:02d}" + value[9:11]
    products = [int(d) * w for d, w in zip(plain, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True)]
    dated = 1 <= (day - 50 if day > 50 else day) <= 31 and 1 <= month <= 12
    return dated and sum(p // 10 + p % 10 for p in products) % 10 == int(value[11])


def german_doctor(value: str) -> bool:
    """Six digits, their check with the weights 4 9, two digits of the field."""
    return (10 - weighted(value[:6], (4, 9, 4, 9, 4, 9), 10)) % 10 == int(value[6])


def born(digits: str, century: str = "19") -> bool:
    try:
        datetime.date(int(century + digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return False
    return True


def korean(genders: str) -> Check:
    """Date of birth, then a digit for sex, century and being a foreigner; numbers since 2020 carry no check."""

    def check(value: str) -> bool:
        digits = digits_of(value)
        return digits[6] in genders and born(digits, "19" if digits[6] in "1256" else "20")

    return check


def south_african(value: str) -> bool:
    return value[10] in "012" and (born(value) or born(value, "20")) and luhn.is_valid(value)


def philippine_tin(value: str) -> bool:
    """The ninth digit is the sum of the first eight with weights 9 to 2, mod 11."""
    digits = digits_of(value)
    if set(digits[:9]) == {"0"}:
        return False
    return weighted(digits, tuple(range(9, 1, -1)), 11) % 10 == int(digits[8])


def australian_medicare(value: str) -> bool:
    digits = digits_of(value)
    return digits[0] in "23456" and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9), 10) == int(digits[8])


def singapore(value: str) -> bool:
    value = value.upper()
    total = weighted(value[1:8], (2, 7, 6, 5, 4, 3, 2), 11) + {"S": 0, "F": 0, "T": 4, "G": 4, "M": 3}[value[0]]
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "KLJNPQRTUWX"}
    place = total % 11
    return letters[value[0]][10 - place if value[0] == "M" else place] == value[8]


def thai(value: str) -> bool:
    """The second and third digits name a province, from 10 to 96 with gaps; the first the kind of person."""
    digits = digits_of(value)
    return digits[0] != "0" and 10 <= int(digits[1:3]) <= 96 and stdnum.th.pin.is_valid(digits)


def nino(value: str) -> bool:
    prefix = value[:2].upper()
    barred = prefix in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}
    return prefix[0] not in "DFIQUV" and prefix[1] not in "DFIOQUV" and not barred


def gstin(value: str) -> bool:
    return 1 <= int(value[:2]) <= 38


def npi(value: str) -> bool:
    return luhn.is_valid("80840" + digits_of(value)) and len(set(digits_of(value))) > 1


def dea(value: str) -> bool:
    digits = value[-7:]
    return (weighted(digits, (1, 2, 1, 2, 1, 2), 10)) == int(digits[6])


def lettered(value: str) -> bool:
    """A letter and four digits or more."""
    return sum(c.isdigit() for c in value) >= 4 and any(map(str.isalpha, value))


def itin(value: str) -> bool:
    """Of the groups, 50 to 65, 70 to 88, 90 to 92 and 94 to 99 are given out."""
    group = int(digits_of(value)[3:5])
    return 50 <= group <= 65 or 70 <= group <= 88 or (group >= 90 and group != 93)


def german_tax(value: str) -> bool:
    digits = digits_of(value)
    return digits[0] != "0" and len(set(digits)) > 2 and mod_11_10.is_valid(digits)


def german_card(value: str) -> bool:
    """The new numbers with their check; the old ones, a T and eight digits, without."""
    return len(value) == 9 and (icao(value) or (value[0] in "Tt" and value[1:].isdigit()))


def finnish(value: str) -> bool:
    """Temporary numbers too, which hospitals give out."""
    return stdnum.fi.hetu.is_valid(value, allow_temporary=True)
