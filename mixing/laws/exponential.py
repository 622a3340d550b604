"""The data mixing law (Ye et al. 2024): L(r) = c + k·exp(Σ_j t_j r_j), r the shares of the sources.

Since Σ r = 1, one t can be moved into k: the last source's is 0 and k carries it, which loses nothing. The paper first
chooses the c for which log(L − c) is best told by a straight line in r, then fits k and t under Huber's loss; `offset:
line` does the same (with c on a continuum), `offset: joint`, the default, fits all of them together.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.optimize import minimize_scalar

from corpus.settings import Settings
from mixing.laws.fit import ParametricFit, checked_losses, fit_form
from mixing.laws.mixtures import Mixtures

DEPTHS = (0.01, 0.05, 0.2, 0.5, 1.0, 3.0, 10.0)  # (min L − c) over the range of L, tried as starts
STEEPEST, LARGEST_LOG = 200.0, 50.0  # |t|, |log k|
SMALLEST = 1e-9  # nats above c


class ExponentialLaw(Settings):
    """c + k·exp(t·r): sources + 1 parameters."""

    kind: Literal["exponential"] = "exponential"
    offset: Literal["joint", "line"] = Field(
        "joint", description="c: fitted with the rest, or where log(L − c) is straightest"
    )

    def fit(self, at: Mixtures, losses: np.ndarray) -> ParametricFit:
        if self.offset == "joint":
            return fit_form(Exponential(at.sources), at, losses)
        return fit_form(Exponential(at.sources, straightest(at, checked_losses(losses, at))), at, losses)


def straightest(at: Mixtures, losses: np.ndarray) -> float:
    """The c in [0, min L) for which a straight line in the shares explains most of the variance of log(L − c)."""
    terms = np.column_stack([np.ones(len(at)), at.shares[:, :-1]])
    low, span = float(losses.min()), max(float(np.ptp(losses)), 1e-6)

    def unexplained(depth: float) -> float:
        above = np.log(losses - low + span * np.exp(depth))
        rest = above - terms @ np.linalg.lstsq(terms, above, rcond=None)[0]
        return float(rest @ rest / np.square(above - above.mean()).sum())

    deepest = np.log(max(low, 1e-9) / span)
    grid = np.linspace(min(-12.0, deepest - 1), deepest, 200)
    best = int(np.argmin([unexplained(depth) for depth in grid]))
    bracket = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    return low - span * float(np.exp(minimize_scalar(unexplained, bounds=bracket, method="bounded").x))


@dataclass(frozen=True)
class Exponential:
    """θ = (c, log k, t of all sources but the last), without c where `offset` is given."""

    sources: tuple[str, ...]
    offset: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        free = () if self.offset is not None else ("c",)
        return (*free, "k", *(f"t {name}" for name in self.sources[:-1]))

    def _split(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """c, and (log k, t)."""
        return (float(theta[0]), theta[1:]) if self.offset is None else (self.offset, theta)

    def starts(self, at: Mixtures, losses: np.ndarray) -> np.ndarray:
        """For offsets c below the smallest loss, the least-squares line of log(L − c)."""
        low, span = losses.min(), max(np.ptp(losses), 1e-6)
        if self.offset is not None:
            return np.array([_line(at, losses, self.offset)])
        offsets = [max(low - depth * span, 0.0) for depth in DEPTHS]
        return np.array([[c, *_line(at, losses, c)] for c in offsets])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        steep = [STEEPEST] * (len(self.sources) - 1)
        lower, upper = [-LARGEST_LOG, *(-t for t in steep)], [LARGEST_LOG, *steep]
        if self.offset is None:
            lower, upper = [0.0, *lower], [np.inf, *upper]
        return np.array(lower), np.array(upper)

    def losses(self, theta: np.ndarray, at: Mixtures) -> np.ndarray:
        c, line = self._split(theta)
        return c + _reducible(line, at)

    def jacobian(self, theta: np.ndarray, at: Mixtures) -> np.ndarray:
        above = _reducible(self._split(theta)[1], at)
        free = [np.ones(len(at))] if self.offset is None else []
        return np.column_stack([*free, above, above[:, None] * at.shares[:, :-1]])

    def constants(self, theta: np.ndarray) -> dict[str, float]:
        c, line = self._split(theta)
        slopes = dict(zip(self.sources, [*line[1:].tolist(), 0.0], strict=True))
        return {"c": c, "k": float(np.exp(line[0]))} | {f"t {name}": t for name, t in slopes.items()}


def _line(at: Mixtures, losses: np.ndarray, c: float) -> np.ndarray:
    """(log k, t) of the least-squares line of log(L − c)."""
    terms = np.column_stack([np.ones(len(at)), at.shares[:, :-1]])
    return np.linalg.lstsq(terms, np.log(np.maximum(losses - c, SMALLEST)), rcond=None)[0]


def _reducible(line: np.ndarray, at: Mixtures) -> np.ndarray:
    """k·exp(t·r), float64[mixtures]"""
    return np.exp(np.minimum(line[0] + at.shares[:, :-1] @ line[1:], 300.0))
