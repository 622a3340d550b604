"""C4's, mC4's and FineWeb's rules against values worked out by hand and against datatrove's own filters."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from datatrove.data import Document as StockDocument
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter
from datatrove.pipeline.filters.c4_filters import C4ParagraphFilter
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpus.decide import apply_rules
from corpus.document import Batch, Document
from corpus.errors import ConfigError
from corpus.kernels.words import split_words, words_of
from corpus.quality import (
    BadWordsRule,
    BadWordsSettings,
    C4ParagraphRule,
    C4ParagraphSettings,
    C4Rule,
    C4Settings,
    FineWebRule,
    FineWebSettings,
)

FIVE = "One line is here. It has two sentences.\nAnother has three words.\nIs this the fourth? Yes, and the fifth!"


def batch_of(*texts: str) -> Batch:
    return Batch.of([Document("s", "f", row, text, len(text.encode())) for row, text in enumerate(texts)])


def measured(settings, *texts: str) -> Batch:
    batch = settings.build().process(batch_of(*texts))
    assert len(batch.unbalanced()) == 0
    return batch


def decided(settings, rule, *texts: str) -> pl.DataFrame:
    return apply_rules(pl.DataFrame(pl.from_arrow(measured(settings, *texts).data)), rule.rules())


@pytest.mark.parametrize(
    ("line", "options", "removed"),
    [
        ("This line is fine.", {}, None),
        ('He said "stop here"', {}, None),
        ("no final punctuation here", {}, "no_punctuation"),
        ("no final punctuation here", {"punctuation": False}, None),
        ("this one trails off...", {}, "no_punctuation"),
        ("this one trails off..", {}, None),
        ("a comma ends this,", {}, "no_punctuation"),
        ("Two words.", {}, "few_words"),
        ("Two words.", {"min_words_per_line": 2}, None),
        ("Two words.", {"min_words_per_line": None}, None),
        # Words are counted before citations go: three here.
        ("Two words.[1] [2]", {}, "no_punctuation"),
        ("Two [3] words.", {}, None),
        (f"a word of {'x' * 1001} characters.", {}, "long_word"),
        (f"a word of {'x' * 1000} characters.", {}, None),
        (f"a word of {'é' * 12} characters.", {"max_word_length": 11}, "long_word"),
        (f"a word of {'é' * 11} characters.", {"max_word_length": 11}, None),
        (f"a word of {'x' * 1001} characters.", {"max_word_length": None}, None),
        ("Please enable JavaScript in your browser.", {}, "javascript"),
        ("Please enable JavaScript in your browser.", {"javascript": False}, None),
        ("Read our Terms of Use before.", {}, "policy"),
        ("This site uses cookies, as all do.", {}, "policy"),
        ("This site bakes cookies at noon.", {}, None),
        ("This site bakes Cookies at noon.", {"policy_phrases": ("bakes cookies",)}, "policy"),
        ("Read our terms of use before.", {"policy_phrases": ()}, None),
    ],
)
def test_a_line_goes_for_the_reason_that_takes_it_out(line: str, options: dict, removed: str | None) -> None:
    batch = measured(C4Settings(kind="c4", **options), f"{FIVE}\n{line}")
    assert batch["c4.lines"][0].as_py() == 4
    assert batch["c4.kept"][0].as_py() == (4 if removed is None else 3)
    reasons = ("long_word", "no_punctuation", "few_words", "javascript", "policy")
    assert {name: batch[f"c4.{name}"][0].as_py() for name in reasons} == {n: int(n == removed) for n in reasons}
    kept = batch.text[0].as_py()
    assert kept == (FIVE if removed else f"{FIVE}\n{line.replace('[3]', '')}")
    assert batch["edit.c4_lines"][0].as_py() == len(kept.encode()) - batch["bytes_in"][0].as_py()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Water is wet.[12] It [edit] flows down.[citation needed]", "Water is wet. It  flows down."),
        ("[1] Water is wet.[][x]", ""),  # ends in ]
        ("  Water is so wet.  \r\n\u2028 And it is cold! ", "Water is so wet.\nAnd it is cold!"),
        ("Wet[٣] is all water.", "Wet is all water."),
    ],
)
def test_citations_and_white_space_go(text: str, left: str) -> None:
    batch = measured(C4Settings(kind="c4"), text)
    # A document without a line left keeps its text and is dropped.
    assert batch.text[0].as_py() == (left or text)
    assert batch["reason"][0].as_py() == (None if left else "no line is left")
    assert (
        measured(C4Settings(kind="c4", citations=False), "Water is wet[1] now.").text[0].as_py()
        == "Water is wet[1] now."
    )


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (FIVE, 5),
        ('He said: "Stop now!" Then he left us.', 2),
        ("What?! Nobody has known this. Dr. Ng left the U.S. in May.", 3),
        ("A fraction of 3.14 is no end.", 1),
        ("A line ends here.\nand the next begins anew.", 2),
        ("Here are two spaces.  “They” begin one.", 2),
    ],
)
def test_sentences_are_counted_in_the_lines_that_are_left(text: str, sentences: int) -> None:
    for edit in (True, False):
        assert measured(C4Settings(kind="c4", edit=edit), f"{text}\nnot this")["c4.sentences"][0].as_py() == sentences


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        (FIVE, None, None),
        (f"{FIVE}\nHere Lorem IPSUM is dolor.", "lorem ipsum", "1 > 0"),
        (f"{FIVE}\nlorem ipsum", None, None),  # that line goes before it is looked at
        (f"{FIVE}\nif (x) {{ this is code.", "curly bracket", "1 > 0"),
        (f"{FIVE}\nif (x) {{ this is code", None, None),
        ("One here is it. Two here is it.\nThree is it here.", "too few sentences", "3 < 5"),
    ],
)
def test_c4_drops_a_document_for_what_its_lines_hold(text: str, reason: str | None, detail: str | None) -> None:
    frame = decided(C4Settings(kind="c4"), C4Rule(rule="c4"), text)
    assert (frame["reason"][0], frame["detail"][0]) == (reason, detail)
    rule = C4Rule(rule="c4", drop_lorem_ipsum=False, drop_curly_brackets=False, min_sentences=None)
    assert rule.rules() == []


def test_measuring_alone_changes_no_text() -> None:
    texts = (f"{FIVE}\nnot this", "no", "")
    alone = measured(C4Settings(kind="c4", edit=False), *texts)
    edited = measured(C4Settings(kind="c4"), *texts)
    assert alone.text.to_pylist() == list(texts)
    assert all(alone[name].equals(edited[name]) for name in alone.data.schema.names if name.startswith("c4."))


def test_sentences_can_be_what_is_taken_out() -> None:
    batch = measured(C4Settings(kind="c4", unit="sentence"), "This sentence stays. Not it. But this one\nstays too!")
    assert batch.text[0].as_py() == "This sentence stays. But this one\nstays too!"
    assert batch["c4.sentences"][0].as_py() == 2


PIECES = [
    *(
        "One more sentence is here.",
        "Short one.",
        "no end",
        "Use cookies now, please!",
        "lorem ipsum it is.",
        "a {b c}.",
    ),
    *(
        "See [1] and [edit] it.",
        'Say "so it is."',
        "javascript is on now.",
        "trails off...",
        " ",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
    ),
    *("\u2028", "\x85", "é à ü ñ.", "x" * 12, "[citation needed]", "?!", "Dr. No is in.", "\x1c", "  ", ".", "\u00a0"),
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=40).map("".join)


@example(["é à ü ñ.\u2028"], False, None)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.booleans(), st.sampled_from([None, 3]))
@settings(max_examples=200, deadline=None)
def test_words_carried_over_an_edit_are_those_of_a_new_split(texts: list[str], punctuation: bool, words: int) -> None:
    batch = batch_of(*texts)
    words_of(batch)
    edited = C4Settings(kind="c4", punctuation=punctuation, min_words_per_line=words).build().process(batch)
    carried, split = vars(words_of(edited)), vars(split_words(edited.text))
    assert all(np.array_equal(carried[name], split[name]) for name in carried)


@given(TEXTS, st.booleans(), st.sampled_from([-1, 3, 5]), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_c4_is_datatroves(text: str, punctuation: bool, words: int, citations: bool, javascript: bool) -> None:
    """Decision and text, with sentences left out, which need spaCy."""
    block = C4QualityFilter(
        filter_no_terminal_punct=punctuation,
        min_words_per_line=words,
        remove_citations=citations,
        filter_javascript=javascript,
        max_word_length=11,
        min_num_sentences=-1,
    )
    ours = C4Settings(
        kind="c4",
        punctuation=punctuation,
        min_words_per_line=None if words < 0 else words,
        citations=citations,
        javascript=javascript,
        max_word_length=11,
    )
    document = StockDocument(text=text, id="0")
    kept = block.filter(document) is True
    frame = decided(ours, C4Rule(rule="c4", min_sentences=None), text)
    if frame["reason"][0] == "no line is left":
        # datatrove keeps such a document, unless a line condemned it on its way out; here it is a drop.
        assert not kept or document.text == ""
    else:
        assert kept == (frame["fate"][0] == "kept")
        assert not kept or document.text == frame["text"][0]


@pytest.mark.parametrize(
    ("text", "length", "dropped"),
    [
        ("a\nbb\nccc\ndddd", 2, True),
        ("a\nbb", 0, True),
        ("\n".join(["é" * 200] * 3), 200, False),
        ("\n".join(["é" * 200, "é" * 199, "é" * 300]), 199, True),
    ],
)
def test_paragraphs_are_the_longest_lines(text: str, length: int, dropped: bool) -> None:
    frame = decided(C4ParagraphSettings(kind="c4_paragraphs"), C4ParagraphRule(rule="c4_paragraphs"), text)
    assert frame["c4.paragraph_length"][0] == length
    assert (frame["fate"][0] == "dropped") == dropped
    assert (C4ParagraphFilter().filter(StockDocument(text=text, id="0")) is not True) == dropped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Three lines of text, two end in punctuation, two are of 30 characters at most, two line feeds too many.
        (
            "A first line ends here.\n\n  \nanother does not\n" + "x" * 31 + "!",
            {"lines": 3, "punctuated_line_share": 2 / 3, "short_line_share": 2 / 3, "newline_share": 4 / 11},
        ),
        ("a。\nb？\nc‽\nd", {"punctuated_line_share": 3 / 4}),
        ("ends in blanks. ", {"punctuated_line_share": 0}),
        # aa twice more, 4 of 9 characters that are no line feeds.
        ("aa\naa\nbbb\naa", {"duplicate_char_share": 4 / 9, "newline_share": 3 / 4}),
        (" \n \n", {"lines": 0, "punctuated_line_share": 0, "newline_share": 0}),
        ("", {"lines": 0}),
    ],
)
def test_fineweb_measures_are_those_counted_by_hand(text: str, expected: dict[str, float]) -> None:
    batch = measured(FineWebSettings(kind="fineweb"), text)
    assert {name: batch[f"fineweb.{name}"][0].as_py() for name in expected} == pytest.approx(expected)


LONG = "This is a line of more than thirty characters that ends as it should"


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        (f"{LONG}.\n{LONG}, too.", None, None),
        (" \n ", "no line", "0 < 1"),
        ("\n".join([f"{LONG}, {index}" for index in range(9)]), "few lines end in punctuation", "0 < 0.12"),
        ("A short one.\nB short one.\nC short one.", "many short lines", "1 > 0.67"),
        (f"{LONG}.\n{LONG}.", "duplicate lines by characters", "0.5 > 0.01"),
        (f"{LONG}.\n\n\n\n\n\n\n{LONG}!", "a list", "0.233333 > 0.2"),
    ],
)
def test_each_fineweb_rule_drops_its_case(text: str, reason: str | None, detail: str | None) -> None:
    rule = FineWebRule(rule="fineweb", max_newline_share=0.2)
    frame = decided(FineWebSettings(kind="fineweb"), rule, text)
    assert (frame["reason"][0], frame["detail"][0]) == (reason, detail)


def test_fineweb_settings_choose_what_is_short_and_what_ends_a_line() -> None:
    own = FineWebSettings(kind="fineweb", short_line_characters=4, stop_characters=("->", "x"))
    batch = measured(own, "abcd\nabcde->\nbox\n.")
    assert batch["fineweb.short_line_share"][0].as_py() == pytest.approx(3 / 4)
    assert batch["fineweb.punctuated_line_share"][0].as_py() == pytest.approx(2 / 4)
    with pytest.raises(ValidationError, match="stop_characters"):
        FineWebSettings(kind="fineweb", stop_characters=())
    none = FineWebRule(
        rule="fineweb",
        min_punctuated_line_share=None,
        max_short_line_share=None,
        max_duplicate_char_share=None,
        max_newline_share=None,
    )
    assert [rule.reason for rule in none.rules()] == ["no line"]
    lenient = FineWebRule(rule="fineweb", allow_unpunctuated=True)
    assert decided(FineWebSettings(kind="fineweb"), lenient, LONG)["fate"][0] == "kept"


@given(TEXTS)
@settings(max_examples=120, deadline=None)
def test_fineweb_is_datatroves(text: str) -> None:
    """All but the list rule, whose words are spaCy's."""
    kept = FineWebQualityFilter(new_line_ratio=1e9).filter(StockDocument(text=text, id="0"))
    rule = FineWebRule(rule="fineweb", max_newline_share=None)
    frame = decided(FineWebSettings(kind="fineweb"), rule, text)
    theirs = {
        "empty": "no line",
        "line_punct_ratio": "few lines end in punctuation",
        "short_line_ratio": "many short lines",
        "char_dup_ratio": "duplicate lines by characters",
    }
    assert frame["reason"][0] == (None if kept is True else theirs[kept[1]])


