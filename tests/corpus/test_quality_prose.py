"""Statistics of prose against values counted by hand, decisions against datatrove's filters."""

import importlib.util

import polars as pl
import pyarrow as pa
import pytest
from datatrove.data import Document as StockDocument
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    gopher_quality_filter,
    gopher_repetition_filter,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.shared import DATA
from corpus.decide import apply_rules
from corpus.document import Batch, Document
from corpus.kernels.words import split_words
from corpus.quality import (
    C4Rule,
    C4Settings,
    FineWebRule,
    FineWebSettings,
    GopherQualityRule,
    GopherRepetitionRule,
    LengthRule,
    QualitySettings,
)
from corpus.rules import Rule

REAL = DATA


def batch_of(texts: list[str]) -> Batch:
    return Batch.of([Document("s", "f", row, text, len(text.encode())) for row, text in enumerate(texts)])


def measured(texts: list[str]) -> pl.DataFrame:
    batch = QualitySettings(kind="quality").build().process(batch_of(texts))
    frame = pl.from_arrow(pa.Table.from_batches([batch.data]))
    assert isinstance(frame, pl.DataFrame)
    return frame


def reasons(rules: list[Rule], frame: pl.DataFrame) -> list[str | None]:
    """The first rule each row fails."""
    failed = [pl.when(rule.fails).then(pl.lit(rule.reason)) for rule in rules]
    return frame.select(pl.coalesce(failed))["literal"].to_list()


def value(text: str, name: str) -> float:
    return measured([text])[f"quality.{name}"][0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"words": 0, "characters": 0, "mean_word_length": 0}),
        ("the cat, the dog", {"words": 4, "characters": 16, "lines": 1, "stop_words": 1, "mean_word_length": 3}),
        ("to be of and that", {"stop_words": 5, "mean_word_length": 13 / 5}),
        ("The THE the", {"stop_words": 1}),
        ("é à 12", {"words": 3, "characters": 6, "alphabetic_share": 2 / 3, "mean_word_length": 4 / 3}),
        # Four tokens: a # b !
        ("a # b !", {"hash_share": 1 / 4, "words": 2, "alphabetic_share": 1 / 2}),
        # so ... and … on: five tokens, two ellipses.
        ("so ... and … on", {"ellipsis_share": 2 / 5}),
        ("......", {"ellipsis_share": 2}),
        ("- one\n  • two\nthree -\n\n", {"lines": 4, "bullet_line_share": 2 / 4}),
        ("one...  \ntwo…\r\nthree\n....", {"lines": 4, "ellipsis_line_share": 3 / 4}),
    ],
)
def test_statistics_are_those_counted_by_hand(text: str, expected: dict[str, float]) -> None:
    frame = measured([text])
    assert {name: frame[f"quality.{name}"][0] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # ab ab cd ab: two of four lines repeat, four of eleven characters.
        ("ab\nab\ncd\nab", {"duplicate_lines": 2 / 4, "duplicate_line_chars": 4 / 11, "duplicate_paragraphs": 0}),
        ("ab\n\nab\n\n\ncd", {"duplicate_paragraphs": 1 / 3, "duplicate_paragraph_chars": 2 / 11}),
        # White space around the text is no paragraph, but the end of the last line is one more, empty line.
        ("\n\nab\n", {"duplicate_paragraphs": 0, "duplicate_lines": 1 / 3, "duplicate_line_chars": 0}),
        # a b a b a b: "a b" three times, "a b a" and "a b a b" twice; 3, 5 and 7 characters of 11.
        ("a b a b a b", {"top_2gram_chars": 9 / 11, "top_3gram_chars": 10 / 11, "top_4gram_chars": 14 / 11}),
        ("one two three", {"top_2gram_chars": 7 / 13, "top_3gram_chars": 13 / 13, "top_4gram_chars": 0}),
        # Ten words, the second five repeat the first: 5 × 1 characters of 19. No six words repeat.
        ("a b c d e a b c d e", {"duplicate_5gram_chars": 5 / 19, "duplicate_6gram_chars": 0}),
        # Twenty times one word: after the first n-gram every other n words is a repetition.
        (
            " ".join(["x"] * 20),
            {"duplicate_5gram_chars": 15 / 39, "duplicate_6gram_chars": 18 / 39, "duplicate_10gram_chars": 10 / 39},
        ),
    ],
)
def test_repetition_is_that_counted_by_hand(text: str, expected: dict[str, float]) -> None:
    frame = measured([text])
    assert {name: frame[f"quality.{name}"][0] for name in expected} == pytest.approx(expected)


