"""Duplicates on real pairs with labels, where this machine has them."""

import pytest

from benchmarks.shared import DATA
from corpus.dedup.cluster import DedupSettings

PAIRS = DATA / "dup"


@pytest.mark.skipif(not PAIRS.is_dir(), reason="the labelled pairs of the shared data are not on this machine")
def test_labelled_pairs_are_found_and_nothing_else() -> None:
    from benchmarks.dedup_quality import labelled

    scores = list(labelled(PAIRS, DedupSettings()))
    assert len(scores) == 3
    for score in scores:
        assert score.f1 >= 0.97 and score.precision >= 0.99, str(score)
