"""The fastText classifier: trained by our own trainer, applied by fastText; hashes and n-grams against plain Python."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import fasttext
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import mannwhitneyu

from corpus.artifact import Manifest
from corpus.decide import apply_rules
from corpus.document import Batch, Document
from corpus.errors import ConfigError, DataError
from corpus.kernels.classify import Features, tokens_of, train_model
from corpus.quality import ClassifierRule, ClassifierSettings
from corpus.quality.classifier import MODEL_FILE, scores_of
from corpus.quality.fasttext_file import write_fasttext
from corpus.quality.training import ClassifierReport, ClassifierTraining, area_under_curve, train_classifier

GOOD = "the patient was given a dose of the drug and recovered well after treatment in the ward"
BAD = "click here to win free money now best casino offer cheap pills buy online today fast"
SMALL = ClassifierTraining(buckets=1 << 10, dim=8)


def sentences(of: str, count: int, seed: int) -> list[str]:
    random, words = np.random.default_rng(seed), of.split()
    return [" ".join(random.choice(words, 12)) + f" {random.integers(1 << 30)}" for _ in range(count)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("examples")
    good, bad = root / "good", root / "bad"
    good.mkdir()
    bad.mkdir()
    lines = sentences(GOOD, 300, 1)
    for index, text in enumerate(lines[:50]):
        (good / f"{index}.txt").write_text(text + "\n\nmore of it\n")
    pl.DataFrame({"text": lines[50:]}).write_parquet(good / "rows.parquet")
    records = [json.dumps({"text": text}) for text in sentences(BAD, 300, 2)]
    with gzip.open(bad / "lines.jsonl.gz", "wt") as handle:
        handle.write("\n".join([*records, records[0], "{broken", '{"text": " "}']) + "\n")
    return good, bad


@pytest.fixture(scope="module")
def trained(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClassifierReport]:
    output = tmp_path_factory.mktemp("models") / "quality"
    return output, train_classifier(*folders, output, SMALL)


def test_the_report_counts_what_it_read_and_measures_on_what_it_held_out(
    trained: tuple[Path, ClassifierReport],
) -> None:
    output, report = trained
    assert sum(report.trained_on.values()) + sum(report.held_out.values()) == 600
    assert report.unreadable == 2 and report.repeated == 1
    assert report.accuracy > 0.98 and report.auc > 0.99 > report.majority
    kept = [row["good_kept"] for row in report.thresholds]
    assert kept == sorted(kept, reverse=True)
    assert json.loads((output / "report.json").read_text())["words"] == report.words
    manifest = Manifest.read(output)
    manifest.verify(output)
    assert manifest.kind == "corpus.classifier" and manifest.totals["documents"] == 600


def test_training_twice_gives_the_same_bytes(
    folders: tuple[Path, Path], trained: tuple[Path, ClassifierReport], tmp_path: Path
) -> None:
    train_classifier(*folders, tmp_path / "again", SMALL)
    assert (tmp_path / "again" / MODEL_FILE).read_bytes() == (trained[0] / MODEL_FILE).read_bytes()
    train_classifier(*folders, tmp_path / "other", SMALL.model_copy(update={"seed": 1}))
    assert (tmp_path / "other" / MODEL_FILE).read_bytes() != (trained[0] / MODEL_FILE).read_bytes()


def test_fasttext_reads_the_file_as_its_own(trained: tuple[Path, ClassifierReport]) -> None:
    model = fasttext.load_model(str(trained[0] / MODEL_FILE))
    assert sorted(model.get_labels()) == ["__label__bad", "__label__good"]
    assert model.get_dimension() == 8
    words, counts = model.get_words(include_freq=True)
    assert list(counts) == sorted(counts, reverse=True)
    assert "patient" in words and "</s>" in words
    model.save_model(str(trained[0].parent / "copy.bin"))
    assert (trained[0].parent / "copy.bin").read_bytes() == (trained[0] / MODEL_FILE).read_bytes()


def test_the_step_scores_every_label_and_the_rule_decides(trained: tuple[Path, ClassifierReport]) -> None:
    step = ClassifierSettings(kind="classifier", model=str(trained[0])).build()
    texts = ["the patient recovered\nafter treatment", "win free money at the casino", ""]
    batch = step.process(Batch.of([Document("s", "f", i, t, len(t)) for i, t in enumerate(texts)]))
    assert step.columns == {"classifier.bad": pa.float32(), "classifier.good": pa.float32()}
    good, bad = batch["classifier.good"].to_pylist(), batch["classifier.bad"].to_pylist()
    assert good[0] > 0.9 > 0.1 > good[1] and good[2] is None
    assert good[0] + bad[0] == pytest.approx(1, abs=1e-4)
    frame = pl.DataFrame(pl.from_arrow(batch.data))
    low = apply_rules(frame, ClassifierRule(rule="classifier", min_score=0.5).rules())
    assert low["reason"].to_list() == [None, "low score of good", None]
    assert low["detail"][1].endswith(" < 0.5")
    high = apply_rules(frame, ClassifierRule(rule="classifier", label="bad", max_score=0.5).rules())
    assert high["reason"].to_list() == [None, "high score of bad", None]
    with pytest.raises(ValidationError, match="min_score or max_score"):
        ClassifierRule(rule="classifier")


def test_a_models_identity_is_its_content(trained: tuple[Path, ClassifierReport], tmp_path: Path) -> None:
    first = ClassifierSettings(kind="classifier", model=str(trained[0] / MODEL_FILE))
    copy = tmp_path / "copy.bin"
    copy.write_bytes((trained[0] / MODEL_FILE).read_bytes())
    second = ClassifierSettings(kind="classifier", model=str(copy))
    assert first.identity()["model"] == second.identity()["model"]


def test_a_file_that_is_no_model_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such classifier"):
        ClassifierSettings(kind="classifier", model=str(tmp_path / "none.bin")).build()
    (tmp_path / "wrong.bin").write_bytes(b"not a model at all")
    with pytest.raises(ConfigError, match="not a fastText model"):
        ClassifierSettings(kind="classifier", model=str(tmp_path / "wrong.bin")).build()


def test_too_little_to_learn_from_is_a_clear_error(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    with pytest.raises(DataError, match="no documents"):
        train_classifier(good, bad, tmp_path / "model")
    (good / "a.txt").write_text("one")
    (bad / "a.txt").write_text("two")
    with pytest.raises(DataError, match="too few documents"):
        train_classifier(good, bad, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def python_hash(word: bytes) -> int:
    """fastText's hash as its paper's code states it: FNV-1a of signed bytes, read as a signed 32-bit number."""
    value = 2166136261
    for byte in word:
        value = ((value ^ (byte - 256 if byte > 127 else byte) & 0xFFFFFFFF) * 16777619) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_words_are_cut_and_hashed_as_fasttext_does(texts: list[str]) -> None:
    tokens = tokens_of(pa.array(texts))
    for document, text in enumerate(texts):
        blank = bytes(range(9, 14)) + b"\0 "
        plain = text.encode().translate(bytes(32 if byte in blank else byte for byte in range(256)))
        expected = [word for word in plain.split(b" ") if word and not word.startswith(b"__label__")] + [b"</s>"]
        owned = range(tokens.offsets[document], tokens.offsets[document + 1])
        assert [tokens.word(token) for token in owned] == expected
        assert [tokens.hashes[token] for token in owned] == [python_hash(word) for word in expected]


def test_one_step_of_training_is_the_gradient_worked_out_by_hand() -> None:
    """One document of one word, two classes, no n-grams: with output 0 the scores are even, so the first step moves the
    output rows by ± rate / 2 × the word's vector and the vectors not at all."""
    features = Features(np.array([0], np.int32), np.array([7], np.int32), np.array([0, 1]))
    options = {"words": 1, "buckets": 0, "ngrams": 1, "dim": 4, "classes": 2, "seed": 3}
    before, _ = train_model(features, np.array([1]), np.array([], np.int64), rate=0.0, **options)
    vectors, output = train_model(features, np.array([1]), np.array([0]), rate=0.5, **options)
    assert vectors == pytest.approx(before)
    assert output[1] == pytest.approx(0.25 * before[0]) and output[0] == pytest.approx(-0.25 * before[0])