def test_a_text_measures_the_same_in_any_batch() -> None:
    texts = ["one two three", "", "- a\n- a\n- a", "the end of the line..."]
    together = measured(texts).drop("id", "position", "bytes_in")
    alone = pl.concat([measured([text]) for text in texts]).drop("id", "position", "bytes_in")
    assert together.equals(alone)
    step = QualitySettings(kind="quality").build()
    sliced = step.process(Batch(batch_of(["before", *texts]).data.slice(1)))
    for name in step.columns:
        assert sliced[name].to_pylist() == together[name].to_list()


def test_columns_are_the_declared_ones() -> None:
    step = QualitySettings(kind="quality").build()
    data = step.process(batch_of(["some text"])).data
    assert {name: data.schema.field(name).type for name in step.columns} == step.columns


def test_a_value_on_its_bound_stays() -> None:
    """Three repeated lines of ten are 0.3 exactly: single precision must not push them over."""
    text = "\n".join([*"abcdefg", "a", "b", "c"])
    assert value(text, "duplicate_lines") == pytest.approx(0.3)
    rule = GopherRepetitionRule(
        rule="gopher_repetition",
        max_duplicate_line_chars=None,
        max_top_ngram_chars=None,
        max_duplicate_ngram_chars=None,
    )
    assert reasons(rule.rules(), measured([text, text + "\nd"])) == [None, "duplicate lines"]


def test_length_bounds_name_the_unit_and_the_side() -> None:
    frame = measured(["a b c", "a b c d e f", "abcdefghijklmnopq"])
    rule = LengthRule(rule="length", min_words=2, max_words=5, max_characters=16)
    assert reasons(rule.rules(), frame) == [None, "too many words", "too few words"]
    detail = frame.select(rule.rules()[1].detail.alias("detail"))["detail"].to_list()
    assert detail[1] == "6 > 5"
    assert LengthRule(rule="length").rules() == []


def test_every_gopher_bound_can_be_left_out() -> None:
    quality = GopherQualityRule(
        rule="gopher_quality",
        min_mean_word_length=None,
        max_mean_word_length=None,
        max_symbol_share=None,
        max_bullet_line_share=None,
        max_ellipsis_line_share=None,
        min_alphabetic_share=None,
        min_stop_words=None,
    )
    assert quality.rules() == []
    assert len(GopherQualityRule(rule="gopher_quality").rules()) == 8
    assert len(GopherRepetitionRule(rule="gopher_repetition").rules()) == 4 + 3 + 6


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("They walked to the river with them.", None),
        ("a b the of c d", "short words"),
        ("the of " + "incomprehensibilities " * 9, "long words"),
        ("the cat of 1111 2222 3333 4444", "few alphabetic words"),
        ("cats chase mice", "few stop words"),
        ("the men of # letters", "many hash signs"),
        ("the men … of letters", "many ellipses"),
        ("- the men of letters read\n- and that old house stood", "many bullet lines"),
        # One ellipsis in 11 tokens is below 0.1, one line of two above 0.3.
        ("the men of letters go with the flow and stay...\nindeed", "many lines end in an ellipsis"),
    ],
)
def test_each_gopher_quality_rule_drops_its_case(text: str, reason: str | None) -> None:
    assert reasons(GopherQualityRule(rule="gopher_quality").rules(), measured([text])) == [reason]


