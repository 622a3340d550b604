"""Numbers of states, makers and banks, by hand-made cases: specimens that authorities print, and near misses."""

import pytest

from corpus.deidentify.checks import dea
from corpus.deidentify.profiles import TYPES, Search, scanner
from corpus.deidentify.vehicle import vin_checks

SCAN = scanner(Search("hipaa_safe_harbor"), frozenset(TYPES))
CODE = scanner(Search("code"), frozenset({"SECRET", "EMAIL"}))


def found(text: str) -> list[tuple[str, str, str]]:
    data = text.encode()
    return [(span.type, span.recogniser, data[span.start : span.end].decode()) for span in SCAN.find(data)]


@pytest.mark.parametrize(
    ("text", "type", "recogniser"),
    [
        ("NHS number 943 476 5919 was checked", "NATIONAL_ID", "gb.nhs"),  # the NHS data dictionary's example
        ("his NINO is AB123456C", "NATIONAL_ID", "gb.nino"),
        ("codice fiscale RSSMRA85T10A562S", "NATIONAL_ID", "it.fiscal"),
        ("DNI 12345678Z", "NATIONAL_ID", "es.nif"),
        ("hetu 131052-308T", "NATIONAL_ID", "fi.hetu"),
        ("CPF 529.982.247-25", "NATIONAL_ID", "br.cpf"),
        ("USt-IdNr. DE136695976", "TAX_ID", "de.vat"),
        ("ITIN 911-70-1234", "TAX_ID", "us.itin"),
        ("NPI 1234567893", "LICENSE", "us.npi"),
        ("passport no. A12803456", "PASSPORT", "us.passport"),
        ("VIN 1M8GDM9AXKP042788", "VEHICLE", "vin"),  # the example of 49 CFR 565
        ("plate number AB51 ABC", "VEHICLE", "gb.plate"),
        ("wire to SWIFT DEUTDEFF500", "BANK", "swift"),
        ("routing number 111000025", "BANK", "us.routing"),
        ("account number 0123456789", "ACCOUNT", "account.labelled"),
        ("fingerprint template id FP-20391", "BIOMETRIC", "biometric.labelled"),
        ("photograph: IMG_20391.jpg", "PHOTO", "photo.file"),
        ("send to 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "CRYPTO", "crypto.base58"),
        ("or bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "CRYPTO", "crypto.bech32"),  # BIP 173
        ("serial number: 8812-3345", "DEVICE", "device.labelled"),
        ("medical license number: MD-48213", "LICENSE", "license.labelled"),
        ("login jdoe42 password hunter2x", "SECRET", "password.login"),
    ],
)
def test_a_number_is_found_by_its_recogniser(text, type, recogniser):
    assert (type, recogniser) in [(kind, name) for kind, name, _ in found(text)]


@pytest.mark.parametrize(
    "text",
    [
        "NHS number 943-476 5918x was checked",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
        "part 1M8GDM9AXKP042789 fits",
        "a hash d41d8cd98f00b204e9800998ecf8427e",
        "between 1914 and 1918 some 123,456,789 shells",
        "call sign KA53ME",
        "BUNDLED WITH 2.3.4",
    ],
)
def test_a_near_miss_is_left_alone(text):
    assert found(text) == []


def test_checks_by_hand():
    assert dea("AB1234563") and not dea("AB1234564")  # 1+3+5 + 2·(2+4+6) = 33
    assert vin_checks("11111111111111111")  # the classic: all ones pass


def test_countries_are_the_recipes_choice():
    only_us = scanner(Search("hipaa_safe_harbor", countries=("US",)), frozenset({"NATIONAL_ID"}))
    assert only_us.find(b"DNI 12345678Z") == []


def secrets(text: str) -> list[str]:
    data = text.encode()
    return [data[span.start : span.end].decode() for span in CODE.find(data) if span.type == "SECRET"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('api_key = "Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB"', "Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB"),
        ("https://ana:s3cr3tpw@db.internal/x", "ana:s3cr3tpw"),
        ("token: ghp_" + "a1B2c3D4e5F6" * 3, "ghp_" + "a1B2c3D4e5F6" * 3),
        ("curl -u ana:s3cr3tpw https://x.org", "ana:s3cr3tpw"),
        ('password = "thisIsDog11"', "thisIsDog11"),
    ],
)
def test_a_secret_is_found(text, value):
    assert value in secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "version = 1.2.3-rc.4+build.5678",
        '"integrity": "sha512-Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznBZf3D0LXCM3EIMbgJpUNnkRtOfOueHznB=="',
        "git clone git@github.com:acme/tool.git",
        'REQUEST_ID = "123e4567-e89b-12d3-a456-426614174000"',
        'password = os.environ["DB_PASSWORD"]',
        "token = tokenizer.next_token(line_number)",
        "https://user:${PASSWORD}@host/",
        'api_key = "your-api-key-here"',
        'hash = "d41d8cd98f00b204e9800998ecf8427e"',
        "commit 0a1771d5c3f1b2a49e8f7c6d5b4a39281706f5e4",
    ],
)
def test_what_only_looks_like_a_secret_is_left_alone(text):
    assert secrets(text) == []


def test_addresses_in_licence_headers_stay_where_the_recipe_says_so():
    header = b"# Copyright (c) 2019 Ana Perez <ana.perez@uni-koeln.de>\nmail('bob@uni-koeln.de')"
    keeping = scanner(Search("code", license_headers="keep"), frozenset({"EMAIL"}))
    assert [header[s.start : s.end] for s in keeping.find(header)] == [b"bob@uni-koeln.de"]
    assert len(CODE.find(header)) == 2
