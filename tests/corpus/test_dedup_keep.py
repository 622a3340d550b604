import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dedup_cluster import documents_of, near_copies, rows, write_unit

from corpus.dedup.cluster import PAIRS, DedupSettings, find_clusters
from corpus.dedup.keep import KeepSettings, choose_keepers, similarity_to_keeper, unit_measure


def frame(entries: list[tuple]) -> pl.DataFrame:
    schema = {"id": str, "cluster": str, "priority": int, "quality": float, "bytes": int, "passes": bool}
    return pl.DataFrame(entries, schema=schema, orient="row")


def pairs_of(edges: list[tuple]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(PAIRS.names, edge, strict=True)) for edge in edges], schema=PAIRS)


def never(asked: pl.DataFrame) -> np.ndarray:
    raise AssertionError("nothing had to be measured")


def unlike(asked: pl.DataFrame) -> np.ndarray:
    return np.full(asked.height, 0.1)


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
    assert keeper((1, None, 5, True), (1, None, 5, True), "longest") == "a"


def test_a_document_that_fails_another_rule_is_no_keeper() -> None:
    documents = frame([("a", "a", 0, None, 99, False), ("b", "a", 5, None, 1, True)])
    assert choose_keepers(documents, PAIR, never, 0.8, KeepSettings()).is_empty()


def test_the_far_end_of_a_chain_is_kept_too() -> None:
    documents = frame([(name, "a", 0, None, 1, True) for name in "abc"])
    chain = pairs_of([("a", "b", "near", 0.85), ("b", "c", "near", 0.85)])
    out = choose_keepers(documents, chain, unlike, 0.8, KeepSettings())
    assert out.select("id", "duplicate_of", "kind").rows() == [("b", "a", "near")]


def test_members_of_an_exact_group_share_its_edges() -> None:
    edges = pairs_of([("a", "b", "exact", 1.0), ("a", "c", "exact", 1.0), ("a", "d", "near", 0.9)])
    asked = pl.DataFrame({"id": ["c", "d"], "keeper": ["b", "c"]})
    out = similarity_to_keeper(asked, edges, never)
    assert out.select("kind", pl.col("similarity").round(3)).rows() == [("exact", 1.0), ("near", np.float32(0.9))]


def test_a_similarity_without_an_edge_is_measured_on_the_texts(tmp_path) -> None:
    words = [f"w{number}" for number in range(100)]
    documents = documents_of([" ".join(words), " ".join(words[:50])])
    unit = write_unit(tmp_path / "u", documents)
    asked = pl.DataFrame({"id": [documents[0].id], "keeper": [documents[1].id]})
    out = similarity_to_keeper(asked, pairs_of([]), unit_measure([unit], 5))
    assert out["similarity"].item() == np.float32(46 / 96)


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
    found = find_clusters([unit], DedupSettings())
    members = pl.DataFrame(
        [(name, cluster, 0, None, 1, True) for name, cluster, _ in rows(found.clusters)],
        schema=frame([]).schema,
        orient="row",
    )
    removed = set(choose_keepers(members, found.pairs, unit_measure([unit], 5), 0.8, KeepSettings())["id"])
    kept_pairs = [(a, b) for a, b, _, _ in rows(found.pairs) if a not in removed and b not in removed]
    assert kept_pairs == []
    assert set(members["cluster"]) == set(members.filter(~pl.col("id").is_in(removed))["cluster"])