def test_the_scores_fasttext_gives_are_those_of_the_matrices(tmp_path: Path) -> None:
    """Softmax of output × mean of the rows that plain Python picks: words, </s>, and bigrams by fastText's hash."""
    random = np.random.default_rng(5)
    words = [b"alpha", b"beta", b"</s>"]
    vectors = random.normal(size=(3 + 16, 4)).astype(np.float32)
    output = random.normal(size=(2, 4)).astype(np.float32)
    path = tmp_path / "m.bin"
    counted = [(word, 9 - index) for index, word in enumerate(words)]
    write_fasttext(path, counted, [("x", 5), ("y", 4)], vectors, output, ngrams=2, epochs=1, min_count=1)
    line = [b"alpha", b"gamma", "béta".encode(), b"</s>"]
    rows = [words.index(word) for word in line if word in words]
    for one, two in pairwise(line):
        value = (python_hash(one) * 116049371 + python_hash(two)) % (1 << 64)
        rows.append(3 + value % 16)
    logits = output @ vectors[rows].mean(axis=0)
    expected = np.exp(logits) / np.exp(logits).sum()
    scores = scores_of(path, ["alpha gamma béta", ""])
    assert [scores["x"][0], scores["y"][0]] == pytest.approx(expected, abs=1e-4)
    assert np.isnan(scores["x"][1])


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), min_size=2, max_size=40))
def test_the_area_under_the_curve_is_mann_whitneys(pairs: list[tuple[float, bool]]) -> None:
    scores, positive = np.array([score for score, _ in pairs]), np.array([kind for _, kind in pairs])
    if positive.all() or not positive.any():
        return
    statistic = mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert area_under_curve(scores, positive) == pytest.approx(statistic / (positive.sum() * (~positive).sum()))
