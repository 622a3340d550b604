"""Recognisers of the numbers that states give to people and firms, by country.

The check of each number is python-stdnum's where it has one. Digits alone say little, so most need a word near them, in
the country's language or in English; forms with letters in fixed places and a check digit speak for themselves.
"""

import datetime
from collections.abc import Callable
from typing import NamedTuple

import stdnum.au.abn
import stdnum.au.acn
import stdnum.au.tfn
import stdnum.be.nn
import stdnum.br.cnpj
import stdnum.br.cpf
import stdnum.ca.sin
import stdnum.ch.ssn
import stdnum.cl.rut
import stdnum.cn.ric
import stdnum.cz.rc
import stdnum.de.vat
import stdnum.dk.cpr
import stdnum.es.nie
import stdnum.es.nif
import stdnum.fi.hetu
import stdnum.fr.nir
import stdnum.gb.nhs
import stdnum.hr.oib
import stdnum.ie.pps
import stdnum.il.idnr
import stdnum.in_.aadhaar
import stdnum.it.codicefiscale
import stdnum.kr.brn
import stdnum.mx.curp
import stdnum.nl.bsn
import stdnum.no.fodselsnummer
import stdnum.pl.pesel
import stdnum.pt.nif
import stdnum.ro.cnp
import stdnum.se.orgnr
import stdnum.se.personnummer
import stdnum.sg.uen
import stdnum.th.pin
import stdnum.tr.tckimlik
import stdnum.za.idnr
from stdnum import luhn, verhoeff
from stdnum.iso7064 import mod_11_10

from corpus.deidentify.payment import apart, digits_of
from corpus.deidentify.recogniser import Candidate, Shape

Check = Callable[[str], bool]


class Register(NamedTuple):
    """One kind of number: `words` without which it is none, unless it stands alone; `inside`: a letter may touch it."""

    name: str
    type: str
    pattern: str
    check: Check
    words: tuple[str, ...] = ()
    inside: bool = False


def _any(value: str) -> bool:
    return True


def _weighted(value: str, weights: tuple[int, ...], modulus: int) -> int:
    return sum(int(digit) * weight for digit, weight in zip(value, weights, strict=False)) % modulus


def _icao(value: str) -> bool:
    """ICAO 9303: letters count from 10, weights 7 3 1, the last digit is the sum's. German cards and passports."""
    value = value.upper()
    return sum(int(c, 36) * (7, 3, 1)[i % 3] for i, c in enumerate(value[:-1])) % 10 == int(value[-1])


