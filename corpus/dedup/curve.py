"""The S-curve of banded MinHash, and the bands and rows that reach a wanted recall.

Two documents of Jaccard similarity s share all rows of one band with probability sʳ, so they share at least one of b
bands with probability 1 - (1 - sʳ)ᵇ. More rows make the curve steeper and move it right, more bands move it left. With
measured similarities a candidate below the threshold costs time and nothing else, while a pair no band proposes is
lost: so the layout is chosen for recall at the threshold, and among those for the fewest needless candidates.

Method: Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.errors import ConfigError

SIMILARITIES = tuple(round(0.05 * step, 2) for step in range(6, 20))


def s_curve(bands: int, rows: int, similarity: float | np.ndarray) -> float | np.ndarray:
    """Probability that two documents of this Jaccard similarity share a band: 1 - (1 - s^rows)^bands."""
    return 1 - (1 - similarity**rows) ** bands


def choose_bands(similarity: float, recall: float, hashes: int) -> tuple[int, int]:
    """(bands, rows) with bands · rows ≤ hashes that propose a pair of this similarity with probability `recall` or
    more: the layout with the most rows, and so the fewest candidates below.

    Raises ConfigError when so few hashes cannot do it; even single rows are too few then.
    """
    for rows in range(hashes, 0, -1):
        if s_curve(hashes // rows, rows, similarity) >= recall:
            return hashes // rows, rows
    raise ConfigError(
        "no bands reach this recall",
        where="duplicates.signature.target",
        found=f"recall {recall} at similarity {similarity} with {hashes} hashes",
        todo="ask for more hashes, a lower recall or a higher similarity",
    )


@dataclass(frozen=True)
class Curve:
    """Points of an S-curve: `found[i]` is the probability that a pair of `similarity[i]` is proposed."""

    bands: int
    rows: int
    threshold: float
    similarity: tuple[float, ...]
    found: tuple[float, ...]

    @property
    def middle(self) -> float:
        """The similarity at which about half the pairs are proposed: (ln 2 / bands)^(1 / rows)."""
        return float((np.log(2) / self.bands) ** (1 / self.rows))


def curve_of(settings: Any, similarities: Sequence[float] = SIMILARITIES) -> Curve:
    """The curve of some `DedupSettings` (corpus/dedup/cluster.py), the threshold among its points."""
    bands, rows = settings.signature.bands, settings.signature.rows
    points = tuple(sorted({*similarities, settings.threshold}))
    return Curve(bands, rows, settings.threshold, points, tuple(float(s_curve(bands, rows, s)) for s in points))
