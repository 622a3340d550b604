"""Labels on the shared multilingual texts against those of the bare model."""

from functools import cache

import fasttext
import polars as pl
import pytest

from benchmarks.shared import DATA
from corpus.document import Batch, Document
from corpus.errors import ConfigError
from corpus.language import LanguageSettings, packaged_model
from corpus.language_codes import language_of

TEXTS = DATA / "multilingual"


def language_model_is_installed() -> bool:
    try:
        packaged_model()
    except ConfigError:
        return False
    return True


pytestmark = [
    pytest.mark.skipif(not TEXTS.is_dir(), reason="the multilingual texts of the shared data are not on this machine"),
    pytest.mark.skipif(not language_model_is_installed(), reason="lid.176.ftz is not installed: make setup"),
]


@cache
def sample(file: str) -> pl.DataFrame:
    """Every tenth sentence of each language; the declarations whole."""
    frame = pl.read_parquet(TEXTS / file)
    return frame.gather_every(10) if frame.height > 10_000 else frame


@cache
def bare(file: str) -> list[str]:
    lines = [text.replace("\n", " ") for text in sample(file)["text"]]
    labels, _ = fasttext.load_model(str(packaged_model())).predict(lines, k=1)
    return [names[0].removeprefix("__label__") for names in labels]


def ours(file: str, **settings: int | None) -> list[str | None]:
    texts = sample(file)["text"].to_list()
    batch = Batch.of([Document("s", "f", i, text, len(text.encode())) for i, text in enumerate(texts)])
    return LanguageSettings(kind="language", **settings).build().process(batch)["language.label"].to_pylist()


@pytest.mark.parametrize("file", ["tatoeba_laser_lid.parquet", "udhr.parquet"])
def test_labels_of_whole_texts_are_those_of_the_bare_model(file):
    assert ours(file, characters=None) == bare(file)


def accuracy(file: str, labels: list[str | None]) -> float:
    known = {language_of(label) for label in bare(file)}
    asked = [language_of(code) for code in sample(file)["lang"]]
    hits = [label is not None and language_of(label) == code for label, code in zip(labels, asked, strict=True)]
    rated = [hit for hit, code in zip(hits, asked, strict=True) if code in known]
    assert len(rated) > 50
    return sum(rated) / len(rated)


@pytest.mark.parametrize("file", ["tatoeba_laser_lid.parquet", "udhr.parquet"])
def test_the_first_characters_are_as_good_as_the_whole_text(file):
    assert accuracy(file, ours(file)) >= accuracy(file, bare(file)) - 0.01
