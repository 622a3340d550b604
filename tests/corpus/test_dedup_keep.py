from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dedup_cluster import clusters_of, documents_of, near_copies, rows, true_pairs, write_unit

from corpus.dedup.cluster import PAIRS
from corpus.dedup.keep import MEASURED, KeepSettings, QualityOrder, UnitMeasure, choose_keepers


def frame(entries: list[tuple]) -> pl.DataFrame:
    schema = {"id": str, "cluster": str, "priority": int, "quality": float, "bytes": int, "passes": bool}
    return pl.DataFrame(entries, schema=schema, orient="row")


def pairs_of(edges: list[tuple]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(PAIRS.names, edge, strict=True)) for edge in edges], schema=PAIRS)


def never(left: pl.Series, right: pl.Series, among: pl.Series) -> np.ndarray:
    raise AssertionError("nothing had to be measured")


def unlike(left: pl.Series, right: pl.Series, among: pl.Series) -> np.ndarray:
    assert set(left) | set(right) <= set(among)
    return np.full(len(left), 0.1)


PAIR = pairs_of([("a", "b", "near", 0.9)])


def keeper(left: tuple, right: tuple, *order: str) -> str:
    documents = frame([("a", "a", *left), ("b", "a", *right)])
    out = choose_keepers(documents, PAIR, never, 0.8, KeepSettings(order=order))  # type: ignore[arg-type]
    return out["duplicate_of"].item()


def test_each_criterion_prefers_what_it_says() -> None:
    assert keeper((2, None, 9, True), (1, None, 1, True), "priority", "longest") == "b"
    assert keeper((1, None, 1, True), (1, None, 9, True), "priority", "longest") == "b"
    assert keeper((1, 0.2, 9, True), (2, 0.7, 1, True), "quality") == "b"
    assert keeper((1, None, 9, True), (2, 0.1, 1, True), "quality") == "b"
    assert keeper((1, float("nan"), 9, True), (2, 0.1, 1, True), "quality") == "b"
    assert keeper((1, None, 5, True), (1, None, 5, True), "longest") == "a"


def test_the_lowest_quality_may_be_the_best() -> None:
    documents = frame([("a", "a", 0, 300.0, 1, True), ("b", "a", 0, 80.0, 1, True)])
    by = {best: KeepSettings(quality=QualityOrder(column="perplexity", best=best)) for best in ("highest", "lowest")}
    kept = {best: choose_keepers(documents, PAIR, never, 0.8, keep)["duplicate_of"].item() for best, keep in by.items()}
    assert kept == {"highest": "a", "lowest": "b"}


def test_a_document_that_fails_another_rule_is_no_keeper() -> None:
    documents = frame([("a", "a", 0, None, 99, False), ("b", "a", 5, None, 1, True)])
    assert choose_keepers(documents, PAIR, never, 0.8, KeepSettings()).is_empty()


def test_the_far_end_of_a_chain_is_kept_too() -> None:
    documents = frame([(name, "a", 0, None, 1, True) for name in "abc"])
    chain = pairs_of([("a", "b", "near", 0.85), ("b", "c", "near", 0.85)])
    out = choose_keepers(documents, chain, unlike, 0.8, KeepSettings())
    assert out.select("id", "duplicate_of", "kind").rows() == [("b", "a", "near")]


def test_members_of_an_exact_group_share_its_edges() -> None:
    """c, the copy of a that comes first, stays for a, b and for d, which was measured against a."""
    edges = pairs_of([("a", "b", "exact", 1.0), ("a", "c", "exact", 1.0), ("a", "d", "near", 0.9)])
    documents = frame(
        [(name, "a", priority, None, 1, True) for name, priority in zip("abcd", (2, 2, 1, 2), strict=True)]
    )
    out = choose_keepers(documents, edges, never, 0.8, KeepSettings())
    near = np.float32(0.9)
    assert out.rows() == [("a", "c", "exact", 1.0), ("b", "c", "exact", 1.0), ("d", "c", "near", near)]


def test_copies_of_a_removed_document_go_to_the_same_keeper() -> None:
    edges = pairs_of([("a", "b", "exact", 1.0), ("a", "d", "near", 0.9)])
    documents = frame([("a", "a", 1, None, 1, False), ("b", "a", 1, None, 1, True), ("d", "a", 0, None, 1, True)])
    out = choose_keepers(documents, edges, never, 0.8, KeepSettings())
    assert out.rows() == [("b", "d", "near", np.float32(0.9))]


def test_a_similarity_without_an_edge_is_measured_on_the_texts(tmp_path) -> None:
    words = [f"w{number}" for number in range(100)]
    documents = documents_of([" ".join(words), " ".join(words[:50]), "something else in five words"])
    units = [write_unit(tmp_path / str(row), [document]) for row, document in enumerate(documents)]
    ids = pl.Series([document.id for document in documents])
    measure = UnitMeasure(units, 5)
    assert measure(ids[:1], ids[1:2], ids).tolist() == [46 / 96]
    for unit in units:
        (unit / "documents.parquet").unlink()  # texts are read once
    assert measure(ids[[0, 1]], ids[[2, 0]], ids[:1]).tolist() == [0.0, 46 / 96]


