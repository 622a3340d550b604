"""Every measure against values worked out by hand, and n-grams against plain Python."""

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.decide import apply_rules
from corpus.document import Batch, Document
from corpus.quality import (
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
