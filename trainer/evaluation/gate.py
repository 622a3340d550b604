"""The forgetting gate: pure functions from scores to a verdict, and from a verdict to what changes.

"Best" is the lowest target bits per byte among the steps whose general text got no worse than epsilon allows; the base
model itself (step 0) is the measure, not a candidate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from corpus.settings import Settings

AtBound = Literal["warn", "stop"]
Action = Literal["pass", "warn", "stop", "raise_kl", "raise_replay"]


class RaiseKl(Settings):
    """Multiply the weight of the KL to the base, at every evaluation beyond epsilon."""

    kind: Literal["raise_kl"] = "raise_kl"
    factor: float = Field(2.0, gt=1, description="new weight over the old one")
    most: float = Field(gt=0, description="largest weight")
    at_bound: AtBound = Field("warn", description="what a rise does once the weight is at its largest")


class RaiseReplay(Settings):
    """Raise the least share of replay in the steps that are left: the plan gets a new segment, nothing is lost."""

    kind: Literal["raise_replay"] = "raise_replay"
    by: float = Field(0.1, gt=0, lt=1, description="share of the batch added each time")
    most: float = Field(gt=0, lt=1, description="largest share of replay")
    at_bound: AtBound = Field("warn", description="what a rise does once the share is at its largest")


Raise = Annotated[RaiseKl | RaiseReplay, Field(discriminator="kind")]


class GateSettings(Settings):
    """How much worse general text may get, and what happens when it does."""

    epsilon: float = Field(0.05, ge=0, description="largest rise of a general set against step 0")
    unit: Literal["bits_per_byte", "relative"] = Field("bits_per_byte", description="of `epsilon`; 0.05 relative is 5%")
    action: AtBound | Raise = Field("warn", description="what a rise beyond epsilon does")


@dataclass(frozen=True)
class Verdict:
    """`name` and `rise` of the general set that rose most (None without general sets), and what to do."""

    name: str | None
    rise: float | None
    action: Action


def judge(general: Mapping[str, float], baseline: Mapping[str, float], gate: GateSettings) -> Verdict:
    """Compare the general sets' bits per byte with those of step 0; the first of equals is named."""
    rises = {name: now - baseline[name] for name, now in general.items()}
    if gate.unit == "relative":
        rises = {name: rise / baseline[name] for name, rise in rises.items()}
    if not rises:
        return Verdict(None, None, "pass")
    worst = max(rises, key=lambda name: rises[name])
    beyond = gate.action if isinstance(gate.action, str) else gate.action.kind
    return Verdict(worst, rises[worst], "pass" if rises[worst] <= gate.epsilon else beyond)


@dataclass(frozen=True)
class Change:
    """What the gate changes from the next step on: the weight of KL or the least share of replay."""

    what: Literal["kl", "replay"]
    before: float
    after: float


def change_of(action: RaiseKl | RaiseReplay, now: float) -> Change | None:
    """The change that `action` makes to the weight or share `now`; None at its bound."""
    if now >= action.most:
        return None
    if isinstance(action, RaiseKl):
        return Change("kl", now, min(now * action.factor, action.most))
    return Change("replay", now, min(now + action.by, action.most))


@dataclass(frozen=True)
class Best:
    """The best step so far and its target bits per byte."""

    step: int
    bits_per_byte: float


def better(best: Best | None, step: int, target: float | None, verdict: Verdict) -> Best | None:
    """The best after seeing `step`: unchanged unless the gate passed it and its target is strictly lower. Without
    target sets there is nothing to be best at."""
    if step == 0 or target is None or verdict.action != "pass":
        return best
    return Best(step, target) if best is None or target < best.bits_per_byte else best
