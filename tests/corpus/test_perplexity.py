import math

import kenlm
import polars as pl
import pyarrow as pa
import pytest

from corpus.decide import apply_rules
from corpus.document import Batch, Document
from corpus.errors import ConfigError, DataError
from corpus.perplexity import (
    LmSettings,
    PerplexityRule,
    PerplexitySettings,
    find_kenlm_tools,
    fold_file,
    fold_of,
    normalised,
    train_kenlm,
)


def kenlm_is_built() -> bool:
    try:
        find_kenlm_tools()
    except ConfigError:
        return False
    return True


needs_kenlm = pytest.mark.skipif(not kenlm_is_built(), reason="lmplz is not built: make setup")
SENTENCES = [f"the {a} {b} the {c}" for a in ("old", "new") for b in ("sees", "hears") for c in ("cat", "dog", "sea")]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lm")
    train_kenlm(SENTENCES, folder / "lm.binary", LmSettings(order=2, prune=(0,), memory="100M"), *find_kenlm_tools())
    return folder


def batch_of(*texts: str) -> Batch:
    return Batch.of([Document("s", "f", i, text, len(text.encode())) for i, text in enumerate(texts)])


def test_normalisation_lowers_zeroes_digits_and_parts_marks():
    text = pa.array(["In 1984, Ärzte said:\n\n<s> don't! </s>", ""])
    assert list(normalised(text)) == ["in 0000 , ärzte said :", "< s > don ' t ! < / s >"]


@needs_kenlm
def test_perplexity_is_that_of_kenlms_own_scores_word_by_word(model):
    text = "The old sees the cat\nthe zebra"
    value, tokens = (
        PerplexitySettings(model=str(model)).build().process(batch_of(text))[name][0].as_py()
        for name in ("perplexity.value", "perplexity.tokens")
    )
    scorer = kenlm.Model(str(model / "lm.binary"))
    scores = [s for line in ("the old sees the cat", "the zebra") for s, _, _ in scorer.full_scores(line)]
    assert tokens == len(scores) == 5 + 1 + 2 + 1
    assert value == pytest.approx(10 ** (-math.fsum(scores) / len(scores)), rel=1e-5)


@needs_kenlm
def test_words_in_their_order_are_likelier_than_out_of_it(model):
    batch = batch_of("the old sees the dog", "dog the the sees old", "")
    values = PerplexitySettings(model=str(model)).build().process(batch)["perplexity.value"].to_pylist()
    assert values[0] < values[1] and values[2] is None


@needs_kenlm
def test_training_twice_gives_the_same_bytes(model, tmp_path):
    settings = LmSettings(order=2, prune=(0,), memory="100M")
    train_kenlm(iter(SENTENCES), tmp_path / "lm.binary", settings, *find_kenlm_tools())
    assert (tmp_path / "lm.binary").read_bytes() == (model / "lm.binary").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["lm.binary"]


@needs_kenlm
def test_a_document_is_measured_by_the_half_that_has_not_seen_it(tmp_path):
    documents = [Document("s", "f", i, "", 0) for i in range(40)]
    for fold in (0, 1):
        own = [f"word{'ab'[fold]} follows word" for _ in documents]
        settings = LmSettings(order=2, prune=(0,), memory="100M")
        train_kenlm(own, tmp_path / fold_file(fold), settings, *find_kenlm_tools())
    step = PerplexitySettings(model=str(tmp_path)).build()
    for document in documents:
        seen = f"word{'ab'[fold_of(document.id)]} follows word"
        other = f"word{'ba'[fold_of(document.id)]} follows word"
        texts = [Document("s", "f", document.position, text, len(text)) for text in (seen, other)]
        unseen, read = step.process(Batch.of(texts))["perplexity.value"].to_pylist()
        assert read < unseen


@needs_kenlm
def test_no_text_to_learn_from_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="no language model could be estimated") as raised:
        train_kenlm([], tmp_path / "lm.binary", LmSettings(), *find_kenlm_tools())
    assert "0 lines" in str(raised.value)


def test_a_missing_or_broken_model_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="no such language model"):
        PerplexitySettings(model=str(tmp_path / "none")).identity()
    (tmp_path / "lm.binary").write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\x00broken")
    with pytest.raises(ConfigError, match="not a KenLM model"):
        PerplexitySettings(model=str(tmp_path)).build().process(batch_of("text"))


def test_a_rule_without_a_bound_is_refused():
    with pytest.raises(ValueError, match="state max, min or max_percentile"):
        PerplexityRule(rule="perplexity")


def test_bounds_are_absolute_or_by_percentile_of_the_source():
    frame = pl.DataFrame(
        {
            "step": pl.Series([None] * 6, dtype=pl.String),
            "reason": pl.Series([None] * 6, dtype=pl.String),
            "perplexity.value": pl.Series([100.0, 200.0, 300.0, 400.0, 500.0, None], dtype=pl.Float32),
        }
    )

    def decided(**bounds: float) -> tuple[list[str | None], list[str | None]]:
        result = apply_rules(frame, PerplexityRule(rule="perplexity", **bounds).rules())
        return result["reason"].to_list(), result["detail"].to_list()

    reasons, details = decided(min=150, max=400)
    assert reasons == ["low perplexity", None, None, None, "high perplexity", None]
    assert (details[0], details[4]) == ("100 < 150", "500 > 400")
    # Of five values the 0.6 percentile, linear between neighbours, is 100 + 0.6 × 400 = 340.
    reasons, details = decided(max_percentile=0.6)
    assert reasons == [None, None, None, "perplexity percentile", "perplexity percentile", None]
    assert details[3] == "400 > 340 (percentile 0.6)"
    assert decided(max_percentile=1.0)[0] == [None] * 6
