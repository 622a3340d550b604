"""The step: columns, keys, surrogates, idempotence, and that a removed value is nowhere to be seen."""

import datetime
import pickle
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from corpus.deidentify import Deidentify, DeidentifySettings
from corpus.deidentify.dates import shifted, year
from corpus.deidentify.profiles import GENERALISED, TYPES
from corpus.deidentify.recogniser import Recogniser
from corpus.deidentify.replace import Deidentifier
from corpus.deidentify.scanner import Scanner
from corpus.document import Batch, Document
from corpus.errors import ConfigError

KEY = "an-unguessable-key-of-the-tests"
VALUES = [
    "ana.perez@uni-koeln.de",
    "(212) 736-5000",
    "+44 20 7946 0958",
    "514-69-0360",
    "4111 1111 1111 1111",
    "81.2.69.142",
    "2a00:1450:4001:81b::200e",
    "https://portal.clinic.org/pt/23188",
    "03/14/2024",
    "March 3rd, 2019",
    "MRN: 3999229",
    "MRN 144-60-58",
    "insurance member id GXB370580259",
    "1EG4-TE5-MK73",
    "00:1B:44:11:3A:B7",
    "0171 388 2210",
    "Phone: 467 3395",
    "admitted on 9/3",
]


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("PROVENDER_DEID_KEY", KEY)


def batch(*texts: str, metadata: list[str | None] | None = None) -> Batch:
    metadata = metadata or [None] * len(texts)
    return Batch.of(
        [
            Document("s", "f", i, t, len(t.encode()), metadata=m)
            for i, (t, m) in enumerate(zip(texts, metadata, strict=True))
        ]
    )


def run(*texts: str, **options) -> list[str]:
    options = {"profile": "hipaa_safe_harbor", "types": TYPES} | options
    return DeidentifySettings(**options).build().process(batch(*texts)).text.to_pylist()


def test_spans_point_at_the_removed_values_and_counts_add_up():
    text = "😀 José wrote to ana.perez@uni-koeln.de on 03/14/2024, SSN 514-69-0360; 81.2.69.142 and 81.2.69.143"
    kinds = ("EMAIL", "DATE", "SSN", "IP")
    out = DeidentifySettings(profile="hipaa_safe_harbor", types=kinds).build().process(batch(text, "nothing here"))
    spans = out["deidentify.spans"].to_pylist()
    removed = [(s["type"], text[s["start"] : s["start"] + s["length"]]) for s in spans[0]]
    assert removed == [
        ("EMAIL", "ana.perez@uni-koeln.de"),
        ("DATE", "03/14/2024"),
        ("SSN", "514-69-0360"),
        ("IP", "81.2.69.142"),
        ("IP", "81.2.69.143"),
    ]
    counts = out["deidentify.counts"].to_pylist()
    assert {c["key"]: c["value"] for c in counts[0]} == {"EMAIL": 1, "DATE": 1, "SSN": 1, "IP": 2}
    assert spans[1] == [] and counts[1] == []
    assert out["deidentify.density"].to_pylist() == pytest.approx([(22 + 10 + 11 + 11 + 11) / len(text), 0])
    assert out.unbalanced().size == 0
    assert {name: out[name].type for name in Deidentify.columns} == Deidentify.columns


def test_a_batch_without_findings_keeps_its_text_buffer():
    before = batch("plain prose", "more of it")
    after = DeidentifySettings().build().process(before)
    assert after.text.buffers()[2].address == before.text.buffers()[2].address


def test_an_unreadable_row_is_not_touched():
    bad = Document("s", "f", 0, "", 9, step="quarantine", reason="broken")
    out = DeidentifySettings().build().process(Batch.of([bad]))
    assert out["reason"].to_pylist() == ["broken"] and out["deidentify.spans"].to_pylist() == [[]]


def test_same_value_same_surrogate_whatever_its_writing():
    one, two = run("mail Ana@Uni-Koeln.de, call (212) 736-5000", "mail ana@uni-koeln.de, call 212-736-5000")
    assert one.split()[1] == two.split()[1]
    digits = ["".join(c for c in text.partition("call")[2] if c.isdigit()) for text in (one, two)]
    assert digits[0] == digits[1]


