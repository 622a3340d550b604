"""Recognisers of the numbers that states give to people and firms, by country.

The check of each number is python-stdnum's where it has one. Digits alone say little, so most need a word near them, in
the country's language or in English; forms with letters in fixed places and a check digit speak for themselves.
"""

from typing import NamedTuple

from stdnum import get_cc_module, verhoeff
from stdnum.iso7064 import mod_11_10

from corpus.deidentify import checkdigits, checks
from corpus.deidentify.checks import Check
from corpus.deidentify.payment import apart, digits_of
from corpus.deidentify.recogniser import Candidate, Shape
from corpus.deidentify.reserved import RECORD_MARK


class Register(NamedTuple):
    """One kind of number: `words` without which it is none, unless it stands alone; `inside`: a letter may touch it;
    `gated`: it may begin as any word does, and is looked for only in documents where re2 finds the form."""

    name: str
    type: str
    pattern: str
    check: Check
    words: tuple[str, ...] = ()
    inside: bool = False
    gated: bool = False


def _check(country: str, number: str) -> Check:
    """python-stdnum's own check of a number."""
    module = get_cc_module(country, number)
    assert module is not None

    def check(value: str) -> bool:
        try:
            return bool(module.is_valid(value))
        except (LookupError, ValueError):  # cn.ric looks for a county in provinces that have none
            return False

    return check


