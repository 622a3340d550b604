"""Precision of the measures on real text: medical documents in a pool of medical, code and general ones."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from mixing.select.cross_entropy import MooreLewisSettings
from mixing.select.dsir import DsirSettings
from mixing.select.settings import MeasureSettings
from mixing.select.similarity import NearestSettings, SimilaritySettings

SHARED = Path("/work/shared/data")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the texts of /work/shared are not on this machine"),
]


@pytest.fixture(scope="module")
def texts() -> tuple[list[str], list[str], np.ndarray]:
    """300 medical pages as the task, and a pool of pieces of 1,500 characters, a quarter of them medical."""
    random = np.random.default_rng(0)

    def shuffled(*names: str) -> list[str]:
        found = [text for name in names for text in pl.read_parquet(SHARED / f"{name}.parquet")["text"].to_list()]
        return [found[i] for i in random.permutation(len(found))]

    def pieces(whole: list[str], count: int) -> list[str]:
        cut = [text[at : at + 1500] for text in whole for at in range(0, len(text) - 200, 1500)]
        return [cut[i] for i in random.permutation(len(cut))[:count]]

    medical = shuffled("medical/medquad")
    articles = shuffled("medical/craft_pmc_fulltext")
    general = shuffled("general/python_peps", "general/us_presidential_speeches", "general/standard_ebooks")
    pool = [
        pieces(medical[300:] + articles, 750),
        pieces(general, 1500),
        pieces(shuffled("code/thealgorithms_python"), 750),
    ]
    return (
        medical[:300],
        [text for part in pool for text in part],
        np.repeat([True, False, False], [len(part) for part in pool]),
    )


@pytest.mark.parametrize(
    ("measure", "bar"),
    [
        (DsirSettings(), 0.95),
        (DsirSettings(mean=True), 0.95),
        (MooreLewisSettings(), 0.95),
        (SimilaritySettings(), 0.9),
        (NearestSettings(), 0.9),
    ],
)
def test_a_tenth_of_the_pool_chosen_by_the_measure_is_medical(texts, measure: MeasureSettings, bar: float) -> None:
    task, pool, medical = texts

    def stream(held: list[str]):
        return lambda: (pa.array(held[at : at + 512]) for at in range(0, len(held), 512))

    with tempfile.TemporaryDirectory() as folder:
        scorer = measure.fit(stream(task), stream(pool), Path(folder), 0)
        scores = np.concatenate([scorer.score(batch) for batch in stream(pool)()])
    best = np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable")[: len(pool) // 10]
    assert medical[best].mean() >= bar
