"""Overlap with evaluation items against brute force over word tuples; policies; evaluation sets from files."""

import json
import re
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from cut_units import documents_of, kept, left, spans, workplace
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.cuts.kept import KeptDocuments
from corpus.cuts.spans import Cuts, Spans
from corpus.decontaminate import (
    DecontaminateSettings,
    EvaluationSet,
    HeldOutSettings,
    find_contamination,
    read_items,
)
from corpus.errors import ConfigError, DataError

N = 3
WORDS = st.lists(st.sampled_from(["a", "B", "c", "d.", "é", "-", "漢漢"]), max_size=9).map(" ".join)


def words(text: str) -> list[str]:
    return re.findall(r"漢|[^\W漢]+", text.lower())


def covered(text: list[str], grams: set[tuple], sizes: set[int]) -> int:
    """Words of the text that grams of these sizes cover."""
    hit = [False] * len(text)
    for n in sizes:
        for at in range(len(text) - n + 1):
            if tuple(text[at : at + n]) in grams:
                hit[at : at + n] = [True] * n
    return sum(hit)


def grams_of(text: list[str], least: int) -> set[tuple]:
    if len(text) >= N:
        return {tuple(text[at : at + N]) for at in range(len(text) - N + 1)}
    return {tuple(text)} if len(text) >= least else set()


def evaluation_set(folder, texts: list[str], **options) -> EvaluationSet:
    path = folder / "items.jsonl"
    path.write_text("".join(json.dumps({"question": text}) + "\n" for text in texts))
    return EvaluationSet(name="bench", path=str(path), fields=("question",), **options)


@dataclass(frozen=True)
class Found:
    """What `find_contamination` gives, read."""

    spans: Spans
    drops: pa.Table
    items: pa.Table


def found_in(documents: KeptDocuments, asked: DecontaminateSettings) -> Found:
    with workplace() as place:
        found = find_contamination(documents, Cuts(), asked, place)
        return Found(spans(documents, found.passes), found.drops, found.items)


def drops(found: Found) -> dict[str, dict]:
    return {row["id"]: row for row in found.drops.to_pylist()}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, min_size=1, max_size=4), st.sampled_from([0.0, 0.4, 1.0])
)
def test_coverage_is_that_of_brute_force(tmp_path_factory, texts, items, coverage):
    folder = tmp_path_factory.mktemp("d")
    if not any(text.strip() for text in items):
        items = [*items, "a b"]
    asked = DecontaminateSettings(
        sets=(evaluation_set(folder, items),), ngram=N, min_words=2, coverage=coverage, common=10
    )
    found = found_in(kept(folder, texts), asked)
    ids = [document.id for document in documents_of(texts)]
    best = np.zeros(len(items))
    shared = np.zeros(len(items), int)
    expected = set()
    for row, text in enumerate(map(words, texts)):
        for number, item in enumerate(map(words, items)):
            of_item = covered(item, grams_of(item, 2) & every_gram(text), {N, len(item)} if len(item) < N else {N})
            if of_item:
                grams = grams_of(item, 2)
                of_text = covered(text, grams, {len(next(iter(grams)))})
                shared[number] += 1
                best[number] = max(best[number], of_item / len(item))
                if max(of_item / len(item), of_text / len(text)) >= coverage:
                    expected.add(ids[row])
    assert set(drops(found)) == expected
    report = found.items.to_pylist()
    assert [row["documents"] for row in report] == shared.tolist()
    assert np.allclose([row["coverage"] for row in report], best)
    assert not len(found.spans)


def every_gram(text: list[str]) -> set[tuple]:
    return {tuple(text[at : at + n]) for n in (2, N) for at in range(len(text) - n + 1)}


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, min_size=1, max_size=3), st.integers(1, 2))
def test_what_is_masked_leaves_no_shared_ngram_and_only_whole_tokens(tmp_path_factory, texts, items, units):
    folder = tmp_path_factory.mktemp("d")
    items = [*items, "a b c"]
    asked = DecontaminateSettings(sets=(evaluation_set(folder, items),), ngram=N, min_words=2, action="span", common=10)
    documents = kept(folder, texts, units=units)
    rest = left(documents, found_in(documents, asked).spans)
    grams = set().union(*(grams_of(words(item), 2) for item in items))
    for before, after in zip(texts, rest, strict=True):
        assert not grams & every_gram(words(after))
        remaining = iter(before.replace("漢", " 漢 ").split())
        assert all(token in remaining for token in after.replace("漢", " 漢 ").split())


ITEM = "Which drug is the first choice for a patient with stable angina and asthma who cannot take beta blockers"
OTHER = " ".join(f"filler{number}" for number in range(300))


def test_thirteen_words_are_an_overlap_and_twelve_are_not(tmp_path):
    part = ITEM.upper().split()
    texts = [f"{OTHER} {' '.join(part[:13])}, {OTHER}", f"{OTHER} {' '.join(part[:12])} {OTHER}"]
    found = found_in(kept(tmp_path, texts), DecontaminateSettings(sets=(evaluation_set(tmp_path, [ITEM]),)))
    (row,) = found.drops.to_pylist()
    assert row["id"] == documents_of(texts)[0].id and row["item_coverage"] == 13 / len(part)
    loose = DecontaminateSettings(sets=(evaluation_set(tmp_path, [ITEM]),), coverage=0.9)
    assert not found_in(kept(tmp_path, texts), loose).drops.num_rows