_ID = (
    r"id(?:entity|entification)?(?: ?(?:code|card|number|no\.?|nr\.?))?",
    r"national id\w{0,10}",
    r"personal (?:id|code|number)",
)
_TAX = (r"tax\w{0,6}", r"tin", r"vat", r"fiscal")
_PASSPORT = (
    *(
        r"passports?",
        r"travel document",
        r"pasaporte",
        r"passaporto",
        r"passeport",
        r"reisepass",
        r"pass",
        r"여권\w{0,9}",
    ),
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
        Register("us.itin", _FIRM, r"9\d{2}[- ]?\d{2}[- ]?\d{4}", checks.itin, (r"itin", *_TAX)),
        Register("us.itin", _FIRM, r"9\d{2}-(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])-\d{4}", checks.itin),
        Register("us.passport", "PASSPORT", r"(?i)[A-Z]\d{8}|\d{9}", checks.anything, (*_PASSPORT, r"travel \w{1,12}")),
        Register(
            "us.driver",
            "DRIVER_LICENSE",
            r"(?i)[A-Z]{0,3}\d{5,14}[A-Z]?|[A-Z]\d{3}-\d{3,4}-\d{2,4}-\d{3,4}(?:-\d)?|[A-Z]\d{2}-\d{2}-\d{4}",
            checks.anything,
            _DRIVER,
        ),
        Register(
            "us.npi", "LICENSE", r"[12]\d{9}|[12]\d{3}-\d{3}-\d{3}", checks.npi, (r"npi", r"provider\w?", r"prescriber")
        ),
        Register(
            "us.dea", "LICENSE", r"(?i)[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}|[A-Z]\d{8}", checks.dea, (r"dea", r"prescriber")
        ),
        Register("us.dea", "LICENSE", r"[ABCDEFGHJKLMPRSTUX][A-Z]\d{7}", checks.dea),
    ),
    "CA": (
        Register(
            "ca.sin",
            _PERSON,
            r"\d{3}([ -]?)\d{3}[ -]?\d{3}",
            _check("ca", "sin"),
            (r"sin", r"nas", r"social insurance", r"assurance sociale"),
        ),
    ),
    "AU": (
        Register(
            "au.abn", _FIRM, r"\d{2} ?\d{3} ?\d{3} ?\d{3}", _check("au", "abn"), (r"abn", r"business number", *_TAX)
        ),
        Register("au.acn", _FIRM, r"\d{3} ?\d{3} ?\d{3}", _check("au", "acn"), (r"acn", r"company number")),
        Register("au.tfn", _FIRM, r"\d{3} ?\d{3} ?\d{3}", _check("au", "tfn"), (r"tfn", *_TAX)),
        Register("au.medicare", "HEALTH_PLAN", r"\d{4} ?\d{5} ?\d", checks.australian_medicare, (r"medicare",)),
    ),
    "GB": (
        Register(
            "gb.nhs",
            _PERSON,
            r"\d{3}[ -]?\d{3}[ -]?\d{4}",
            _check("gb", "nhs"),
            (r"nhs", r"national health\w{0,2}", r"health service"),
        ),
        Register("gb.nino", _PERSON, r"(?i)[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]", checks.nino),
        Register(
            "gb.trn",
            _FIRM,
            r"\d{2} ?[A-Z] ?\d{3} ?\d{2}",
            checks.anything,
            (r"trn", r"paye", r"reference", r"insurance", r"numbers?", r"payslip", r"p60"),
        ),
        Register(
            "gb.driver",
            "DRIVER_LICENSE",
            r"(?i)[A-Z]{2}[A-Z9]{3} ?\d[0156]\d ?(?:[0-2]\d|3[01])\d ?[A-Z][A-Z9][A-Z0-9]{2}[A-Z](?: ?\d{2})?",
            checks.anything,
            gated=True,
        ),
        Register("gb.passport", "PASSPORT", r"(?i)[A-Z]{2}\d{7}", checks.anything, _PASSPORT),
    ),
    "DE": (
        Register(
            "de.tax",
            _FIRM,
            r"\d{11}|\d{2} \d{3} \d{3} \d{3}",
            checks.german_tax,
            (r"steuer\w{0,24}", r"idnr", r"tin", *_TAX),
        ),
        Register("de.vat", _FIRM, r"(?i)DE[ -]?\d{3}[ -]?\d{3}[ -]?\d{3}", lambda v: mod_11_10.is_valid(digits_of(v))),
        Register(
            "de.id",
            _PERSON,
            r"(?i)[LMNPRTVWXYCFGHJK][CFGHJKLMNPRTVWXYZ0-9]{7}\d[0-9]?",
            checks.german_card,
            (r"personal\w{0,8}", r"ausweis\w{0,10}", *_ID),
        ),
        Register(
            "de.passport",
            "PASSPORT",
            r"(?i)[CFGHJK][CFGHJKLMNPRTVWXYZ0-9]{7}\d",
            checks.icao,
            (r"reisepa\w{0,10}", *_PASSPORT),
        ),
        Register(
            "de.health",
            "HEALTH_PLAN",
            r"(?i)[A-Z]\d{9}",
            checks.german_insured,
            (r"egk\w{0,3}", r"kranken\w{0,24}", r"versicher\w{0,24}", r"kvnr", r"insurance"),
        ),
        Register("de.pension", _PERSON, r"(?i)\d{2} ?\d{6} ?[A-Z] ?\d{3}", checks.german_pension),
        Register("de.doctor", "LICENSE", r"\d{9}", checks.german_doctor, (r"lanr", r"arztnummer", r"arzt\w{0,10}")),
        Register(
            "de.practice",
            "LICENSE",
            r"\d{9}",
            checks.anything,
            (r"bsnr", r"betriebsst\w{1,6}", r"betriebsstättennummer", r"praxis\w{0,8}"),
        ),
        Register(
            "de.driver",
            "DRIVER_LICENSE",
            r"[A-Z0-9]\d{2}[A-Z0-9]{6}\d[A-Z0-9]",
            checks.lettered,
            (r"führerschein\w{0,8}", r"fuehrerschein\w{0,8}", r"fahrerlaubnis\w{0,8}"),
        ),
    ),
    "ES": (
        Register("es.nie", _PERSON, r"(?i)[XYZ]-?\d{7}-?[A-Z]", _check("es", "nie")),
        Register("es.nif", _PERSON, r"(?i)\d{7,8}-?[A-Z]", lambda v: _check("es", "nif")(v.replace("-", "").zfill(9))),
        Register("es.passport", "PASSPORT", r"(?i)[A-Z]{3}\d{6}", checks.anything, _PASSPORT),
    ),
    "FI": (
        Register(
            "fi.hetu",
            _PERSON,
            r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]",
            checks.finnish,
            inside=True,
        ),
    ),
    "FR": (
        Register(
            "fr.nir",
            _PERSON,
            r"[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}",
            _check("fr", "nir"),
            (r"nir", r"sécu\w{0,8}", r"s(?:e|é)curit(?:e|é)", r"insee", r"assur\w{1,10}", *_ID),
        ),
    ),
    "BE": (
        Register(
            "be.nn",
            _PERSON,
            r"\d{2}\.?\d{2}\.?\d{2}-?\d{3}\.?\d{2}",
            _check("be", "nn"),
            (r"rijksregister\w{0,8}", r"registre", r"niss", r"insz", *_ID),
        ),
    ),
    "NL": (
        Register(
            "nl.bsn",
            _PERSON,
            r"\d{9}|\d{4}\.\d{2}\.\d{3}",
            _check("nl", "bsn"),
            (r"bsn", r"burgerservicenummer", r"sofi\w{0,8}"),
        ),
    ),
    "CH": (Register("ch.ahv", _PERSON, r"756\.?\d{4}\.?\d{4}\.?\d{2}", _check("ch", "ssn")),),
    "IT": (
        Register(
            "it.fiscal",
            _PERSON,
            r"(?i)[A-Z]{6}[0-9L-NP-V]{2}[A-EHLMPR-T][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z]",
            lambda v: _check("it", "codicefiscale")(v) or (v[:6].isalpha() and v[6:8].isdigit()),
            gated=True,
        ),
        Register("it.passport", "PASSPORT", r"(?i)[A-Z]{2}\d{7}", checks.anything, _PASSPORT),
        Register(
            "it.driver",
            "DRIVER_LICENSE",
            r"(?i)[A-Z]{2}\d{7}[A-Z]|U1[BCDFGHJKLMNPRSTVWXYZ0-9]{7}[A-Z]",
            checks.anything,
            (*_DRIVER, r"licen[cs]e"),
        ),
    ),
    "IE": (Register("ie.pps", _PERSON, r"(?i)\d{7}[A-W][A-IW]?", _check("ie", "pps"), (r"pps\w?", *_ID)),),
    "PT": (
        Register("pt.nif", _FIRM, r"\d{9}|\d{3} \d{3} \d{3}", _check("pt", "nif"), (r"nif", r"contribuinte", *_TAX)),
    ),
    "PL": (Register("pl.pesel", _PERSON, _SPACED_11, _check("pl", "pesel"), (r"pesel", *_ID)),),
    "CZ": (
        Register("cz.rc", _PERSON, r"\d{6}/?\d{3,4}", _check("cz", "rc"), (r"rodné", r"rodne", r"rč", r"rc", *_ID)),
    ),
    "RO": (Register("ro.cnp", _PERSON, r"[1-9]\d{12}", _check("ro", "cnp"), (r"cnp", *_ID)),),
    "HR": (Register("hr.oib", _PERSON, _SPACED_11, _check("hr", "oib"), (r"oib", *_ID)),),
    "SE": (
        Register("se.personnummer", _PERSON, r"(?:18|19|20)\d{6}[-+]?\d{4}", _check("se", "personnummer"), inside=True),
        Register("se.personnummer", _PERSON, r"\d{6}[-+]\d{4}", _check("se", "personnummer")),
        Register("se.orgnr", _FIRM, r"\d{2}[2-9]\d{3}-\d{4}", _check("se", "orgnr")),
        Register(
            "se.orgnr",
            _FIRM,
            r"\d{10}",
            _check("se", "orgnr"),
            (r"org\w{0,20}", r"compan\w{1,3}", r"företag\w{0,4}", *_ID),
        ),
    ),
    "DK": (Register("dk.cpr", _PERSON, r"\d{6}-?\d{4}", _check("dk", "cpr"), (r"cpr\w{0,8}", r"personnummer", *_ID)),),
    "NO": (
        Register(
            "no.fodselsnummer",
            _PERSON,
            r"\d{6} ?\d{5}",
            _check("no", "fodselsnummer"),
            (r"f(?:o|ø)dselsn\w{1,6}", r"personn\w{1,6}", *_ID),
        ),
    ),
    "TR": (
        Register(
            "tr.id",
            _PERSON,
            _SPACED_11,
            _check("tr", "tckimlik"),
            (r"t\.?c\.?", r"kimlik", r"kişi", r"vatanda\w{0,4}", *_ID),
        ),
    ),
    "IL": (Register("il.id", _PERSON, r"\d{9}", _check("il", "idnr"), (r"teudat", r"israeli id")),),
    "ZA": (
        Register(
            "za.id",
            _PERSON,
            r"\d{13}|\d{6} \d{4} \d{2} \d",
            lambda v: checks.south_african(digits_of(v)),
            (*_ID, r"rsa", r"sa", r"number", r"south african"),
        ),
    ),
    "NG": (Register("ng.nin", _PERSON, _SPACED_11, lambda v: verhoeff.is_valid(v), (r"nin", *_ID)),),
    "IN": (
        Register(
            "in.aadhaar",
            _PERSON,
            r"[2-9]\d{3}[ :-]\d{4}[ :-]\d{4}",
            lambda v: _check("in", "aadhaar")(digits_of(v)),
        ),
        Register("in.aadhaar", _PERSON, r"[2-9]\d{11}", _check("in", "aadhaar"), (r"aadhaa?r", r"uidai", r"uid", *_ID)),
        Register("in.pan", _FIRM, r"(?i)[A-Z]{3}[ABCFGHLJPTK][A-Z]\d{4}[A-Z]", checks.anything, (r"pan", *_TAX, *_ID)),
        Register("in.pan", _FIRM, r"(?i)[A-Z]{5}\d{4}[A-Z]|[A-Z]\d{4}[A-Z]{5}", checks.anything, (r"pan", *_TAX)),
        Register("in.gstin", _FIRM, r"\d{2}[A-Z]{5}\d{4}[A-Z][0-9A-Z]Z[0-9A-Z]", checks.gstin),
        Register(
            "in.voter",
            _PERSON,
            r"(?i)[A-Z]{3}\d{7}",
            checks.anything,
            (r"vot\w{1,4}", r"epic", r"election", r"elector\w{0,3}"),
        ),
        Register("in.passport", "PASSPORT", r"(?i)[A-PR-WY][1-9]\d{6}", checks.anything, _PASSPORT),
    ),
    "KR": (
        Register(
            "kr.rrn",
            _PERSON,
            r"\d{6}-?[1-4]\d{6}",
            checks.korean("1234"),
            (r"rrn", r"resident\w{0,3}", r"주민\w{0,20}", *_ID),
        ),
        Register("kr.rrn", _PERSON, r"\d{6}-[1-4]\d{6}", checks.korean("1234")),
        Register(
            "kr.frn",
            _PERSON,
            r"\d{6}-?[5-8]\d{6}",
            checks.korean("5678"),
            (r"frn", r"foreign\w{0,3}", r"외국인\w{0,20}", *_ID),
        ),
        Register("kr.frn", _PERSON, r"\d{6}-[5-8]\d{6}", checks.korean("5678")),
        Register(
            "kr.brn", _FIRM, r"\d{3}-?\d{2}-?\d{5}", _check("kr", "brn"), (r"brn", r"business", r"사업자\w{0,20}")
        ),
        Register("kr.driver", "DRIVER_LICENSE", r"(?:1[1-9]|2[0-8])[- ]\d{2}[- ]\d{6}[- ]\d{2}", checks.anything),
        Register("kr.driver", "DRIVER_LICENSE", r"(?:1[1-9]|2[0-8])\d{10}", checks.anything, _DRIVER),
        Register(
            "kr.passport",
            "PASSPORT",
            r"(?i)[MSRODG](?:\d{3}[A-Z]\d{4}|\d{8})",
            checks.anything,
            (*_PASSPORT, "여권", "여권번호"),
        ),
    ),
    "SG": (
        Register("sg.nric", _PERSON, r"(?i)[STFGM]\d{7}[A-Z]", checks.singapore),
        Register("sg.uen", _FIRM, r"(?:19|20)\d{7}[A-Z]|[TSR]\d{2}[A-Z]{2}\d{4}[A-Z]|\d{8}[A-Z]", _check("sg", "uen")),
    ),
    "TH": (
        Register(
            "th.pin",
            _PERSON,
            r"[1-8]\d{12}|[1-8]-\d{4}-\d{5}-\d{2}-\d",
            checks.thai,
            ("เลขประจำตัวประชาชน", "เลขบัตรประชาชน", "ประชาชน", *_ID),
        ),
    ),
    "PH": (
        Register("ph.tin", _FIRM, r"\d{3}-\d{3}-\d{3}(?:-\d{3,5})?", checks.philippine_tin, (*_TAX, r"bir", *_ID)),
        Register("ph.tin", _FIRM, r"\d{9}(?:\d{3,5})?", checks.philippine_tin, (*_TAX, r"bir")),
    ),
    "CN": (Register("cn.ric", _PERSON, r"[1-9]\d{16}[0-9Xx]", _check("cn", "ric")),),
    "BR": (
        Register("br.cpf", _PERSON, r"\d{3}\.\d{3}\.\d{3}-\d{2}", _check("br", "cpf")),
        Register("br.cpf", _PERSON, _SPACED_11, _check("br", "cpf"), (r"cpf", *_ID)),
        Register("br.cnpj", _FIRM, r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}", _check("br", "cnpj")),
    ),
    "MX": (Register("mx.curp", _PERSON, r"(?i)[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d", _check("mx", "curp")),),
    "CL": (
        Register(
            "cl.rut",
            _PERSON,
            r"(?i)\d{1,2}\.\d{3}\.\d{3}-[0-9K]|\d{7,8}-[0-9K]",
            _check("cl", "rut"),
            (r"rut", r"run", *_ID),
        ),
    ),
}
COUNTRIES = tuple(sorted(REGISTERS))


def registers(type: str, countries: tuple[str, ...] | None) -> list[Shape]:
    """The registers of `type`, of the countries named, or of all."""
    chosen = COUNTRIES if countries is None else countries
    return [_shape(register) for country in chosen for register in REGISTERS.get(country, ()) if register.type == type]


def _shape(register: Register) -> Shape:
    def accept(candidate: Candidate) -> bool:
        marked = candidate.value[:2].upper() == RECORD_MARK  # our own surrogate
        return not marked and (register.inside or apart(candidate)) and register.check(candidate.value)

    score = 1.0 if not register.words else 0.85 if register.check is not checks.anything else 0.6
    return Shape(
        register.type,
        register.name,
        register.pattern,
        accept,
        register.words,
        score=score,
        inside=register.inside,
        gate=register.pattern if register.gated else "",
        apart=not register.inside,
        sieve=checkdigits.sieve(
            register.name, apart=not register.inside, checked=register.check is not checks.anything
        ),
    )
