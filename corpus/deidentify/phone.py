"""Recognisers of telephone and fax numbers.

The numbering plans are those of the package phonenumbers (Google's libphonenumber), whose patterns run in re2.
"""

import re
from functools import lru_cache, partial

import phonenumbers
import re2

from corpus.deidentify.payment import digits_of
from corpus.deidentify.recogniser import Candidate, Shape, Validator, nearby
from corpus.deidentify.reserved import is_fiction_phone

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
_LABEL = nearby(
    r"(?i)\b(?:(?:tele)?phones?|ph|tel|telefon|telefone|telepono|téléphone|call(?:ed|ing)?|call me (?:on|at)|mobile"
    r"|cell(?:ular)?|fax|pager|dial|whatsapp|sms|text(?:ing)? (?:me|us|him|her)|reach(?:ed)?|ring|hotline|callback"
    r"|contact(?: number)?|answering at|voicemail|messages? (?:to|on)|registered|handy|móvil|celular|portable"
    r"|(?:my|his|her|their|our|the|this) number)\b[^0-9;]{0,24}$"
)
# Words of ordinary prose too ("the string is 123456789", "a text of 1234567"): an ungrouped number needs another one.
_WEAK_LABEL = nearby(
    r"(?i)\b(?:ring|reach(?:ed)?|home|work|office|portable|handy|registered|(?:the|this) number)\b[^0-9;]{0,24}$"
)
_USE = nearby(r"(?i)^\s?[-,(]?\s?(?:office|fax|mobile|cell|home|work|tel|phone)\b")
_GROUPS = re.compile("[ -]")
_COUNTRY_CODE = nearby(r"\+\d{1,3}[ .-]?$")
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


def phone(profile: str, regions: tuple[str, ...] = ("US",)) -> list[Shape]:
    """International numbers, those of North America, those with a trunk zero, any after a word that says so, and the
    national ones of `regions` in groups."""
    if profile == "code":
        return [Shape("PHONE", "phone.labelled", f"{_INTERNATIONAL}|{_AMERICAN}", _in_code, _WORDS)]
    national = _national(regions)
    shape = partial(Shape, "PHONE", apart="measured")
    return [
        Shape("PHONE", "phone.international", _INTERNATIONAL, _international, every=True, digits=(8, 17)),
        Shape(
            "PHONE",
            "phone.labelled",
            _LOOSE,
            _in_context,
            _WORDS,
            apart="measured",
            every=True,
            digits=(7, 20),
            score=0.9,
        ),
        shape("phone.american", _AMERICAN, _american, score=0.8),
        shape("phone.area", _AREA, _area, score=0.7),
        shape("phone.trunk", _TRUNK, _trunk, every=True, digits=(9, 11), score=0.7),
        Shape("PHONE", "phone.national", _LOOSE, national, _WORDS, every=True, digits=(8, 12), score=0.7),
    ]
