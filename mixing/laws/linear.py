"""Laws that are linear in the shares: RegMix's linear regression, and the log-linear law log L = Σ_j t_j r_j.

Both have one coefficient per source and no intercept, since the shares sum to 1. A ridge pulls the coefficients towards
their mean (not towards 0, which would be a loss of 0); its strength is the one with the least leave-one-out error,
which has a closed form (PRESS, Allen 1974), so no run is ever kept aside for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from scipy.stats import t as student

from corpus.errors import DataError
from corpus.settings import Settings
from mixing.laws.fit import checked_losses
from mixing.laws.mixtures import Mixtures

RIDGES = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


class LinearLaw(Settings):
    """L = Σ_j b_j r_j."""

    kind: Literal["linear"] = "linear"

    def fit(self, at: Mixtures, losses: np.ndarray) -> "LinearFit":
        return _fit(at, checked_losses(losses, at), False)


class LogLinearLaw(Settings):
    """log L = Σ_j t_j r_j, the law behind proposals kept near a prior by their KL divergence from it (`optimum`)."""

    kind: Literal["log_linear"] = "log_linear"

    def fit(self, at: Mixtures, losses: np.ndarray) -> "LinearFit":
        """Raises DataError also when a loss is not positive."""
        losses = checked_losses(losses, at)
        if (losses <= 0).any():
            raise DataError("the log-linear law needs positive losses", found=f"{losses.min():.4g}")
        return _fit(at, losses, True)


@dataclass(frozen=True)
class LinearFit:
    """`coefficients` float64[sources] of L, or of log L when `logarithmic`; `spread` their covariance over σ²."""

    coefficients: np.ndarray
    spread: np.ndarray
    sigma: float
    freedom: float
    ridge: float
    logarithmic: bool
    at: Mixtures
    losses: np.ndarray

    def predict(self, at: Mixtures) -> np.ndarray:
        return self._unit(at.shares @ self.coefficients)

    def _unit(self, value: np.ndarray) -> np.ndarray:
        return np.exp(value) if self.logarithmic else value

    def interval(self, at: Mixtures, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        middle = at.shares @ self.coefficients
        if self.freedom < 0.5:
            return middle - np.inf, middle + np.inf
        error = self.sigma * np.sqrt(np.maximum(np.einsum("ns,st,nt->n", at.shares, self.spread, at.shares), 0.0))
        half = student.ppf((1 + level) / 2, self.freedom) * error
        return self._unit(middle - half), self._unit(middle + half)

    def resampled(self, draws: int, seed: int) -> Iterator[Self]:
        """Residual bootstrap at the ridge that was chosen."""
        random = np.random.default_rng(seed)
        values = np.log(self.losses) if self.logarithmic else self.losses
        middle = self.at.shares @ self.coefficients
        residuals = (values - middle) * np.sqrt(len(values) / max(self.freedom, 1.0))
        residuals -= residuals.mean()
        for _ in range(draws):
            drawn = middle + random.choice(residuals, len(residuals))
            coefficients = _solve(self.at.shares, drawn, self.ridge)[0]
            yield replace(self, coefficients=coefficients, losses=self._unit(drawn))

    def constants(self) -> dict[str, float]:
        letter = "t" if self.logarithmic else "b"
        named = zip(self.at.sources, self.coefficients.tolist(), strict=True)
        return {f"{letter} {name}": value for name, value in named} | {"ridge": self.ridge}


def _fit(at: Mixtures, losses: np.ndarray, logarithmic: bool) -> LinearFit:
    runs, sources = at.shares.shape
    if runs < sources:
        raise DataError(
            "too few runs for this law",
            found=f"{runs} runs, {sources} parameters (one for each source)",
            todo="make more runs, or measure fewer sources",
        )
    values = np.log(losses) if logarithmic else losses
    solved = [_solve(at.shares, values, ridge) for ridge in RIDGES]
    # At a leverage of 1 a run is fitted exactly and says nothing of its own error.
    press = [np.square((values - at.shares @ b) / np.maximum(1 - h, 1e-9)).mean() for b, _, h in solved]
    best = int(np.argmin(press))
    coefficients, inverse, leverage = solved[best]
    freedom = float(runs - leverage.sum())
    residuals = values - at.shares @ coefficients
    sigma = float(np.sqrt(residuals @ residuals / freedom)) if freedom > 0.5 else float("nan")
    spread = inverse @ (at.shares.T @ at.shares) @ inverse
    return LinearFit(coefficients, spread, sigma, freedom, RIDGES[best], logarithmic, at, losses)


def _solve(shares: np.ndarray, values: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, the inverse that makes them, and each run's leverage, at a ridge in units of the runs."""
    sources = shares.shape[1]
    centre = np.eye(sources) - 1 / sources  # what differs from the mean coefficient is what is pulled in
    inverse = np.linalg.pinv(shares.T @ shares + ridge * len(shares) * centre, rcond=1e-12, hermitian=True)
    leverage = np.einsum("ns,st,nt->n", shares, inverse, shares)
    return inverse @ (shares.T @ values), inverse, leverage
