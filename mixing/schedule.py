"""Curricula: the share of the domain in the batch as a curve over the run, and its exact integral.

A curve gives the domain's share at x, the finished fraction of the run (0 at the first step, 1 after the last); replay
has the rest. A plan needs what has been used up to each step, so a curve is defined by its integral from 0 to x in
closed form: nothing is summed and no error accumulates.
"""

import itertools
import math
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from corpus.settings import Settings

UNIT_BITS = 20
UNIT = 1 << UNIT_BITS  # cumulative targets are whole numbers of 2^-20 sequences, so all later arithmetic is exact
MAX_SEQUENCES = 1 << 42  # of one segment: (sequences × UNIT) fits an int64

Share = Annotated[float, Field(ge=0, le=1)]


class Constant(Settings):
    """The same share from the first step to the last."""

    kind: Literal["constant"] = "constant"
    share: Share = Field(default=0.9, description="share of the domain in every batch")

    def integral(self, x: np.ndarray) -> np.ndarray:
        return self.share * x


class Linear(Settings):
    """A straight line from `start` to `end`."""

    kind: Literal["linear"] = "linear"
    start: Share = Field(default=0.5, description="share of the domain at the first step")
    end: Share = Field(default=0.9, description="share of the domain at the last step")

    def integral(self, x: np.ndarray) -> np.ndarray:
        return self.start * x + (self.end - self.start) * x * x / 2


class Cosine(Settings):
    """Half a cosine wave from `start` to `end`: flat at both ends, steepest in the middle."""

    kind: Literal["cosine"] = "cosine"
    start: Share = Field(default=0.5, description="share of the domain at the first step")
    end: Share = Field(default=0.9, description="share of the domain at the last step")

    def integral(self, x: np.ndarray) -> np.ndarray:
        return self.end * x + (self.start - self.end) / 2 * (x + np.sin(np.pi * x) / np.pi)


class Point(Settings):
    """A share and the fraction of the run at which it holds."""

    at: float = Field(ge=0, le=1, description="fraction of the run")
    share: Share = Field(description="share of the domain")


class _Points(Settings):
    points: tuple[Point, ...] = Field(min_length=1, description="in the order of the run")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        ats = [point.at for point in self.points]
        if any(later <= earlier for earlier, later in itertools.pairwise(ats)):
            raise ValueError(f"points must come in the order of the run, each once: found at = {ats}")
        return self


class Stepwise(_Points):
    """Each share holds from its point to the next one; the first holds from the start (a late switch is two points)."""

    kind: Literal["stepwise"] = "stepwise"

    def integral(self, x: np.ndarray) -> np.ndarray:
        edges = np.array([0.0, *(point.at for point in self.points[1:]), 1.0])
        shares = np.array([point.share for point in self.points])
        area = np.concatenate([[0.0], np.cumsum(shares * np.diff(edges))])
        piece = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(shares) - 1)
        return area[piece] + shares[piece] * (x - edges[piece])


class Knots(_Points):
    """Straight lines between the points; before the first and after the last the share stays."""

    kind: Literal["knots"] = "knots"

    def integral(self, x: np.ndarray) -> np.ndarray:
        ats = np.array([point.at for point in self.points])
        shares = np.array([point.share for point in self.points])
        ats = np.concatenate([[min(0.0, ats[0])], ats, [max(1.0, ats[-1])]])
        shares = np.concatenate([shares[:1], shares, shares[-1:]])
        widths = np.diff(ats)
        slopes = np.divide(np.diff(shares), widths, out=np.zeros_like(widths), where=widths > 0)
        area = np.concatenate([[0.0], np.cumsum(widths * (shares[1:] + shares[:-1]) / 2)])
        piece = np.clip(np.searchsorted(ats, x, side="right") - 1, 0, len(widths) - 1)
        inside = x - ats[piece]
        return area[piece] + shares[piece] * inside + slopes[piece] * inside * inside / 2


