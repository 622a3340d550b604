"""Loss spikes: a step whose loss stands far above the recent ones is passed over, like one that is not finite.

The bound is median + max(deviations · 1.4826 · MAD, least) over the last steps that were taken: the median and the
median absolute deviation do not move with the very spikes they are to find. A loss that stays high is no spike: after
`max_skipped` steps in a row the run ends with an error that says so.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from corpus.settings import Settings

TO_SIGMA = 1.4826  # of the median absolute deviation, for normal errors


class SpikeSettings(Settings):
    """When a finite loss is too high to be learned from."""

    window: int = Field(64, ge=8, description="steps to compare with")
    deviations: float = Field(10.0, gt=0, description="robust standard deviations above the median")
    least: float = Field(1.0, ge=0, description="a rise below this, in nats per token, is never a spike")


def spike_bound(recent: Sequence[float], settings: SpikeSettings) -> float | None:
    """The loss above which a step is a spike; None until a quarter of the window is filled."""
    if len(recent) < settings.window // 4:
        return None
    losses = np.array(recent[-settings.window :])
    middle = float(np.median(losses))
    spread = TO_SIGMA * float(np.median(np.abs(losses - middle)))
    return middle + max(settings.deviations * spread, settings.least)