def our_split(text: str, language: str = "") -> list[str]:
    words = split_words(pa.array([text], pa.string()))
    raw = words.data.tobytes()
    return [raw[start:end].decode() for start, end in zip(words.starts, words.ends, strict=True)]


def stock_decisions(text: str) -> tuple[bool, bool]:
    """Whether datatrove's Gopher quality and repetition filters keep a text."""
    document = StockDocument(text=text, id="0")
    quality = gopher_quality_filter.GopherQualityFilter(min_doc_words=None, max_doc_words=None)
    return (
        quality.filter(document) is True,
        gopher_repetition_filter.GopherRepetitionFilter().filter(document) is True,
    )


def our_decisions(texts: list[str]) -> list[tuple[bool, bool]]:
    frame = measured(texts)
    quality = reasons(GopherQualityRule(rule="gopher_quality").rules(), frame)
    repetition = reasons(GopherRepetitionRule(rule="gopher_repetition").rules(), frame)
    return [(q is None, r is None) for q, r in zip(quality, repetition, strict=True)]


def has_words(text: str) -> bool:
    """Of punctuation alone datatrove takes the mean of nothing."""
    return any(character.isalnum() for character in text)


PIECES = ["the", "of", "patients", "café", "# ", "...", "… ", "- ", "• ", "12 ", "\n", "\n\n", " ", ", ", "and have "]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=80).map(" ".join).filter(has_words))
@settings(max_examples=300)
def test_the_same_words_give_the_decisions_of_datatrove(text: str) -> None:
    """The measures alone, without the split: datatrove's filters are handed our words."""
    with pytest.MonkeyPatch.context() as patched:
        for module in (gopher_quality_filter, gopher_repetition_filter):
            patched.setattr(module, "split_into_words", our_split)
        stock = stock_decisions(text)
    assert our_decisions([text]) == [stock]


def sample(documents: int) -> list[str]:
    """About so many texts of every collection, evenly spaced."""
    texts: list[str] = []
    for path in sorted(REAL.glob("*/*.parquet")):
        if "text" in pl.read_parquet_schema(path):
            column = pl.read_parquet(path, columns=["text"])["text"]
            texts += column.gather_every(max(len(column) // documents, 1)).to_list()
    return [text for text in texts if has_words(text) and len(text) < 20_000]


FAMILIES = {
    "gopher quality": (
        gopher_quality_filter.GopherQualityFilter(min_doc_words=None, max_doc_words=None),
        QualitySettings(kind="quality"),
        GopherQualityRule(rule="gopher_quality"),
    ),
    "gopher repetition": (
        gopher_repetition_filter.GopherRepetitionFilter(),
        QualitySettings(kind="quality"),
        GopherRepetitionRule(rule="gopher_repetition"),
    ),
    "c4": (C4QualityFilter(), C4Settings(kind="c4"), C4Rule(rule="c4")),
    "fineweb": (FineWebQualityFilter(), FineWebSettings(kind="fineweb"), FineWebRule(rule="fineweb")),
}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("spacy") is None, reason="datatrove splits words by spaCy")
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the shared collection of real text")
@pytest.mark.parametrize("family", FAMILIES)
def test_decisions_on_real_text_are_those_of_datatrove(family: str) -> None:
    block, step, rule = FAMILIES[family]
    texts = sample(25)
    batch = step.build().process(batch_of(texts))
    frame = apply_rules(pl.DataFrame(pl.from_arrow(batch.data)), rule.rules())
    agreeing = 0
    for row, text in enumerate(texts):
        document = StockDocument(text=text, id="0")
        kept = block.filter(document) is True
        agreeing += kept == (frame["fate"][row] == "kept")
        if kept and family == "c4":
            assert document.text == frame["text"][row]
    assert agreeing >= 0.995 * len(texts)
