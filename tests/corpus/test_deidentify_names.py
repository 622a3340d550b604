"""Names, organisations, places, ages and rarer dates: what is found, what is let stand, and that it ends."""

from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from invented_notes import notes

from benchmarks.shared import DATA
from corpus.deidentify import Deidentify, DeidentifySettings
from corpus.deidentify.evaluate import score
from corpus.deidentify.generalise import GENERALISERS
from corpus.deidentify.lexicon import lexicon
from corpus.deidentify.profiles import Search, scanner
from corpus.deidentify.recogniser import characters
from corpus.deidentify.reserved import NAME_MARK
from corpus.deidentify.wordclass import classified
from corpus.document import Batch, Document

TYPES = frozenset({"PERSON", "ORGANIZATION", "LOCATION", "ZIP", "AGE", "DATE"})
CASES = DATA / "pii/cases.jsonl"


def found(text: str) -> list[tuple[str, str]]:
    data = text.encode()
    spans = characters(data, scanner(Search("hipaa_safe_harbor"), TYPES).find(data))
    return [(text[span.start : span.end], span.type) for span in spans]


def values(text: str, type: str) -> list[str]:
    return [value for value, own in found(text) if own == type]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Seen by Dr. Kowalczyk.", ["Kowalczyk"]),
        ("Dr. van der Berg and Mrs. O'Leary-Quist came.", ["van der Berg", "O'Leary-Quist"]),
        ("Drs. Patel and Nguyen agree.", ["Patel", "Nguyen"]),
        ("Signed: Amara Nwosu, M.D., Ph.D.", ["Amara Nwosu"]),
        ("Patient Name: Eleanor Vance\nsex: F", ["Eleanor Vance"]),
        ("WINTERBOTTOM,AGATHA (1234567) was", ["WINTERBOTTOM,AGATHA"]),
        ("Attending: Okonkwo, Chidi  MD", ["Okonkwo, Chidi"]),
        ("his wife Lorraine and son, Dmitri,", ["Lorraine", "Dmitri"]),
        ("/s/ Imani Okafor", ["Imani Okafor"]),
        ("Jean-Luc Moreau is an 82-year-old man.", ["Jean-Luc Moreau"]),
        ("Mr. Xanthopolous fell. Later Xanthopolous sat.", ["Xanthopolous", "Xanthopolous"]),
        ("Dr. Šćepanović saw Zoë Müller.", ["Šćepanović", "Zoë Müller"]),
        ("Dear Tobias,\nthank you", ["Tobias"]),
    ],
)
def test_names_by_what_stands_beside_them(text, names):
    assert values(text, "PERSON") == names


@pytest.mark.parametrize(
    "text",
    [
        "Parkinson's disease, a Foley catheter, Babinski sign, Glasgow Coma Scale 15, Hodgkin lymphoma.",
        "Will she may grant it? Rose petals. Mark the spot. Bill the plan. May be discharged.",
        "Patient: Yes, it hurts. Doctor: Okay, where?",
        "A good doctor. She listens. No, sir. My knee hurts.",
        "Started Lasix and Tylenol. CHEST PAIN. DISCHARGE DIAGNOSIS: Pneumonia",
        "def Young(self): return Brown",
    ],
)
def test_eponyms_and_ordinary_words_are_no_names(text):
    assert values(text, "PERSON") == []


def test_an_ordinary_word_that_names_somebody_spreads_inside_sentences_only():
    assert values("Mr. White came. White cells rose. We told White, and he left.", "PERSON") == ["White", "White"]


@pytest.mark.parametrize(
    ("text", "type", "expected"),
    [
        ("Lives at 876 Jamie Gardens, East Codyborough, 33717.", "LOCATION", ["876 Jamie Gardens", "East Codyborough"]),
        ("Lives at 876 Jamie Gardens, East Codyborough, 33717.", "ZIP", ["33717"]),
        ("Send to P.O. Box 4471 please", "LOCATION", ["P.O. Box 4471"]),
        ("She resides in Tulare County.", "LOCATION", ["Tulare County"]),
        ("He lives in Fresno, California.", "LOCATION", ["Fresno"]),
        ("She is from Ohio, in the United States.", "LOCATION", []),
        ("ZIP code 93291", "ZIP", ["93291"]),
        ("implanted at Longtown General Hospital.", "ORGANIZATION", ["Longtown General Hospital"]),
        ("works for Ferrando Logistics GmbH now", "ORGANIZATION", ["Ferrando Logistics GmbH"]),
        ("the University of Tromsdal", "ORGANIZATION", ["University of Tromsdal"]),
        ("a university hospital, the Medical Center", "ORGANIZATION", []),
    ],
)
def test_places_and_organisations(text, type, expected):
    assert values(text, type) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("91-year-old", "94 y/o", "age 94", "aged 92", "ninety-two years old", "a 101 yo man", "Age: 95", "turned 90"),
        *("well into her nineties", "97 y.o.", "a centenarian", "died at 96", "98F presents", "She is 93."),
    ],
)
def test_ages_over_89(text):
    assert len(values(f"Note: {text}", "AGE")) == 1


@pytest.mark.parametrize(
    "text",
    ["89-year-old", "age 45", "90 mg", "HR 95", "in the 90s", "SpO2 95%", "92 years ago", "95 kg", "he is 93 percent"],
)
def test_other_numbers_are_no_ages(text):
    assert values(f"Note: {text} and more.", "AGE") == []


