"""What repeated text is worth (Muennighoff et al. 2023): L = E + A/N^α + B/D′^β, D′ the run in fresh tokens.

A source of U different tokens that gave D > U of them is worth U·[1 + R*·(1 − e^(−R/R*))], R = D/U − 1. The budget's
table uses the paper's R* (mixing/table.py); this law fits R* to runs that repeat, so that one's own text can say.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import nnls

from corpus.settings import Settings
from mixing.laws.fit import ParametricFit, fit_form
from mixing.laws.mixtures import Mixtures
from mixing.table import REPEAT_DECAY, effective_tokens

DECAYS = (1.0, 4.0, REPEAT_DECAY, 50.0)
POWERS = (0.1, 0.3, 0.6, 1.0)
SMALLEST = 1e-6


class RepetitionLaw(Settings):
    """E + A/N^α + B/D′^β: 6 parameters, 4 at one model size. Needs runs that repeat, and different tokens by source."""

    kind: Literal["repetition"] = "repetition"

    def fit(self, at: Mixtures, losses: np.ndarray) -> ParametricFit:
        return fit_form(Repetition.of_runs(at), at, losses)


@dataclass(frozen=True)
class Repetition:
    """θ = (E, then logarithms: A and α where sizes differ, B, β, R*); A and B at the geometric means of N and D."""

    parameters: float | None
    tokens: float

    @classmethod
    def of_runs(cls, at: Mixtures) -> "Repetition":
        sizes = at.parameters
        varied = sizes is not None and np.ptp(sizes) > 1e-9 * np.max(sizes)
        middle = float(np.exp(np.log(sizes).mean())) if sizes is not None and varied else None
        return cls(middle, float(np.exp(np.log(at.need("tokens")).mean())))

    @property
    def names(self) -> tuple[str, ...]:
        return ("E", *(("A", "α") if self.parameters else ()), "B", "β", "R*")

    def fresh(self, at: Mixtures, decay: float) -> np.ndarray:
        """D′, float64[mixtures], over the mean run."""
        given = at.shares * at.need("tokens")[:, None]
        return np.asarray(effective_tokens(given, at.need("unique"), decay)).sum(axis=1) / self.tokens

    def starts(self, at: Mixtures, losses: np.ndarray) -> np.ndarray:
        found = []
        for decay, beta, alpha in itertools.product(DECAYS, POWERS, POWERS if self.parameters else (1.0,)):
            columns = [np.ones(len(at)), self.fresh(at, decay) ** -beta]
            if self.parameters:
                columns.append((at.need("parameters") / self.parameters) ** -alpha)
            e, b, *a = np.maximum(nnls(np.column_stack(columns), losses)[0], SMALLEST)
            found.append([e, *np.log([*a, alpha][: 2 * len(a)]), *np.log([b, beta, decay])])
        return np.array(found)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        lower = np.array([0.0, *(np.log(1e-9) for _ in self.names[1:])])
        largest = {"A": 1e6, "B": 1e6, "α": 5.0, "β": 5.0, "R*": 1e4}
        return lower, np.array([np.inf, *(np.log(largest[name]) for name in self.names[1:])])

    def losses(self, theta: np.ndarray, at: Mixtures) -> np.ndarray:
        value = dict(zip(self.names[1:], np.exp(theta[1:]), strict=True))
        total = theta[0] + value["B"] * self.fresh(at, float(value["R*"])) ** -value["β"]
        if self.parameters:
            total = total + value["A"] * (at.need("parameters") / self.parameters) ** -value["α"]
        return total

    def jacobian(self, theta: np.ndarray, at: Mixtures) -> np.ndarray:
        """By central differences: R* enters through the sum over the sources."""
        steps = 1e-6 * np.maximum(np.abs(theta), 1.0)
        moved = np.diag(steps)
        pairs = [(self.losses(theta + m, at), self.losses(theta - m, at)) for m in moved]
        return np.column_stack([(up - down) / (2 * s) for (up, down), s in zip(pairs, steps, strict=True)])

    def constants(self, theta: np.ndarray) -> dict[str, float]:
        value = {"E": float(theta[0])} | dict(zip(self.names[1:], np.exp(theta[1:]).tolist(), strict=True))
        if self.parameters:
            value["A"] *= self.parameters ** value["α"]
        value["B"] *= self.tokens ** value["β"]
        return value
