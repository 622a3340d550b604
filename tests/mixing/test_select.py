"""Measures against their formulas, the choice against its laws, and the artefacts."""

import itertools
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpus.errors import DataError
from corpus.perplexity import find_kenlm_tools
from mixing.select import grams
from mixing.select.choose import ChoiceSettings, choose, combined, gumbel, quantile_ranks
from mixing.select.cross_entropy import MooreLewisSettings
from mixing.select.dsir import DsirSettings, log_ratios
from mixing.select.embedding import HashedSettings, right_vectors
from mixing.select.novelty import DiversitySettings
from mixing.select.run import Pool, Task, read_selection, select
from mixing.select.settings import SelectSettings
from mixing.select.similarity import NearestSettings, SimilaritySettings
from mixing.select.texts import Texts, sample_of

WORDS = ["heart", "blood", "def", "return", "Café", "x_1", "(", "...", "the", "a"]
documents_ = st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), min_size=1, max_size=12)


def stream(*batches: list[str]) -> Texts:
    return lambda: iter([pa.array(batch, pa.string()) for batch in batches])


def _tokens(text: str) -> list[str]:
    """nltk's wordpunct_tokenize, as DSIR has it."""
    return re.findall(r"\w+|[^\w\s]+", text.lower())


@settings(max_examples=80, deadline=None)
@given(documents_)
def test_ngrams_are_counted_as_a_dictionary_counts_them(documents: list[str]) -> None:
    """Equal tokens share a bucket, others mostly do not: with many buckets the counts are those of the n-grams."""
    buckets = 1 << 22
    counts = np.zeros(buckets, np.int64)
    grams.add_counts(pa.array(["skipped", *documents]).slice(1), counts)
    wanted: Counter[tuple[str, ...]] = Counter()
    for document in documents:
        tokens = _tokens(document)
        wanted.update((token,) for token in tokens)
        wanted.update(itertools.pairwise(tokens))
    assert sorted(counts[counts > 0].tolist()) == sorted(wanted.values())


