"""Learning rate as a pure function of the step: resuming needs no scheduler state.

    rate of step s of n = peak · height(s),   height 1 at the peak

    cosine         /‾‾\\__    η_min + (η_max − η_min)/2 · (1 + cos πx)                        Ibrahim et al. 2024
    linear         /\\         1 → min_ratio in a straight line
    wsd            /‾‾‾‾\\     warm-up, stable, decay over the last fraction                   Hu et al. 2024
    inverse_sqrt   /\\__       √(w / (w + t)), t steps after a warm-up of w                    Vaswani et al. 2017
    infinite       /\\____\\   warm-up, cooldown, constant, annealing                          Ibrahim et al. 2024
    rewarm         /‾‾\\__    preset: warm-up over 1% of the steps, cosine to a tenth          Ibrahim et al. 2024
    from_minimum   ‾‾\\__     preset: no warm-up, cosine from the base's last rate to 1% of it Parmar et al. 2024

x is the finished fraction of a phase: 0 at its first step, 1 at its last.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from corpus.settings import Settings

Fraction = Annotated[float, Field(ge=0, le=1)]


def cosine_height(x: float, low: float) -> float:
    return low + (1 - low) / 2 * (1 + math.cos(math.pi * x))


class Shape(Settings):
    """What follows the warm-up. `warmup` and `low` are what a recipe gets that states neither."""

    def warmup(self, steps: int) -> int:
        """Steps of the linear warm-up, of `steps`."""
        return 10

    @property
    def low(self) -> float:
        """The last rate over the peak."""
        return 0.1

    def height(self, x: float, low: float) -> float:
        """The rate over the peak at the fraction `x` of the steps after the warm-up."""
        raise NotImplementedError

    def after(self, passed: int, left: int, rise: int, low: float) -> float:
        """The rate over the peak when `passed` of the `left` steps after a warm-up of `rise` are done."""
        return self.height(min(passed / max(left - 1, 1), 1.0), low)


class CosineDecay(Shape):
    """Half a cosine wave from the peak to the last rate."""

    kind: Literal["cosine"] = "cosine"

    def height(self, x: float, low: float) -> float:
        return cosine_height(x, low)


class LinearDecay(Shape):
    """A straight line from the peak to the last rate."""

    kind: Literal["linear"] = "linear"

    def height(self, x: float, low: float) -> float:
        return 1 + (low - 1) * x


class WarmupStableDecay(Shape):
    """The peak until the last fraction `decay` of the steps after the warm-up, then down to the last rate."""

    kind: Literal["wsd"] = "wsd"
    decay: float = Field(0.1, gt=0, le=1, description="fraction of the steps after the warm-up that decays")
    form: Literal["linear", "cosine", "sqrt"] = Field("linear", description="of the decay; sqrt: 1 − √x, fast at first")

    def height(self, x: float, low: float) -> float:
        u = max(0.0, (x - (1 - self.decay)) / self.decay)
        if self.form == "cosine":
            return cosine_height(u, low)
        return low + (1 - low) * (1 - (u if self.form == "linear" else math.sqrt(u)))


class InverseSqrt(Shape):
    """The peak over the square root of the steps since the start, in units of `timescale` (default: the warm-up): needs
    no length of the run and never falls below the last rate."""

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    timescale: int | None = Field(None, gt=0, description="steps after which the rate is 1/√2 of the peak")

    def after(self, passed: int, left: int, rise: int, low: float) -> float:
        scale = self.timescale or max(rise, 1)
        return max(math.sqrt(scale / (scale + passed)), low)


class Infinite(Shape):
    """Cooldown from the peak to a constant rate at which training can go on for ever and branch off, then annealing.

    The cooldown is a cosine or 1 + (c − 1)·h(x)/h(1) with h(x) = (1 + αx)^−½ − 1; annealing is c·(low/c)^u."""

    kind: Literal["infinite"] = "infinite"
    cooldown: Fraction = Field(0.3, description="fraction of the steps after the warm-up")
    constant: Fraction = Field(0.55, description="the constant rate over the peak: 1.65e-4 of 3e-4 in the paper")
    annealing: Fraction = Field(0.1, description="last fraction of the steps; 0 leaves the run open-ended")
    form: Literal["cosine", "inverse_sqrt"] = Field("cosine", description="of the cooldown")
    alpha: float = Field(10.0, gt=0, description="steepness of the inverse-sqrt cooldown")

    @model_validator(mode="after")
    def _phases_fit(self) -> Self:
        if self.cooldown + self.annealing > 1:
            raise ValueError(f"cooldown + annealing = {self.cooldown + self.annealing} is more than the run")
        return self

    def height(self, x: float, low: float) -> float:
        if self.annealing and x > 1 - self.annealing:
            u = (x - (1 - self.annealing)) / self.annealing
            if not low or not self.constant:
                return self.constant * (1 - u)  # a rate of 0 has no logarithm
            return self.constant * (low / self.constant) ** u
        if x >= self.cooldown:
            return self.constant
        u = x / self.cooldown
        if self.form == "cosine":
            return cosine_height(u, self.constant)
        return 1 + (self.constant - 1) * self._fall(u) / self._fall(1)

    def _fall(self, x: float) -> float:
        return (1 + self.alpha * x) ** -0.5 - 1


class Rewarm(CosineDecay):
    """Preset: the base model's schedule once more. Re-warming adapts fast and forgets more than starting low."""

    kind: Literal["rewarm"] = "rewarm"  # type: ignore[assignment]

    def warmup(self, steps: int) -> int:
        return math.ceil(0.01 * steps)


class FromMinimum(CosineDecay):
    """Preset: `learning_rate` is the base model's last rate; from there down, without a warm-up."""

    kind: Literal["from_minimum"] = "from_minimum"  # type: ignore[assignment]

    def warmup(self, steps: int) -> int:
        return 0

    @property
    def low(self) -> float:
        return 0.01


RateSchedule = Annotated[
    CosineDecay | LinearDecay | WarmupStableDecay | InverseSqrt | Infinite | Rewarm | FromMinimum,
    Field(discriminator="kind"),
]


def learning_rate(
    step: int, *, steps: int, peak: float, shape: Shape, warmup: int | None = None, min_ratio: float | None = None
) -> float:
    """The rate of 0-based `step` of `steps`: linear warm-up over `warmup` steps to `peak`, then the shape down to
    `min_ratio` · `peak`, reached at the last step. None: what the shape says."""
    rise = shape.warmup(steps) if warmup is None else warmup
    low = shape.low if min_ratio is None else min_ratio
    if step < rise:
        return peak * (step + 1) / rise
    return peak * shape.after(step - rise, steps - rise, rise, low)
