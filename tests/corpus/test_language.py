import polars as pl
import pytest

from corpus.decide import apply_rules
from corpus.document import Batch, Document
from corpus.errors import ConfigError
from corpus.language import LanguageRule, LanguageSettings, packaged_model

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
    step = LanguageSettings(kind="language", model=str(broken)).build()
    with pytest.raises(ConfigError, match="not a fastText model"):
        step.process(Batch.of([Document("s", "f", 0, "text", 4)]))