def test_another_key_gives_other_surrogates(monkeypatch):
    text = "ana.perez@uni-koeln.de, SSN 514-69-0360, MRN: 3999229"
    [first] = run(text)
    monkeypatch.setenv("PROVENDER_DEID_KEY", KEY + "!")
    [second] = run(text)
    assert not set(first.replace(",", "").split()) & set(second.replace(",", "").split()) - {"SSN", "MRN:"}


def test_surrogates_keep_the_form_and_live_in_reserved_ranges():
    [mail] = run("ana.perez@uni-koeln.de")
    assert mail.endswith(".example") and mail.count("@") == 1
    [phone] = run("call (212) 736-5000 x12")
    assert phone.startswith("call (") and phone[10:17] == " 555-01" and phone[7] == "9"
    [ssn] = run("SSN 514-69-0360")
    assert ssn[4] == "9" and ssn[7] == ssn[10] == "-"
    [card] = run("card 4111-1111-1111-1111")
    assert card[5] == "0" and [len(group) for group in card[5:].split("-")] == [4, 4, 4, 4]
    [ip] = run("from 81.2.69.142")
    assert ip.startswith(("from 192.0.2.", "from 198.51.100.", "from 203.0.113."))
    [record] = run("MRN: H22829649")
    assert record.startswith("MRN: ZZ") and len(record) == len("MRN: H22829649") and record[7:].isdigit()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=8),
    st.lists(
        st.sampled_from([" ", ", ", "\n", "-", "/", ".", " at ", "1", "é", "😀", " on ", "(", ": ", "x"]),
        min_size=8,
        max_size=8,
    ),
    st.sampled_from(["hipaa_safe_harbor", "web", "code"]),
    st.sampled_from(["surrogate", "tag"]),
)
def test_a_second_pass_finds_nothing(values, glue, profile, policy):
    text = "".join(value + between for value, between in zip(values, glue, strict=False))
    policies = {type: policy for type in TYPES if type not in GENERALISED}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROVENDER_DEID_KEY", KEY)
        step = DeidentifySettings(profile=profile, types=TYPES, policy=policies).build()
        once = step.process(batch(text))
        twice = step.process(once)
        assert twice["deidentify.counts"].to_pylist() == [[]]
        assert twice.text.equals(once.text)
        assert once.unbalanced().size == 0
        ends = [(s["start"], s["start"] + s["length"]) for s in once["deidentify.spans"].to_pylist()[0]]
        assert all(a < b for a, b in ends) and all(b <= c for (_, b), (c, _) in pairwise(ends))


PIECES = (
    *("0123456789" * 2),
    *" .-:/@()[]%+xK\n\u212aſé患😀²",
    *("12", "555", "2024", "MRN ", "tel ", "SSN ", "DOB ", "May ", "GB82", "::", "http://", "www.", ".com", "ZZ"),
    *("card ", "serial ", "member id "),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.sampled_from(["hipaa_safe_harbor", "web", "code"]),
)
def test_any_text_passes_and_is_settled_after_one_pass(text, profile):
    policies = {"DATE": "generalise", "URL": "surrogate"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROVENDER_DEID_KEY", KEY)
        step = DeidentifySettings(profile=profile, types=TYPES, policy=policies).build()
        once = step.process(batch(text))
        assert step.process(once).text.equals(once.text)
        assert once.unbalanced().size == 0


def removed(scan: Scanner, data: bytes, new: str, recurring: frozenset[str] = frozenset()) -> tuple[list, bytes]:
    """What is removed from one document where `new` stands for every value, and the text without it."""
    found = Deidentifier(scan, lambda document, type, value: new, recurring).run([data])
    spans = zip(found.starts.tolist(), found.ends.tolist(), (scan.labels[i].type for i in found.labels), strict=True)
    return list(spans), found.texts[0]


def test_a_surrogate_that_is_found_again_becomes_a_tag():
    three_digits = Scanner([Recogniser("N", r"\d{3}", lambda _: True)])
    assert removed(three_digits, b"a 123 b", "999") == ([(2, 5, "N")], b"a [N] b")
    assert removed(three_digits, b"a 123 b", "999", frozenset({"N"}))[1] == b"a 999 b"


def test_what_only_a_replacement_brings_to_light_is_replaced_too():
    # "N]y" appears only with the tag; its span in the original covers the tagged value.
    scan = Scanner([Recogniser("N", r"\d+", lambda _: True), Recogniser("M", r"N\]y", lambda _: True)])
    assert removed(scan, b"a 12y b", "[N]") == ([(2, 5, "M")], b"a [M] b")


WORDS = st.sampled_from(
    ["ana.perez@uni-koeln.de", "Dr. Kowalczyk", "Kowalczyk", "03/14/2024", "é", "😀", "and", "\n", "MRN: 3999229"]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(WORDS, max_size=9).map(" ".join), max_size=7), st.sampled_from(["surrogate", "tag"]))
