"""Recognisers of telephone and fax numbers.

The numbering plans are those of the package phonenumbers (Google's libphonenumber), whose patterns run in re2.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache, partial

import numpy as np
import phonenumbers
import re2

from corpus.deidentify.automaton import Automaton
from corpus.deidentify.columns import (
    BEYOND_ASCII,
    DIGIT_BYTES,
    WORD_BYTES,
    Columns,
    Following,
    Preceding,
    Sieve,
    verdicts,
)
from corpus.deidentify.payment import digits_of
from corpus.deidentify.recogniser import WINDOW, Candidate, Shape, Validator, nearby
from corpus.deidentify.reserved import is_fiction_phone
from corpus.kernels.candidates import ASK, YES, run_from
from corpus.kernels.spans import byte_table

REGIONS = tuple(sorted(phonenumbers.SUPPORTED_REGIONS))
_EXTENSION = r"(?: ?(?:x|ext\.?|extension) ?\d{1,6})?"
_INTERNATIONAL = rf"(?:\+|00[ -]?)\d{{1,3}}(?:[ .-]{{0,2}}(?:\(\d{{1,4}}\)|\d{{1,12}})){{1,6}}{_EXTENSION}"
_AMERICAN = rf"(?:1[ .-])?(?:\(\d{{3}}\)[ .-]{{0,2}}|\d{{3}}[ .-])\d{{3}}[ .-]\d{{4}}{_EXTENSION}"
_TRUNK = r"0(?:[1-9]\d{0,3})?(?:[ -][1-9]?\d{2,7}){1,4}|0[1-9]\d{8,9}"
_AREA = r"\(\d{2,5}\)[ .-]{0,2}\d{3,5}[ .-]?\d{3,4}"
_LOOSE = rf"\(?\d{{1,8}}(?:(?:\)?[ .-]{{1,2}}|\))\(?\d{{1,8}}){{1,5}}{_EXTENSION}|\d{{7,14}}"
_WORDS = (
    *(
        r"(?:tele)?phones?(?: ?(?:number|no\.?|#))?",
        r"ph",
        r"tel\w{0,6}",
        r"call(?:ed|ing|s)?",
        r"mobile",
        r"cell(?:ular)?",
    ),
    *(r"fax", r"pager", r"dial", r"whatsapp", r"sms", r"text(?:ed|ing)?", r"reach(?:ed)?", r"ring", r"hotline"),
    *(r"callback", r"contact(?:ed)?", r"answering at", r"voicemail", r"messages? (?:to|on)", r"registered", r"number"),
    *(r"handy", r"móvil", r"celular", r"portable", r"office", r"home", r"work", r"telepono"),
)
_LABELS = (
    r"(?:(?:tele)?phones?|ph|tel|telefon|telefone|telepono|téléphone|call(?:ed|ing)?|call me (?:on|at)|mobile"
    r"|cell(?:ular)?|fax|pager|dial|whatsapp|sms|text(?:ing)? (?:me|us|him|her)|reach(?:ed)?|ring|hotline|callback"
    r"|contact(?: number)?|answering at|voicemail|messages? (?:to|on)|registered|handy|móvil|celular|portable"
    r"|(?:my|his|her|their|our|the|this) number)"
)
_LABEL = nearby(rf"(?i)\b{_LABELS}\b[^0-9;]{{0,24}}$")
# Words of ordinary prose too ("the string is 123456789", "a text of 1234567"): an ungrouped number needs another one.
_WEAK_LABELS = r"(?:ring|reach(?:ed)?|home|work|office|portable|handy|registered|(?:the|this) number)"
_WEAK_LABEL = nearby(rf"(?i)\b{_WEAK_LABELS}\b[^0-9;]{{0,24}}$")
_USES = r"(?i)\s?[-,(]?\s?(?:office|fax|mobile|cell|home|work|tel|phone)"
_USE = nearby(rf"{_USES}\b".replace("(?i)", "(?i)^"))
_GAP = r"(?:[^0-9;A-Za-z_][^0-9;]{0,23})?"
_label, _weak_label = Preceding(f"(?i){_LABELS}{_GAP}"), Preceding(f"(?i){_WEAK_LABELS}{_GAP}")
_use = Following(_USES, edge=True)
_LONGEST = 20  # digits of a number that the columns look at
_GROUPS = re.compile("[ -]")
_CODE = r"\+\d{1,3}[ .-]?"
_COUNTRY_CODE, _country_code = nearby(f"{_CODE}$"), Preceding(_CODE)
_MEASURED_BEFORE = nearby(r"(?:[\w.+/@#$€£%*=^-]|\d[,:])$")


def phone_digits(value: str) -> str:
    """The number's own digits, without those of an extension."""
    return digits_of(value.lower().partition("x")[0].partition("e")[0])


