from functools import partial

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corpus.language
from corpus.annotate import SourceLine
from corpus.decide import apply_rules
from corpus.document import Batch, Document
from corpus.language import LanguageRule, LanguageSettings, predicted

EN, DE = "english words " * 4, "deutsche wörter " * 4


class FirstWordModel:
    """The language of a text is that of its first word; the more words, the surer."""

    def predict(self, lines: list[str], k: int) -> tuple[list[tuple[str, ...]], list[list[float]]]:
        assert k == 2 and not any("\n" in line for line in lines)
        best = ["eng_Latn" if line.lstrip().startswith("english") else "deu_Latn" for line in lines]
        return [(f"__label__{label}", "__label__xxx") for label in best], [[0.9, 0.05]] * len(lines)


@pytest.fixture(autouse=True)
def model(monkeypatch, tmp_path):
    monkeypatch.setattr(corpus.language, "_two_best", lambda path: partial(predicted, FirstWordModel()))


def cut(*texts: str, **paragraphs: object) -> Batch:
    settings = {"allow": ("en",), "match": "language"} | paragraphs
    step = LanguageSettings(kind="language", model="any.bin", paragraphs=settings).build()
    return step.process(Batch.of([Document("s", "f", i, text, len(text.encode())) for i, text in enumerate(texts)]))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"{EN}\n\n{DE}\n\n{EN}", f"{EN}\n\n{EN}"),
        (f"{DE}\n\n{EN}", EN),
        (f"{EN}\n \t\n\n{DE}", EN),
        (f"{DE}\n\nkurz\n\n{EN}", f"kurz\n\n{EN}"),
        (f"{EN}\n{DE}", f"{EN}\n{DE}"),
        (f"{EN}\n\n12 345\n\n{DE}\n\n", f"{EN}\n\n12 345\n\n"),
    ],
)
def test_foreign_paragraphs_are_cut_where_they_stand_and_booked(text, kept):
    batch = cut(text)
    assert batch.text.to_pylist() == [kept]
    assert batch["edit.language"].to_pylist() == [len(kept.encode()) - len(text.encode())]
    assert not len(batch.unbalanced())
    assert batch["language.foreign"].to_pylist() == [int(text != kept)]
    assert batch["language.label"].to_pylist() == ["eng_Latn" if kept.startswith("english") else "deu_Latn"]


def test_lines_may_be_paragraphs():
    batch = cut(f"{EN}\n{DE}\n{EN}", end="line")
    assert batch.text.to_pylist() == [f"{EN}\n{EN}"]
    assert batch["language.paragraphs"].to_pylist() == [3]


def test_unsure_labels_and_labels_that_are_not_asked_as_languages_say_what_they_are():
    assert cut(f"{EN}\n\n{DE}", min_score=0.95)["language.foreign"].to_pylist() == [0]
    assert cut(f"{EN}\n\n{DE}", match="label", allow=("eng_Latn",)).text.to_pylist() == [EN]


def test_a_document_without_an_allowed_paragraph_is_dropped_with_its_text():
    batch = cut(f"{DE}\n\n{DE}", "", EN)
    assert batch["reason"].to_pylist() == ["no paragraph in an allowed language", None, None]
    assert batch.text.to_pylist() == [f"{DE}\n\n{DE}", "", EN]
    assert batch["edit.language"].to_pylist() == [0, 0, 0]
    assert batch["language.foreign"].to_pylist() == [2, 0, 0]


@given(st.lists(st.sampled_from([EN, DE, "kurz", "", "\n", " "]), max_size=8))
def test_every_byte_cut_is_booked_and_no_english_is_lost(pieces):
    text = "\n\n".join(pieces)
    batch = cut(text)
    assert not len(batch.unbalanced())
    kept = batch.text[0].as_py()
    assert kept.count("english") == text.count("english")
    assert "deutsche" not in kept or batch["reason"][0].as_py() is not None


def test_the_shard_has_the_columns_of_the_mode():
    plain = LanguageSettings(kind="language", model="any.bin").build()
    cutting = LanguageSettings(kind="language", model="any.bin", paragraphs={"allow": ["en"]}).build()
    names = [SourceLine("s", None, (step,)).schema().names for step in (plain, cutting)]
    assert set(names[1]) - set(names[0]) == {"edit.language", "language.paragraphs", "language.foreign"}


def test_labels_with_a_script_are_languages_when_asked_so():
    frame = pl.DataFrame(
        {
            "step": pl.Series([None] * 5, dtype=pl.String),
            "reason": pl.Series([None] * 5, dtype=pl.String),
            "language.label": ["eng_Latn", "deu_Latn", "srp_Cyrl", "fra_Latn", None],
            "language.score": pl.Series([0.6, 0.6, 0.9, 0.9, None], dtype=pl.Float32),
            "language.margin": pl.Series([0.3, 0.3, 0.05, 0.9, None], dtype=pl.Float32),
        }
    )
    allow = ("en", "de", "sr")
    rule = LanguageRule(rule="language", allow=allow, match="language", per_language={"de": 0.7}, min_margin=0.1)
    found = apply_rules(frame, rule.rules())
    assert found["reason"].to_list() == [None, "unsure language", "close second language", "other language", None]
    assert found["detail"].to_list()[1] == "deu_Latn 0.6 < 0.7"
    strict = apply_rules(frame, LanguageRule(rule="language", allow=allow).rules())
    assert strict["reason"].to_list() == ["other language"] * 4 + [None]


def test_a_bound_for_a_language_that_is_not_allowed_is_refused():
    with pytest.raises(ValueError, match="per_language has fr, which is not in allow"):
        LanguageRule(rule="language", allow=("en",), per_language={"fr": 0.9})