class Annealing(Settings):
    """A late switch: `before` until the fraction `at` of the run, from there `after`; over `ramp`, a fraction of the
    run, in a straight line, and at once without one."""

    kind: Literal["annealing"] = "annealing"
    before: Share = Field(default=0.5, description="share of the domain until the switch")
    after: Share = Field(default=0.9, description="share of the domain from the switch on")
    at: float = Field(default=0.8, gt=0, lt=1, description="fraction of the run where the switch begins")
    ramp: float = Field(default=0.0, ge=0, le=1, description="fraction of the run that the switch takes")

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.at + self.ramp > 1:
            raise ValueError(f"the switch must end within the run: at + ramp = {self.at + self.ramp}")
        return self

    def integral(self, x: np.ndarray) -> np.ndarray:
        after = np.maximum(x - self.at, 0.0)
        if self.ramp == 0:
            return self.before * x + (self.after - self.before) * after
        inside = np.minimum(after, self.ramp)
        return self.before * x + (self.after - self.before) * (inside * inside / (2 * self.ramp) + after - inside)


class LearningRatePhase(Settings):
    """A switch from `before` to `after` when the learning rate has fallen to `ratio` of its peak; Parmar et al. 2024
    switch at a fifth. In a recipe that trains, the switch follows from the train section (mixing/phase.py); `warmup`,
    `decay` and `min_ratio` describe another schedule: rising to the peak over the fraction `warmup` of the run, then
    falling to `min_ratio` of it at the end. Where both are stated they must agree."""

    kind: Literal["learning_rate"] = "learning_rate"
    before: Share = Field(default=0.5, description="share of the domain until the switch")
    after: Share = Field(default=0.9, description="share of the domain from the switch on")
    ratio: float = Field(default=0.2, gt=0, lt=1, description="learning rate at the switch, over its peak")
    warmup: float | None = Field(default=None, ge=0, lt=1, description="fraction of the run in which the rate rises")
    min_ratio: float | None = Field(default=None, ge=0, lt=1, description="last learning rate over the peak")
    decay: Literal["cosine", "linear"] | None = Field(
        None, description="form of the fall of the learning rate, where the recipe has no `train:`"
    )
    at: float | None = Field(
        default=None, gt=0, le=1, description="fraction of the run where the rate is down; found from the train section"
    )

    @model_validator(mode="after")
    def _reached(self) -> Self:
        if self.at is None and self.ratio <= (low := self._low):
            raise ValueError(f"the rate never falls to {self.ratio} of its peak: min_ratio = {low}")
        return self

    @property
    def _low(self) -> float:
        return 0.1 if self.min_ratio is None else self.min_ratio

    @property
    def described(self) -> bool:
        """Whether a learning-rate schedule is stated here."""
        return any(part is not None for part in (self.warmup, self.min_ratio, self.decay))

    @property
    def switch(self) -> float:
        """The fraction of the run where the rate has fallen to `ratio` of its peak.

        η/η_max is m + (1 − m)·(1 + cos πu)/2, or m + (1 − m)·(1 − u), u the finished fraction of the decay.
        """
        if self.at is not None:
            return self.at
        height = (self.ratio - self._low) / (1 - self._low)
        u = 1 - height if self.decay == "linear" else math.acos(2 * height - 1) / math.pi
        rise = self.warmup or 0.0
        return rise + (1 - rise) * u

    def integral(self, x: np.ndarray) -> np.ndarray:
        return self.before * x + (self.after - self.before) * np.maximum(x - self.switch, 0.0)


Schedule = Annotated[
    Constant | Linear | Cosine | Stepwise | Knots | Annealing | LearningRatePhase, Field(discriminator="kind")
]


def domain_units(schedule: Schedule, steps: int, global_batch: int, replay_floor: float) -> np.ndarray:
    """int64[steps + 1]: what the domain should have had before each step, in units of 2^-20 sequences.

    The share of a step is the mean of the curve over it, at most 1 − `replay_floor`. Non-decreasing, starts at 0, and
    grows by at most `global_batch` sequences a step.
    """
    asked = np.rint(schedule.integral(np.arange(steps + 1) / steps) * (steps * global_batch * float(UNIT)))
    most = round((1 - replay_floor) * global_batch * UNIT)
    per_step = np.clip(np.diff(asked.astype(np.int64)), 0, most)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(per_step)])