def test_bad_words_count_where_nothing_touches_them(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("bad\nvery rude\nфу\n\na+b\n", encoding="utf-8")
    own = BadWordsSettings(kind="bad_words", words=str(words))
    texts = ["bad", "badly", "so BAD, so Very Rude.", "bad_word", "Фу!", "фуфу", "ébad", "a+b", "aab", ""]
    frame = decided(own, BadWordsRule(rule="bad_words"), *texts)
    assert frame["bad_words.matches"].to_list() == [1, 0, 2, 0, 1, 0, 0, 1, 0, 0]
    assert frame["detail"][2] == "2 > 0" and frame["reason"][2] == "words of the list"
    anywhere = BadWordsSettings(kind="bad_words", words=str(words), whole_words=False)
    assert measured(anywhere, *texts)["bad_words.matches"].to_pylist() == [1, 1, 2, 1, 1, 2, 1, 1, 0, 0]


def test_a_share_of_the_documents_with_bad_words_can_stay(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("bad")
    own = BadWordsSettings(kind="bad_words", words=str(words))
    frame = decided(own, BadWordsRule(rule="bad_words", keep_share=0.3), *["bad"] * 2000)
    kept = (frame["fate"] == "kept").mean()
    assert kept == pytest.approx(0.3, abs=0.04)
    assert decided(own, BadWordsRule(rule="bad_words", max_matches=1), "bad")["fate"][0] == "kept"


@pytest.mark.parametrize(
    ("content", "what"), [(None, "no such list"), (b"\n \n", "is empty"), (b"\xff\xfe", "not UTF-8")]
)
def test_a_list_of_words_that_cannot_be_used_is_a_clear_error(tmp_path: Path, content: bytes | None, what: str) -> None:
    words = tmp_path / "words.txt"
    if content is not None:
        words.write_bytes(content)
    with pytest.raises(ConfigError, match=what):
        measured(BadWordsSettings(kind="bad_words", words=str(words)), "a text")
