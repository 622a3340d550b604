"""Models per language, the normalisation that is stored with a model, training from documents, buckets."""

import gzip
import json
import math

import kenlm
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.artifact import Manifest
from corpus.decide import apply_rules
from corpus.document import Batch, Document
from corpus.errors import ArtifactError, ConfigError, DataError
from corpus.perplexity import (
    BucketSettings,
    Normalisation,
    PerplexityRule,
    PerplexitySettings,
    find_kenlm_tools,
    normalised,
    train_lm,
    with_buckets,
)
from corpus.perplexity.estimate import LmTraining
from corpus.perplexity.ngram import LARGEST
from corpus.perplexity.normalisation import read_normalisation
from corpus.recipe import SourceSettings


def kenlm_is_built() -> bool:
    try:
        find_kenlm_tools()
    except ConfigError:
        return False
    return True


needs_kenlm = pytest.mark.skipif(not kenlm_is_built(), reason="lmplz is not built: make setup")
SMALL = {"order": 2, "prune": (0,), "memory": "100M"}
ENGLISH = [f"The {a} {b} the {c}." for a in ("old", "new") for b in ("sees", "hears") for c in ("cat", "dog", "sea")]
GERMAN = [f"Der {a} {b} das {c}." for a in ("Alte", "Neue") for b in ("sieht", "hört") for c in ("Tier", "Meer")]
CLOSED = """\\data\\
ngram 1=4
ngram 2=1

\\1-grams:
-1\t<s>\t0
-0.5\t</s>
-0.5\tthe\t0
-0.5\tcat\t0

\\2-grams:
-0.5\tthe cat

\\end\\
"""


def batch_of(*texts: str, labels: list[str | None] | None = None) -> Batch:
    batch = Batch.of([Document("s", "f", i, text, len(text.encode())) for i, text in enumerate(texts)])
    return batch if labels is None else batch.with_columns({"language.label": pa.array(labels, pa.string())})


def values(settings: PerplexitySettings, batch: Batch) -> list[float | None]:
    return settings.build().process(batch)["perplexity.value"].to_pylist()


