"""Every measure against values worked out by hand, and n-grams against plain Python."""

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.decide import apply_rules
from corpus.document import Batch, Document
from corpus.quality import (
    CodeQualityRule,
    CodeQualitySettings,
    GopherQualityRule,
    GopherRepetitionRule,
    LengthRule,
    QualitySettings,
)


def batch_of(*texts: str, file: str = "a.txt") -> Batch:
    return Batch.of([Document("s", file, i, text, len(text.encode())) for i, text in enumerate(texts)])


def quality(text: str) -> dict[str, float]:
    batch = QualitySettings(kind="quality").build().process(batch_of(text))
    names = [name for name in batch.data.schema.names if name.startswith("quality.")]
    return {name.removeprefix("quality."): batch[name][0].as_py() for name in names}


def test_statistics_of_a_small_document():
    text = "The cat and the dog\n- a bullet #1\nto be...\nends here…"
    # tokens: The cat and the dog - a bullet # 1 to be ... ends here … : 16, of which 12 have a letter or digit
    found = quality(text)
    assert found["words"] == 12
    assert found["characters"] == len(text)
    assert found["lines"] == 4
    assert found["stop_words"] == 4  # and, the, to, be; "The" is another word
    lengths = [3, 3, 3, 3, 3, 1, 6, 1, 2, 2, 4, 4]
    assert found["mean_word_length"] == pytest.approx(sum(lengths) / 12)
    assert found["alphabetic_share"] == pytest.approx(11 / 16)
    assert found["hash_share"] == pytest.approx(1 / 16)
    assert found["ellipsis_share"] == pytest.approx(2 / 16)
    assert found["bullet_line_share"] == pytest.approx(1 / 4)
    assert found["ellipsis_line_share"] == pytest.approx(2 / 4)


def test_duplicate_lines_and_paragraphs():
    text = "one\ntwo\none\n\nsame same\n\nsame same\n\none"
    found = quality(text)
    # lines: one two one "same same" "same same" one: 3 of 6 seen before, 3 + 9 + 3 characters
    assert found["duplicate_lines"] == pytest.approx(3 / 6)
    assert found["duplicate_line_chars"] == pytest.approx(15 / len(text))
    # paragraphs: "one\ntwo\none", "same same", "same same", "one": 1 of 4
    assert found["duplicate_paragraphs"] == pytest.approx(1 / 4)
    assert found["duplicate_paragraph_chars"] == pytest.approx(9 / len(text))


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "d"]), min_size=1, max_size=40))
def test_ngram_measures_are_those_of_a_counter(words):
    text = " ".join(words)
    found = quality(text)
    for n in (2, 3, 4):
        grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
        top = Counter(grams).most_common(1)
        expected = len(top[0][0]) * top[0][1] / len(text) if top else 0
        assert found[f"top_{n}gram_chars"] == pytest.approx(expected, rel=1e-6)
    for n in (5, 7, 10):
        seen, repeated, index = set(), 0, 0
        while index + n <= len(words):
            gram = tuple(words[index : index + n])
            if gram in seen:
                repeated += sum(map(len, gram))
                index += n
            else:
                seen.add(gram)
                index += 1
        assert found[f"duplicate_{n}gram_chars"] == pytest.approx(repeated / len(text), rel=1e-6)


@pytest.mark.parametrize(
    ("rule", "text", "reason", "detail"),
    [
        (LengthRule(rule="length", min_words=5), "four words are here", "too few words", "4 < 5"),
        (LengthRule(rule="length", max_words=3), "four words are here", "too many words", "4 > 3"),
        (GopherQualityRule(rule="gopher_quality"), "a b c d e of to", "short words", "1.28571 < 3"),
        (GopherQualityRule(rule="gopher_quality"), "plain words without any", "few stop words", "0 < 2"),
        (GopherQualityRule(rule="gopher_quality"), "- that with\n- have", "few alphabetic words", None),
        (GopherRepetitionRule(rule="gopher_repetition"), "same line\nsame line\nsame line", "duplicate lines", None),
    ],
)
def test_each_rule_names_itself_the_value_and_the_bound(rule, text, reason, detail):
    batch = QualitySettings(kind="quality").build().process(batch_of(text))
    decided = apply_rules(pl.DataFrame(pl.from_arrow(batch.data)), rule.rules())
    assert decided["fate"][0] == "dropped" and decided["reason"][0] == reason
    assert detail is None or decided["detail"][0] == detail


def code(text: str, file: str = "a.py") -> dict[str, object]:
    batch = CodeQualitySettings(kind="code_quality").build().process(batch_of(text, file=file))
    return {n.removeprefix("code."): batch[n][0].as_py() for n in batch.data.schema.names if n.startswith("code.")}


def test_measures_of_code():
    found = code("# a comment\nx = 12\n")
    assert found["parses"] is True
    assert found["comment_share"] == pytest.approx(11 / 19)
    assert found["line_max"] == 11
    assert found["line_mean"] == pytest.approx(17 / 3)
    assert found["alphanumeric_share"] == pytest.approx(11 / 19)
    assert found["generated"] is False


@pytest.mark.parametrize("text", ["def f(:\n", "print 'python 2'\n", "x = \x00\n", "(" * 5000])
def test_code_that_does_not_parse_is_measured_so_and_warns_of_nothing(text):
    assert code(text)["parses"] is False


def test_invalid_escapes_in_a_users_code_are_not_our_warnings():
    assert code("x = '\\d'\n")["parses"] is True


def test_only_python_is_parsed():
    assert code("int main() {}", file="a.c")["parses"] is None


def test_a_generators_mark_is_found_in_the_head_only():
    assert code("# Generated by protoc. DO NOT EDIT.\nx = 1\n")["generated"] is True
    assert code("x = 1\n" * 400 + "# do not edit\n")["generated"] is False


def test_code_rules_drop_what_they_name():
    rules = CodeQualityRule(rule="code_quality").rules()
    batch = CodeQualitySettings(kind="code_quality").build().process(batch_of("def f(:\n", "x = 1\n", file="a.py"))
    decided = apply_rules(pl.DataFrame(pl.from_arrow(batch.data)), rules)
    assert decided["reason"].to_list() == ["does not parse", None]
