"""Laws on data of their own form, refusals, held-out quality, extrapolation, designs, critical shares, optima."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from corpus.errors import ConfigError, DataError
from mixing.laws.choice import compare, laws_of
from mixing.laws.critical import Line, critical_by_tokens, critical_share, ratio_law
from mixing.laws.dcpt import DcptLaw
from mixing.laws.exponential import ExponentialLaw
from mixing.laws.fit import fit_form, scale
from mixing.laws.linear import LinearLaw, LogLinearLaw
from mixing.laws.mixtures import Mixtures
from mixing.laws.power import PowerLaw
from mixing.laws.quality import assess, best, held_out, quality, rank
from mixing.laws.reach import Reach
from mixing.laws.repetition import RepetitionLaw
from mixing.table import effective_tokens

TWO = ("domain", "general")


def two(share) -> Mixtures:
    share = np.asarray(share, float)
    return Mixtures.of(TWO, np.column_stack([share, 1 - share]))


def three(runs: int, seed: int = 0) -> Mixtures:
    return Mixtures.of(("a", "b", "c"), np.random.default_rng(seed).dirichlet(np.ones(3), runs))


def scales() -> Mixtures:
    sizes, tokens, share = (
        axis.ravel()
        for axis in np.meshgrid([5e8, 1.8e9, 4e9], np.geomspace(1e9, 2e10, 5), [0, 0.1, 0.25, 0.5, 0.75, 1])
    )
    return Mixtures.of(TWO, np.column_stack([share, 1 - share]), tokens, sizes)


def dcpt(at: Mixtures, E, A, α, B, η, β, C, γ, ε) -> np.ndarray:
    r = at.shares[:, 0]
    return E + A / at.parameters**α + B * r**η / at.tokens**β + C / (r + ε) ** γ


CONSTANTS = {"E": 1.2, "A": 60.0, "α": 0.22, "B": 12.0, "η": 0.4, "β": 0.2, "C": 0.15, "γ": 0.5, "ε": 0.06}


def test_dcpt_constants_come_back_from_noiseless_losses() -> None:
    at = scales()
    losses = dcpt(at, **CONSTANTS)
    law = DcptLaw(of=("domain",)).fit(at, losses)
    assert law.constants() == pytest.approx(CONSTANTS, rel=1e-3)
    assert quality(law.predict(at), losses).r2 > 0.999999


@settings(deadline=None, max_examples=4)
@given(st.floats(0.15, 0.5), st.floats(0.15, 0.5), st.floats(0.2, 1.0), st.floats(0.03, 0.2), st.integers(0, 99))
def test_dcpt_predicts_within_the_noise(α, β, γ, ε, seed) -> None:
    at = scales()
    truth = dcpt(at, 1.5, 0.3 * 1e9**α, α, 0.4 * 5e9**β, 0.5, β, 0.1, γ, ε)
    noisy = truth + np.random.default_rng(seed).normal(0, 0.003, len(at))
    law = DcptLaw(of=("domain",)).fit(at, noisy)
    assert quality(law.predict(at), truth).r2 > 0.999
    assert np.abs(law.predict(at) - truth).mean() < 0.003


@settings(deadline=None, max_examples=8)
@given(st.floats(0.5, 3), st.floats(0.2, 2), st.floats(-4, 4), st.floats(-4, 4), st.integers(0, 999))
def test_the_exponential_law_comes_back(c, k, ta, tb, seed) -> None:
    at = three(40, seed)
    losses = c + k * np.exp(at.shares @ [ta, tb, 0.0])
    law = ExponentialLaw().fit(at, losses)
    assert np.abs(law.predict(at) - losses).max() < 1e-4 * max(np.ptp(losses), 0.1)
    if min(abs(ta), abs(tb), abs(ta - tb)) > 1:
        assert law.constants() == pytest.approx({"c": c, "k": k, "t a": ta, "t b": tb, "t c": 0.0}, rel=0.02, abs=0.02)


def test_a_run_that_went_wrong_hardly_moves_the_fit() -> None:
    at = three(30)
    truth = 2 + 0.5 * np.exp(at.shares @ [-2.0, 1.0, 0.0])
    losses = truth + np.random.default_rng(1).normal(0, 0.002, 30)
    losses[4] += 1.5
    others = np.arange(30) != 4
    robust = ExponentialLaw().fit(at, losses)
    assert np.abs(robust.predict(at) - truth)[others].max() < 0.006
    assert np.abs(LinearLaw().fit(at, losses).predict(at) - truth)[others].max() > 0.02


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    at, there = two(np.linspace(0.05, 0.95, 14)), two([0.3, 0.8])
    truth = lambda m: 2 + 0.4 * np.exp(-3 * m.shares[:, 1])  # noqa: E731
    covered = []
    for seed in range(40):
        noisy = truth(at) + np.random.default_rng(seed).normal(0, 0.01, len(at))
        low, high = ExponentialLaw().fit(at, noisy).interval(there, 0.9)
        covered.append((low <= truth(there)) & (truth(there) <= high))
    assert 0.72 <= np.mean(covered) <= 0.98


@settings(deadline=None, max_examples=10)
@given(st.floats(-3, 2).filter(lambda s: abs(s) > 0.1), st.floats(0.1, 2), st.floats(0.5, 3))
def test_the_power_law_comes_back(s, α, β) -> None:
    x = np.array([0.15, 0.25, 0.4, 0.6, 0.8, 1.0])
    law = PowerLaw(of=("domain",)).fit(two(x), β + α * x**s)
    assert law.predict(two([0.3]))[0] == pytest.approx(β + α * 0.3**s, rel=1e-5)


def test_a_loss_that_rises_before_it_falls_needs_two_powers() -> None:
    tokens = np.geomspace(1, 100, 25)
    rises = 0.5 * tokens**0.3 - 0.15 * tokens**0.5 + 0.1
    at = Mixtures(TWO, np.zeros((25, 2)), tokens)
    assert np.abs(PowerLaw(terms=2).fit(at, rises).predict(at) - rises).max() < 1e-5
    assert np.abs(PowerLaw().fit(at, rises).predict(at) - rises).max() > 1e-2


def test_linear_laws_are_ordinary_least_squares_where_runs_abound() -> None:
    at = three(60)
    losses = at.shares @ [2.0, 3.0, 4.0] + np.random.default_rng(0).normal(0, 0.01, 60)
    wanted = np.linalg.lstsq(at.shares, losses, rcond=None)[0]
    assert LinearLaw().fit(at, losses).coefficients == pytest.approx(wanted, abs=2e-3)
    exact = LogLinearLaw().fit(at, np.exp(at.shares @ [0.5, 1.0, 0.2]))
    assert exact.coefficients == pytest.approx([0.5, 1.0, 0.2], abs=1e-6)


def test_the_worth_of_repetition_is_fitted() -> None:
    random = np.random.default_rng(0)
    tokens, unique = random.choice([1e8, 3e8, 1e9, 4e9], 40), random.choice([2e7, 1e8, 1e9], 40)
    shares, both = np.tile([0.5, 0.5], (40, 1)), np.column_stack([unique, unique])
    at = Mixtures.of(TWO, shares, tokens, unique=both)
    fresh = effective_tokens(shares * tokens[:, None], both, 7.0).sum(axis=1)
    law = RepetitionLaw().fit(at, 1.5 + 400 / fresh**0.3)
    assert law.constants() == pytest.approx({"E": 1.5, "B": 400, "β": 0.3, "R*": 7.0}, rel=1e-3)


def test_trees_settle_their_number_among_their_own_runs_and_are_deterministic() -> None:
    pytest.importorskip("lightgbm", reason="LIGHTGBM MISSING: pip install 'provender[laws]'")
    from mixing.laws.trees import TreesLaw

    at, there = three(150), three(60, seed=9)
    form = lambda m: 3 + np.exp(-4 * m.shares[:, 0]) + 0.3 * m.shares[:, 1]  # noqa: E731
    law = TreesLaw(learning_rate=0.1, most_trees=300, members=3)
    one, other = law.fit(at, form(at)), law.fit(at, form(at))
    assert 1 < one.trees < 300
    assert np.array_equal(one.predict(there), other.predict(there))
    assert rank(one.predict(there), form(there)) > 0.97
    low, high = one.interval(there)
    assert (low <= high).all()


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=20), st.randoms(use_true_random=False))
def test_rank_correlation_is_scipys(values, random) -> None:
    other = values[:]
    random.shuffle(other)
    left, right = np.array(values), np.array(other)
    if np.ptp(left) > 0:
        assert rank(left, right) == pytest.approx(spearmanr(left, right).statistic, abs=1e-9)


def test_sigma_is_that_of_the_noise() -> None:
    assert scale(np.random.default_rng(0).normal(0, 0.02, 4000), 3) == pytest.approx(0.02, rel=0.05)
    assert np.isnan(scale(np.zeros(3), 3))


def test_runs_of_one_mixture_are_left_out_together() -> None:
    at = two([0.1, 0.1, 0.5, 0.5, 0.9, 0.9])
    losses = np.array([3.0, 1.0, 2.0, 2.0, 1.0, 1.0])
    left_out = held_out(LinearLaw(), at, losses)
    wanted = LinearLaw().fit(at.take(np.arange(2, 6)), losses[2:]).predict(at.take(np.arange(2)))
    assert left_out[:2] == pytest.approx(wanted)


def test_the_law_with_the_least_held_out_error_is_chosen_not_the_closest_fit() -> None:
    at = three(14)
    losses = at.shares @ [2.0, 3.0, 2.5] + np.random.default_rng(2).normal(0, 0.02, 14)
    tried, refused = compare(laws_of(("a",), ("linear", "exponential", "trees")), at, losses, folds=40)
    assert [each.law.kind for each in tried] == ["linear", "exponential"]
    assert "too few runs" in refused["trees"]
    assert best(tried).held_out.mae == min(each.held_out.mae for each in tried)
    judged = assess(LinearLaw(), at, losses)
    assert judged.folds == 14
    assert judged.held_out.mae > judged.fit.mae


@pytest.mark.parametrize(
    ("law", "runs"), [(ExponentialLaw(), 3), (LinearLaw(), 2), (DcptLaw(of=("a",)), 3), (PowerLaw(of=("a",)), 2)]
)
def test_fewer_runs_than_parameters_are_refused(law, runs) -> None:
    with pytest.raises(DataError, match="too few runs") as caught:
        law.fit(three(runs), np.ones(runs))
    assert f"{runs} runs" in caught.value.found


def test_what_a_law_needs_and_the_runs_lack_is_named() -> None:
    with pytest.raises(DataError, match="needs the tokens"):
        PowerLaw().fit(three(5), np.ones(5))
    with pytest.raises(DataError, match="no such source: x"):
        PowerLaw(of=("x",)).fit(three(5), np.ones(5))
    with pytest.raises(DataError, match="no loss"):
        LinearLaw().fit(three(5), np.array([1, 2, np.nan, 1, 1]))
    with pytest.raises(DataError, match="positive losses"):
        LogLinearLaw().fit(three(5), np.zeros(5))
    with pytest.raises(ConfigError, match="no such law: forest"):
        laws_of(("a",), ("forest",))
    with pytest.raises(DataError, match="sum to 1"):
        Mixtures.of(TWO, np.array([[0.5, 0.4]]))


def test_without_a_degree_of_freedom_nothing_is_claimed() -> None:
    at = two([0.2, 0.5, 0.9])
    law = ExponentialLaw().fit(at, np.array([2.0, 1.8, 1.75]))
    low, high = law.interval(two([0.4]))
    assert low[0] == -np.inf
    assert high[0] == np.inf


def test_extrapolation_is_flagged() -> None:
    corners = Mixtures.of(
        ("a", "b", "c"), np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]), np.full(3, 1e9)
    )
    reach = Reach(corners)

    def asked(row, tokens=1e9):
        return reach.beyond(Mixtures.of(("a", "b", "c"), np.array([row]), np.array([tokens])))[0]

    assert asked([1 / 3, 1 / 3, 1 / 3]) == ()
    assert "share of a" in asked([0.9, 0.05, 0.05])[0]
    assert "tokens" in asked([1 / 3, 1 / 3, 1 / 3], 2e9)[0]
    ring = Mixtures.of(("a", "b", "c"), np.array([[0.8, 0.2, 0.0], [0.0, 0.8, 0.2], [0.2, 0.0, 0.8]]))
    assert "hull" in Reach(ring).beyond(Mixtures.of(("a", "b", "c"), np.array([[0.75, 0.0, 0.25]])))[0][0]


@settings(deadline=None, max_examples=6)
@given(st.floats(-5, -1), st.floats(0.02, 0.3))
def test_the_critical_share_is_where_the_closed_form_crosses(t, epsilon) -> None:
    at = two(np.linspace(0.05, 0.95, 9))
    law = ExponentialLaw().fit(at, 2 + 0.5 * np.exp(t * at.shares[:, 1]))
    line = Line(TWO, np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    lowest = 0.5 * np.exp(t)
    found = critical_share(line, {"g": law}, {"g": 2 + lowest + epsilon}, draws=10)
    wanted = 1 - np.log((lowest + epsilon) / 0.5) / t
    assert found.share == pytest.approx(min(wanted, 1.0), abs=1e-4)
    assert (found.broken is None) == (wanted >= 1)
    none = critical_share(line, {"g": law}, {"g": 1.9}, draws=10)
    assert none.share is None
    assert none.broken == "g"


def test_the_ratio_law_over_lengths_of_run() -> None:
    tokens, share = (axis.ravel() for axis in np.meshgrid([1.0, 2, 4, 8, 16], [0.05, 0.1, 0.2, 0.4, 0.6, 0.9]))
    critical = 0.9 - 0.7 * tokens**-0.5
    rises = 0.05 * (share / critical) ** 1.5
    at = Mixtures.of(TWO, np.column_stack([share, 1 - share]), tokens)
    found = critical_by_tokens(at, rises, ("domain",), 0.05)
    assert found.shares[:, 0] == pytest.approx(0.9 - 0.7 * found.tokens**-0.5, abs=1e-3)
    law = ratio_law(found)
    there = Mixtures(TWO, np.zeros((1, 2)), np.array([64.0]))
    assert law.predict(there)[0] == pytest.approx(0.9 - 0.7 / 8, abs=0.01)
    with pytest.raises(DataError, match="too few lengths"):
        critical_by_tokens(at, rises, ("domain",), 100.0)


def test_the_jacobians_are_the_derivatives() -> None:
    at = scales()
    losses = dcpt(at, **CONSTANTS)
    for law, where in (
        (DcptLaw(of=("domain",)), at),
        (ExponentialLaw(), at),
        (PowerLaw(of=("general",), terms=2), two([0.1, 0.3, 0.5, 0.7, 0.9, 0.95])),
    ):
        fitted = law.fit(where, losses[: len(where)])
        form, theta = fitted.form, fitted.theta + 0.01
        for index, step in enumerate(np.eye(len(theta)) * 1e-6):
            slope = (form.losses(theta + step, where) - form.losses(theta - step, where)) / 2e-6
            assert form.jacobian(theta, where)[:, index] == pytest.approx(slope, rel=1e-3, abs=1e-6)
    assert fit_form(form, where, losses[: len(where)]).theta == pytest.approx(fitted.theta)