@settings(max_examples=50, deadline=None)
@given(documents_, st.integers(16, 300))
def test_dsir_is_the_sum_of_log_ratios_of_the_buckets(documents: list[str], buckets: int) -> None:
    task, pool = documents[: len(documents) // 2 + 1], documents
    plain = {"features": "ngrams", "buckets": buckets}
    scorer = DsirSettings.model_validate(plain | {"mean": False}).fit(stream(task), stream(pool), Path(), 0)
    average = DsirSettings.model_validate(plain).fit(stream(task), stream(pool), Path(), 0)
    counted = []
    for texts in (task, pool):
        counts = np.zeros(buckets, np.int64)
        grams.add_counts(pa.array(texts), counts)
        counted.append(counts)
    ratios = [
        math.log((p + 1) / (counted[0].sum() + buckets)) - math.log((q + 1) / (counted[1].sum() + buckets))
        for p, q in zip(counted[0].tolist(), counted[1].tolist(), strict=True)
    ]
    assert log_ratios(*counted, 1.0) == pytest.approx(ratios)
    for document, score in zip(documents, scorer.score(pa.array(documents)), strict=True):
        own = np.zeros(buckets, np.int64)
        grams.add_counts(pa.array([document]), own)
        assert score == pytest.approx(float(own @ np.array(ratios)), abs=1e-9)
        mean = average.score(pa.array([document]))[0]
        if own.sum():
            assert mean == pytest.approx(score / own.sum() * counted[1].sum() / len(pool), abs=1e-9)
        else:
            assert math.isnan(mean)


@settings(max_examples=50, deadline=None)
@given(documents_, st.sampled_from([0.1, 0.5, 0.9]))
def test_words_weigh_by_their_damped_counts_and_rarity(documents: list[str], mixed: float) -> None:
    """The formula of the module by dictionaries; with many buckets no two words share one."""
    task, pool = documents[: len(documents) // 2 + 1], documents
    buckets = 1 << 20
    scorer = DsirSettings(buckets=buckets, mixed=mixed).fit(stream(task), stream(pool[:1], pool[1:]), Path(), 0)
    counts = [Counter(_tokens(document)) for document in pool]
    having = Counter(word for count in counts for word in count)
    idf = {word: math.log((1 + len(pool)) / (1 + having[word])) for word in having}

    def damped(some: list[Counter[str]]) -> dict[str, float]:
        return {word: sum(math.log1p(count[word]) for count in some) for word in having}

    p = {word: value * idf[word] for word, value in damped(counts[: len(task)]).items()}
    q = {word: (value + 1) * idf[word] for word, value in damped(counts).items()}
    nobody = (buckets - len(having)) * math.log(1 + len(pool))  # buckets that no word of the pool is in
    totals = max(sum(p.values()), 1e-300), sum(q.values()) + nobody
    ratios = {
        word: math.log(mixed * (p[word] / totals[0]) / (q[word] / totals[1]) + 1 - mixed) if q[word] else 0.0
        for word in having
    }
    average = sum(value * idf[word] for word, value in damped(counts).items()) / len(pool)
    for count, score in zip(counts, scorer.score(pa.array(documents)), strict=True):
        own = {word: math.log1p(times) * idf[word] for word, times in count.items()}
        if not own:
            assert math.isnan(score)
        elif not sum(own.values()):
            assert score == 0
        else:
            mean = sum(weight * ratios[word] for word, weight in own.items()) / sum(own.values())
            assert score == pytest.approx(mean * average, rel=1e-6, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(documents_)
def test_diversity_is_the_entropy_of_the_words(documents: list[str]) -> None:
    for document, found in zip(
        documents, DiversitySettings().fit(stream(), stream(), Path(), 0).score(pa.array(documents)), strict=True
    ):
        counts = Counter(_tokens(document))
        total = sum(counts.values())
        if not total:
            assert math.isnan(found)
        else:
            assert found == pytest.approx(-sum(c / total * math.log2(c / total) for c in counts.values()), abs=1e-9)


def test_entropy_of_a_text_of_many_words_needs_a_larger_table() -> None:
    words = [f"w{n}" for n in range(5000)]
    found = grams.type_entropy(pa.array(["one one", " ".join(words), "a b"]))
    assert found == pytest.approx([0, math.log2(5000), 1])


def test_moore_lewis_is_the_difference_of_two_cross_entropies(tmp_path: Path) -> None:
    import kenlm

    find_kenlm_tools()
    task = ["the heart pumps blood through the body .", "blood flows to the heart and to the lungs ."] * 5
    pool = ["def f ( x ) : return x", "the ship sailed in the morning and was lost at sea ."] * 5 + task[:2]
    plain = MooreLewisSettings(mixed=1).fit(stream(task), stream(pool), tmp_path, 0)
    inside, general = (kenlm.Model(str(tmp_path / f"{name}.binary")) for name in ("in_domain", "general"))
    line = "The heart flows .\n\nX"
    written = ["the heart flows .", "x"]
    tokens = [
        [score * math.log2(10) for text in written for score, _, _ in model.full_scores(text)]
        for model in (inside, general)
    ]
    differences = np.subtract(*tokens)
    assert len(differences) == 7
    scores = plain.score(pa.array([line, task[0], pool[0], " \n"]))
    assert scores[0] == pytest.approx(differences.mean())
    assert scores[1] > 0 > scores[2]
    assert math.isnan(scores[3])
    for name in ("mixed", "trie"):
        (tmp_path / name).mkdir()
    mixed = MooreLewisSettings(mixed=0.25).fit(stream(task), stream(pool), tmp_path / "mixed", 0)
    assert mixed.score(pa.array([line]))[0] == pytest.approx(np.log2(0.25 * 2**differences + 0.75).mean(), rel=1e-5)
    # A trie is read by KenLM itself.
    trie = MooreLewisSettings.model_validate({"mixed": 0.25, "kenlm": {"order": 3, "prune": [0], "structure": "trie"}})
    assert trie.fit(stream(task), stream(pool), tmp_path / "trie", 0).score(pa.array([line]))[0] == pytest.approx(
        mixed.score(pa.array([line]))[0], rel=1e-5
    )
    # A word that neither model knows is no more likely in the smaller one.
    unknown = [model.score("zebra", bos=False, eos=False) for model in (inside, general)]
    assert unknown[0] == pytest.approx(unknown[1], abs=0.3)


def test_random_projection_finds_the_singular_vectors() -> None:
    from scipy import sparse

    random = np.random.default_rng(0)
    dense = random.normal(size=(60, 4)) @ np.diag([9, 5, 3, 1]) @ random.normal(size=(4, 200))
    right = right_vectors(sparse.csr_matrix(dense), 4, 1)
    exact = np.linalg.svd(dense)[2][:4]
    assert np.abs(np.abs(np.sum(right.T * exact, axis=1)) - 1).max() < 1e-4
    assert right_vectors(sparse.csr_matrix(dense[:3]), 10, 1).shape == (200, 3)


def test_likeness_to_the_mean_and_to_each_text_are_what_cosines_say() -> None:
    task = ["heart blood lungs", "heart valve surgery", "blood pressure"]
    pool = ["heart and blood", "def return class", "ship sea storm", "blood pressure falls", "valve", ""]
    embedding = HashedSettings(dimension=64).fit(stream(task), stream(pool), 0)
    vectors, wanted = embedding.vectors(pa.array(pool)), embedding.vectors(pa.array(task))
    mean = wanted.sum(axis=0) / np.linalg.norm(wanted.sum(axis=0))
    plain = SimilaritySettings(embedding=HashedSettings(dimension=64), centred=False)
    scores = plain.fit(stream(task), stream(pool), Path(), 0)
    assert scores.score(pa.array(pool))[:-1] == pytest.approx(vectors[:-1] @ mean, abs=1e-4)
    middle = vectors[:-1].mean(axis=0)  # the last text is empty: it has no vector

    def turned(rows: np.ndarray) -> np.ndarray:
        return (rows - middle) / np.linalg.norm(rows - middle, axis=1, keepdims=True)

    mean = turned(wanted).sum(axis=0) / np.linalg.norm(turned(wanted).sum(axis=0))
    centred = SimilaritySettings(embedding=HashedSettings(dimension=64)).fit(stream(task), stream(pool), Path(), 0)
    found = centred.score(pa.array(pool))
    assert found[:-1] == pytest.approx(turned(vectors[:-1]) @ mean, abs=1e-4)
    assert math.isnan(found[-1])
    for k in (1, 2, 50):
        nearest = NearestSettings(k=k, embedding=HashedSettings(dimension=64)).fit(
            stream(task[:2], task[2:]), stream(pool[:4], pool[4:]), Path(), 0
        )
        cosines = np.round(wanted @ vectors.T, 5)
        least = -np.sort(-cosines, axis=1)[:, min(k, len(pool)) - 1]
        best = np.where(cosines >= least[:, None], cosines, -np.inf).max(axis=0)
        found = nearest.score(pa.array(pool))
        assert found == pytest.approx(np.where(np.isinf(best), np.nan, best), abs=1e-5, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(1, 20), st.integers(0, 3))
def test_a_sample_is_of_the_pool_in_its_order_and_the_whole_of_a_small_one(count: int, size: int, seed: int) -> None:
    texts = [str(n) for n in range(count)]
    found = [int(text) for text in sample_of(stream(texts[:7], texts[7:]), size, seed)]
    assert found == sorted(set(found))
    assert len(found) == min(size, count)


def test_a_sample_takes_every_document_equally_often() -> None:
    held = Counter(t for seed in range(4000) for t in sample_of(stream([str(n) for n in range(10)]), 3, seed))
    # 4000 draws of probability 0.3: a standard error of 29.
    assert all(abs(held[str(n)] - 1200) < 5 * 29 for n in range(10))


values_ = st.lists(st.floats(-5, 5) | st.just(float("nan")), min_size=1, max_size=40).map(np.array)


@settings(max_examples=100, deadline=None)
@given(values_)
def test_quantile_ranks_follow_the_definition(values: np.ndarray) -> None:
    below = np.where(np.isnan(values), -np.inf, values)
    wanted = [0 if math.isnan(v) else (sum(below < v) + sum(below == v) / 2) / len(values) for v in values.tolist()]
    assert quantile_ranks(values) == pytest.approx(wanted)
    assert combined([values, -values]) == pytest.approx((quantile_ranks(values) + quantile_ranks(-values)) / 2)


@settings(max_examples=150, deadline=None)
@given(st.data(), values_, st.sampled_from(["hard", "soft"]))
def test_a_choice_keeps_to_its_budget_and_to_the_order_of_the_scores(
    data: st.DataObject, score: np.ndarray, method: str
) -> None:
    count = len(score)
    tokens = np.array(data.draw(st.lists(st.integers(0, 50), min_size=count, max_size=count)))
    ids = pl.Series([f"d{n}" for n in range(count)])
    share = data.draw(st.floats(0.01, 1))
    documents = ChoiceSettings.model_validate({"method": method, "share": share, "unit": "documents"})
    chosen = choose(ids, tokens, score, documents, 3, logarithmic=True)
    known = int((~np.isnan(score)).sum())
    assert chosen.sum() == min(round(share * count), known)
    assert not chosen[np.isnan(score)].any()
    if method == "hard" and chosen.any() and (~chosen & ~np.isnan(score)).any():
        assert score[chosen].min() >= score[~chosen & ~np.isnan(score)].max()
    by_tokens = choose(ids, tokens, score, ChoiceSettings.model_validate({"method": method, "share": share}), 3, True)
    assert tokens[by_tokens].sum() <= round(share * tokens.sum())
    # Neither the order of the documents nor the split into shards changes anything.
    turned = choose(ids[::-1], tokens[::-1], score[::-1], documents, 3, logarithmic=True)
    assert (turned[::-1] == chosen).all()


def test_a_soft_choice_samples_in_proportion_to_the_weights() -> None:
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    ids, settings_ = pl.Series(list("abcd")), ChoiceSettings(method="soft", share=0.25, unit="documents")
    held = np.zeros(4)
    for seed in range(4000):
        held += choose(ids, np.ones(4, np.int64), np.log(weights), settings_, seed, logarithmic=True)
    assert np.abs(held / 4000 - weights / 10).max() < 5 * 0.5 / np.sqrt(4000)
    assert np.isfinite(gumbel([str(n) for n in range(10_000)], 1)).all()


def test_a_choice_needs_one_budget() -> None:
    for wrong in ({}, {"share": 0.1, "tokens": 5}, {"at_least": 1, "method": "soft"}):
        with pytest.raises(ValidationError):
            ChoiceSettings.model_validate(wrong)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    shards = {}
    for source, texts in {
        "web": ["heart and blood", "ship at sea", "the blood flows", "def f(x)"],
        "code": ["import os", "blood = heart()"],
    }.items():
        frame = pl.DataFrame(
            {"id": [f"{source}{n}" for n in range(len(texts))], "text": texts, "token_count": [3] * len(texts)}
        )
        shards[source] = []
        for part, rows in enumerate((frame[:1], frame[1:])):
            path = tmp_path / f"{source}-{part}.parquet"
            rows.write_parquet(path)
            shards[source].append(path)
    return Pool(shards, "f" * 64)


def test_columns_are_stored_measured_once_and_chosen_again(pool: Pool, tmp_path: Path) -> None:
    task = Task(stream(["heart blood", "blood flows in the heart"]), "task")
    base = {"task": {"source": "notes"}, "pool": ["web", "code"], "by": [{"kind": "dsir"}, {"kind": "similarity"}]}
    first = SelectSettings.model_validate(base | {"choose": {"share": 0.5, "unit": "documents"}})
    seen: list[str] = []

    def watch(name: str):
        from contextlib import nullcontext

        seen.append(name)
        return nullcontext()

    table = select(first, task, pool, tmp_path / "s", watch=watch)
    assert table["documents"].to_list() == [4, 2]
    assert table["chosen_documents"].sum() == 3
    frame = read_selection(tmp_path / "s", ["web", "code"])
    assert frame.columns == ["id", "tokens", "dsir", "similarity", "score", "chosen", "source"]
    best = frame.sort(["score", "id"], descending=[True, False])["id"][:3]
    assert set(frame.filter(pl.col("chosen") > 0)["id"]) == set(best) >= {"web0", "web2"}
    ranks = [quantile_ranks(frame[name].to_numpy()) for name in ("dsir", "similarity")]
    assert frame["score"].to_list() == pytest.approx(np.mean(ranks, axis=0).tolist())
    scores = (tmp_path / "s/scores/dsir/manifest.json").stat().st_mtime_ns
    again = SelectSettings.model_validate(base | {"choose": {"tokens": 3}})
    assert select(again, task, pool, tmp_path / "s")["chosen_tokens"].sum() == 3
    assert (tmp_path / "s/scores/dsir/manifest.json").stat().st_mtime_ns == scores
    with pytest.raises(DataError, match="no readable text"):
        select(again, Task(stream(), "nothing"), pool, tmp_path / "s")
