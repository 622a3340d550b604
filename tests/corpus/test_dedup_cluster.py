import re
from itertools import combinations, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from corpus.artifact import publish, write_parquet
from corpus.dedup.cluster import CLUSTERS, PAIRS, Clusters, DedupSettings, find_clusters
from corpus.dedup.curve import curve_of, s_curve
from corpus.dedup.join import BUCKET, decode, join_band
from corpus.dedup.keys import id_numbers, id_strings
from corpus.dedup.signature import Signature, SignatureSettings, TargetSettings
from corpus.dedup.verify import LEADERS, cover
from corpus.document import Batch, Document
from corpus.engine import Workplace
from corpus.errors import ConfigError, DataError


def write_unit(folder: Path, documents: list[Document], signature: SignatureSettings | None = None) -> Path:
    return publish_unit(folder, Signature(signature).process(Batch.of(documents)))


def publish_unit(folder: Path, batch: Batch) -> Path:
    function = {"ids": batch["id"].to_pylist(), "hashes": batch["dedup.minhash"].type.byte_width}
    with publish(folder, kind="corpus.annotated", function=function) as draft:
        write_parquet(draft.path / "documents.parquet", pa.Table.from_batches([batch.data]))
    return folder


def clusters_of(units: list[Path], settings: DedupSettings | None = None, place: Path | None = None) -> Clusters:
    """The clusters of units of one source; the stages work in a folder of their own."""
    with TemporaryDirectory() as folder:
        return find_clusters({"s": units}, settings or DedupSettings(), Workplace(place or Path(folder)))


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
    found = clusters_of([unit], DedupSettings(signature=signature))
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
    found = clusters_of([unit], DedupSettings(verify=False, threshold=0.7))
    near = [(truth[a, b], similarity) for a, b, kind, similarity in rows(found.pairs) if kind == "near"]
    assert len(near) > 20
    assert all(abs(true - estimate) < 0.2 for true, estimate in near)


TEXTS = [*near_copies(4, seed=7), "Same  Text here", "same text HERE", "short", "Short", ""]


@pytest.fixture(scope="module")
def undivided(tmp_path_factory: pytest.TempPathFactory) -> Clusters:
    return clusters_of([write_unit(tmp_path_factory.mktemp("all") / "u", documents_of(TEXTS))], DedupSettings())


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
    assert same(clusters_of(units, DedupSettings()), undivided)


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
    publish_unit(tmp_path / "u", Signature().process(batch))
    found = clusters_of([tmp_path / "u"], DedupSettings())
    assert set(found.clusters["id"].to_pylist()) == {documents[1].id, documents[2].id}


def test_no_documents_give_no_clusters(tmp_path: Path) -> None:
    assert clusters_of([], DedupSettings()).pairs.num_rows == 0
    assert clusters_of([write_unit(tmp_path / "u", [])], DedupSettings()).clusters.num_rows == 0


def test_a_unit_given_twice_is_refused(tmp_path: Path) -> None:
    unit = write_unit(tmp_path / "u", documents_of(["some text"]))
    with pytest.raises(DataError, match="same id"):
        clusters_of([unit, unit], DedupSettings())


def test_signatures_of_other_settings_are_refused(tmp_path: Path) -> None:
    unit = write_unit(tmp_path / "u", documents_of(["some text"]))
    with pytest.raises(DataError, match="another number of hashes"):
        clusters_of([unit], DedupSettings(signature=SignatureSettings(bands=3, rows=3)))


def test_the_amount_in_memory_does_not_matter(undivided: Clusters, tmp_path: Path) -> None:
    units = [write_unit(tmp_path / str(row), [document]) for row, document in enumerate(documents_of(TEXTS))]
    for rows_in_memory in (2, 9):
        assert same(clusters_of(units, DedupSettings(rows_in_memory=rows_in_memory)), undivided)