@pytest.mark.parametrize(
    "date",
    [
        *("12/03/2024", "3-Dec-24", "Dec 3rd, 2024", "2024-12-03T10:11:12Z", "the 3rd of December", "Friday 3/4"),
        *("3/4-3/7/2024", "March 3-5, 2024", "12-15 March 2023", "12MAR2024", "March '24", "03/2024", "2024-W03"),
        *("December of 2023", "third of May", "04 / 05 / 2023", "Christmas Day 2021", "admitted 3/4", "DOS: 20240312"),
    ],
)
def test_dates_of_every_form(date):
    left = f"seen {date}, well"
    for value in values(left, "DATE"):
        left = left.replace(value, "")
    assert not any(character.isdigit() for character in left)
    assert values(f"seen {date}, well", "DATE")


@pytest.mark.parametrize("text", ["in 2019", "last Tuesday", "BP 120/80", "strength 5/5", "2/6 murmur", "1/2 tablet"])
def test_years_and_fractions_stay(text):
    assert values(f"noted {text} here", "DATE") == []


def test_generalised_ages_and_zip_codes_are_found_no_more():
    assert GENERALISERS["AGE"]("94") == "90+" and GENERALISERS["ZIP"]("93291") == "932**"
    assert GENERALISERS["ZIP"]("03601") == "000**"  # fewer than 20,000 people
    assert found("age 90+ of ZIP 932** today") == []


NOTE = (
    "Patient: Ana Pérez-Lima  DOB 3/4/1931\nMrs. Pérez-Lima, 93, lives at 12 Elm Street, Norvik, TX 75001. "
    "Seen by J. Kowalczyk, MD at Longtown General Hospital with her son Tobias. Tobias agrees. 😀 Dr. Ødegård left."
)


@pytest.mark.parametrize("replace", ["surrogate", "tag"])
def test_a_second_pass_finds_nothing(monkeypatch, replace):
    monkeypatch.setenv("PROVENDER_DEID_KEY", "an-unguessable-key-of-the-tests")
    step = Deidentify(DeidentifySettings(profile="hipaa_safe_harbor", replace=replace, types=tuple(sorted(TYPES))))
    once = step.process(Batch.of([Document("1", "notes", 0, NOTE, len(NOTE.encode()))]))
    masked = once.text[0].as_py()
    for secret in ("Pérez", "Ana", "Kowalczyk", "Tobias", "Longtown", "Elm", "75001", "3/4", "Ødegård", "Norvik"):
        assert secret not in masked
    again = step.process(Batch.of([Document("1", "notes", 0, masked, len(masked.encode()))]))
    assert again["deidentify.spans"][0].as_py() == []
    assert again.text[0].as_py() == masked
    if replace == "surrogate":  # both mentions of the surname are the same one's
        assert NAME_MARK in masked and masked.count(masked.split("Mrs. ")[1].split(",")[0]) == 2


def test_no_name_of_the_lists_ends_as_surrogates_do():
    text = b"Aruqo Beruqo"
    assert classified(text).classes.tobytes() == b"\nZZ"
    assert lexicon().keys.any()


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("aA.é Ø'’-,\n\t0[]B_😀中́"), max_size=60))
def test_tokens_cover_the_text_in_order(text):
    data = text.encode()
    document = classified(data)
    assert (
        document.ends[0] == 0
        and (document.starts < document.ends)[1:].all()
        and (document.ends[:-1] <= document.starts[1:]).all()
    )
    outside = np.ones(len(data), bool)
    for start, end in zip(document.starts, document.ends, strict=True):
        outside[start:end] = False
        data[start:end].decode()  # whole characters
    assert not bytes(np.frombuffer(data, np.uint8)[outside]).decode().strip()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["Dr.", "Ana", "Lopez", "😀", "Müller,", "MD", "is", "93", "\n", "wife", "中"]), max_size=12
    )
)
def test_offsets_are_of_whole_characters_and_findings_apart(words):
    text = " ".join(words)
    spans = characters(text.encode(), scanner(Search("hipaa_safe_harbor"), TYPES).find(text.encode()))
    for one, other in pairwise(spans):
        assert one.end <= other.start
    assert all(text[span.start : span.end].strip() for span in spans)


def test_names_that_no_list_has_are_found_by_what_stands_beside_them():
    """In the places the rules were written for, which guards them and says nothing of other places (docs/log.md)."""
    scored = score(notes(800), DeidentifySettings(profile="hipaa_safe_harbor", replace="tag"))["PERSON"]
    assert scored.leak_free.value >= 0.93
    assert scored.precision.value >= 0.97


@pytest.mark.skipif(not CASES.exists(), reason="the labelled cases of the shared data are not on this machine")
def test_clinical_notes_leak_few_names():
    """Issue 4: leak-free recall of 0.90 for names and 0.97 for dates, on the clinical notes among the cases."""
    import orjson

    cases = [case for case in map(orjson.loads, CASES.read_bytes().splitlines()) if case["kind"].startswith("clinical")]
    scores = score(cases, DeidentifySettings(profile="hipaa_safe_harbor"))
    assert scores["PERSON"].leak_free.value >= 0.9
    assert min(scores[type].leak_free.value for type in ("DATE", "LOCATION", "ORGANIZATION")) >= 0.97
