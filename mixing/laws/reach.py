"""Extrapolation: whether a mixture lies among those that were run. Of the rest a law says nothing, however well
it fits."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from mixing.laws.mixtures import Mixtures

NEAR = 1e-3  # of a share: what rounding leaves


@dataclass(frozen=True)
class Reach:
    """The runs that a law was fitted to."""

    runs: Mixtures

    def beyond(self, at: Mixtures) -> list[tuple[str, ...]]:
        """For every mixture, what about it no run covers: a source's share, the mixture as a whole (outside the convex
        hull of the mixtures that were run), tokens, parameters."""
        return [tuple(self._of(at, row)) for row in range(len(at))]

    def _of(self, at: Mixtures, row: int) -> list[str]:
        share, run = at.shares[row], self.runs.shares
        notes = []
        for name, value, low, high in zip(at.sources, share, run.min(axis=0), run.max(axis=0), strict=True):
            if not low - NEAR <= value <= high + NEAR:
                notes.append(f"share of {name} {value:.3g}, runs have {low:.3g} to {high:.3g}")
        if not notes and not self._in_hull(share):
            notes.append("outside the hull of the mixtures that were run")
        for column in ("tokens", "parameters"):
            ours, theirs = getattr(at, column), getattr(self.runs, column)
            if ours is None or theirs is None:
                continue
            if not theirs.min() * (1 - 1e-9) <= ours[row] <= theirs.max() * (1 + 1e-9):
                notes.append(f"{column} {ours[row]:,.0f}, runs have {theirs.min():,.0f} to {theirs.max():,.0f}")
        return notes

    def _in_hull(self, share: np.ndarray) -> bool:
        """Whether the share is a weighted mean of the runs', within `NEAR` in every source: a linear program."""
        points = np.unique(self.runs.shares, axis=0)
        limits = np.concatenate([share + NEAR, NEAR - share])
        found = linprog(
            np.zeros(len(points)),
            A_ub=np.concatenate([points.T, -points.T]),
            b_ub=limits,
            A_eq=np.ones((1, len(points))),
            b_eq=[1.0],
            bounds=(0, None),
        )
        return bool(found.status == 0)