def test_documents_of_a_batch_do_not_touch_each_other(texts, replace):
    """A batch is scanned as one buffer; what comes of each document must be what comes of it alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROVENDER_DEID_KEY", KEY)
        step = DeidentifySettings(profile="hipaa_safe_harbor", replace=replace).build()
        together = step.process(batch(*texts)) if texts else None
        for row, text in enumerate(texts):
            alone = step.process(batch(text))
            for column in ("text", *Deidentify.columns):
                assert together[column][row].as_py() == alone[column][0].as_py()


def test_a_removed_value_is_in_no_column_and_no_error():
    text = "; ".join(VALUES)
    out = DeidentifySettings(profile="hipaa_safe_harbor", types=TYPES).build().process(batch(text))
    everything = str(out.data.to_pydict())
    for canary in (
        "perez",
        "736-5000",
        "7946 0958",
        "514-69-0360",
        "81.2.69",
        "2a00:1450",
        "23188",
        "3999229",
        "144-60-58",
    ):
        assert canary not in everything


def test_the_key_is_in_no_dump_no_pickle_and_no_identity():
    options = DeidentifySettings(profile="hipaa_safe_harbor")
    step = options.build()
    step.process(batch("ana.perez@uni-koeln.de"))
    for shown in (repr(options), options.model_dump_json(), repr(step), str(step.identity()), repr(vars(step)["_key"])):
        assert KEY not in shown
    pickled = pickle.dumps(step)
    assert KEY.encode() not in pickled
    again = pickle.loads(pickled)  # noqa: S301
    assert again.process(batch("ana.perez@uni-koeln.de")).text.equals(
        step.process(batch("ana.perez@uni-koeln.de")).text
    )
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(vars(step)["_key"])


def test_identity_changes_with_the_key_and_not_with_where_it_lies(monkeypatch, tmp_path):
    from_environment = DeidentifySettings().identity()
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    assert DeidentifySettings(key_file=str(file), key_env=None).identity() == from_environment
    monkeypatch.setenv("PROVENDER_DEID_KEY", KEY + "!")
    assert DeidentifySettings().identity() != from_environment


def test_a_missing_or_short_key_says_how_to_make_one(monkeypatch, tmp_path):
    monkeypatch.delenv("PROVENDER_DEID_KEY")
    with pytest.raises(ConfigError, match="PROVENDER_DEID_KEY") as missing:
        run("nothing")
    assert "key_file" in str(missing.value) and "/dev/urandom" in str(missing.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        run("nothing", key_file=str(tmp_path / "none"))
    short = tmp_path / "short"
    short.write_text("fifteen bytes..")
    with pytest.raises(ConfigError, match="15 bytes"):
        run("nothing", key_file=str(short))


def test_tags_need_no_key(monkeypatch):
    monkeypatch.delenv("PROVENDER_DEID_KEY")
    options = {"types": ("EMAIL", "DATE"), "policy": {"EMAIL": "tag"}}
    assert run("ana@uni-koeln.de on 03/14/2024, or 9/3/24", **options) == ["[EMAIL] on 2024, or [DATE]"]
    assert DeidentifySettings(**options).identity()["key"] is None


def test_kept_types_are_not_looked_for():
    assert run("81.2.69.142", policy={"IP": "keep"}) == ["81.2.69.142"]


def test_a_second_pass_does_not_shift_dates_again():
    step = DeidentifySettings(
        profile="hipaa_safe_harbor", types=("DATE",), policy={"DATE": "shift"}, subject="patient"
    ).build()
    once = step.process(batch("admitted 2024-02-27", metadata=['{"patient": "A"}']))
    twice = step.process(once)
    assert once.text.to_pylist() != ["admitted 2024-02-27"]
    assert twice.text.equals(once.text)
    assert twice["deidentify.counts"].to_pylist() == [[]]


def test_dates_of_one_patient_shift_together_and_keep_their_intervals():
    step = DeidentifySettings(
        profile="hipaa_safe_harbor", types=("DATE",), policy={"DATE": "shift"}, subject="patient"
    ).build()
    texts = ("admitted 2024-02-27, left 2024-03-01", "seen 2024-02-27", "seen 2024-02-27")
    who = ['{"patient": "A"}', '{"patient": "A"}', '{"patient": "B"}']
    one, two, other = step.process(batch(*texts, metadata=who)).text.to_pylist()
    came, left = (datetime.date.fromisoformat(part.split()[1]) for part in one.split(", "))
    assert left - came == datetime.timedelta(3)
    assert came != datetime.date(2024, 2, 27)
    assert two == f"seen {came}" and other != two


def test_dates_may_keep_their_days_of_the_week():
    options = {"types": ("DATE",), "policy": {"DATE": "shift"}, "shift_days": 30, "shift_weekdays": True}
    texts = [f"seen 2024-02-{day:02d}" for day in range(1, 29)]
    shifted = run(*texts, profile="hipaa_safe_harbor", **options)
    moved = [
        (datetime.date.fromisoformat(new.split()[1]) - datetime.date.fromisoformat(old.split()[1])).days
        for old, new in zip(texts, shifted, strict=True)
    ]
    assert {days % 7 for days in moved} == {0}
    assert 0 not in moved and max(map(abs, moved)) <= 28 and len(set(moved)) > 3
    with pytest.raises(ValueError, match="shift_days of 7 or more"):
        DeidentifySettings(**options | {"shift_days": 6})


@pytest.mark.parametrize(
    ("value", "days", "expected"),
    [
        ("02/27/2024", 3, "03/01/2024"),
        ("27.2.2024", 3, "1.3.2024"),
        ("2023-12-31T10:00:00Z", 1, "2024-01-01T10:00:00Z"),
        ("March 31st, 2019", 2, "April 2nd, 2019"),
        ("15-Mar-2020", -15, "29-Feb-2020"),
        ("14 DEC 2020", 20, "3 JAN 2021"),
        ("9/3", 1, None),
        ("02/30/2024", 1, None),
    ],
)
def test_a_shifted_date_keeps_its_form(value, days, expected):
    assert shifted(value, days) == expected


def test_a_year_is_taken_only_where_four_digits_say_it():
    assert [year(v) for v in ("03/14/2024", "March 3rd, 2019", "3/14/24", "9/3")] == ["2024", "2019", None, None]


def test_density_becomes_a_rule_that_does_not_re_measure():
    [rule] = DeidentifySettings(remove_above=0.2).rules()
    assert rule.step == "deidentify"
    assert DeidentifySettings().rules() == []
    assert DeidentifySettings(remove_above=0.2).identity() == DeidentifySettings().identity()


@pytest.mark.parametrize(
    "options",
    [
        {"types": ("E-MAIL",)},
        {"policy": {"EMAIL": "generalise"}},
        {"policy": {"DATE": "surrogate"}},
        {"polcy": {}},
        {"policy": {"BIOMETRIC": "tag"}},
        {"countries": ("XX",)},
        {"phone_regions": ("EU",)},
    ],
)
def test_a_wrong_setting_is_refused(options):
    with pytest.raises(ValidationError):
        DeidentifySettings(**options)
