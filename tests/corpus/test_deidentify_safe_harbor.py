"""The 18 identifiers of 45 CFR 164.514(b)(2)(i), (A) to (R), planted in notes: none is left, and no more is found."""

import gzip

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given, settings

from benchmarks.shared import DATA
from corpus.deidentify import Deidentify, DeidentifySettings
from corpus.deidentify.profiles import TYPES
from corpus.document import Batch, Document

KEY = "an-unguessable-key-of-the-tests"

# By letter of the rule: notes with a value in braces, and what must not be left of it. Nobody has these values.
IDENTIFIERS: dict[str, tuple[str, ...]] = {
    "A names": (
        "Patient: {Eleanor Vance}",
        "Seen by Dr. {Kowalczyk} today.",
        "Accompanied by her son {Tobias}, who agrees.",
        "Electronically signed by {Amara Nwosu}, NP",
    ),
    "B places smaller than a state": (
        "Lives at {876 Jamie Gardens}, {East Codyborough}, CA {93291}.",
        "She resides in {Tulare} County.",
        "Mail to {P.O. Box 4471}, please.",
        "ZIP code {60614}",
    ),
    "C dates and ages over 89": (
        "DOB: {03/14}/1952",
        "Admitted {3 May} 2021 and discharged {May 9th}, 2021.",
        "Seen {2021-05-20}.",
        "A {94}-year-old woman.",
        "He died at the age of {97}.",
    ),
    "D telephone": ("Call {(212) 736-5000} x{12}.", "Mobile {+44 20 7946 0958}"),
    "E fax": ("Fax: {212-736-5001}", "Faxed to {0171 388 2210}."),
    "F e-mail": ("E-mail {ana.perez@uni-koeln.de}", "write to {jo.doe [at] clinic [dot] org}"),
    "G social security": ("SSN {514-69-0360}", "social security number {514690360}"),
    "H medical record": ("MRN: {3999229}", "Medical record number is {H22829649}.", "DOE,JANE ({144-60-58}) c/o cough"),
    "I health plan": ("insurance member id {GXB370580259}", "Medicare {1EG4-TE5-MK73}"),
    "J account": (
        "Account number: {889201734}",
        "IBAN {GB82 WEST 1234 5698 7654 32}",
        "paid with {4111 1111 1111 1111}",
    ),
    "K certificate or licence": (
        "NPI {1234567893}",
        "DEA {AB1234563}",
        "Driver's license {D1234567}",
        "nursing license number {RN482913}",
    ),
    "L vehicle": ("VIN {1HGBH41JXMN109186}", "licence plate {AB51 ABC}"),
    "M device": ("Pacemaker {SN-D3-272670X} implanted.", "Serial number {77997424}"),
    "N URL": ("Portal {https://portal.clinic.org/pt/23188}",),
    "O IP address": ("uploads from {81.2.69.142}", "host {2a00:1450:4001:81b::200e}"),
    "P biometric": ("fingerprint id {4471}", "retinal scan record {RS-55120}"),
    "Q photograph": ("See {IMG_20210503.jpg}.", "photo file: {headshot_4471.png}"),
    "R any other": ("passport {A12803456}", "NINO {AB 12 34 56 C}", "Skype user: {ana_perez88}"),
}
PLANTED = [(rule, note) for rule, notes in IDENTIFIERS.items() for note in notes]
AROUND = (
    "Chest pain for two days, worse on exertion.",
    "BP 142/88, HR 96, SpO2 94% on RA. Troponin 0.04 ng/mL.",
    "Plan: aspirin 81 mg daily, follow up in two weeks.",
    "患者は安定。😀 Zoë's wound heals.",
    "",
)


def planted(note: str) -> tuple[str, list[str]]:
    """The note and the values in it."""
    values = [part.partition("}")[0] for part in note.split("{")[1:]]
    return note.replace("{", "").replace("}", ""), values


def step(replace: str = "surrogate", **options: object) -> Deidentify:
    return Deidentify(DeidentifySettings(profile="hipaa_safe_harbor", replace=replace, **options))  # type: ignore[arg-type]


def batch(*texts: str) -> Batch:
    return Batch.of([Document(str(i), "notes", i, text, len(text.encode())) for i, text in enumerate(texts)])


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("PROVENDER_DEID_KEY", KEY)


def test_there_are_eighteen():
    assert [rule[0] for rule in IDENTIFIERS] == list("ABCDEFGHIJKLMNOPQR")


@pytest.mark.parametrize("replace", ["surrogate", "tag"])
@pytest.mark.parametrize(("rule", "note"), PLANTED)
def test_a_planted_identifier_is_gone(rule, note, replace):
    text, values = planted(note)
    masked = step(replace).process(batch(text)).text[0].as_py()
    assert [value for value in values if value in masked] == []


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(PLANTED), min_size=2, max_size=7, unique=True),
    st.lists(st.sampled_from(AROUND), min_size=7, max_size=7),
    st.sampled_from(["\n", "\n\n", "  ", " "]),
    st.sampled_from(["surrogate", "tag"]),
)
def test_notes_of_many_identifiers_keep_none_and_a_second_pass_finds_nothing(chosen, around, between, replace):
    texts, values = zip(*(planted(note) for _, note in chosen), strict=True)
    text = between.join(part for pair in zip(around, texts, strict=False) for part in pair if part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROVENDER_DEID_KEY", KEY)
        once = step(replace).process(batch(text))
        masked = once.text[0].as_py()
        # The few that are short or plain words may stand elsewhere for something else.
        assert [v for own in values for v in own if len(v) > 3 and v in masked] == []
        again = step(replace).process(once)
        assert again["deidentify.spans"].to_pylist() == [[]] and again.text.equals(once.text)


def every_case(file: str) -> list[str]:
    data = (DATA / file).read_bytes()
    lines = (gzip.decompress(data) if file.endswith(".gz") else data).splitlines()
    return [orjson.loads(line)["text"] for line in lines]


@pytest.mark.skipif(not (DATA / "pii/cases.jsonl").exists(), reason="the labelled cases are not on this machine")
@pytest.mark.parametrize("file", ["pii/cases.jsonl", "secrets/cases.jsonl.gz"])
@pytest.mark.parametrize(
    ("profile", "replace"),
    [("hipaa_safe_harbor", "surrogate"), ("hipaa_safe_harbor", "tag"), ("web", "surrogate"), ("code", "tag")],
)
def test_a_second_pass_over_every_labelled_case_finds_nothing(file, profile, replace):
    """Alone and one after the other in one document."""
    texts = every_case(file)
    own = Deidentify(DeidentifySettings(profile=profile, replace=replace))
    for documents in (texts, ["\n".join(texts[i : i + 20]) for i in range(0, len(texts), 20)]):
        once = own.process(batch(*documents))
        again = own.process(once)
        left = [row for row, spans in enumerate(again["deidentify.spans"].to_pylist()) if spans]
        assert left == []


def test_every_type_is_planted():
    """No type of the profile is without a planted value, but those that other types' notes cover."""
    planted_types: set[str] = set()
    for _, note in PLANTED:
        found = step("tag").process(batch(planted(note)[0]))["deidentify.counts"].to_pylist()[0]
        planted_types.update(count["key"] if isinstance(count, dict) else count[0] for count in found)
    assert set(TYPES) - planted_types <= {"BANK", "CRYPTO", "MAC", "ORGANIZATION", "SECRET", "TAX_ID"}
