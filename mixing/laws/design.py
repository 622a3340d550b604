"""Which mixtures to run: a grid, or draws from a Dirichlet distribution, within caps. A function of its seed alone.

A cap is the largest share a source can have in a run without being repeated more often than allowed.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from corpus.errors import ConfigError
from corpus.settings import Settings
from mixing.budget import Role
from mixing.schedule import Share

MOST_RUNS = 100_000
ROUNDING = 1e-9


class GridDesign(Settings):
    """Domain shares on a line, the sources of each role in proportion to their tokens; or, with `levels`, every mixture
    of all sources in steps of 1/levels. Mixtures beyond a cap are left out."""

    kind: Literal["grid"] = "grid"
    shares: tuple[Share, ...] | None = Field(None, min_length=1, description="shares of the domain")
    levels: int | None = Field(None, ge=1, description="steps from 0 to 1 of every source's share")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.shares is None) == (self.levels is None):
            raise ValueError("state one of shares and levels")
        return self

    def mixtures(
        self, sources: Sequence[str], roles: Sequence[Role], prior: np.ndarray, caps: np.ndarray
    ) -> np.ndarray:
        """float64[runs, sources]; raises ConfigError when no mixture is within the caps."""
        if self.shares is not None:
            found = np.array([line_point(share, roles, prior) for share in self.shares])
        else:
            found = _lattice(len(sources), self.levels or 1)
        return _within(found, sources, caps)


class DirichletDesign(Settings):
    """Draws around a prior, as RegMix does: Dirichlet(s · prior), log s uniform between the bounds of `concentration`,
    so that both near-pure and near-prior mixtures come. A draw beyond a cap is filled up from the other sources."""

    kind: Literal["dirichlet"] = "dirichlet"
    runs: int = Field(
        16,
        ge=1,
        le=MOST_RUNS,
        description="mixtures to draw, each a run; more sources need more, the law `trees` at least 20",
    )
    concentration: tuple[float, float] = Field((0.5, 8.0), description="least and largest s, times the sources")
    prior: dict[str, Annotated[float, Field(ge=0)]] | None = Field(
        None, description="relative weights of the sources; default: in proportion to their tokens"
    )
    seed: int = Field(0, description="of the draws")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.concentration
        if not 0 < low <= high:
            raise ValueError(f"concentration runs from a positive number to one as large: found {low}, {high}")
        return self

    def mixtures(
        self, sources: Sequence[str], roles: Sequence[Role], prior: np.ndarray, caps: np.ndarray
    ) -> np.ndarray:
        """float64[runs, sources]; raises ConfigError when the prior names other sources or the caps leave none."""
        weights = prior if self.prior is None else _stated(self.prior, sources)
        if caps.sum() < 1:
            raise _too_little(sources, caps)
        random = np.random.default_rng(self.seed)
        low, high = np.log(self.concentration)
        found = []
        for _ in range(self.runs):
            strength = np.exp(random.uniform(low, high)) * len(sources)
            drawn = random.dirichlet(np.maximum(strength * weights, 1e-3))
            found.append(capped(drawn, caps))
        return np.array(found)


Design = Annotated[GridDesign | DirichletDesign, Field(discriminator="kind")]


def line_point(share: float, roles: Sequence[Role], prior: np.ndarray) -> np.ndarray:
    """float64[sources]: the domain's sources share `share` in proportion to the prior, the replay's sources the rest.
    Raises ConfigError when a role has no source to give what is asked of it."""
    point = np.zeros(len(roles))
    for role, part in (("domain", share), ("replay", 1 - share)):
        members = np.array([each == role for each in roles])
        mass = prior[members].sum()
        if part > 0 and mass <= 0:
            raise ConfigError(
                f"no {role} source has tokens, and {part:.3g} of the run is asked of them",
                todo=f"give a source role: {role}, or choose another share of the domain",
            )
        point[members] = part * prior[members] / mass if mass > 0 else 0.0
    return point


def capped(share: np.ndarray, caps: np.ndarray) -> np.ndarray:
    """The mixture with no source above its cap: what is cut off rises among the others in proportion (float64[sources],
    sum 1). The caps must sum to at least 1."""
    weights = np.maximum(share, ROUNDING)
    order = np.argsort(caps / weights, kind="stable")
    mass = np.cumsum(weights[order][::-1])[::-1]  # of a source and those after it
    filled, left = np.zeros(len(share)), 1.0
    for i, rest in zip(order, mass, strict=True):
        filled[i] = min(caps[i], left * weights[i] / rest)
        left -= filled[i]
    return filled


def caps_of(tokens: Mapping[str, float], max_epochs: Mapping[str, float], run_tokens: float) -> np.ndarray:
    """float64[sources]: the largest share of a run of so many tokens that repeats a source no more than it may."""
    return np.array([min(1.0, max_epochs[name] * count / run_tokens) for name, count in tokens.items()])


def _lattice(sources: int, levels: int) -> np.ndarray:
    """Every way to divide `levels` among the sources, over `levels`."""
    if sources == 1:
        return np.ones((1, 1))
    cuts = itertools.islice(itertools.combinations(range(levels + sources - 1), sources - 1), MOST_RUNS + 1)
    bars = np.array(list(cuts))
    if len(bars) > MOST_RUNS:
        raise ConfigError("the grid has too many mixtures", found=f"more than {MOST_RUNS}", todo="use fewer levels")
    edges = np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), levels + sources - 1)])
    return (np.diff(edges, axis=1) - 1) / levels


def _within(mixtures: np.ndarray, sources: Sequence[str], caps: np.ndarray) -> np.ndarray:
    kept = mixtures[(mixtures <= caps + ROUNDING).all(axis=1)]
    if not len(kept):
        raise _too_little(sources, caps)
    return kept


def _stated(prior: dict[str, float], sources: Sequence[str]) -> np.ndarray:
    if set(prior) != set(sources) or not sum(prior.values()) > 0:
        raise ConfigError(
            "the prior of a design weighs every mixed source, and some of them above 0",
            where="sweep.design.prior",
            found=", ".join(prior),
            todo=f"name {', '.join(sources)}",
        )
    weights = np.array([prior[name] for name in sources])
    return weights / weights.sum()


def _too_little(sources: Sequence[str], caps: np.ndarray) -> ConfigError:
    return ConfigError(
        "no mixture of the design is within what the sources have",
        found=", ".join(f"{name} at most {cap:.3g} of the run" for name, cap in zip(sources, caps, strict=True)),
        todo="make the runs shorter, raise max_epochs, or add text",
    )
