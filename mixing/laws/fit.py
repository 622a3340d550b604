"""Fitting a parametric law: many starts, Huber's loss, and what the fit does not know.

    starts ─► least_squares, soft at 0.01 nats ─► the best few ─► scale σ from the residuals ─► Huber at 1.345 σ

Huber's loss at 1.345 σ has 95% of the efficiency of least squares under normal noise and bounds the pull of a single
run that went wrong (Huber 1981). The covariance is that of an M-estimator: σ² E ψ² / (E ψ')² (JᵀJ)⁻¹. Nothing is
stopped early: a fit ends when the loss no longer falls.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from corpus.errors import DataError
from mixing.laws.mixtures import Mixtures

SOFT = 0.01  # nats; where Huber's loss turns linear while the scale of the noise is not known
TUNING = 1.345  # in σ; 95% efficient under normal noise
REFINED = 6  # starts that are followed to the end
TOLERANCE = 1e-12


class Form(Protocol):
    """A law's formula in parameters θ that are free within `bounds`; positive constants are kept as logarithms."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def starts(self, at: Mixtures, losses: np.ndarray) -> np.ndarray:
        """float64[starts, parameters]"""

    def bounds(self) -> tuple[np.ndarray, np.ndarray]: ...

    def losses(self, theta: np.ndarray, at: Mixtures) -> np.ndarray: ...

    def jacobian(self, theta: np.ndarray, at: Mixtures) -> np.ndarray:
        """float64[mixtures, parameters]"""

    def constants(self, theta: np.ndarray) -> dict[str, float]:
        """The constants as the law's paper writes them."""


