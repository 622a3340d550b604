"""Semantic duplicates against all cosines."""

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cut_units import workplace

from corpus.dedup.cosine import similar_pairs
from corpus.dedup.keep import KeepSettings
from corpus.dedup.semantic import SemanticSettings, find_semantic, read_names, read_vectors, semantic_removals
from corpus.errors import ConfigError, DataError


def noisy(count: int, dimension: int = 64, seed: int = 4) -> np.ndarray:
    """Unit vectors around `count` / 4 centres, so that many pairs have a cosine near 0.95."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((count // 4, dimension))
    vectors = np.repeat(centres, 4, axis=0) + random.standard_normal((count // 4 * 4, dimension)) * 0.2
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def by_hand(vectors: np.ndarray, threshold: float) -> dict[tuple[int, int], float]:
    cosine = np.round(vectors.astype(np.float64) @ vectors.T.astype(np.float64), 5)
    left, right = np.nonzero(np.triu(cosine >= threshold, 1))
    return {(int(a), int(b)): float(cosine[a, b]) for a, b in zip(left, right, strict=True)}


def settings(path: object = "none.parquet", **options: object) -> SemanticSettings:
    return SemanticSettings.model_validate({"path": str(path), **options})


def pairs(vectors: np.ndarray, clusters: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with workplace() as place:
        folder = place.one("vectors", {"kind": "vectors"}, lambda draft: np.save(draft.path / "vectors.npy", vectors))
        return similar_pairs(folder / "vectors.npy", 0.95, clusters, 1, place)


def test_few_documents_are_compared_all_with_all():
    vectors = noisy(400)
    left, right, similarity = pairs(vectors)
    expected = by_hand(vectors, 0.95)
    assert dict(zip(zip(left.tolist(), right.tolist(), strict=True), similarity, strict=True)) == pytest.approx(
        expected, abs=2e-5
    )
    assert len(expected) > 100


def test_clusters_find_nearly_all_pairs_and_no_other():
    vectors = noisy(4000)
    left, right, _ = pairs(vectors, clusters=20)
    found, expected = set(zip(left.tolist(), right.tolist(), strict=True)), by_hand(vectors, 0.95).keys()
    assert found <= expected and len(found) >= 0.99 * len(expected)


def write(path, names, vectors, kind=None) -> None:
    kind = kind or pa.list_(pa.float32(), vectors.shape[1])
    pq.write_table(pa.table({"id": names, "embedding": pa.array(vectors.tolist(), kind)}), path)


def removals(frame: pl.DataFrame, asked: SemanticSettings) -> pl.DataFrame:
    with workplace() as place:
        found = find_semantic(frame, asked, place)
    return semantic_removals(frame.filter("passes"), found, KeepSettings())


def documents(count: int) -> pl.DataFrame:
    rows = range(count)
    return pl.DataFrame(
        {
            "id": [f"{row:032x}" for row in rows],
            "record_id": [f"r{row}" for row in rows],
            "source": ["s"] * count,
            "priority": [0] * count,
            "quality": pl.Series([None] * count, dtype=pl.Float64),
            "bytes": [100 + row for row in rows],
            "passes": [row != 3 for row in rows],
        }
    )


@pytest.mark.parametrize("kind", [pa.list_(pa.float32(), 3), pa.list_(pa.float64()), pa.list_(pa.float16(), 3)])
def test_the_keep_order_decides_and_the_similarity_is_told(tmp_path, kind):
    vectors = np.array([[1, 0, 0], [2, 0.1, 0], [0, 0, 1], [1, 0, 0], [0.5, 0.02, 0]], np.float32)
    write(tmp_path / "e.parquet", [f"r{row}" for row in range(5)], vectors, kind)
    removed = removals(documents(5), settings(tmp_path / "e.parquet"))
    # The longest stays; document 3 does not pass and neither stays nor goes.
    assert removed["id"].to_list() == [f"{row:032x}" for row in (0, 1)]
    assert removed["duplicate_of"].unique().to_list() == [f"{4:032x}"]
    assert set(removed["kind"]) == {"semantic"}
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert removed["similarity"].to_list() == pytest.approx([unit[0] @ unit[4], unit[1] @ unit[4]], abs=1e-4)


def test_a_zero_vector_is_like_no_other(tmp_path):
    write(tmp_path / "e.parquet", ["r0", "r1"], np.zeros((2, 3), np.float32))
    assert removals(documents(2), settings(tmp_path / "e.parquet")).height == 0


def test_mistakes_say_what_to_change(tmp_path):
    path = tmp_path / "e.parquet"
    write(path, ["other"], np.ones((1, 3), np.float32))
    with pytest.raises(DataError, match="no embedding is of a document"):
        removals(documents(2), settings(path))
    with pytest.raises(ConfigError, match="no column vector"):
        read_names(settings(path, vector_column="vector"))
    write(path, ["r0", "r0"], np.ones((2, 3), np.float32))
    with pytest.raises(DataError, match="has several"):
        removals(documents(2), settings(path))
    pq.write_table(pa.table({"id": ["a", "b"], "embedding": [[1.0], [1.0, 2.0]]}), path)
    with pytest.raises(DataError, match="same length"):
        list(read_vectors(settings(path)))


def test_the_embeddings_count_by_their_bytes(tmp_path):
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    for path in (one, other):
        write(path, ["r0"], np.ones((1, 3), np.float32))
    assert settings(one).identity() == settings(other).identity()
    write(other, ["r1"], np.ones((1, 3), np.float32))
    assert settings(one).identity() != settings(other).identity()