def _loose(candidate: Candidate) -> bool:
    """Nothing that continues the number, or makes it a part of an expression, touches it."""
    after = candidate.after[:2]
    tail = (
        after[:1].isalnum()
        or after[:1] in {"_", "%", "/"}
        or (after[:1] in {"-", ".", ",", ":"} and after[1:].isdigit())
    )
    return not tail and not _MEASURED_BEFORE.search(candidate.before)


def _labelled(candidate: Candidate) -> bool:
    return bool(_LABEL.search(candidate.before) or _USE.search(candidate.after))


def _nobodys(digits: str) -> bool:
    return is_fiction_phone(digits) or len(set(digits)) < 3


def _international(candidate: Candidate) -> bool:
    digits = phone_digits(candidate.value)
    if not _loose(candidate) or not 8 <= len(digits) <= 17 or _nobodys(digits):
        return False
    if candidate.value[0] == "+":
        return _possible(digits) or (_labelled(candidate) and len(digits) <= 15)
    return len(digits) >= 11 and digits[2] != "0" and _possible(digits[2:])


@lru_cache(maxsize=512)
def _lengths(code: int) -> frozenset[int]:
    """How many digits a number of the country code has after it; empty where nobody has the code."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    plans = [_description(region, code) for region in regions]
    return frozenset(n for plan in plans for n in (*plan.possible_length, *plan.possible_length_local_only))


def _plan(region: str, code: int = 0) -> phonenumbers.PhoneMetadata:
    if region == "001":  # numbers of no country, such as satellite telephones'
        plan = phonenumbers.PhoneMetadata.metadata_for_nongeo_region(code)
    else:
        plan = phonenumbers.PhoneMetadata.metadata_for_region(region)
    assert plan is not None
    return plan


def _description(region: str, code: int = 0) -> phonenumbers.PhoneNumberDesc:
    description = _plan(region, code).general_desc
    assert description is not None
    return description


def _possible(digits: str) -> bool:
    """A country code and as many digits as its plan has, a trunk zero set aside."""
    for length in (1, 2, 3):
        lengths = _lengths(int(digits[:length]))
        if lengths:
            rest = len(digits) - length
            return rest in lengths or (digits[length] == "0" and rest - 1 in lengths)
    return False


def _american(candidate: Candidate) -> bool:
    digits = phone_digits(candidate.value)
    area, exchange = digits[-10:-7], digits[-7:-4]
    return area[0] not in "01" and exchange[0] not in "01" and _loose(candidate) and not _nobodys(digits)


def _trunk(candidate: Candidate) -> bool:
    digits = phone_digits(candidate.value)
    groups = [len(group) for group in _GROUPS.split(candidate.value)]
    if (len(groups) < 3 and len(digits) < 10) or groups == [3, 2, 4]:  # as an SSN
        return False
    return _loose(candidate) and not _nobodys(digits)


def _area(candidate: Candidate) -> bool:
    digits = phone_digits(candidate.value)
    return _loose(candidate) and 8 <= len(digits) <= 13 and not _nobodys(digits)


@lru_cache(maxsize=512)
def _national_pattern(region: str) -> tuple["re2._Regexp", str]:
    """The plan's pattern of national numbers, and the prefix that is dialled before them at home."""
    return re2.compile(_description(region).national_number_pattern or ""), _plan(region).national_prefix or ""


def _national(regions: tuple[str, ...]) -> Validator:
    def accept(candidate: Candidate) -> bool:
        """A national number of one of the regions; where it is all the text, of any region."""
        digits = phone_digits(candidate.value)
        if not _loose(candidate) or not 8 <= len(digits) <= 12 or _nobodys(digits):
            return False
        if not candidate.alone:
            return any(valid_in(region, digits) for region in regions)
        groups = [len(group) for group in _GROUPS.split(candidate.value)]
        grouped = len(groups) > 1 and max(groups) <= 4 and groups != [3, 2, 4]
        plain = candidate.value.isdigit() and len(digits) >= 10
        return (grouped or plain) and any(valid_in(region, digits) for region in REGIONS)

    return accept


