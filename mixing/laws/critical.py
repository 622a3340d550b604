"""The largest share of the domain that general text can bear (Gu et al. 2024: the critical mixture ratio).

Along a line of mixtures from all replay to all domain, the rise of every general loss over the untrained model is
predicted; the critical share is the largest for which none is above ε, with no share below it breaking ε either. What
the laws do not know of the losses makes an interval of the share: the same question put to resampled laws.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from corpus.errors import DataError
from mixing.laws.fit import Fitted, ParametricFit
from mixing.laws.mixtures import Mixtures
from mixing.laws.power import PowerLaw

GRID = 201
DRAWS = 100


@dataclass(frozen=True)
class CriticalShare:
    """`share` of the domain, None when every share breaks ε; `low`, `high` its interval at `level` (0 where a resampled
    law allows none); `broken` names the general set that sets the limit, None where the end of the line does."""

    share: float | None
    low: float
    high: float
    level: float
    broken: str | None


@dataclass(frozen=True)
class Line:
    """Mixtures `from_` + s·(`to` − `from_`), both float64[sources], s the domain's share, at one length and size."""

    sources: tuple[str, ...]
    from_: np.ndarray
    to: np.ndarray
    tokens: float | None = None
    parameters: float | None = None
    unique: np.ndarray | None = None

    def at(self, shares: np.ndarray) -> Mixtures:
        """The mixtures at domain shares float64[n]."""
        points = self.from_ + np.asarray(shares, np.float64).reshape(-1, 1) * (self.to - self.from_)
        rows = len(points)
        tokens, parameters = (None if s is None else np.full(rows, s) for s in (self.tokens, self.parameters))
        unique = None if self.unique is None else np.tile(self.unique, (rows, 1))
        return Mixtures(self.sources, points, tokens, parameters, unique)


def critical_share(
    line: Line,
    laws: Mapping[str, Fitted],
    limits: Mapping[str, float],
    *,
    lowest: float = 0.0,
    highest: float = 1.0,
    level: float = 0.9,
    draws: int = DRAWS,
    seed: int = 0,
) -> CriticalShare:
    """`laws` and `limits` (the largest loss allowed) by general set; the share lies in [lowest, highest]."""
    share, broken = _first_break(line, {name: law.predict for name, law in laws.items()}, limits, lowest, highest)
    paths = [laws[name].resampled(draws, seed + number) for number, name in enumerate(laws)]
    drawn = []
    for members in zip(*paths, strict=True):
        predictors = {name: member.predict for name, member in zip(laws, members, strict=True)}
        found = _first_break(line, predictors, limits, lowest, highest)[0]
        drawn.append(0.0 if found is None else found)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]) if drawn else (np.nan, np.nan)
    return CriticalShare(share, float(low), float(high), level, broken)


def _first_break(
    line: Line,
    laws: Mapping[str, Callable[[Mixtures], np.ndarray]],
    limits: Mapping[str, float],
    lowest: float,
    highest: float,
) -> tuple[float | None, str | None]:
    """Where the first law passes its limit after the first share that is within all of them, and that law's name."""
    shares = np.linspace(lowest, highest, GRID)
    at = line.at(shares)
    over = {name: law(at) - limits[name] for name, law in laws.items()}
    within = np.all([excess <= 0 for excess in over.values()], axis=0)
    if not within.any():
        return None, min(over, key=lambda name: -float(over[name].min()))
    start = int(np.argmax(within))
    stop = start + int(np.argmin(within[start:])) if not within[start:].all() else len(shares)
    if stop == len(shares):
        return highest, None
    breaks = {}
    for name, law in laws.items():
        if over[name][stop] > 0:
            breaks[name] = float(brentq(_excess(line, law, limits[name]), shares[stop - 1], shares[stop], xtol=1e-7))
    name = min(breaks, key=lambda each: breaks[each])
    return breaks[name], name


def _excess(line: Line, law: Callable[[Mixtures], np.ndarray], limit: float) -> Callable[[float], float]:
    return lambda share: float(law(line.at(np.array([share])))[0]) - limit


def critical_by_tokens(at: Mixtures, rises: np.ndarray, domain: Sequence[str], epsilon: float) -> Mixtures:
    """The critical ratio at every length of run: a power law of the rise over the domain's share, cut at ε.

    The result's only column of shares is the ratio's source and its `tokens` the lengths; lengths at which no share or
    every share is within ε say nothing and are left out. Raises DataError when fewer than three lengths are left.
    """
    tokens, found = at.need("tokens"), []
    ends = np.eye(2)
    for length in np.unique(tokens):
        rows = tokens == length
        part = at.share_of(domain)[rows]
        two = Mixtures.of(("domain", "replay"), np.column_stack([part, 1 - part]))
        law = PowerLaw(of=("domain",)).fit(two, rises[rows])
        line = Line(two.sources, ends[1], ends[0])
        bounds = float(part.min()), float(part.max())
        share, broken = _first_break(line, {"rise": law.predict}, {"rise": epsilon}, *bounds)
        if share is not None and broken is not None:
            found.append((length, share))
    if len(found) < 3:
        raise DataError(
            "the critical ratio is inside the shares that were run at too few lengths of run",
            found=f"{len(found)} lengths, at least 3",
            todo="run shares on both sides of the critical one, at several lengths",
        )
    lengths, ratios = np.array(found).T
    return Mixtures(("domain", "replay"), np.column_stack([ratios, 1 - ratios]), lengths)


def ratio_law(critical: Mixtures) -> ParametricFit:
    """The CMR law R = α·T^s + β over the lengths of run, fitted to the ratios of `critical_by_tokens`."""
    return PowerLaw().fit(critical, critical.shares[:, 0])
