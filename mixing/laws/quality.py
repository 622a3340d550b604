"""How good a law is: on the runs it was fitted to, and on mixtures it has not seen.

A held-out mixture is predicted by the law fitted to all others (leave-one-mixture-out; groups of mixtures where there
are many), so no law is judged by the runs that made it, and laws can be compared whatever their parameters.
"""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from scipy.stats import rankdata

from corpus.errors import DataError
from mixing.laws.fit import SOFT, Fitted, huber
from mixing.laws.mixtures import Mixtures
from mixing.laws.trees import folds_of

MOST_FOLDS = 40


class Law(Protocol):
    """Settings of a law that can be fitted."""

    @property
    def kind(self) -> str: ...

    def fit(self, at: Mixtures, losses: np.ndarray) -> Fitted: ...


@dataclass(frozen=True)
class Quality:
    """Of predictions against losses: R² (1 − residual over total sum of squares), mean absolute error, mean Huber loss
    at 0.01, Spearman's rank correlation (NaN for one run)."""

    runs: int
    r2: float
    mae: float
    huber: float
    rank: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Assessment:
    """A law on one loss: `fit` on its own runs, `held_out` on left-out mixtures in `folds` folds, None where a fold
    left too few runs."""

    law: Law
    fitted: Fitted
    fit: Quality
    held_out: Quality | None
    folds: int


def quality(predicted: np.ndarray, losses: np.ndarray) -> Quality:
    """Both float64[runs]."""
    residuals = predicted - losses
    total = float(np.square(losses - losses.mean()).sum())
    r2 = 1 - float(np.square(residuals).sum()) / total if total > 0 else float("nan")
    return Quality(
        len(losses), r2, float(np.abs(residuals).mean()), huber(residuals, SOFT) / len(losses), rank(predicted, losses)
    )


def rank(predicted: np.ndarray, losses: np.ndarray) -> float:
    """Spearman's rank correlation; NaN where one side has one value only."""
    left, right = rankdata(predicted), rankdata(losses)
    if len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return float("nan")
    return float(np.corrcoef(left, right)[0, 1])


def held_out(law: Law, at: Mixtures, losses: np.ndarray, folds: int = MOST_FOLDS, seed: int = 0) -> np.ndarray:
    """float64[runs]: every run as predicted by the law without its mixture. Raises DataError when a fold leaves too few
    runs for the law."""
    predicted = np.full(len(losses), np.nan)
    for test in folds_of(at.groups(), folds, seed):
        predicted[test] = law.fit(at.take(~test), losses[~test]).predict(at.take(test))
    return predicted


def assess(law: Law, at: Mixtures, losses: np.ndarray, folds: int = MOST_FOLDS, seed: int = 0) -> Assessment:
    """Fit and judge a law. Raises DataError when there are too few runs to fit it at all."""
    fitted = law.fit(at, losses)
    count = min(folds, len(np.unique(at.groups())))
    try:
        unseen = quality(held_out(law, at, losses, folds, seed), losses)
    except DataError:
        unseen = None
    return Assessment(law, fitted, quality(fitted.predict(at), losses), unseen, count)


def best(assessed: list[Assessment]) -> Assessment:
    """The law with the least held-out mean absolute error; one that could not be held out comes last. The earlier of
    equals."""
    return min(assessed, key=lambda each: np.inf if each.held_out is None else each.held_out.mae)