def valid_in(region: str, digits: str) -> bool:
    """`digits` is a national number of the region's plan, with or without its trunk prefix."""
    pattern, prefix = _national_pattern(region)
    bare = digits.removeprefix(prefix) if prefix else digits
    return bool(pattern.fullmatch(digits) or pattern.fullmatch(bare))


def _in_context(candidate: Candidate) -> bool:
    digits = phone_digits(candidate.value)
    if not _loose(candidate) or _COUNTRY_CODE.search(candidate.before):
        return False
    if not 7 <= len(digits) <= 14 or is_fiction_phone(digits) or not _labelled(candidate):
        return False
    plain = candidate.value.isdigit() and len(digits) != 10
    return not plain or _WEAK_LABEL.search(candidate.before) is None


def _in_code(candidate: Candidate) -> bool:
    """For source code, where digits are data: only with a word that says so."""
    digits = phone_digits(candidate.value)
    return 8 <= len(digits) <= 15 and not _nobodys(digits) and _loose(candidate) and _labelled(candidate)


_EXTENSION_SIGN = byte_table(b"xXeE")
_MEASURE_SIGN, _TAIL_SIGN = WORD_BYTES | byte_table(b".+/@#$%*=^-"), WORD_BYTES | byte_table(b"%/")
_POINTED, _COLON_OR_COMMA, _SEPARATOR = byte_table(b"-.,:"), byte_table(b",:"), byte_table(b" -")


def _loosely(own: Columns) -> tuple[np.ndarray, np.ndarray]:
    """bool[candidates], twice: `_loose` accepts it; what touches it is beyond ASCII, so that `_loose` must say."""
    tail = _TAIL_SIGN[own.after] | (_POINTED[own.after] & DIGIT_BYTES[own.beyond])
    inside = _COLON_OR_COMMA[own.before] & DIGIT_BYTES[own.at(own.starts - 2)]
    unsure = own.letters_beside | (_POINTED[own.after] & (own.beyond >= 0x80))
    return ~(tail | inside | _MEASURE_SIGN[own.before]), unsure


def _said(own: Columns) -> tuple[np.ndarray, np.ndarray]:
    """bool[candidates], twice: a word says that it is a telephone number; letters beyond ASCII are near, which windows
    count as one and the columns as two."""
    before, after = own.around(WINDOW)
    return _label(own) | _use(own), before.count(BEYOND_ASCII) + after.count(BEYOND_ASCII) > 0


def _fiction(number: Columns) -> np.ndarray:
    """bool[candidates]: the last digits but two are those of nobody's numbers."""
    digits = np.stack([number.last(place) for place in range(7, 2, -1)], axis=1)
    return (digits == np.array([5, 5, 5, 0, 1])).all(axis=1)


def _perhaps_nobodys(number: Columns) -> np.ndarray:
    return _fiction(number) | (number.counts > _LONGEST)


def _sieved(least: int, most: int, also: Callable[[Columns, Columns], np.ndarray]) -> Sieve:
    """What is loose, is somebody's, has so many digits and for which `also` (candidates, the same without extensions)
    holds."""

    def sieve(own: Columns) -> np.ndarray:
        number = own.until(_EXTENSION_SIGN)
        loose, unsure = _loosely(own)
        fits = (number.counts >= least) & (number.counts <= most) & (number.different >= 3) & also(own, number)
        return verdicts(loose & fits, fits & (unsure | _perhaps_nobodys(number)) & (loose | unsure))

    return sieve


@cache
def _lengths_by_code() -> np.ndarray:
    """bool[1000, 25]: a number of the country code has so many digits after it."""
    table = np.zeros((1000, 25), bool)
    for code in range(1000):
        table[code, list(_lengths(code))] = True
    return table


def _possibly(number: Columns, skipped: int) -> np.ndarray:
    """bool[candidates]: `_possible` of the digits behind the first `skipped`."""
    table = _lengths_by_code()
    digits, counts = number.digits.astype(np.int64), number.counts - skipped
    code, open_, fits = np.zeros(len(number), np.int64), np.ones(len(number), bool), np.zeros(len(number), bool)
    for length in (1, 2, 3):
        code = code * 10 + digits[:, skipped + length - 1]
        known = open_ & table[code].any(axis=1)
        rest = np.clip(counts - length, 0, 24)
        trunk = (digits[:, skipped + length] == 0) & table[code, np.maximum(rest - 1, 0)]
        fits |= known & (table[code, rest] | trunk)
        open_ &= ~known
    return fits