class Fitted(Protocol):
    """A law with its constants: what prediction, suggestion and quality ask of it."""

    def predict(self, at: Mixtures) -> np.ndarray:
        """float64[mixtures]: losses, in the unit of those it was fitted to."""

    def interval(self, at: Mixtures, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the expected loss, each float64[mixtures]."""

    def resampled(self, draws: int, seed: int) -> "Iterator[Fitted]":
        """The law fitted anew to resampled runs: what the bootstrap asks."""

    def constants(self) -> dict[str, float]: ...


@dataclass(frozen=True)
class ParametricFit:
    """A parametric law fitted to `losses` float64[runs] at `at`; `sigma` the scale of the residuals (NaN without a
    degree of freedom), `covariance` float64[parameters, parameters]."""

    form: Form
    theta: np.ndarray
    covariance: np.ndarray
    sigma: float
    at: Mixtures
    losses: np.ndarray

    @property
    def freedom(self) -> int:
        """Degrees of freedom: runs less parameters."""
        return len(self.losses) - len(self.theta)

    def predict(self, at: Mixtures) -> np.ndarray:
        return self.form.losses(self.theta, at)

    def interval(self, at: Mixtures, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """By the delta method, with Student's t; infinite when no degree of freedom is left."""
        slopes = self.form.jacobian(self.theta, at)
        middle = self.predict(at)
        if self.freedom < 1:
            return middle - np.inf, middle + np.inf
        error = np.sqrt(np.maximum(np.einsum("np,pq,nq->n", slopes, self.covariance, slopes), 0.0))
        half = student.ppf((1 + level) / 2, self.freedom) * error
        return middle - half, middle + half

    def resampled(self, draws: int, seed: int) -> Iterator[Self]:
        """Residual bootstrap: residuals, widened by √(n/(n − p)) for what the fit has taken from them, are drawn with
        replacement and put on the fitted losses."""
        random = np.random.default_rng(seed)
        middle = self.predict(self.at)
        residuals = (self.losses - middle) * np.sqrt(len(self.losses) / max(self.freedom, 1))
        residuals -= residuals.mean()
        for _ in range(draws):
            drawn = middle + random.choice(residuals, len(residuals))
            theta = _descend(self.form, self.theta, self.at, drawn, max(TUNING * self.sigma, _floor(drawn)))[0]
            yield replace(self, theta=theta, losses=drawn)

    def constants(self) -> dict[str, float]:
        return self.form.constants(self.theta)


def fit_form(form: Form, at: Mixtures, losses: np.ndarray) -> ParametricFit:
    """Fit a law. Raises DataError when there are fewer runs than parameters, or a loss that is no number."""
    losses = checked_losses(losses, at)
    if len(losses) < len(form.names):
        raise DataError(
            "too few runs for this law",
            found=f"{len(losses)} runs, {len(form.names)} parameters ({', '.join(form.names)})",
            todo="make more runs, or fit a law with fewer parameters",
        )
    starts = [start for start in form.starts(at, losses) if np.isfinite(form.losses(start, at)).all()]
    ranked = sorted(starts, key=lambda start: huber(form.losses(start, at) - losses, SOFT))
    soft = max(SOFT, TUNING * scale(form.losses(ranked[0], at) - losses, 0))
    found = [_descend(form, start, at, losses, soft, tolerance=1e-7, most=100) for start in ranked[:REFINED]]
    theta = min(found, key=lambda pair: pair[1])[0]
    sigma = np.nan
    for _ in range(2):
        sigma = scale(form.losses(theta, at) - losses, len(theta))
        theta = _descend(form, theta, at, losses, max(TUNING * sigma, _floor(losses)))[0]
    residuals = form.losses(theta, at) - losses
    sigma = scale(residuals, len(theta))
    return ParametricFit(form, theta, _covariance(form.jacobian(theta, at), residuals, sigma), sigma, at, losses)


def checked_losses(losses: np.ndarray, at: Mixtures) -> np.ndarray:
    """float64[runs]. Raises DataError when a loss is missing."""
    losses = np.asarray(losses, np.float64)
    wrong = ~np.isfinite(losses)
    if wrong.any():
        raise DataError(
            "a run has no loss", where=f"row {int(np.argmax(wrong))}", found=f"{int(wrong.sum())} such runs"
        )
    if len(losses) != len(at):
        raise DataError("losses and mixtures differ in number", found=f"{len(losses)} losses, {len(at)} mixtures")
    return losses


def scale(residuals: np.ndarray, parameters: int) -> float:
    """Robust σ of a fit's residuals: their median size over 0.6745, for the degrees of freedom the fit has used; NaN
    when it has used all."""
    runs = len(residuals)
    if runs <= parameters:
        return float("nan")
    # A fit can make as many residuals vanish as it has parameters: where those are many, the median is of the others.
    sizes = np.sort(np.abs(residuals))
    if runs < 3 * parameters:
        return float(np.median(sizes[parameters:])) / 0.6745
    return float(np.median(sizes)) / 0.6745 * float(np.sqrt(runs / (runs - parameters)))


def _floor(losses: np.ndarray) -> float:
    """Below this a residual is rounding, not noise."""
    return 1e-6 * max(float(np.ptp(losses)), 1e-9)


def huber(residuals: np.ndarray, delta: float) -> float:
    """Σ of Huber's loss: half the square up to δ, from there on linear."""
    size = np.abs(residuals)
    return float(np.where(size <= delta, size**2 / 2, delta * (size - delta / 2)).sum())


def _descend(
    form: Form,
    start: np.ndarray,
    at: Mixtures,
    losses: np.ndarray,
    delta: float,
    tolerance: float = TOLERANCE,
    most: int = 1000,
) -> tuple[np.ndarray, float]:
    """θ and Huber's loss at the bottom of the start's valley. A δ that is no number is least squares."""
    delta = delta if np.isfinite(delta) else 1e9
    with threadpool_limits(1, "blas"):  # the matrices are small: threads cost 20 times more than they bring
        found = _least_squares(form, start, at, losses, delta, tolerance, most)
    return found.x, float(found.cost)


def _least_squares(
    form: Form, start: np.ndarray, at: Mixtures, losses: np.ndarray, delta: float, tolerance: float, most: int
) -> Any:
    lower, upper = form.bounds()
    return least_squares(
        lambda theta: form.losses(theta, at) - losses,
        np.clip(start, lower + 1e-9, upper - 1e-9),
        jac=lambda theta: form.jacobian(theta, at),
        bounds=(lower, upper),
        loss="huber",
        f_scale=delta,
        x_scale="jac",
        xtol=tolerance,
        ftol=tolerance,
        gtol=tolerance,
        max_nfev=most,
    )


def _covariance(slopes: np.ndarray, residuals: np.ndarray, sigma: float) -> np.ndarray:
    runs, parameters = slopes.shape
    if runs <= parameters:
        return np.full((parameters, parameters), np.nan)
    delta = TUNING * sigma
    inside = np.abs(residuals) <= delta
    psi = np.clip(residuals, -delta, delta)
    variance = (psi**2).sum() / (runs - parameters) / max(inside.mean(), 1 / runs) ** 2
    return np.linalg.pinv(slopes.T @ slopes, rcond=1e-13, hermitian=True) * variance
