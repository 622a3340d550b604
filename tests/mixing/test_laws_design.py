"""Designs of runs and the mixtures that are proposed from laws."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpus.errors import ConfigError, DataError
from mixing.laws.design import DirichletDesign, GridDesign, capped, caps_of, line_point
from mixing.laws.linear import LinearLaw, LogLinearLaw
from mixing.laws.mixtures import Mixtures
from mixing.laws.optimum import near_prior, simulated

NAMES, ROLES = ("a", "b", "c"), ("domain", "domain", "replay")
PRIOR = np.array([0.5, 0.3, 0.2])


@given(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3), st.lists(st.floats(0.05, 1.0), min_size=3, max_size=3))
def test_capped_mixtures_sum_to_one_within_their_caps(share, caps) -> None:
    assume(sum(share) > 0.01 and sum(caps) >= 1)
    shares, most = np.array(share) / sum(share), np.array(caps)
    filled = capped(shares, most)
    assert filled.sum() == pytest.approx(1)
    assert (filled <= most + 1e-9).all()
    if (shares <= most).all():
        assert filled == pytest.approx(shares, abs=1e-7)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.3, 1.0))
def test_a_dirichlet_design_is_a_function_of_its_seed_within_the_caps(seed, cap) -> None:
    caps = np.array([cap, cap, 1.0])
    design = DirichletDesign(runs=10, seed=seed)
    found = design.mixtures(NAMES, ROLES, PRIOR, caps)
    assert np.array_equal(found, design.mixtures(NAMES, ROLES, PRIOR, caps))
    assert found.shape == (10, 3)
    assert (found <= caps + 1e-9).all()
    assert found.sum(axis=1) == pytest.approx(np.ones(10))


def test_a_lattice_has_every_mixture_once() -> None:
    found = GridDesign(levels=4).mixtures(NAMES, ROLES, PRIOR, np.ones(3))
    assert len(found) == math.comb(6, 2) == len(np.unique(found, axis=0))
    assert found.sum(axis=1) == pytest.approx(np.ones(15))
    assert len(GridDesign(levels=4).mixtures(NAMES, ROLES, PRIOR, np.array([0.5, 1, 1]))) == 15 - 3


def test_a_grid_of_domain_shares_keeps_the_proportions_within_a_role() -> None:
    found = GridDesign(shares=(0.0, 0.4, 1.0)).mixtures(NAMES, ROLES, PRIOR, np.ones(3))
    assert found == pytest.approx(np.array([[0, 0, 1], [0.25, 0.15, 0.6], [0.625, 0.375, 0]]))
    with pytest.raises(ConfigError, match="no replay source"):
        line_point(0.5, ("domain", "domain", "domain"), PRIOR)


def test_designs_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="no mixture of the design"):
        GridDesign(shares=(0.9,)).mixtures(NAMES, ROLES, PRIOR, np.full(3, 0.4))
    with pytest.raises(ConfigError, match="no mixture of the design"):
        DirichletDesign().mixtures(NAMES, ROLES, PRIOR, np.full(3, 0.2))
    with pytest.raises(ConfigError, match="weighs every mixed source"):
        DirichletDesign(prior={"a": 1.0}).mixtures(NAMES, ROLES, PRIOR, np.ones(3))
    with pytest.raises(ConfigError, match="too many mixtures"):
        GridDesign(levels=500).mixtures([*"abcdef"], ["domain"] * 6, np.ones(6) / 6, np.ones(6))
    for wrong in ({"shares": (0.5,), "levels": 2}, {}):
        with pytest.raises(ValidationError, match="state one of"):
            GridDesign(**wrong)
    with pytest.raises(ValidationError, match="concentration"):
        DirichletDesign(concentration=(2.0, 1.0))


def test_caps_are_shares_of_the_run() -> None:
    assert caps_of({"a": 100.0, "b": 10.0}, {"a": 4.0, "b": 2.0}, 80.0) == pytest.approx([1.0, 0.25])


def law_of(slopes):
    at = Mixtures.of(NAMES, np.random.default_rng(0).dirichlet(np.ones(3), 40))
    return LinearLaw().fit(at, at.shares @ np.array(slopes))


@pytest.mark.parametrize("strength", [0.05, 0.5, 5.0])
def test_near_the_prior_the_optimum_of_a_linear_law_is_the_tilted_prior(strength) -> None:
    """argmin b·r + λ KL(r‖p) is r ∝ p·e^(−b/λ)."""
    slopes = np.array([2.0, 2.4, 2.1])
    tilted = PRIOR * np.exp(-slopes / strength)
    found = near_prior(NAMES, {"x": (law_of(slopes), 1.0)}, PRIOR, strength)
    assert found == pytest.approx(tilted / tilted.sum(), abs=2e-3)


def test_an_optimum_respects_caps_and_the_priors_zeros() -> None:
    laws = {"x": (law_of([1.0, 2.0, 3.0]), 1.0)}
    found = near_prior(NAMES, laws, PRIOR, 0.01, caps=np.array([0.6, 1.0, 1.0]))
    assert found[0] == pytest.approx(0.6, abs=1e-4)
    assert near_prior(NAMES, laws, np.array([0.0, 0.5, 0.5]), 0.1)[0] == 0
    with pytest.raises(DataError, match="caps leave no mixture"):
        near_prior(NAMES, laws, PRIOR, 0.1, caps=np.full(3, 0.2))


def test_simulation_goes_towards_the_better_source_and_is_deterministic() -> None:
    at = Mixtures.of(NAMES, np.random.default_rng(0).dirichlet(np.ones(3), 40))
    law = LogLinearLaw().fit(at, np.exp(at.shares @ [0.3, 1.0, 1.2]))
    found = simulated(NAMES, {"x": (law, 1.0)}, PRIOR, samples=20_000)
    assert found.sum() == pytest.approx(1)
    assert found[0] > 0.95
    assert np.array_equal(found, simulated(NAMES, {"x": (law, 1.0)}, PRIOR, samples=20_000))
    within = simulated(NAMES, {"x": (law, 1.0)}, PRIOR, np.array([0.5, 1, 1]), samples=20_000)
    assert 0.4 < within[0] <= 0.5
    with pytest.raises(DataError, match="within the caps"):
        simulated(NAMES, {"x": (law, 1.0)}, PRIOR, np.full(3, 0.1), samples=20_000)
