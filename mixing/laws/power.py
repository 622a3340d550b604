"""Power laws with an offset, y = β + Σ α·x^s, in one variable: the forms of the CMR law (Gu et al. 2024).

At a fixed length of run a loss follows its source's share, L(R) = α·R^s + β; over the tokens T of a run the change of
the domain's loss has one power and that of the general loss two (it rises before it falls); and the critical ratio
itself is α·T^s + β.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from corpus.settings import Settings
from mixing.laws.fit import ParametricFit, fit_form
from mixing.laws.mixtures import Mixtures

EXPONENTS = np.array(
    [-6, -4, -2, -1.5, -1, -0.7, -0.5, -0.3, -0.2, -0.1, -0.05, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 4]
)
LARGEST = 12.0  # |s|


class PowerLaw(Settings):
    """β + α·x^s, x the share of some sources or, with no `of`, the tokens of the run; 3 parameters, 5 with 2 terms."""

    kind: Literal["power"] = "power"
    of: tuple[str, ...] = Field((), description="the sources whose share is x; none: x are the run's tokens")
    terms: Literal[1, 2] = Field(1, description="powers: 2 for a loss that rises before it falls")

    def fit(self, at: Mixtures, losses: np.ndarray) -> ParametricFit:
        """Raises DataError also when a share is 0, which has no power."""
        return fit_form(Power.of_runs(self.of, self.terms, at), at, losses)


@dataclass(frozen=True)
class Power:
    """θ = (β, α₁, s₁, …); x is taken relative to `middle`."""

    share: tuple[str, ...]
    terms: int
    middle: float

    @classmethod
    def of_runs(cls, share: tuple[str, ...], terms: int, at: Mixtures) -> "Power":
        x = at.share_of(share) if share else at.need("tokens")
        return cls(share, terms, float(np.exp(np.log(np.maximum(x, 1e-3)).mean())))

    @property
    def names(self) -> tuple[str, ...]:
        return ("β", "α", "s") if self.terms == 1 else ("β", "α₁", "s₁", "α₂", "s₂")

    def _x(self, at: Mixtures) -> np.ndarray:
        x = at.share_of(self.share) if self.share else at.need("tokens")
        return np.maximum(x, 1e-3 if self.share else 1e-9) / self.middle

    def starts(self, at: Mixtures, losses: np.ndarray) -> np.ndarray:
        """Exponents on a grid; β and the factors are then linear."""
        x = self._x(at)
        found = []
        for exponents in itertools.combinations(EXPONENTS, self.terms):
            powers = [x**s for s in exponents]
            solved = np.linalg.lstsq(np.column_stack([np.ones(len(at)), *powers]), losses, rcond=None)[0]
            pairs = itertools.chain.from_iterable(zip(solved[1:], exponents, strict=True))
            found.append([solved[0], *pairs])
        return np.array(found)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        upper = np.array([np.inf, *([np.inf, LARGEST] * self.terms)])
        return -upper, upper

    def losses(self, theta: np.ndarray, at: Mixtures) -> np.ndarray:
        x = self._x(at)
        return theta[0] + sum((a * x**s for a, s in theta[1:].reshape(-1, 2)), np.zeros(len(at)))

    def jacobian(self, theta: np.ndarray, at: Mixtures) -> np.ndarray:
        x = self._x(at)
        columns = [np.ones(len(at))]
        for a, s in theta[1:].reshape(-1, 2):
            columns += [x**s, a * x**s * np.log(x)]
        return np.column_stack(columns)

    def constants(self, theta: np.ndarray) -> dict[str, float]:
        """α for x as it is, not relative to its middle."""
        value = dict(zip(self.names, theta.tolist(), strict=True))
        for a, s in zip(self.names[1::2], self.names[2::2], strict=True):
            value[a] *= self.middle ** -value[s]
        return value
