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


def texts_of(task: str) -> tuple[list[str], list[str], np.ndarray]:
    """Up to 300 medical pages as the task, and a pool of pieces of 1,500 characters, a quarter of them medical.

    The task is drawn from all pages of MedQuAD, or is one collection of it, of which the pool then has no page.
    """
    random = np.random.default_rng(0)

    def shuffled(*names: str) -> list[str]:
        found = [text for name in names for text in pl.read_parquet(SHARED / f"{name}.parquet")["text"].to_list()]
        return [found[i] for i in random.permutation(len(found))]

    def pieces(whole: list[str], count: int) -> list[str]:
        cut = [text[at : at + 1500] for text in whole for at in range(0, len(text) - 200, 1500)]
        return [cut[i] for i in random.permutation(len(cut))[:count]]

    if task == "random":
        medical = shuffled("medical/medquad")
        own, others = medical[:300], medical[300:]
    else:
        pages = pl.read_parquet(SHARED / "medical/medquad.parquet")
        mine = pl.col("source").str.contains(f":{task}_", literal=True)
        own, others = (pages.filter(each)["text"].to_list() for each in (mine, ~mine))
        own = [own[i] for i in random.permutation(len(own))[:300]]
    articles = shuffled("medical/craft_pmc_fulltext")
    general = shuffled("general/python_peps", "general/us_presidential_speeches", "general/standard_ebooks")
    pool = [
        pieces(others + articles, 750),
        pieces(general, 1500),
        pieces(shuffled("code/thealgorithms_python"), 750),
    ]
    return (
        own,
        [text for part in pool for text in part],
        np.repeat([True, False, False], [len(part) for part in pool]),
    )


def precision(measure: MeasureSettings, task: str) -> float:
    """The share of medical pieces in the tenth of the pool with the highest scores."""
    own, pool, medical = texts_of(task)

    def stream(held: list[str]):
        return lambda: (pa.array(held[at : at + 512]) for at in range(0, len(held), 512))

    with tempfile.TemporaryDirectory() as folder:
        scorer = measure.fit(stream(own), stream(pool), Path(folder), 0)
        scores = np.concatenate([scorer.score(batch) for batch in stream(pool)()])
    best = np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable")[: len(pool) // 10]
    return float(medical[best].mean())


@pytest.mark.parametrize(
    ("measure", "bar"),
    [
        (DsirSettings(), 0.95),
        (DsirSettings(features="ngrams", mean=False), 0.95),
        (MooreLewisSettings(), 0.95),
        (SimilaritySettings(), 0.9),
        (NearestSettings(), 0.9),
    ],
)
def test_a_tenth_of_the_pool_chosen_by_the_measure_is_medical(measure: MeasureSettings, bar: float) -> None:
    assert precision(measure, "random") >= bar


@pytest.mark.parametrize("task", ["1_CancerGov", "2_GARD"])
@pytest.mark.parametrize(
    ("measure", "bar"), [(DsirSettings(), 0.95), (MooreLewisSettings(), 0.95), (SimilaritySettings(), 0.9)]
)
def test_so_is_that_of_a_task_of_one_topic_whose_pages_the_pool_has_not(
    measure: MeasureSettings, bar: float, task: str
) -> None:
    assert precision(measure, task) >= bar
