"""The forgetting gate: pure functions from scores to a verdict.

"Best" is the lowest target bits per byte among the steps whose general text got no worse than epsilon allows; the base
model itself (step 0) is the measure, not a candidate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from trainer.settings import GateSettings

Action = Literal["pass", "warn", "stop"]


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
    return Verdict(worst, rises[worst], "pass" if rises[worst] <= gate.epsilon else gate.action)


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