def _internationals(own: Columns) -> np.ndarray:
    plus = own.at(own.starts) == ord("+")
    number = own.until(_EXTENSION_SIGN)
    said, unsure = _said(own)
    behind_zeros = (number.counts >= 11) & (number.digits[:, 2] != 0) & _possibly(number, 2)
    fits = np.where(plus, _possibly(number, 0) | ((said | unsure) & (number.counts <= 15)), behind_zeros)
    sure = np.where(plus, _possibly(number, 0) | said, True)
    verdict = _sieved(8, 17, lambda _, number: fits)(own)
    return np.where((verdict == YES) & ~sure, ASK, verdict).astype(np.int8)


def _americans(own: Columns) -> np.ndarray:
    return _sieved(0, _LONGEST, lambda _, number: (number.last(10) > 1) & (number.last(7) > 1))(own)


def _trunk_number(own: Columns, number: Columns) -> np.ndarray:
    groups = own.count(_SEPARATOR) + 1
    as_ssn = (groups == 3) & (own.counts == 9) & _SEPARATOR[own.at(own.starts + 3)] & _SEPARATOR[own.at(own.starts + 6)]
    return ((groups >= 3) | (own.counts >= 10)) & ~as_ssn


def _nationals(regions: tuple[str, ...]) -> Sieve:
    """National numbers of the regions by an automaton of their plans; what is all of its text may be any region's."""

    @cache
    def plans() -> Automaton:
        plain = [_national_pattern(region) for region in regions]
        return Automaton(f"(?:{prefix})?(?:{own.pattern})" for own, prefix in plain).complete()

    def valid(own: Columns, number: Columns) -> np.ndarray:
        width = number.digits.shape[1]
        written = (number.digits.ravel() + 48).astype(np.uint8)
        starts = np.arange(len(number)) * width
        ends = starts + np.minimum(number.counts, width)
        tables = (plans().classes, plans().table, plans().first, False)
        return own.alone | (run_from(written, starts, ends, *tables) == ends)

    def sieve(own: Columns) -> np.ndarray:
        verdict = _sieved(8, 12, valid)(own)
        return np.where((verdict == YES) & own.alone, ASK, verdict).astype(np.int8)

    return sieve


def _in_contexts(own: Columns) -> np.ndarray:
    number = own.until(_EXTENSION_SIGN)
    loose, beside = _loosely(own)
    said, unsure = _said(own)
    plain = (own.counts == own.ends - own.starts) & (number.counts != 10)
    fits = (number.counts >= 7) & (number.counts <= 14) & ~_country_code(own)
    accepted = loose & fits & said & ~(plain & _weak_label(own))
    return verdicts(accepted, fits & (loose | beside) & (said | unsure) & (beside | unsure | _perhaps_nobodys(number)))


def _in_codes(own: Columns) -> np.ndarray:
    said, unsure = _said(own)
    verdict = _sieved(8, 15, lambda *_: said | unsure)(own)
    return np.where((verdict == YES) & ~said, ASK, verdict).astype(np.int8)


def phone(profile: str, regions: tuple[str, ...] = ("US",)) -> list[Shape]:
    """International numbers, those of North America, those with a trunk zero, any after a word that says so, and the
    national ones of `regions` in groups."""
    if profile == "code":
        return [Shape("PHONE", "phone.labelled", f"{_INTERNATIONAL}|{_AMERICAN}", _in_code, _WORDS, sieve=_in_codes)]
    national = _national(regions)
    shape = partial(Shape, "PHONE", apart="measured")
    return [
        Shape(
            "PHONE",
            "phone.international",
            _INTERNATIONAL,
            _international,
            every=True,
            digits=(8, 17),
            sieve=_internationals,
        ),
        Shape(
            "PHONE",
            "phone.labelled",
            _LOOSE,
            _in_context,
            _WORDS,
            apart="measured",
            every=True,
            digits=(7, 20),
            sieve=_in_contexts,
            score=0.9,
        ),
        shape("phone.american", _AMERICAN, _american, score=0.8, sieve=_americans),
        shape("phone.area", _AREA, _area, score=0.7, sieve=_sieved(8, 13, lambda own, _: own.counts > 0)),
        shape(
            "phone.trunk",
            _TRUNK,
            _trunk,
            every=True,
            digits=(9, 11),
            score=0.7,
            sieve=_sieved(0, _LONGEST, _trunk_number),
        ),
        Shape(
            "PHONE",
            "phone.national",
            _LOOSE,
            national,
            _WORDS,
            every=True,
            digits=(8, 12),
            score=0.7,
            sieve=_nationals(regions),
        ),
    ]