def test_a_copy_that_no_band_proposed_goes_all_the_same() -> None:
    """b was measured against a only; c, preferred to both, is as near to b without having met it in a band."""
    edges = pairs_of([("a", "b", "near", 0.85), ("a", "c", "near", 0.85)])
    documents = frame([("a", "a", 0, None, 1, False), ("b", "a", 2, None, 1, True), ("c", "a", 1, None, 1, True)])
    out = choose_keepers(documents, edges, lambda left, right, among: np.full(len(left), 0.81), 0.8, KeepSettings())
    assert out.rows() == [("b", "c", "near", np.float32(0.81))]


def test_a_long_chain_costs_no_more_than_its_comparisons() -> None:
    """Each document is like the next only: after MEASURED keepers the known pairs decide, and no text is compared."""
    count = 5000
    names = [f"d{number:05d}" for number in range(count)]
    chain = pairs_of([(a, b, "near", 0.85) for a, b in pairwise(names)])
    asked = []

    def counting(left: pl.Series, right: pl.Series, among: pl.Series) -> np.ndarray:
        asked.append(len(left))
        return unlike(left, right, among)

    documents = frame([(name, names[0], 0, None, 1, True) for name in names])
    out = choose_keepers(documents, chain, counting, 0.8, KeepSettings())
    assert out["id"].to_list() == names[1::2] and out["duplicate_of"].to_list() == names[0::2]
    assert sum(asked) <= MEASURED * count


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_passing_document_is_kept_or_like_its_keeper(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 9))
    names = [f"d{number}" for number in range(count)]
    entries = data.draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.none() | st.floats(0, 1), st.integers(1, 3), st.booleans()),
            min_size=count,
            max_size=count,
        )
    )
    documents = frame([(name, "d0", *entry) for name, entry in zip(names, entries, strict=True)])
    edges = {(a, b): data.draw(st.sampled_from([0.3, 0.85, 0.95])) for i, a in enumerate(names) for b in names[i + 1 :]}
    pairs = pairs_of([(a, b, "near", value) for (a, b), value in edges.items() if value >= 0.8])
    out = choose_keepers(documents, pairs, unlike, 0.8, KeepSettings())
    passing = set(documents.filter("passes")["id"])
    removed = dict(out.select("id", "duplicate_of").iter_rows())
    assert removed.keys() <= passing
    assert not removed.keys() & set(removed.values())
    assert set(removed.values()) <= passing
    assert len(passing) == 0 or len(passing - removed.keys()) >= 1
    for a, b in removed.items():
        assert edges[min(a, b), max(a, b)] >= 0.8
    kept = sorted(passing - removed.keys())
    assert all(edges[a, b] < 0.8 for i, a in enumerate(kept) for b in kept[i + 1 :])
    shuffled = documents.sample(fraction=1.0, shuffle=True, seed=data.draw(st.integers(0, 99)))
    assert choose_keepers(shuffled, pairs, unlike, 0.8, KeepSettings()).equals(out)


def test_clusters_of_real_units_leave_no_similar_pair_among_the_kept(tmp_path) -> None:
    documents = documents_of(near_copies(20, seed=9))
    unit = write_unit(tmp_path / "u", documents)
    found = clusters_of([unit])
    members = pl.DataFrame(
        [(name, cluster, 0, None, 1, True) for name, cluster, _ in rows(found.clusters)],
        schema=frame([]).schema,
        orient="row",
    )
    removed = set(choose_keepers(members, found.pairs, UnitMeasure([unit], 5), 0.8, KeepSettings())["id"])
    kept_pairs = [(a, b) for a, b, _, _ in rows(found.pairs) if a not in removed and b not in removed]
    assert kept_pairs == []
    assert set(members["cluster"]) == set(members.filter(~pl.col("id").is_in(removed))["cluster"])


def test_every_removal_has_the_true_similarity_of_the_two_texts(tmp_path) -> None:
    """Copies that pass are preferred in an order that has nothing to do with the order of the pairs."""
    documents = documents_of(near_copies(60, seed=31))
    unit = write_unit(tmp_path / "u", documents)
    found = clusters_of([unit])
    rng = np.random.default_rng(1)
    members = pl.DataFrame(
        [
            (name, cluster, int(rng.integers(9)), None, 1, bool(rng.random() < 0.9))
            for name, cluster, _ in rows(found.clusters)
        ],
        schema=frame([]).schema,
        orient="row",
    )
    removed = choose_keepers(members, found.pairs, UnitMeasure([unit], 5), 0.8, KeepSettings())
    truth = true_pairs(documents, 0.8)
    assert removed.height > 40
    for name, keeper_, _, similarity in removed.iter_rows():
        assert similarity == np.float32(truth[min(name, keeper_), max(name, keeper_)])
