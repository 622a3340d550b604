import re
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.artifact import write_parquet
from corpus.dedup.cluster import CLUSTERS, PAIRS, Clusters, DedupSettings, candidate_pairs, find_clusters
from corpus.dedup.signature import Signature, SignatureSettings, s_curve
from corpus.document import Batch, Document
from corpus.errors import DataError


def write_unit(folder: Path, documents: list[Document], signature: SignatureSettings | None = None) -> Path:
    folder.mkdir(parents=True)
    batch = Signature(signature).process(Batch.of(documents))
    write_parquet(folder / "documents.parquet", pa.Table.from_batches([batch.data]))
    return folder


def documents_of(texts: list[str]) -> list[Document]:
    return [Document("s", "f", row, text, len(text.encode())) for row, text in enumerate(texts)]


def near_copies(groups: int, seed: int) -> list[str]:
    """Texts of 150 random words and copies of them in which a few words are replaced."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(groups):
        base = rng.integers(0, 50_000, 150)
        texts.append(base)
        for edits in rng.integers(0, 9, 2):
            copy = base.copy()
            copy[rng.choice(150, edits, replace=False)] = rng.integers(0, 50_000, edits)
            texts.append(copy)
    return [" ".join(f"w{word}" for word in text) for text in texts]


def true_pairs(documents: list[Document], threshold: float) -> dict[tuple[str, str], float]:
    sets = {}
    for document in documents:
        words = re.findall(r"\w+", document.text.lower())
        sets[document.id] = {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
    found = {}
    for a, b in combinations(sorted(sets), 2):
        union = len(sets[a] | sets[b])
        if union and (similarity := len(sets[a] & sets[b]) / union) >= threshold:
            found[a, b] = similarity
    return found


def rows(table: pa.Table) -> list[tuple]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def same(one: Clusters, other: Clusters) -> bool:
    return one.clusters.equals(other.clusters) and one.pairs.equals(other.pairs)


def test_near_pairs_are_those_of_brute_force_as_far_as_the_bands_promise(tmp_path: Path) -> None:
    documents = documents_of(near_copies(120, seed=5))
    signature = SignatureSettings(bands=10, rows=8)
    unit = write_unit(tmp_path / "u", documents, signature)
    found = find_clusters([unit], DedupSettings(signature=signature))
    truth = true_pairs(documents, 0.8)
    near = {(a, b): similarity for a, b, kind, similarity in rows(found.pairs) if kind == "near"}
    assert len(near) > 50
    for pair, similarity in near.items():  # precision 1, and the similarity is the true one
        assert similarity == np.float32(truth[pair])
    exact = {pair for pair, similarity in truth.items() if similarity == 1.0}
    probabilities = np.array([s_curve(10, 8, truth[pair]) for pair in truth.keys() - exact])
    hits = len(near.keys() - exact)
    spread = np.sqrt((probabilities * (1 - probabilities)).sum())
    # Pairs with a member of an exact group are reported by its smallest id only; leave room for those.
    assert hits >= probabilities.sum() - 4 * spread - 2 * len(exact)


def test_the_estimate_of_the_sketch_is_used_when_verification_is_off(tmp_path: Path) -> None:
    documents = documents_of(near_copies(30, seed=6))
    unit = write_unit(tmp_path / "u", documents)
    truth = true_pairs(documents, 0.5)
    found = find_clusters([unit], DedupSettings(verify=False, threshold=0.7))
    near = [(truth[a, b], similarity) for a, b, kind, similarity in rows(found.pairs) if kind == "near"]
    assert len(near) > 20
    assert all(abs(true - estimate) < 0.2 for true, estimate in near)


TEXTS = [*near_copies(4, seed=7), "Same  Text here", "same text HERE", "short", "Short", ""]


@pytest.fixture(scope="module")
def undivided(tmp_path_factory: pytest.TempPathFactory) -> Clusters:
    return find_clusters([write_unit(tmp_path_factory.mktemp("all") / "u", documents_of(TEXTS))], DedupSettings())


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(len(TEXTS))), st.sets(st.integers(1, len(TEXTS) - 1), max_size=4), st.randoms())
def test_order_and_cut_of_units_do_not_matter(
    undivided: Clusters, tmp_path_factory: pytest.TempPathFactory, order: list[int], cuts: set[int], random: object
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    documents = documents_of(TEXTS)
    bounds = [0, *sorted(cuts), len(TEXTS)]
    units = [
        write_unit(folder / str(number), [documents[row] for row in order[start:stop]])
        for number, (start, stop) in enumerate(pairwise(bounds))
    ]
    random.shuffle(units)  # type: ignore[attr-defined]
    assert same(find_clusters(units, DedupSettings()), undivided)


def test_short_texts_match_exactly_and_clusters_carry_their_smallest_id(undivided: Clusters) -> None:
    documents = documents_of(TEXTS)
    assert undivided.clusters.schema == CLUSTERS
    assert undivided.pairs.schema == PAIRS
    short = sorted(document.id for document in documents if document.text.lower() == "short")
    assert (short[0], short[1], "exact", 1.0) in rows(undivided.pairs)
    cluster_of = {name: (cluster, size) for name, cluster, size in rows(undivided.clusters)}
    assert cluster_of[short[0]] == cluster_of[short[1]] == (short[0], 2)
    assert all(a < b for a, b, _, _ in rows(undivided.pairs))


def test_documents_with_a_verdict_are_left_out(tmp_path: Path) -> None:
    documents = documents_of(["one two three four five six"] * 3)
    batch = Batch.of(documents).with_verdicts(np.array([True, False, False]), "quarantine", "bad line")
    (tmp_path / "u").mkdir()
    table = pa.Table.from_batches([Signature().process(batch).data])
    write_parquet(tmp_path / "u" / "documents.parquet", table)
    found = find_clusters([tmp_path / "u"], DedupSettings())
    assert set(found.clusters["id"].to_pylist()) == {documents[1].id, documents[2].id}


def test_no_documents_give_no_clusters(tmp_path: Path) -> None:
    assert find_clusters([], DedupSettings()).pairs.num_rows == 0
    assert find_clusters([write_unit(tmp_path / "u", [])], DedupSettings()).clusters.num_rows == 0


def test_a_unit_given_twice_is_refused(tmp_path: Path) -> None:
    unit = write_unit(tmp_path / "u", documents_of(["some text"]))
    with pytest.raises(DataError, match="same id"):
        find_clusters([unit, unit], DedupSettings())


def test_signatures_of_other_settings_are_refused(tmp_path: Path) -> None:
    unit = write_unit(tmp_path / "u", documents_of(["some text"]))
    with pytest.raises(DataError, match="another number of hashes"):
        find_clusters([unit], DedupSettings(signature=SignatureSettings(bands=3, rows=3)))


def test_a_large_bucket_costs_two_pairs_a_document_and_stays_connected() -> None:
    keys = np.zeros((1, 1000), np.uint64)
    left, right = candidate_pairs(keys, np.arange(1000))
    assert len(left) == 2 * 999 - 1  # the smallest and its neighbour coincide once
    assert set(right.tolist()) == set(range(1, 1000))


def test_a_small_bucket_is_compared_all_with_all() -> None:
    left, right = candidate_pairs(np.array([[7, 7, 7, 9, 9, 1]], np.uint64), np.arange(6))
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 2), (3, 4)]
