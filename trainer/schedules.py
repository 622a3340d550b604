"""Learning rate as a pure function of the step: resuming needs no scheduler state."""

import math


def warmup_cosine(step: int, *, steps: int, peak: float, warmup: int, min_ratio: float) -> float:
    """The rate of 0-based `step`: linear warm-up over `warmup` steps to `peak`, then
    η_min + (η_max − η_min)/2 · (1 + cos πx), η_min = `min_ratio` · `peak`, reached at the last step
    (Ibrahim et al. 2024)."""
    if step < warmup:
        return peak * (step + 1) / warmup
    x = (step - warmup) / max(steps - 1 - warmup, 1)
    low = min_ratio * peak
    return low + (peak - low) / 2 * (1 + math.cos(math.pi * min(x, 1.0)))
