"""The budget as a table: asked and realised tokens by source, epochs, and what repetition leaves of their worth."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from mixing.supply import Role, Supply

REPEAT_DECAY = 15.3878  # R* of Muennighoff et al. 2023: repetitions after which a token has lost 1 − 1/e of its worth


def effective_tokens(tokens: ArrayLike, unique: ArrayLike, decay: float = REPEAT_DECAY) -> np.ndarray:
    """What `tokens` trained on `unique` different ones are worth in fresh tokens (Muennighoff et al. 2023, eq. 5):
    U·[1 + R*·(1 − e^(−R/R*))] with R = tokens/U − 1 repetitions; all of them up to the first epoch. Float64, of the
    shape of the two together; R* is `decay`."""
    given, different = np.broadcast_arrays(np.asarray(tokens, np.float64), np.asarray(unique, np.float64))
    repeated = (different > 0) & (given > different)
    repeats = np.where(repeated, given / np.where(repeated, different, 1.0) - 1, 0.0)
    return np.where(repeated, different * (1 - decay * np.expm1(-repeats / decay)), given)


def budget_table(
    supplies: Sequence[Supply],
    roles: Sequence[Role],
    asked: Sequence[float],
    given: Sequence[int],
    length: int,
    groups: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """One row per source: its group by `groups` ("" where it has none), tokens it has, tokens asked and realised,
    epochs, and what they are worth after the discount of repetition (`effective_tokens`, `discount` =
    effective/realised). `asked` and `given` are sequences."""
    rows = []
    for supply, role, want, count in zip(supplies, roles, asked, given, strict=True):
        unique = supply.sequences * length
        dense = 1 - supply.padding / unique if unique else 1.0  # what is not padding
        effective = float(effective_tokens(count * length, unique))
        rows.append(
            {
                "source": supply.name,
                "role": role,
                "group": (groups or {}).get(supply.name, ""),
                "tokens": supply.tokens,
                "tail_tokens": supply.tokens - unique + supply.padding,
                "padding_tokens": round(count * length * (1 - dense)),
                "asked_tokens": round(want * length),
                "realised_tokens": count * length,
                "epochs": count / supply.sequences if supply.sequences else 0.0,
                "effective_tokens": round(effective),
                "discount": effective / (count * length) if count else 1.0,
            }
        )
    return pl.DataFrame(rows)
