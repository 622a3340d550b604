"""Each recogniser by hand-made cases: what it must find, and what only looks like it. No value here is a person's."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from corpus.deidentify.payment import luhn
from corpus.deidentify.profiles import DEFAULT_TYPES, TYPES, Search, scanner
from corpus.deidentify.recogniser import characters

PROFILES = {profile: scanner(Search(profile), frozenset(TYPES)) for profile in ("web", "code", "hipaa_safe_harbor")}


def found(text: str, profile: str = "hipaa_safe_harbor") -> list[tuple[str, str]]:
    data = text.encode()
    return [(span.type, text[span.start : span.end]) for span in characters(data, PROFILES[profile].find(data))]


@pytest.mark.parametrize(
    ("text", "type", "value"),
    [
        ("write to ana.perez+lab@uni-koeln.de, please", "EMAIL", "ana.perez+lab@uni-koeln.de"),
        ("José@correo.com.mx", "EMAIL", "José@correo.com.mx"),
        ("邮箱li.wei@qq.com。", "EMAIL", "li.wei@qq.com"),
        ("<o'neil@example.org>", "EMAIL", "o'neil@example.org"),
        ("root@[10.20.30.40]", "EMAIL", "root@[10.20.30.40]"),
        ("my e-mail is jo at gmail.com", "EMAIL", "jo at gmail.com"),
        ("jo.doe [at] clinic [dot] org", "EMAIL", "jo.doe [at] clinic [dot] org"),
        ("(212) 736-5000", "PHONE", "(212) 736-5000"),
        ("212-736-5000 x12 is hers", "PHONE", "212-736-5000 x12"),
        ("+44 20 7946 0958", "PHONE", "+44 20 7946 0958"),
        ("reach him at 0171 388 2210", "PHONE", "0171 388 2210"),
        ("Phone: 467 3395", "PHONE", "467 3395"),
        ("455 6186 office", "PHONE", "455 6186"),
        ("SSN 514-69-0360", "SSN", "514-69-0360"),
        ("ssn: 514690360", "SSN", "514690360"),
        ("514 69 0360", "SSN", "514 69 0360"),
        ("paid with 4111 1111 1111 1111", "CREDIT_CARD", "4111 1111 1111 1111"),
        ("378282246310005", "CREDIT_CARD", "378282246310005"),
        ("from 81.2.69.142.", "IP", "81.2.69.142"),
        ("[2a00:1450:4001:81b::200e]:443", "IP", "2a00:1450:4001:81b::200e"),
        ("::ffff:81.2.69.142", "IP", "::ffff:81.2.69.142"),
        ("see https://portal.clinic.org/pt/23188.", "URL", "https://portal.clinic.org/pt/23188"),
        ("seen 03/14/2024 in clinic", "DATE", "03/14/2024"),
        ("on 14.3.24", "DATE", "14.3.24"),
        ("2024-03-15T14:30:00Z", "DATE", "2024-03-15T14:30:00Z"),
        ("March 3rd, 2019", "DATE", "March 3rd, 2019"),
        ("15-Mar-2020", "DATE", "15-Mar-2020"),
        ("the third of July", "DATE", "the third of July"),
        ("admitted on 9/3", "DATE", "9/3"),
        ("MRN: 3999229", "RECORD_NUMBER", "3999229"),
        ("filed under mrn 2280", "RECORD_NUMBER", "2280"),
        ("Medical record number is H22829649", "RECORD_NUMBER", "H22829649"),
        ("DOE,JANE (144-60-58) c/o cough", "RECORD_NUMBER", "144-60-58"),
        ("MBI 1EG4-TE5-MK73", "MBI", "1EG4-TE5-MK73"),
        ("GB82 WEST 1234 5698 7654 32", "IBAN", "GB82 WEST 1234 5698 7654 32"),
        ("paid 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "CRYPTO", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        (
            "wallet: 0xde709f2102306220921060314715629080e2fb77",
            "CRYPTO",
            "0xde709f2102306220921060314715629080e2fb77",
        ),
        ("00:1B:44:11:3A:B7", "MAC", "00:1B:44:11:3A:B7"),
    ],
)
def test_an_identifier_is_found_whole(text, type, value):
    assert (type, value) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png",
        "git@github.com:acme/tool.git",
        "@decorator",
        "look at gmail.com",
        "078-05-1120",  # a specimen
        "666-12-3456",  # no such area
        "912-34-5678",
        "514-69-0000",
        "1514-69-03601",
        "4111 1111 1111 1112",  # wrong check digit
        "9999999999999995",  # passes Luhn, no issuer
        "256.1.2.3",
        "version 10.2.33.4",
        "std::vector and MyClass::toString",
        "x[1::2]",
        "at 12:30:45 sharp",
        "13/45/2020",
        "rated 5/10, half of 1/2",
        "BP 142/88, HR 96, SpO2 94% on RA",
        "in 1977, during the 1980s",
        "type 1 may have more",
        "the transcription factor Oct4",
        "GenBank accession no. AF225910",
        "gene A (AY318555)",
        "bytes(10000000)",
        "GB82 WEST 1234 5698 7654 33",  # wrong check
        "hash 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",  # the case of the last letter is not the checksum's
        "commit 0xde709f2102306220921060314715629080e2fb77",  # no checksum, and no word that speaks for a coin
        "1,234,567 people on 1 234 567 km",
        "ISBN 978-3-16-148410-0",
    ],
)
def test_a_look_alike_is_left_alone(text):
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        'HOST = "127.0.0.1"  # or 0.0.0.0, 192.168.0.1',
        "requires foo==1.2.3.4",
        "git clone git@github.com:acme/tool.git",
        "@property\ndef x(self): ...",
        "# Copyright (c) 2001-2024, changed 2023-04-05",
        "SEED = 4111111111111111",
        "MAX = 2127365000",
        "https://docs.python.org/3/library/re.html?user=me",
    ],
)
def test_source_code_keeps_its_constants_dates_and_addresses(text):
    code = scanner(Search("code"), frozenset(DEFAULT_TYPES["code"]))
    assert code.find(text.encode()) == []


def test_on_the_web_only_birthdays_and_personal_urls_are_findings():
    assert found("Founded on 3 May 1921, see https://docs.python.org/3/", "web") == []
    assert found("born 3 May 1921", "web") == [("DATE", "3 May 1921")]
    assert found("https://www.facebook.com/jane.doe", "web") == [("URL", "https://www.facebook.com/jane.doe")]


def test_digits_inside_a_url_that_stays_are_protected():
    assert found("https://shop.example.com/item/212-736-5000/", "web") == []


@pytest.mark.parametrize("around", ["", "é", "患者さん", "😀", "\u0301", "\u200d"])
@pytest.mark.parametrize("value", ["ana@uni-koeln.de", "514-69-0360", "81.2.69.142"])
def test_offsets_are_characters_whatever_stands_before(around, value):
    text = f"{around} {value} {around}"
    [(_, hit)] = found(text)
    assert hit == value


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="a é患😀\u0301\n", max_size=40), st.text(alphabet="b ü字🧬\n", max_size=40))
def test_offsets_are_exact_on_any_unicode(before, after):
    text = f"{before} 514-69-0360 {after}"
    assert found(text) == [("SSN", "514-69-0360")]


def test_luhn_against_published_numbers():
    assert luhn("79927398713")  # the example of US patent 2,950,048's successors
    assert not any(luhn(f"7992739871{check}") for check in "012456789")


@pytest.mark.parametrize(
    "filler",
    [
        "a.",
        "1",
        "12 ",
        "@",
        "a@",
        "1.",
        "1-",
        "::",
        "http://",
        "(1) ",
        "mrn ",
        "May 1 ",
        "+1 ",
        "x at ",
        "[at]",
        "é",
        "/1",
    ],
)
def test_long_hostile_runs_hide_nothing_that_follows(filler):
    """300 KB of what trips backtracking patterns; re2 is linear, and what comes after must still be found."""
    text = filler * (300_000 // len(filler)) + "\n\nwrite to ana.perez@uni-koeln.de"
    assert ("EMAIL", "ana.perez@uni-koeln.de") in found(text)
