"""The study's estimates and verdicts on results made here, against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from pipelines.study.grid import GENERAL_TESTS, SHARES, SHIFTS, TESTS, grid, named
from pipelines.study.results import Row, Run, Scores, Term, estimate
from pipelines.study.sizes import FULL, QUICK
from pipelines.study.texts import DOMAINS
from pipelines.study.verdicts import (
    BASE,
    COUNTED,
    better_frontier,
    competent,
    first_percent,
    judged,
    margin,
    monotone,
    nearly_flat,
    own_model_best,
    selected_as_good,
    verdicts,
)

DOCUMENTS = 40
LN2 = float(np.log(2))


def run(general: float, domains: dict[str, float], noise: float = 0.0, seed: int = 0) -> Run:
    """Documents of 100 bytes whose mean is so many bits per byte, with noise between documents."""

    def scores(bits: float, which: int) -> Scores:
        wobble = np.random.default_rng([which, seed]).normal(0, noise, DOCUMENTS) if noise else np.zeros(DOCUMENTS)
        nbytes = np.full(DOCUMENTS, 100)
        return Scores((bits + wobble - wobble.mean()) * nbytes * LN2, nbytes)

    sets = {name: scores(general, index) for index, name in enumerate(GENERAL_TESTS)}
    return Run(sets | {TESTS[kind]: scores(bits, 7 + index) for index, (kind, bits) in enumerate(domains.items())})


def row(name: str, general: float, domain: float, kind: str = "code", method: str = "none", **options: float) -> Row:
    return Row(name, {0: run(general, {kind: domain}, **options)}, kind, method)


def curve(generals: list[float], domains: list[float], kind: str = "code") -> dict[str, Row]:
    rows = zip(SHARES, generals, domains, strict=True)
    return {
        named(kind, share): row(named(kind, share), general, domain, kind, noise=0.01, seed=index)
        for index, (share, general, domain) in enumerate(rows)
    }


GOOD = curve([3.0, 2.4, 2.3, 2.2, 2.1, 2.0], [1.0, 1.0, 1.0, 1.01, 1.1, 1.2])
THE_BASE = Row(BASE, {0: run(1.9, {"code": 2.0})}, constant=True)


def test_over_seeds_an_estimate_is_the_mean_of_the_differences_and_its_standard_error() -> None:
    one = Row("a", {seed: run(2.0 + 0.1 * seed, {"code": 1.0}) for seed in range(3)})
    other = Row("b", {seed: run(1.0 + 0.3 * seed, {"code": 1.0}) for seed in range(3)})
    found = estimate([Term(1, one, GENERAL_TESTS), Term(-1, other, GENERAL_TESTS)])
    by_seed = [1.0, 0.8, 0.6]
    assert found.value == pytest.approx(np.mean(by_seed))
    assert found.error == pytest.approx(np.std(by_seed, ddof=1) / np.sqrt(3))
    assert (found.freedom, found.over) == (2, "seeds")


def test_only_seeds_that_all_rows_have_are_compared() -> None:
    one = Row("a", {seed: run(2.0 + seed, {"code": 1.0}) for seed in (0, 1, 2)})
    other = Row("b", {seed: run(1.0 + 2 * seed, {"code": 1.0}) for seed in (1, 2, 3)})
    found = estimate([Term(1, one, GENERAL_TESTS), Term(-1, other, GENERAL_TESTS)])
    assert found.value == pytest.approx(((3 - 3) + (4 - 5)) / 2)
    lone = Row("c", {2: run(1.0, {"code": 1.0})})
    assert estimate([Term(1, one, GENERAL_TESTS), Term(-1, lone, GENERAL_TESTS)]).over == "documents"


@given(st.lists(st.floats(-2, 2), min_size=2, max_size=30), st.integers(50, 500))
def test_over_documents_of_equal_size_the_error_is_that_of_a_mean(differences: list[float], nbytes: int) -> None:
    sizes = np.full(len(differences), nbytes)

    def of(bits: np.ndarray) -> Row:
        return Row("x", {0: Run({name: Scores(bits * sizes * LN2, sizes) for name in ("one",)})})

    ours = estimate(
        [Term(1, of(np.array(differences) + 3), ("one",)), Term(-1, of(np.full(len(sizes), 3.0)), ("one",))]
    )
    assert ours.over == "documents" and ours.freedom == len(sizes) - 1
    assert ours.value == pytest.approx(np.mean(differences), abs=1e-9)
    assert ours.error == pytest.approx(np.std(differences, ddof=1) / np.sqrt(len(sizes)), abs=1e-9)


def test_the_base_stands_for_every_seed() -> None:
    many = Row("a", {seed: run(2.0 + seed, {"code": 1.0}) for seed in range(3)})
    found = estimate([Term(1, many, GENERAL_TESTS), Term(-1, THE_BASE, GENERAL_TESTS)])
    assert found.over == "seeds" and found.value == pytest.approx(3.0 - 1.9)


@given(st.floats(-3, 3), st.floats(0.01, 2), st.integers(1, 30))
def test_above_is_the_one_sided_t_test(value: float, error: float, freedom: int) -> None:
    from pipelines.study.results import Estimate

    found = Estimate(value, error, freedom, "seeds")
    assert found.above(0.05) == (1 - student.cdf(value / error, freedom) < 0.05)
    assert not (found.above() and found.below())


def test_a_falling_curve_is_shown_and_one_that_turns_up_is_refuted() -> None:
    assert monotone(GOOD, "code", "strong").outcome == "shown"
    turned = curve([3.0, 2.4, 2.3, 2.2, 2.1, 2.5], [1.0] * 6)
    assert monotone(turned, "code", "strong").outcome == "refuted"
    level = curve([3.0, 2.4, 2.3, 2.2, 2.1, 2.1], [1.0] * 6)
    assert monotone(level, "code", "strong").outcome == "undecided"


def test_the_first_percent_has_to_buy_more_than_half() -> None:
    assert first_percent(GOOD, "code", "strong").outcome == "shown"  # 0.6 of 1.0
    late = curve([3.0, 2.8, 2.3, 2.2, 2.1, 2.0], [1.0] * 6)
    verdict = first_percent(late, "code", "strong")
    assert verdict.outcome == "refuted"
    assert verdict.evidence[0].estimate.value == pytest.approx(0.2 - 0.5)


def test_nearly_flat_is_a_twentieth_of_what_the_domain_gained() -> None:
    assert nearly_flat(GOOD | {BASE: THE_BASE}, "code", "strong").outcome == "shown"  # 0.01 of 1.0
    steep = curve([3.0, 2.4, 2.3, 2.2, 2.1, 2.0], [1.0, 1.0, 1.0, 1.2, 1.3, 1.4])
    verdict = nearly_flat(steep | {BASE: THE_BASE}, "code", "strong")
    assert verdict.outcome == "refuted" and verdict.evidence[0].estimate.value == pytest.approx(0.05 - 0.2)


@given(st.floats(2.0, 3.0), st.floats(-0.5, 0.5))
def test_the_margin_is_the_distance_to_the_straight_line_between_neighbours(general: float, below: float) -> None:
    generals, domains = [3.0, 2.4, 2.3, 2.2, 2.1, 2.0], [1.0, 1.05, 1.1, 1.2, 1.3, 1.5]
    line = float(np.interp(general, generals[::-1], domains[::-1]))
    found = margin(row("x", general, line - below), list(curve(generals, domains).values()), "code")
    assert found is not None and found.value == pytest.approx(below, abs=1e-9)


def test_beyond_the_curve_only_what_is_better_or_worse_in_both_is_compared() -> None:
    ends = list(curve([3.0, 2.4, 2.3, 2.2, 2.1, 2.0], [1.0, 1.05, 1.1, 1.2, 1.3, 1.5]).values())
    better, worse = margin(row("x", 1.5, 1.4), ends, "code"), margin(row("x", 3.5, 1.1), ends, "code")
    assert better is not None and better.value == pytest.approx(0.1)
    assert worse is not None and worse.value == pytest.approx(-0.1)
    assert margin(row("x", 1.5, 1.9), ends, "code") is None
    assert margin(row("x", 3.5, 0.5), ends, "code") is None


def test_one_method_below_the_curve_shows_that_it_is_better_somewhere() -> None:
    rows = curve([3.0, 2.4, 2.3, 2.2, 2.1, 2.0], [1.0, 1.05, 1.1, 1.2, 1.3, 1.5])
    kl = row("code-r00-kl", 2.05, 1.2, method="KL", noise=0.01, seed=11)
    ewc = row("code-r00-ewc", 2.5, 1.3, method="EWC", noise=0.01, seed=12)
    assert better_frontier(rows | {kl.name: kl, ewc.name: ewc}, "code", "strong", ("KL", "EWC")).outcome == "shown"
    assert better_frontier(rows | {ewc.name: ewc}, "code", "strong", ("KL", "EWC")).outcome == "refuted"
    assert better_frontier(rows, "code", "strong", ("KL", "EWC")).outcome == "missing"
    asked = [cell for cell in grid(QUICK) if cell.name in ("code-r00-ewc", "code-r05-kl")]
    partial = better_frontier(rows | {ewc.name: ewc}, "code", "strong", ("KL", "EWC"), asked)
    assert (partial.outcome, partial.missing) == ("missing", ("code-r05-kl",)) and partial.evidence
    # another domain's cell and another method do not count
    l2sp = replace(kl, method="L2-SP")
    assert better_frontier(rows | {"x": l2sp}, "code", "strong", ("KL", "EWC")).outcome == "missing"


def test_the_matrix_needs_every_domains_own_model_to_be_best() -> None:
    def model(best: str, other: float = 2.0) -> Run:
        return run(2.0, {kind: 1.0 if kind == best else other for kind in DOMAINS}, noise=0.01)

    rows = {named(kind, 0.0): Row(kind, {0: model(kind)}) for kind in DOMAINS}
    rows[BASE] = Row(BASE, {0: model("none")}, constant=True)
    assert own_model_best(rows).outcome == "shown"
    assert len(own_model_best(rows).evidence) == len(DOMAINS) * len(DOMAINS)
    rows[named("german", 0.0)] = Row("german", {0: model("none", 2.5)})
    assert own_model_best(rows).outcome == "refuted"


def test_a_claim_without_its_rows_names_them() -> None:
    rows = {name: each for name, each in GOOD.items() if name != "code-r05"}
    verdict = monotone(rows, "code", "strong")
    assert verdict.outcome == "missing" and verdict.missing == ("code-r05",)
    assert {each.outcome for each in verdicts({})} == {"missing"}


def test_selection_is_judged_on_the_task() -> None:
    rows = {
        name: Row(name, {0: run(2.0, {"handbook": bits}, noise=0.01, seed=index)})
        for index, (name, bits) in enumerate({"select-all": 1.5, "select-dsir": 1.2, "select-moore-lewis": 1.8}.items())
    }
    assert selected_as_good(rows).outcome == "shown"
    rows["select-dsir"] = Row("select-dsir", {0: run(2.0, {"handbook": 1.7}, noise=0.01, seed=1)})
    assert selected_as_good(rows).outcome == "refuted"


def test_a_base_that_counting_beats_is_not_competent() -> None:
    counting = {
        name: Row(name, {0: run(bits, {}, noise=0.01)}, constant=True)
        for name, bits in (("bigram", 2.0), ("trigram", 1.8))
    }
    for bits, outcomes in ((1.7, ["shown", "shown"]), (1.9, ["shown", "refuted"]), (2.1, ["refuted", "refuted"])):
        rows = {BASE: Row(BASE, {0: run(bits, {}, noise=0.01, seed=3)}, constant=True), **counting}
        assert [competent(rows, model).outcome for model in counting] == outcomes


def test_no_evidence_decides_nothing() -> None:
    assert judged("a claim", []).outcome == "undecided"


@pytest.mark.parametrize("size", [QUICK, FULL], ids=lambda size: size.name)
def test_the_grid_has_what_the_claims_are_about(size) -> None:
    cells = {cell.name: cell for cell in grid(size)}
    for verdict in verdicts({}):
        named_cells = [
            name for name in verdict.missing if name not in (BASE, *COUNTED) and not name.startswith("a cell")
        ]
        assert set(named_cells) <= set(cells)
    for domain in SHIFTS:
        assert {named(domain, share) for share in SHARES} <= set(cells)
        assert all(cells[named(domain, share)].seeds == size.seeds for share in SHARES)
    methods = {cell.method for cell in cells.values()}
    assert {"none", "KL", "EWC", "L2-SP", "DAS", "LoRA", "merge"} <= methods
    assert all(cells[cell.after].seeds == cell.seeds for cell in cells.values() if cell.after)
    assert len({cell.run(seed) for cell in cells.values() for seed in cell.seeds}) == sum(
        len(cell.seeds) for cell in cells.values()
    )
    assert all(len(cell.run(seed)) <= 41 for cell in cells.values() for seed in cell.seeds)