def _german_insured(value: str) -> bool:
    """A letter as two digits, then eight digits and their Luhn-like check with the weights 1 2 from the left."""
    value = value.upper()
    plain = f"{ord(value[0]) - 64:02d}" + value[1:-1]
    products = [int(digit) * (1, 2)[i % 2] for i, digit in enumerate(plain)]
    return sum(p // 10 + p % 10 for p in products) % 10 == int(value[-1])


def _german_pension(value: str) -> bool:
    """Area, date of birth, initial, serial, check: weights 2 1 2 5 7 1 2 1 2 1 2 1 and sums of digits."""
    value = value.upper().replace(" ", "")
    day, month = int(value[2:4]), int(value[4:6])
    plain = value[:8] + f"{ord(value[8]) - 64:02d}" + value[9:11]
    products = [int(d) * w for d, w in zip(plain, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True)]
    dated = 1 <= (day - 50 if day > 50 else day) <= 31 and 1 <= month <= 12
    return dated and sum(p // 10 + p % 10 for p in products) % 10 == int(value[11])


def _german_doctor(value: str) -> bool:
    """Six digits, their check with the weights 4 9, two digits of the field."""
    return (10 - _weighted(value[:6], (4, 9, 4, 9, 4, 9), 10)) % 10 == int(value[6])


def _born(digits: str, century: str = "19") -> bool:
    try:
        datetime.date(int(century + digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return False
    return True


def _korean(genders: str) -> Check:
    """Date of birth, then a digit for sex, century and being a foreigner; numbers since 2020 carry no check."""

    def check(value: str) -> bool:
        digits = digits_of(value)
        return digits[6] in genders and _born(digits, "19" if digits[6] in "1256" else "20")

    return check


def _south_african(value: str) -> bool:
    return value[10] in "012" and (_born(value) or _born(value, "20")) and luhn.is_valid(value)


def _philippine_tin(value: str) -> bool:
    """The ninth digit is the sum of the first eight with weights 9 to 2, mod 11."""
    digits = digits_of(value)
    if set(digits[:9]) == {"0"}:
        return False
    return _weighted(digits, tuple(range(9, 1, -1)), 11) % 10 == int(digits[8])


def _australian_medicare(value: str) -> bool:
    digits = digits_of(value)
    return digits[0] in "23456" and _weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9), 10) == int(digits[8])


def _singapore(value: str) -> bool:
    value = value.upper()
    total = _weighted(value[1:8], (2, 7, 6, 5, 4, 3, 2), 11) + {"S": 0, "F": 0, "T": 4, "G": 4, "M": 3}[value[0]]
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "KLJNPQRTUWX"}
    place = total % 11
    return letters[value[0]][10 - place if value[0] == "M" else place] == value[8]


def _turkish(value: str) -> bool:
    return stdnum.tr.tckimlik.is_valid(value)


def _thai(value: str) -> bool:
    """The second and third digits name a province, from 10 to 96 with gaps; the first the kind of person."""
    digits = digits_of(value)
    return digits[0] != "0" and 10 <= int(digits[1:3]) <= 96 and stdnum.th.pin.is_valid(digits)


def _nino(value: str) -> bool:
    prefix = value[:2].upper()
    barred = prefix in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}
    return prefix[0] not in "DFIQUV" and prefix[1] not in "DFIOQUV" and not barred


def _gstin(value: str) -> bool:
    return 1 <= int(value[:2]) <= 38


def _npi(value: str) -> bool:
    return luhn.is_valid("80840" + digits_of(value)) and len(set(digits_of(value))) > 1


def _dea(value: str) -> bool:
    digits = value[-7:]
    return (_weighted(digits, (1, 2, 1, 2, 1, 2), 10)) == int(digits[6])


def _lettered(value: str) -> bool:
    """A letter and four digits or more."""
    return sum(c.isdigit() for c in value) >= 4 and any(map(str.isalpha, value))


def _itin(value: str) -> bool:
    """Of the groups, 50 to 65, 70 to 88, 90 to 92 and 94 to 99 are given out."""
    group = int(digits_of(value)[3:5])
    return 50 <= group <= 65 or 70 <= group <= 88 or (group >= 90 and group != 93)


def _german_tax(value: str) -> bool:
    digits = digits_of(value)
    return digits[0] != "0" and len(set(digits)) > 2 and mod_11_10.is_valid(digits)


def _german_card(value: str) -> bool:
    """The new numbers with their check; the old ones, a T and eight digits, without."""
    return len(value) == 9 and (_icao(value) or (value[0] in "Tt" and value[1:].isdigit()))


_ID = (r"id(?:entity|entification)?(?: ?(?:code|card|number|no\.?|nr\.?))?", r"national id\w{0,10}", r"personal (?:id|code|number)")
_TAX = (r"tax\w{0,6}", r"tin", r"vat", r"fiscal")
_PASSPORT = (
    *(r"passports?", r"travel document", r"pasaporte", r"passaporto", r"passeport", r"reisepass", r"pass", r"여권\w{0,9}"),
    *(r"paspoort", r"passaporte", r"여권", r"여권번호"),
)
_DRIVER = (
    *(r"driv\w{1,4}'?s? ?(?:licen[cs]e|permit)?", r"dl", r"dvla", r"f(?:u|ü)hrerschein\w{0,6}", r"patente"),
    *(r"permis", r"permiso", r"운전면허\w{0,9}", r"cdl"),
)
_PERSON, _FIRM = "NATIONAL_ID", "TAX_ID"