def write_jsonl(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("lm")
    for name, texts in (("en", ENGLISH), ("de", GERMAN)):
        train_lm([write_jsonl(root / f"{name}.jsonl", texts)], root / name, LmTraining(**SMALL))
    return root


@needs_kenlm
def test_each_document_is_measured_by_the_model_of_its_language(folders):
    models = {"en": str(folders / "en"), "de": str(folders / "de")}
    texts = ["the old sees the cat", "der Alte sieht das Tier", "den gamle ser katten", "the old sees the cat"]
    batch = batch_of(*texts, labels=["eng_Latn", "de", "da", None])
    found = values(PerplexitySettings(model=models), batch)
    alone = [values(PerplexitySettings(model=models[key]), batch)[row] for row, key in enumerate(("en", "de"))]
    assert found == [*alone, None, None]
    with_default = values(PerplexitySettings(model=models | {"*": str(folders / "de")}), batch)
    assert with_default[:2] == alone and None not in with_default


@needs_kenlm
def test_models_per_language_need_the_language_step(folders):
    with pytest.raises(ConfigError, match="needs the language of each document"):
        values(PerplexitySettings(model={"en": str(folders / "en")}), batch_of("text"))


@needs_kenlm
def test_the_stored_normalisation_is_that_of_the_measurement(folders, tmp_path):
    how = Normalisation(case="keep", digits="keep", accents="strip", punctuation="drop")
    documents = [write_jsonl(tmp_path / "d.jsonl", [f"Café {n} Noir" for n in range(20)])]
    train_lm(documents, tmp_path / "model", LmTraining(**SMALL, normalisation=how))
    assert read_normalisation(tmp_path / "model") == how
    text = "Café, 1 Noir!"
    scores = [s for s, _, _ in kenlm.Model(str(tmp_path / "model" / "lm.binary")).full_scores("Cafe 1 Noir")]
    expected = 10 ** (-math.fsum(scores) / 4)
    assert values(PerplexitySettings(model=str(tmp_path / "model")), batch_of(text)) == [pytest.approx(expected)]
    bare = PerplexitySettings(model=str(tmp_path / "model" / "lm.binary"))
    assert bare.identity()["normalisation"] == Normalisation().identity()
    assert bare.identity() != PerplexitySettings(model=str(tmp_path / "model")).identity()


@needs_kenlm
def test_an_edited_normalisation_and_an_exchanged_model_are_refused(folders, tmp_path):
    documents = [write_jsonl(tmp_path / "d.jsonl", ENGLISH)]
    train_lm(documents, tmp_path / "model", LmTraining(**SMALL))
    settings = PerplexitySettings(model=str(tmp_path / "model"))
    settings.identity()
    stored = tmp_path / "model" / "normalisation.json"
    whole = stored.read_text()
    stored.write_text(whole.replace('"lower"', '"keep"'))
    with pytest.raises(ArtifactError, match="differs from the one it was made with"):
        settings.identity()
    stored.write_text("{}")
    with pytest.raises(ArtifactError, match="unreadable normalisation"):
        settings.identity()
    stored.write_text(whole)
    (tmp_path / "model" / "lm.binary").write_bytes((folders / "de" / "lm.binary").read_bytes())
    with pytest.raises(ArtifactError, match="differs from its manifest"):
        settings.identity()


def test_combining_vowels_stay_in_their_words():
    assert list(normalised(pa.array(["हिन्दी, É\u0301"]))) == ["हिन्दी , é\u0301"]
    assert list(normalised(pa.array(["Café!"]), Normalisation(accents="strip", punctuation="drop"))) == ["cafe"]


def test_an_arpa_without_unknown_words_gives_finite_values(tmp_path):
    (tmp_path / "closed.arpa").write_text(CLOSED)
    found = values(PerplexitySettings(model=str(tmp_path / "closed.arpa")), batch_of("the cat", "zebra", "the zebra"))
    assert found[0] == pytest.approx(10**0.5)
    assert found[1] == pytest.approx(LARGEST) and found[2] == pytest.approx(LARGEST)


@needs_kenlm
def test_a_model_is_learned_from_files_of_any_kind_and_counts_what_it_left_out(tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    (given / "a.jsonl.gz").write_bytes(
        gzip.compress("\n".join([json.dumps({"text": ENGLISH[0]}), "{broken", json.dumps({"text": ""})]).encode())
    )
    (given / "b.txt").write_text(ENGLISH[1])
    pq.write_table(pa.table({"text": ENGLISH[2:]}), given / "c.parquet")
    manifest = train_lm([given], tmp_path / "out" / "model", LmTraining(**SMALL))
    learned = {"learned": len(ENGLISH), "malformed JSON": 1, "empty text": 1}
    assert manifest.totals == {"lines": len(ENGLISH), "documents": learned}
    manifest.verify(tmp_path / "out" / "model")
    written = (tmp_path / "out" / "model" / "lm.binary").stat().st_mtime_ns
    again = train_lm([given / "c.parquet", given / "a.jsonl.gz", given / "b.txt"], tmp_path / "two")
    assert again.totals["documents"] == learned
    train_lm([given], tmp_path / "out" / "model", LmTraining(**SMALL))
    assert (tmp_path / "out" / "model" / "lm.binary").stat().st_mtime_ns == written


@needs_kenlm
def test_shards_of_a_corpus_are_learned_from_by_language_and_without_what_is_held_out(tmp_path):
    kind = pa.struct([pa.field("language_label", pa.string())])
    labels = [{"language_label": "eng_Latn"}] * len(ENGLISH) + [{"language_label": "de"}] * len(GERMAN) + [None]
    table = pa.table({"text": [*ENGLISH, *GERMAN, "no label"], "annotations": pa.array(labels, kind)})
    shards = tmp_path / "corpus" / "data" / "web"
    shards.mkdir(parents=True)
    (tmp_path / "corpus" / "manifest.json").write_text("{}")
    for split in ("train", "validation"):
        pq.write_table(table, shards / f"{split}-00000-of-00001.parquet")
    manifest = train_lm([tmp_path / "corpus"], tmp_path / "model", LmTraining(**SMALL, language="en"))
    assert manifest.totals["documents"] == {"learned": len(ENGLISH), "other language": len(GERMAN) + 1}
    pq.write_table(pa.table({"text": ENGLISH}), tmp_path / "plain.parquet")
    with pytest.raises(DataError, match="no column 'annotations'"):
        train_lm([tmp_path / "plain.parquet"], tmp_path / "none", LmTraining(**SMALL, language="en"))
    assert not (tmp_path / "none").exists()


def test_no_documents_to_learn_from_is_a_data_error(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(DataError, match="no documents to learn a language model from"):
        train_lm([tmp_path], tmp_path / "out")


def test_the_manifest_of_a_model_names_no_path(tmp_path):
    if not kenlm_is_built():
        pytest.skip("lmplz is not built: make setup")
    one, two = (tmp_path / name for name in ("one", "two"))
    for folder in (one, two):
        folder.mkdir()
        train_lm([write_jsonl(folder / "d.jsonl", ENGLISH)], folder / "model", LmTraining(**SMALL))
    assert Manifest.read(one / "model") == Manifest.read(two / "model")


def frame_of(found: list[float | None], labels: list[str]) -> pl.DataFrame:
    empty = pl.Series([None] * len(found), dtype=pl.String)
    return pl.DataFrame(
        {
            "step": empty,
            "reason": empty,
            "perplexity.value": pl.Series(found, dtype=pl.Float32),
            "language.label": pl.Series(labels, dtype=pl.String),
        }
    )


def decided(
    frame: pl.DataFrame, buckets: dict[str, object] | None = None, **rule: object
) -> tuple[list[str | None], list[str | None]]:
    settings = BucketSettings(**(buckets or {}))
    frame = with_buckets(frame, settings.bounds(frame), settings)
    result = apply_rules(frame, PerplexityRule(rule="perplexity", **rule).rules())
    return result["reason"].to_list(), result["detail"].to_list()


def test_head_middle_and_tail_by_percentile_of_each_language():
    frame = frame_of([1, 2, 3, 4, 5, 100, 200, 300, 400, 500, None], ["en"] * 5 + ["de"] * 6)
    head_and_middle = {"keep": ["head", "middle"], "buckets": {"head": 0.25, "middle": 0.5}}
    reasons, details = decided(frame, **head_and_middle)
    assert reasons == ([None] * 3 + ["perplexity tail"] * 2) * 2 + [None]
    assert (details[3], details[9]) == ("4 > 3", "500 > 300")
    reasons, details = decided(frame, keep=["tail"], buckets={"head": 0.25, "middle": 0.5})
    ends = ["perplexity head"] * 2 + ["perplexity middle"] + [None] * 2
    assert reasons == [*ends, *ends, None]
    assert (details[0], details[2]) == ("1 ≤ 2", "3 in (2, 3]")
    # Over both languages together the median is between 5 and 100.
    together = {"head": 0.25, "middle": 0.5, "per_language": False}
    assert decided(frame, keep=["head", "middle"], buckets=together)[0] == [None] * 5 + ["perplexity tail"] * 5 + [None]


def test_buckets_by_value_and_percentiles_and_bounds_all_hold():
    frame = frame_of([10, 20, 30, 40, None], ["en"] * 5)
    by_value = {"by": "value", "head": 10, "middle": 30}
    assert decided(frame, keep=["head", "middle"], buckets=by_value)[0] == [None] * 3 + ["perplexity tail", None]
    reasons, details = decided(frame, max=30, min_percentile=0.5, keep=["middle"], buckets=by_value)
    assert reasons == ["low perplexity percentile"] * 2 + [None, "high perplexity", None]
    assert details[0] == "10 < 25 (percentile 0.5)"


def test_a_bound_may_be_the_languages_own():
    frame = frame_of([10, 20, 10, 20, 50], ["en", "en", "de", "de", "fr"])
    reasons, details = decided(frame, max=40, max_by_language={"en": 15, "de": 25})
    assert reasons == [None, "high perplexity", None, None, "high perplexity"]
    assert (details[1], details[4]) == ("20 > 15 (en)", "50 > 40 (fr)")


@pytest.mark.parametrize(
    "stated",
    [
        "english",
        {"en": "english", "*": "any.arpa"},
        {"kind": "causal_lm", "model": "m"},
        {"kind": "kenlm", "model": "m"},
    ],
)
def test_a_recipe_names_models_in_four_ways(stated):
    source = SourceSettings(name="s", reader={"kind": "jsonl", "path": "x"}, perplexity=stated)
    kept = source.perplexity
    assert kept == stated or kept.model_dump(exclude_none=True) == stated


@pytest.mark.parametrize(
    "stated", [{"kind": "causal_lm", "modl": "m"}, {"kind": "kenln", "model": "m"}, {"english": "m"}]
)
def test_a_misspelt_key_does_not_pass_for_a_language(stated):
    with pytest.raises(ValueError, match="perplexity"):
        SourceSettings(name="s", reader={"kind": "jsonl", "path": "x"}, perplexity=stated)
