"""RegMix (Liu et al. 2025): a loss as boosted regression trees over the shares, LightGBM.

How many trees there are is settled by cross-validation among the runs that are fitted, never on runs kept for a test:
each fold says after how many trees its own held-out loss was least, and the mean over the folds is used on all runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field

from corpus.errors import ConfigError, DataError
from corpus.settings import Settings
from mixing.laws.fit import checked_losses
from mixing.laws.mixtures import Mixtures

LEAST_RUNS = 20


class TreesLaw(Settings):
    """Boosted trees over the shares. They cannot extrapolate and want many runs (the paper has 512)."""

    kind: Literal["trees"] = "trees"
    learning_rate: float = Field(0.01, gt=0, le=1)
    most_trees: int = Field(3000, ge=1, description="in a fold, when its held-out loss never stops falling")
    patience: int = Field(50, ge=1, description="trees without a gain after which a fold stops")
    folds: int = Field(5, ge=2)
    members: int = Field(20, ge=2, description="resampled fits behind an interval")
    seed: int = 0

    def fit(self, at: Mixtures, losses: np.ndarray) -> "TreesFit":
        """Raises DataError when there are fewer than 20 runs, ConfigError when LightGBM is not installed."""
        losses = checked_losses(losses, at)
        if len(losses) < LEAST_RUNS:
            raise DataError(
                "too few runs for boosted trees",
                found=f"{len(losses)} runs, at least {LEAST_RUNS}",
                todo="make more runs, or fit the exponential law",
            )
        counts = [self._best_count(at, losses, test) for test in folds_of(at.groups(), self.folds, self.seed)]
        trees = max(1, round(float(np.mean(counts))))
        return TreesFit(self, trees, self.grow(at, losses, trees), at, losses)

    def _best_count(self, at: Mixtures, losses: np.ndarray, test: np.ndarray) -> int:
        lightgbm = _lightgbm()
        train = lightgbm.Dataset(at.shares[~test], losses[~test], params=self._parameters, free_raw_data=False)
        held_out = lightgbm.Dataset(at.shares[test], losses[test], reference=train)
        stop = lightgbm.early_stopping(self.patience, verbose=False)
        grown = lightgbm.train(self._parameters, train, self.most_trees, valid_sets=[held_out], callbacks=[stop])
        return int(grown.best_iteration)

    def grow(self, at: Mixtures, losses: np.ndarray, trees: int) -> Any:
        """A LightGBM booster of so many trees."""
        lightgbm = _lightgbm()
        return lightgbm.train(self._parameters, lightgbm.Dataset(at.shares, losses, params=self._parameters), trees)

    @property
    def _parameters(self) -> dict[str, Any]:
        return {
            "objective": "regression",
            "learning_rate": self.learning_rate,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }


@dataclass(frozen=True)
class TreesFit:
    """`trees` of them, fitted to `losses` float64[runs]."""

    law: TreesLaw
    trees: int
    booster: Any
    at: Mixtures
    losses: np.ndarray

    def predict(self, at: Mixtures) -> np.ndarray:
        return np.asarray(self.booster.predict(at.shares), np.float64)

    def interval(self, at: Mixtures, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Quantiles of `members` fits to resampled runs: how far the trees depend on which runs there were."""
        drawn = np.array([member.predict(at) for member in self._members])
        tail = (1 - level) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
        return low, high

    @cached_property
    def _members(self) -> "list[TreesFit]":
        return list(self.resampled(self.law.members, self.law.seed))

    def resampled(self, draws: int, seed: int) -> Iterator[Self]:
        random = np.random.default_rng(seed)
        for _ in range(draws):
            rows = random.integers(0, len(self.losses), len(self.losses))
            at, losses = self.at.take(rows), self.losses[rows]
            yield replace(self, booster=self.law.grow(at, losses, self.trees), at=at, losses=losses)

    def constants(self) -> dict[str, float]:
        return {"trees": float(self.trees)}


def folds_of(groups: np.ndarray, folds: int, seed: int) -> Iterator[np.ndarray]:
    """bool[runs] masks of the held-out runs of each fold; runs of one group (a mixture) are held out together."""
    names = np.unique(groups)
    shuffled = np.random.default_rng(seed).permutation(names)
    for part in np.array_split(shuffled, min(folds, len(names))):
        yield np.isin(groups, part)


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise ConfigError(
            "boosted trees need LightGBM", todo="pip install 'provender[laws]', or choose another law"
        ) from None
    return lightgbm
