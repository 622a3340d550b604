"""The mixture with the least predicted loss: RegMix's simulation, and a law's optimum kept near a prior.

RegMix (Liu et al. 2025) draws mixtures around the prior, predicts them all and takes the mean of the best, which an
error of the law at a single point cannot mislead. The second way minimises Σ w_i L_i(r) + λ·KL(r‖prior) under caps;
for laws that are convex in the shares (linear, log-linear, exponential) that has one minimum.
"""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize

from corpus.errors import DataError
from mixing.laws.design import capped
from mixing.laws.fit import Fitted
from mixing.laws.mixtures import Mixtures

SAMPLES = 100_000
BEST = 128
BATCH = 10_000
LEAST = 1e-9  # share, where a logarithm is taken


def simulated(
    sources: tuple[str, ...],
    laws: Mapping[str, tuple[Fitted, float]],
    prior: np.ndarray,
    caps: np.ndarray | None = None,
    *,
    samples: int = SAMPLES,
    best: int = BEST,
    seed: int = 0,
) -> np.ndarray:
    """float64[sources]: the mean of the `best` of `samples` Dirichlet(prior · sources) draws by weighted mean loss;
    `laws` are (law, weight) by set, and draws beyond a cap do not count. Raises DataError when none is within."""
    random = np.random.default_rng(seed)
    kept, values = [], []
    for _ in range(-(-samples // BATCH)):
        drawn = random.dirichlet(np.maximum(prior * len(sources), 1e-3), BATCH)
        if caps is not None:
            drawn = drawn[(drawn <= caps).all(axis=1)]
        if len(drawn):
            kept.append(drawn)
            values.append(_weighted(laws, Mixtures(sources, drawn)))
    if not kept:
        raise DataError("none of the drawn mixtures is within the caps", todo="make the run shorter, or add text")
    mixtures, losses = np.concatenate(kept), np.concatenate(values)
    return mixtures[np.argsort(losses, kind="stable")[:best]].mean(axis=0)


def near_prior(
    sources: tuple[str, ...],
    laws: Mapping[str, tuple[Fitted, float]],
    prior: np.ndarray,
    strength: float,
    caps: np.ndarray | None = None,
) -> np.ndarray:
    """float64[sources]: argmin of the weighted mean loss + `strength` · KL(r‖prior) (nats), no source above its cap.

    A source that the prior does not have gets nothing. Raises DataError when the caps leave no mixture, or the search
    ends without a minimum.
    """
    held = prior > 0
    ceilings = np.ones(len(prior)) if caps is None else np.minimum(caps, 1.0)
    if ceilings[held].sum() < 1 - LEAST:
        raise DataError("the caps leave no mixture", found=f"they sum to {ceilings[held].sum():.3g} of the run")
    names = np.flatnonzero(held)

    def spread(part: np.ndarray) -> np.ndarray:
        whole = np.zeros((*part.shape[:-1], len(prior)))
        whole[..., names] = part
        return whole

    def objective(part: np.ndarray) -> float:
        safe = np.maximum(part, LEAST)
        loss = _weighted(laws, Mixtures(sources, spread(part / part.sum())[None]))[0]
        return float(loss + strength * (safe * np.log(safe / prior[names])).sum())

    start = capped(prior, ceilings)[names]
    found = minimize(
        objective,
        start / start.sum(),
        method="SLSQP",
        bounds=[(LEAST, max(ceiling, LEAST)) for ceiling in ceilings[names]],
        constraints={"type": "eq", "fun": lambda part: part.sum() - 1},
        options={"maxiter": 500, "ftol": 1e-12},
    )
    if not found.success and found.status != 8:  # 8: the step can no longer be told from 0, which is the minimum
        raise DataError("no optimum was found", found=found.message, todo="raise the strength of the prior")
    return spread(found.x / found.x.sum())


def _weighted(laws: Mapping[str, tuple[Fitted, float]], at: Mixtures) -> np.ndarray:
    total = sum(weight for _, weight in laws.values())
    return sum((weight * law.predict(at) for law, weight in laws.values()), np.zeros(len(at))) / total