def test_an_ngram_of_all_items_identifies_none(tmp_path):
    prompt = "Answer the following question by choosing one of the options that are listed below it."
    items = [f"{prompt} Item {number} of the test asks about {number}" for number in range(8)]
    asked = DecontaminateSettings(sets=(evaluation_set(tmp_path, items),), common=5)
    found = found_in(kept(tmp_path, [f"{OTHER} {prompt}"]), asked)
    assert not found.drops.num_rows


def test_short_items_are_looked_for_as_a_whole_and_the_shortest_not_at_all(tmp_path):
    items = ["one two three four five six seven eight", "just three words"]
    texts = ["one two, three four five six SEVEN eight.", "just three words"]
    found = found_in(kept(tmp_path, texts), DecontaminateSettings(sets=(evaluation_set(tmp_path, items),)))
    assert set(drops(found)) == {documents_of(texts)[0].id}
    assert [row["words"] for row in found.items.to_pylist()] == [8, 0]


HELD = " ".join(f"held{number}" for number in range(60))
CORPUS = [
    f"{OTHER} and the end.",  # no overlap
    HELD,  # held out
    f"{OTHER.upper()[:900]} {HELD}",  # quotes all of the held-out document
    " ".join(HELD.split()[:20]),  # a piece of it
    f"{OTHER[:1500]} {' '.join(HELD.split()[:15])}",  # a quarter of it: below the coverage
]


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ({}, {2, 3}),
        ({"coverage": 0}, {2, 3, 4}),
        ({"remove": "validation"}, {1}),
    ],
)
def test_held_out_documents_are_kept_apart_from_training_both_ways(tmp_path, options, gone):
    asked = DecontaminateSettings(held_out=HeldOutSettings(**options))
    found = found_in(kept(tmp_path, CORPUS, held_out=[1], units=2), asked)
    ids = [document.id for document in documents_of(CORPUS)]
    assert set(drops(found)) == {ids[row] for row in gone}
    assert {row["set"] for row in found.drops.to_pylist()} == {"validation"}


def test_held_out_words_can_be_cut_from_training(tmp_path):
    documents = kept(tmp_path, CORPUS, held_out=[1])
    asked = DecontaminateSettings(held_out=HeldOutSettings(action="span"))
    found = found_in(documents, asked)
    rest = left(documents, found.spans)
    assert rest == [CORPUS[0], CORPUS[1], OTHER.upper()[:900].rstrip(), "", CORPUS[4]]
    assert {row["action"] for row in found.drops.to_pylist()} == {"span"}
    with pytest.raises(ValueError, match="dropped whole"):
        HeldOutSettings(action="span", remove="validation")


RECORDS = [
    {"q": "What is one?", "choices": {"text": ["It is a number", "None"]}, "id": "a1"},
    {"q": "Two?", "choices": {"text": []}, "id": "b2"},
]


@pytest.mark.parametrize("name", ["items.jsonl", "items.jsonl.gz", "items.json", "items.parquet", "saved"])
def test_items_are_the_same_from_every_kind_of_file(tmp_path, name):
    import gzip

    import datasets
    import pyarrow.parquet as pq

    path = tmp_path / name
    body = "".join(json.dumps(record) + "\n" for record in RECORDS)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(body.encode()))
    elif name.endswith(".json"):
        path.write_text(json.dumps(RECORDS))
    elif name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(RECORDS), path)
    elif name == "saved":
        datasets.Dataset.from_list(RECORDS).save_to_disk(path)
    else:
        path.write_text(body)
    items = read_items(EvaluationSet(name="x", path=str(path), fields=("q", "choices.text"), id_field="id"))
    assert items.names == ["a1", "b2"]
    assert items.texts.to_pylist() == ["What is one?", "It is a number", "None", "Two?"]
    assert items.item.tolist() == [0, 0, 0, 1]
    same = EvaluationSet(name="y", path=str(path), fields=("q", "choices.text"), id_field="id")
    assert DecontaminateSettings(sets=(same,)).identity()["sets"] == [["y", items.content]]


def test_text_and_csv_files_hold_an_item_a_line(tmp_path):
    (tmp_path / "lines.txt").write_text("first item\n\nsecond item\n")
    assert read_items(EvaluationSet(name="x", path=str(tmp_path / "lines.txt"))).texts.to_pylist() == [
        "first item",
        "second item",
    ]
    (tmp_path / "rows.csv").write_text('q,a\n"one, two",x\n')
    assert read_items(EvaluationSet(name="x", path=str(tmp_path / "rows.csv"), fields=("q",))).texts.to_pylist() == [
        "one, two"
    ]


@pytest.mark.parametrize(
    ("content", "fields", "error", "said"),
    [
        ('{"q": "x"}\n', ("question",), DataError, "no field question"),
        ('{"q": "x"}\n', (), ConfigError, "names of its text fields"),
        ('{"q": \n', ("q",), DataError, "malformed JSON"),
        ("", ("q",), DataError, "without items"),
    ],
)
def test_a_mistake_in_an_evaluation_set_says_where(tmp_path, content, fields, error, said):
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(error, match=said):
        read_items(EvaluationSet(name="x", path=str(path), fields=fields))


def test_totals_by_set_say_how_many_items_are_hit(tmp_path):
    from corpus.cuts.stages import _by_set

    items = ["one two three four five six seven eight", "just three words", ITEM]
    texts = ["one two, three four five six SEVEN eight.", "nothing"]
    found = found_in(kept(tmp_path, texts), DecontaminateSettings(sets=(evaluation_set(tmp_path, items),)))
    assert _by_set(found.items, found.drops) == {
        "bench": {"items": 3, "too_short": 1, "shared": 1, "contaminated": 1, "documents": 1}
    }
    assert pl.from_arrow(found.items).height == 3
