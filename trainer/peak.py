"""A peak learning rate to start from, between two published results. It is printed, never applied.

Continuing on 300 B tokens after 8 T, a share of 0.0375, Parmar et al. (2024) do best from the base model's last rate;
with as many new tokens as old ones (300 B after 300 B), Ibrahim et al. (2024) re-warm to the base model's peak. Between
the two shares the rate is interpolated in logarithms of both, and outside them it stays:

    η = η_min · (η_max / η_min)^u,   u = log(r / 0.0375) / log(1 / 0.0375) in [0, 1],   r = new tokens / base tokens

With another batch than the base model's, the rate goes with the square root of the batch (Malladi et al. 2022, Adam).
A rule of thumb: short runs on small models stand higher rates, and the evaluation of step 0 and after says more.
"""

import math
from typing import Self

from pydantic import Field, model_validator

from corpus.settings import Settings

LOW_SHARE, HIGH_SHARE = 0.0375, 1.0


class BaseTraining(Settings):
    """What the base model was trained with, as its card says. Only used to print a recommended peak."""

    peak: float = Field(gt=0, description="highest learning rate of the base model's training")
    last: float = Field(gt=0, description="learning rate at its end")
    tokens: float = Field(gt=0, description="tokens it was trained on")
    batch_tokens: float | None = Field(None, gt=0, description="tokens of a step of its training")

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if self.last > self.peak:
            raise ValueError(f"the last learning rate {self.last} is above the peak {self.peak}")
        return self


def recommended_peak(base: BaseTraining, tokens: int, batch_tokens: int) -> float:
    """The peak for `tokens` new tokens in steps of `batch_tokens`."""
    share = tokens / base.tokens
    u = math.log(share / LOW_SHARE) / math.log(HIGH_SHARE / LOW_SHARE)
    rate = base.last * (base.peak / base.last) ** min(max(u, 0.0), 1.0)
    return rate * math.sqrt(batch_tokens / base.batch_tokens) if base.batch_tokens is not None else rate


def peak_advice(base: BaseTraining | None, asked: float, tokens: int, batch_tokens: int) -> str | None:
    """A line that says what would be recommended and what is used; None when the recipe says nothing of the base."""
    if base is None:
        return None
    peak = recommended_peak(base, tokens, batch_tokens)
    return (
        f"learning rate: the recipe's peak {asked:.3g} is used; recommended for {tokens:,} tokens after "
        f"{base.tokens:,.0f}: {peak:.3g} (set train.learning_rate to follow)"
    )
