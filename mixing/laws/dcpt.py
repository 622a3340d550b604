"""The D-CPT law (Que et al. 2024): L(N, D, r) = E + A/N^α + B·r^η/D^β + C/(r + ε)^γ.

N are the model's parameters, D the tokens of the run, r the share of the text the loss is measured on. The first term
with N says what size does and the one with D what length does: where all runs have one N or one D, its term cannot be
told from the others and is left out.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.optimize import nnls

from corpus.settings import Settings
from mixing.laws.fit import ParametricFit, fit_form
from mixing.laws.mixtures import Mixtures

GRID = {
    "α": (0.1, 0.3, 0.8),
    "η": (0.15, 0.5, 1.0, 2.0),
    "β": (0.1, 0.3, 0.8),
    "γ": (0.1, 0.5, 1.5),
    "ε": (0.002, 0.02, 0.2),
}
LARGEST = {"α": 5.0, "η": 20.0, "β": 5.0, "γ": 20.0, "ε": 10.0}
SMALLEST = 1e-6


class DcptLaw(Settings):
    """E + A/N^α + B·r^η/D^β + C/(r + ε)^γ: 9 parameters, 4 at one model size and one length of run."""

    kind: Literal["dcpt"] = "dcpt"
    of: tuple[str, ...] = Field(min_length=1, description="the sources whose share is r: those of the measured text")

    def fit(self, at: Mixtures, losses: np.ndarray) -> ParametricFit:
        return fit_form(Dcpt.of_runs(self.of, at), at, losses)


@dataclass(frozen=True)
class Dcpt:
    """θ = (E, then the logarithms of the other constants, in the order of `names`); A and B are those at `scale`, the
    geometric means of N and D, None where all runs have one."""

    share: tuple[str, ...]
    parameters: float | None
    tokens: float | None

    @classmethod
    def of_runs(cls, share: tuple[str, ...], at: Mixtures) -> "Dcpt":
        return cls(share, _middle(at.parameters), _middle(at.tokens))

    @property
    def names(self) -> tuple[str, ...]:
        size = ("A", "α") if self.parameters else ()
        length = ("B", "η", "β") if self.tokens else ()
        return ("E", *size, *length, "C", "γ", "ε")

    @property
    def _exponents(self) -> list[str]:
        return [name for name in self.names if name in GRID]

    def _terms(self, value: dict[str, np.ndarray], at: Mixtures) -> dict[str, np.ndarray]:
        """The terms with A = B = C = 1, each float64[mixtures]."""
        r = at.share_of(self.share)
        terms = {"C": (r + value["ε"]) ** -value["γ"]}
        if self.tokens:
            terms["B"] = r ** value["η"] * (at.need("tokens") / self.tokens) ** -value["β"]
        if self.parameters:
            terms["A"] = (at.need("parameters") / self.parameters) ** -value["α"]
        return terms

    def starts(self, at: Mixtures, losses: np.ndarray) -> np.ndarray:
        """Exponents on a grid; the factors are then a non-negative least-squares problem."""
        factors = [name for name in ("A", "B", "C") if name in self.names]
        found = []
        for exponents in itertools.product(*(GRID[name] for name in self._exponents)):
            value = {name: np.asarray(exponent) for name, exponent in zip(self._exponents, exponents, strict=True)}
            terms = self._terms(value, at)
            solved = nnls(np.column_stack([np.ones(len(at)), *(terms[name] for name in factors)]), losses)[0]
            value |= dict(zip(factors, np.maximum(solved[1:], SMALLEST), strict=True))
            found.append([solved[0], *(np.log(value[name]) for name in self.names[1:])])
        return np.array(found)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        lower = [np.log(SMALLEST) - 5 for _ in self.names]
        upper = [np.log(LARGEST.get(name, 1e6)) for name in self.names]
        lower[0], upper[0] = 0.0, np.inf
        return np.array(lower), np.array(upper)

    def losses(self, theta: np.ndarray, at: Mixtures) -> np.ndarray:
        value = self._value(theta)
        return theta[0] + sum((value[name] * term for name, term in self._terms(value, at).items()), np.zeros(len(at)))

    def _value(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self.names[1:], np.exp(theta[1:]), strict=True))

    def jacobian(self, theta: np.ndarray, at: Mixtures) -> np.ndarray:
        value = self._value(theta)
        terms = {name: value[name] * term for name, term in self._terms(value, at).items()}
        r = at.share_of(self.share)
        column = dict(terms)
        column["γ"] = -terms["C"] * value["γ"] * np.log(r + value["ε"])
        column["ε"] = -terms["C"] * value["γ"] * value["ε"] / (r + value["ε"])
        if self.tokens:
            column["η"] = terms["B"] * value["η"] * np.log(np.maximum(r, 1e-300))
            column["β"] = -terms["B"] * value["β"] * np.log(at.need("tokens") / self.tokens)
        if self.parameters:
            column["α"] = -terms["A"] * value["α"] * np.log(at.need("parameters") / self.parameters)
        return np.column_stack([np.ones(len(at)), *(column[name] for name in self.names[1:])])

    def constants(self, theta: np.ndarray) -> dict[str, float]:
        """A and B for N and D in units of one parameter and one token, as in the paper."""
        value = {"E": theta[0]} | self._value(theta)
        if self.parameters:
            value["A"] *= self.parameters ** value["α"]
        if self.tokens:
            value["B"] *= self.tokens ** value["β"]
        return {name: float(value[name]) for name in self.names}


def _middle(scales: np.ndarray | None) -> float | None:
    """Geometric mean of sizes that differ; None when they do not."""
    if scales is None or np.ptp(scales) <= 1e-9 * np.max(scales):
        return None
    return float(np.exp(np.log(scales).mean()))