_SPACED_11 = r"\d{11}"
REGISTERS: dict[str, tuple[Register, ...]] = {
    "US": (
        Register("us.itin", _FIRM, r"9\d{2}[- ]?\d{2}[- ]?\d{4}", _itin, (r"itin", *_TAX)),
        Register("us.itin", _FIRM, r"9\d{2}-(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])-\d{4}", _itin),
        Register("us.passport", "PASSPORT", r"(?i)[A-Z]\d{8}|\d{9}", _any, (*_PASSPORT, r"travel \w{1,12}")),
        Register(
            "us.driver",
            "DRIVER_LICENSE",
            r"(?i)[A-Z]{0,3}\d{5,14}[A-Z]?|[A-Z]\d{3}-\d{3,4}-\d{2,4}-\d{3,4}(?:-\d)?|[A-Z]\d{2}-\d{2}-\d{4}",
            _any,
            _DRIVER,
        ),
        Register("us.npi", "LICENSE", r"[12]\d{9}|[12]\d{3}-\d{3}-\d{3}", _npi, (r"npi", r"provider\w?", r"prescriber")),
        Register("us.dea", "LICENSE", r"(?i)[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}|[A-Z]\d{8}", _dea, (r"dea", r"prescriber")),
        Register("us.dea", "LICENSE", r"[ABCDEFGHJKLMPRSTUX][A-Z]\d{7}", _dea),
    ),
    "CA": (Register("ca.sin", _PERSON, r"\d{3}([ -]?)\d{3}[ -]?\d{3}", stdnum.ca.sin.is_valid, (r"sin", r"nas", r"social insurance", r"assurance sociale")),),
    "AU": (
        Register("au.abn", _FIRM, r"\d{2} ?\d{3} ?\d{3} ?\d{3}", stdnum.au.abn.is_valid, (r"abn", r"business number", *_TAX)),
        Register("au.acn", _FIRM, r"\d{3} ?\d{3} ?\d{3}", stdnum.au.acn.is_valid, (r"acn", r"company number")),
        Register("au.tfn", _FIRM, r"\d{3} ?\d{3} ?\d{3}", stdnum.au.tfn.is_valid, (r"tfn", *_TAX)),
        Register("au.medicare", "HEALTH_PLAN", r"\d{4} ?\d{5} ?\d", _australian_medicare, (r"medicare",)),
    ),
    "GB": (
        Register("gb.nhs", _PERSON, r"\d{3}[ -]?\d{3}[ -]?\d{4}", stdnum.gb.nhs.is_valid, (r"nhs", r"national health\w{0,2}", r"health service")),
        Register("gb.nino", _PERSON, r"(?i)[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]", _nino),
        Register("gb.trn", _FIRM, r"\d{2} ?[A-Z] ?\d{3} ?\d{2}", _any, (r"trn", r"paye", r"reference", r"insurance", r"numbers?", r"payslip", r"p60")),
        Register("gb.driver", "DRIVER_LICENSE", r"(?i)[A-Z]{2}[A-Z9]{3} ?\d[0156]\d ?(?:[0-2]\d|3[01])\d ?[A-Z][A-Z9][A-Z0-9]{2}[A-Z](?: ?\d{2})?", _any),
        Register("gb.passport", "PASSPORT", r"(?i)[A-Z]{2}\d{7}", _any, _PASSPORT),
    ),
    "DE": (
        Register("de.tax", _FIRM, r"\d{11}|\d{2} \d{3} \d{3} \d{3}", _german_tax, (r"steuer\w{0,24}", r"idnr", r"tin", *_TAX)),
        Register("de.vat", _FIRM, r"(?i)DE[ -]?\d{3}[ -]?\d{3}[ -]?\d{3}", lambda v: mod_11_10.is_valid(digits_of(v))),
        Register("de.id", _PERSON, r"(?i)[LMNPRTVWXYCFGHJK][CFGHJKLMNPRTVWXYZ0-9]{7}\d[0-9]?", _german_card, (r"personal\w{0,8}", r"ausweis\w{0,10}", *_ID)),
        Register("de.passport", "PASSPORT", r"(?i)[CFGHJK][CFGHJKLMNPRTVWXYZ0-9]{7}\d", _icao, (r"reisepa\w{0,10}", *_PASSPORT)),
        Register("de.health", "HEALTH_PLAN", r"(?i)[A-Z]\d{9}", _german_insured, (r"egk\w{0,3}", r"kranken\w{0,24}", r"versicher\w{0,24}", r"kvnr", r"insurance")),
        Register("de.pension", _PERSON, r"(?i)\d{2} ?\d{6} ?[A-Z] ?\d{3}", _german_pension),
        Register("de.doctor", "LICENSE", r"\d{9}", _german_doctor, (r"lanr", r"arztnummer", r"arzt\w{0,10}")),
        Register("de.practice", "LICENSE", r"\d{9}", _any, (r"bsnr", r"betriebsst\w{1,6}", r"betriebsstättennummer", r"praxis\w{0,8}")),
        Register("de.driver", "DRIVER_LICENSE", r"[A-Z0-9]\d{2}[A-Z0-9]{6}\d[A-Z0-9]", _lettered, (r"führerschein\w{0,8}", r"fuehrerschein\w{0,8}", r"fahrerlaubnis\w{0,8}")),
    ),
    "ES": (
        Register("es.nie", _PERSON, r"(?i)[XYZ]-?\d{7}-?[A-Z]", stdnum.es.nie.is_valid),
        Register("es.nif", _PERSON, r"(?i)\d{7,8}-?[A-Z]", lambda v: stdnum.es.nif.is_valid(v.replace("-", "").zfill(9))),
        Register("es.passport", "PASSPORT", r"(?i)[A-Z]{3}\d{6}", _any, _PASSPORT),
    ),
    "FI": (
        Register("fi.hetu", _PERSON, r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]", lambda v: stdnum.fi.hetu.is_valid(v, allow_temporary=True), inside=True),
    ),
    "FR": (Register("fr.nir", _PERSON, r"[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", stdnum.fr.nir.is_valid, (r"nir", r"sécu\w{0,8}", r"s(?:e|é)curit(?:e|é)", r"insee", r"assur\w{1,10}", *_ID)),),
    "BE": (Register("be.nn", _PERSON, r"\d{2}\.?\d{2}\.?\d{2}-?\d{3}\.?\d{2}", stdnum.be.nn.is_valid, (r"rijksregister\w{0,8}", r"registre", r"niss", r"insz", *_ID)),),
    "NL": (Register("nl.bsn", _PERSON, r"\d{9}|\d{4}\.\d{2}\.\d{3}", stdnum.nl.bsn.is_valid, (r"bsn", r"burgerservicenummer", r"sofi\w{0,8}")),),
    "CH": (Register("ch.ahv", _PERSON, r"756\.?\d{4}\.?\d{4}\.?\d{2}", stdnum.ch.ssn.is_valid),),
    "IT": (
        Register("it.fiscal", _PERSON, r"(?i)[A-Z]{6}[0-9L-NP-V]{2}[A-EHLMPR-T][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z]", lambda v: stdnum.it.codicefiscale.is_valid(v) or v[:6].isalpha() and v[6:8].isdigit()),
        Register("it.passport", "PASSPORT", r"(?i)[A-Z]{2}\d{7}", _any, _PASSPORT),
        Register("it.driver", "DRIVER_LICENSE", r"(?i)[A-Z]{2}\d{7}[A-Z]|U1[BCDFGHJKLMNPRSTVWXYZ0-9]{7}[A-Z]", _any, (*_DRIVER, r"licen[cs]e")),
    ),
    "IE": (Register("ie.pps", _PERSON, r"(?i)\d{7}[A-W][A-IW]?", stdnum.ie.pps.is_valid, (r"pps\w?", *_ID)),),
    "PT": (Register("pt.nif", _FIRM, r"\d{9}|\d{3} \d{3} \d{3}", stdnum.pt.nif.is_valid, (r"nif", r"contribuinte", *_TAX)),),
    "PL": (Register("pl.pesel", _PERSON, _SPACED_11, stdnum.pl.pesel.is_valid, (r"pesel", *_ID)),),
    "CZ": (Register("cz.rc", _PERSON, r"\d{6}/?\d{3,4}", stdnum.cz.rc.is_valid, (r"rodné", r"rodne", r"rč", r"rc", *_ID)),),
    "RO": (Register("ro.cnp", _PERSON, r"[1-9]\d{12}", stdnum.ro.cnp.is_valid, (r"cnp", *_ID)),),
    "HR": (Register("hr.oib", _PERSON, _SPACED_11, stdnum.hr.oib.is_valid, (r"oib", *_ID)),),
    "SE": (
        Register("se.personnummer", _PERSON, r"(?:18|19|20)\d{6}[-+]?\d{4}", stdnum.se.personnummer.is_valid, inside=True),
        Register("se.personnummer", _PERSON, r"\d{6}[-+]\d{4}", stdnum.se.personnummer.is_valid),
        Register("se.orgnr", _FIRM, r"\d{2}[2-9]\d{3}-\d{4}", stdnum.se.orgnr.is_valid),
        Register("se.orgnr", _FIRM, r"\d{10}", stdnum.se.orgnr.is_valid, (r"org\w{0,20}", r"compan\w{1,3}", r"företag\w{0,4}", *_ID)),
    ),
    "DK": (Register("dk.cpr", _PERSON, r"\d{6}-?\d{4}", stdnum.dk.cpr.is_valid, (r"cpr\w{0,8}", r"personnummer", *_ID)),),
    "NO": (Register("no.fodselsnummer", _PERSON, r"\d{6} ?\d{5}", stdnum.no.fodselsnummer.is_valid, (r"f(?:o|ø)dselsn\w{1,6}", r"personn\w{1,6}", *_ID)),),
    "TR": (Register("tr.id", _PERSON, _SPACED_11, _turkish, (r"t\.?c\.?", r"kimlik", r"kişi", r"vatanda\w{0,4}", *_ID)),),
    "IL": (Register("il.id", _PERSON, r"\d{9}", stdnum.il.idnr.is_valid, (r"teudat", r"israeli id")),),
    "ZA": (Register("za.id", _PERSON, r"\d{13}|\d{6} \d{4} \d{2} \d", lambda v: _south_african(digits_of(v)), (*_ID, r"rsa", r"sa", r"number", r"south african")),),
    "NG": (Register("ng.nin", _PERSON, _SPACED_11, lambda v: verhoeff.is_valid(v), (r"nin", *_ID)),),
    "IN": (
        Register("in.aadhaar", _PERSON, r"[2-9]\d{3}[ :-]\d{4}[ :-]\d{4}", lambda v: stdnum.in_.aadhaar.is_valid(digits_of(v))),
        Register("in.aadhaar", _PERSON, r"[2-9]\d{11}", stdnum.in_.aadhaar.is_valid, (r"aadhaa?r", r"uidai", r"uid", *_ID)),
        Register("in.pan", _FIRM, r"(?i)[A-Z]{3}[ABCFGHLJPTK][A-Z]\d{4}[A-Z]", _any, (r"pan", *_TAX, *_ID)),
        Register("in.pan", _FIRM, r"(?i)[A-Z]{5}\d{4}[A-Z]|[A-Z]\d{4}[A-Z]{5}", _any, (r"pan", *_TAX)),
        Register("in.gstin", _FIRM, r"\d{2}[A-Z]{5}\d{4}[A-Z][0-9A-Z]Z[0-9A-Z]", _gstin),
        Register("in.voter", _PERSON, r"(?i)[A-Z]{3}\d{7}", _any, (r"vot\w{1,4}", r"epic", r"election", r"elector\w{0,3}")),
        Register("in.passport", "PASSPORT", r"(?i)[A-PR-WY][1-9]\d{6}", _any, _PASSPORT),
    ),
    "KR": (
        Register("kr.rrn", _PERSON, r"\d{6}-?[1-4]\d{6}", _korean("1234"), (r"rrn", r"resident\w{0,3}", r"주민\w{0,20}", *_ID)),
        Register("kr.rrn", _PERSON, r"\d{6}-[1-4]\d{6}", _korean("1234")),
        Register("kr.frn", _PERSON, r"\d{6}-?[5-8]\d{6}", _korean("5678"), (r"frn", r"foreign\w{0,3}", r"외국인\w{0,20}", *_ID)),
        Register("kr.frn", _PERSON, r"\d{6}-[5-8]\d{6}", _korean("5678")),
        Register("kr.brn", _FIRM, r"\d{3}-?\d{2}-?\d{5}", stdnum.kr.brn.is_valid, (r"brn", r"business", r"사업자\w{0,20}")),
        Register("kr.driver", "DRIVER_LICENSE", r"(?:1[1-9]|2[0-8])[- ]\d{2}[- ]\d{6}[- ]\d{2}", _any),
        Register("kr.driver", "DRIVER_LICENSE", r"(?:1[1-9]|2[0-8])\d{10}", _any, _DRIVER),
        Register("kr.passport", "PASSPORT", r"(?i)[MSRODG](?:\d{3}[A-Z]\d{4}|\d{8})", _any, (*_PASSPORT, "여권", "여권번호")),
    ),
    "SG": (
        Register("sg.nric", _PERSON, r"(?i)[STFGM]\d{7}[A-Z]", _singapore),
        Register("sg.uen", _FIRM, r"(?:19|20)\d{7}[A-Z]|[TSR]\d{2}[A-Z]{2}\d{4}[A-Z]|\d{8}[A-Z]", stdnum.sg.uen.is_valid),
    ),
    "TH": (
        Register("th.pin", _PERSON, r"[1-8]\d{12}|[1-8]-\d{4}-\d{5}-\d{2}-\d", _thai, ("เลขประจำตัวประชาชน", "เลขบัตรประชาชน", "ประชาชน", *_ID)),
    ),
    "PH": (
        Register("ph.tin", _FIRM, r"\d{3}-\d{3}-\d{3}(?:-\d{3,5})?", _philippine_tin, (*_TAX, r"bir", *_ID)),
        Register("ph.tin", _FIRM, r"\d{9}(?:\d{3,5})?", _philippine_tin, (*_TAX, r"bir")),
    ),
    "CN": (Register("cn.ric", _PERSON, r"[1-9]\d{16}[0-9Xx]", stdnum.cn.ric.is_valid),),
    "BR": (
        Register("br.cpf", _PERSON, r"\d{3}\.\d{3}\.\d{3}-\d{2}", stdnum.br.cpf.is_valid),
        Register("br.cpf", _PERSON, _SPACED_11, stdnum.br.cpf.is_valid, (r"cpf", *_ID)),
        Register("br.cnpj", _FIRM, r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}", stdnum.br.cnpj.is_valid),
    ),
    "MX": (Register("mx.curp", _PERSON, r"(?i)[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d", stdnum.mx.curp.is_valid),),
    "CL": (Register("cl.rut", _PERSON, r"(?i)\d{1,2}\.\d{3}\.\d{3}-[0-9K]|\d{7,8}-[0-9K]", stdnum.cl.rut.is_valid, (r"rut", r"run", *_ID)),),
}
COUNTRIES = tuple(sorted(REGISTERS))


def registers(type: str, countries: tuple[str, ...] | None) -> list[Shape]:
    """The registers of `type`, of the countries named, or of all."""
    chosen = COUNTRIES if countries is None else countries
    return [_shape(register) for country in chosen for register in REGISTERS.get(country, ()) if register.type == type]


def _shape(register: Register) -> Shape:
    def accept(candidate: Candidate) -> bool:
        return (register.inside or apart(candidate)) and register.check(candidate.value)

    score = 1.0 if not register.words else 0.85 if register.check is not _any else 0.6
    return Shape(
        register.type, register.name, register.pattern, accept, register.words, score=score, inside=register.inside
    )