def test_another_layout_of_as_many_hashes_needs_no_new_signatures(tmp_path: Path) -> None:
    unit = write_unit(tmp_path / "u", documents_of(near_copies(60, seed=8)), SignatureSettings(bands=14, rows=8))
    few, many = (
        clusters_of([unit], DedupSettings(signature=SignatureSettings(bands=bands, rows=112 // bands)))
        for bands in (7, 28)
    )
    assert set(rows(few.pairs)) < set(rows(many.pairs))


def test_a_target_chooses_bands_and_rows() -> None:
    target = TargetSettings(similarity=0.8, recall=0.95)
    chosen = SignatureSettings(target=target)
    assert s_curve(chosen.bands, chosen.rows, 0.8) >= 0.95 and chosen.hashes <= 112
    assert s_curve(112 // (chosen.rows + 1), chosen.rows + 1, 0.8) < 0.95
    assert SignatureSettings.model_validate(chosen.model_dump()) == chosen
    with pytest.raises(ValidationError, match="leave out bands and rows"):
        SignatureSettings(target=target, bands=3)
    with pytest.raises(ConfigError, match="no bands reach"):
        SignatureSettings(target=TargetSettings(similarity=0.1, hashes=8))


def test_the_curve_has_the_threshold_and_its_middle() -> None:
    curve = curve_of(DedupSettings(threshold=0.77))
    assert dict(zip(curve.similarity, curve.found, strict=True))[0.77] == s_curve(14, 8, 0.77)
    assert abs(s_curve(14, 8, curve.middle) - 0.5) < 0.03


KEYS = st.lists(st.sampled_from([0, 1, 2, 2**40, 2**63, 2**64 - 1]), max_size=40)


@given(KEYS, st.randoms())
def test_documents_of_one_key_are_paired_whatever_their_order(keys: list[int], random: object) -> None:
    ranks = list(range(len(keys)))
    random.shuffle(ranks)  # type: ignore[attr-defined]
    found = join_band(np.array(keys, np.uint64), np.array(ranks, np.uint32))
    expected = {(min(a, b), max(a, b)) for (a, x), (b, y) in combinations(zip(ranks, keys, strict=True), 2) if x == y}
    assert list(zip(*map(np.ndarray.tolist, decode(found.pairs)), strict=True)) == sorted(expected)
    assert len(found.members) == 0


def test_keys_alike_in_the_bits_that_are_sorted_are_told_apart() -> None:
    """20 bits of the packed key hold the index: of keys that differ in the lowest bits of the product only, some
    share all the bits that are sorted. Packing alone would pair them."""
    inverse = pow(0x9E3779B97F4A7C15, -1, 2**64)
    keys = np.array([low * inverse % 2**64 for low in (1, 2, 3, 3)], np.uint64)
    left, right = decode(join_band(keys, np.arange(4, dtype=np.uint32)).pairs)
    assert (left.tolist(), right.tolist()) == ([2], [3])


def test_a_large_bucket_is_handed_on_whole() -> None:
    keys = np.repeat(np.array([5, 9], np.uint64), [BUCKET + 1, BUCKET])
    found = join_band(keys, np.arange(len(keys), dtype=np.uint32))
    assert found.members.tolist() == list(range(BUCKET + 1)) and found.bounds.tolist() == [0, BUCKET + 1]
    assert len(found.pairs) == BUCKET * (BUCKET - 1) // 2


class Known:
    """Sets of which the similarity is known: 0.9 within a kind of document, 0.2 between."""

    def __init__(self, kinds: np.ndarray) -> None:
        self.kinds, self.compared = kinds, 0

    def similarity(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        self.compared += len(left)
        return np.where(self.kinds[left] == self.kinds[right], 0.9, 0.2)


def components(codes: np.ndarray, count: int) -> np.ndarray:
    left, right = decode(codes)
    return connected_components(coo_array((np.ones(len(left)), (left, right)), shape=(count, count)), False)[1]


@pytest.mark.parametrize("kinds", [1, 5, LEADERS])
def test_the_kinds_in_a_large_bucket_are_found_whatever_their_order(kinds: int) -> None:
    """A chain in order of id and a star about the first would fall to pieces here: neighbours are of other kinds."""
    known = Known(np.random.default_rng(3).integers(0, kinds, 3000))
    (codes, similarity), compared = cover(known, np.arange(3000, dtype=np.uint32), 0.8)  # type: ignore[arg-type]
    label = components(codes, 3000)
    assert len(np.unique(label)) == kinds
    assert all(len(np.unique(known.kinds[label == one])) == 1 for one in range(kinds))
    assert (similarity == 0.9).all()
    assert compared == known.compared <= LEADERS * 3000


def test_a_large_bucket_of_strangers_costs_no_more_than_its_leaders() -> None:
    known = Known(np.arange(2000))
    (codes, _), compared = cover(known, np.arange(2000, dtype=np.uint32), 0.8)  # type: ignore[arg-type]
    assert len(codes) == 0 and compared <= LEADERS * 2000


def test_a_template_filled_in_many_times_is_one_cluster(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    template = [f"w{word}" for word in rng.integers(0, 50_000, 200)]
    texts = [" ".join([*template, f"name{number}"]) for number in range(3 * BUCKET)]
    found = clusters_of([write_unit(tmp_path / "u", documents_of(texts))])
    assert found.clusters["size"].to_pylist() == [len(texts)] * len(texts)


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=8))
def test_ids_and_their_numbers_are_in_one_order(names: list[bytes]) -> None:
    ids = sorted(name.hex() for name in names)
    numbers = id_numbers(pa.array(ids, pa.string()))
    assert id_strings(numbers).to_pylist() == ids
    assert numbers.tolist() == sorted(numbers.tolist())
