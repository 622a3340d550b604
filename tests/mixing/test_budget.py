"""Budgets: water-filling, caps, fixed tokens and epochs, refusals with the nearest feasible total."""

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpus.errors import ConfigError
from mixing.budget import MixSettings, SourceBudget, Supply, Temperature, UniMax
from mixing.compile import compile_plan
from mixing.groups import water_fill
from mixing.schedule import Constant
from mixing.solve import solve
from mixing.table import effective_tokens


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1e6), st.integers(0, 400)), min_size=1, max_size=30),
    st.integers(0, 3000),
)
def test_water_fills_to_one_level_under_the_caps(entries: list[tuple[int, float, int]], total: int) -> None:
    weights = [Fraction(whole) + Fraction(part) for whole, part, _ in entries]
    caps = [cap for _, _, cap in entries]
    filled = water_fill(total, weights, caps)
    if total > sum(cap for weight, cap in zip(weights, caps, strict=True) if weight > 0):
        assert filled is None
        return
    assert filled is not None
    assert sum(filled) == total
    assert all(0 <= part <= cap for part, cap in zip(filled, caps, strict=True))
    # Level: nobody below its cap has less, per weight, than another has, but for the rounding of one sequence.
    for part, weight, cap in zip(filled, weights, caps, strict=True):
        if weight > 0 and part < cap:
            assert all(other - 1 <= (part + 1) / weight * w for other, w in zip(filled, weights, strict=True) if w > 0)


def _mix(**changes) -> MixSettings:
    return MixSettings(**({"sequence_length": 10, "global_batch": 10, "schedule": Constant(share=0.5)} | changes))


SUPPLIES = [Supply("books", 1000, 100), Supply("notes", 3000, 300), Supply("web", 10_000, 1000)]
WEB = {"web": SourceBudget(role="replay")}


def test_sources_share_in_proportion_to_their_tokens() -> None:
    budget = solve(SUPPLIES, _mix(total_tokens=4000, sources=WEB))
    assert [a.sequences for a in budget.allocations] == [50, 150, 200]


def test_what_a_capped_source_cannot_take_goes_to_its_group() -> None:
    sources = WEB | {"books": SourceBudget(weight=1, max_epochs=1), "notes": SourceBudget(weight=1)}
    budget = solve(SUPPLIES, _mix(total_tokens=8000, sources=sources))
    assert [a.sequences for a in budget.allocations] == [100, 300, 400]
    assert [a.asked for a in budget.allocations] == [200, 200, 400]


def test_stated_tokens_and_epochs_are_met_exactly() -> None:
    sources = WEB | {"books": SourceBudget(epochs=1.5)}
    budget = solve(SUPPLIES, _mix(total_tokens=8000, sources=sources))
    assert [a.sequences for a in budget.allocations] == [150, 250, 400]


def _unimax(total: float, counts: list[int], cap: float) -> list[float]:
    """Algorithm 1 of Chung et al. 2023: from the smallest language on, an even part of what is left, or its cap."""
    out = [0.0] * len(counts)
    left = total
    order = sorted(range(len(counts)), key=lambda i: counts[i])
    for done, i in enumerate(order):
        out[i] = min(left / (len(counts) - done), counts[i] * cap)
        left -= out[i]
    return out


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.floats(0.05, 1))
def test_unimax_is_that_of_the_paper(counts: list[int], part: float) -> None:
    supplies = [Supply(f"s{i:02d}", 10 * n, n) for i, n in enumerate(counts)]
    steps = max(1, int(part * 4 * sum(counts)))
    mix = MixSettings(sequence_length=10, global_batch=1, steps=steps, sharing=UniMax())
    got = [entry.sequences for entry in solve(supplies, mix).allocations]
    assert all(abs(a - b) <= 1 for a, b in zip(got, _unimax(steps, counts, 4), strict=True))


def test_temperature_flattens_the_shares() -> None:
    supplies = [Supply("large", 160_000, 16_000), Supply("small", 10_000, 1000)]
    for tau, share in {1: 16 / 17, 2: 4 / 5, 4: 2 / 3}.items():
        mix = MixSettings(sequence_length=10, global_batch=10, steps=100, sharing=Temperature(tau=tau))
        large = solve(supplies, mix).allocations[0].sequences
        assert abs(large - 1000 * share) <= 1


def test_a_share_of_the_run_and_all_of_a_source_are_met_exactly() -> None:
    sources = WEB | {"books": SourceBudget(share=0.25), "notes": SourceBudget(tokens="all")}
    budget = solve(SUPPLIES, _mix(steps=120, sources=sources))
    assert [a.sequences for a in budget.allocations] == [300, 300, 600]


def test_a_share_needs_a_length() -> None:
    with pytest.raises(ConfigError, match="as long as its sources"):
        solve(SUPPLIES, _mix(total_tokens="all", sources=WEB | {"books": SourceBudget(share=0.25)}))


def test_when_no_length_suffices_the_nearest_budget_cuts_the_demands() -> None:
    sources = WEB | {"books": SourceBudget(tokens=9000), "notes": SourceBudget(tokens=1000)}
    with pytest.raises(ConfigError, match="its cap leaves 4,000") as refusal:
        solve(SUPPLIES, _mix(steps=100, sources=sources))
    assert "books 4,000" in str(refusal.value.found)
    assert "10,000 tokens (100 steps)" in str(refusal.value.found)
    found = re.findall(r"sources\.(\w+)\.tokens: (\d+)", refusal.value.todo or "")
    nearest = WEB | {"notes": SourceBudget(tokens=1000)} | {name: SourceBudget(tokens=int(n)) for name, n in found}
    solve(SUPPLIES, _mix(steps=100, sources=nearest))


def test_all_means_once_through_the_domain() -> None:
    budget = solve(SUPPLIES, _mix(total_tokens="all", sources=WEB))
    assert budget.steps == 80
    assert [a.sequences for a in budget.allocations] == [100, 300, 400]


def test_the_refusal_names_the_nearest_total_and_it_is_feasible() -> None:
    # 400 domain sequences × 4 epochs = 1600 = half of 320 steps.
    with pytest.raises(ConfigError) as refusal:
        solve(SUPPLIES, _mix(steps=1000, sources=WEB))
    assert "100,000 tokens (1000 steps)" in str(refusal.value.found)
    assert "32,000 tokens (320 steps)" in str(refusal.value.found)
    assert "max_epochs" in str(refusal.value)
    solve(SUPPLIES, _mix(total_tokens=32_000, sources=WEB))
    with pytest.raises(ConfigError):
        solve(SUPPLIES, _mix(steps=321, sources=WEB))


def test_fixed_sources_that_exceed_their_group_are_refused_with_a_longer_run() -> None:
    sources = WEB | {"books": SourceBudget(tokens=3000)}
    with pytest.raises(ConfigError, match=r"ask for 3,000 tokens, the schedule gives 2,000") as refusal:
        solve(SUPPLIES, _mix(steps=40, sources=sources))
    assert "(60 steps)" in str(refusal.value.found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 4, "sources": {"boks": SourceBudget()}}, 'did you mean "books"'),
        ({"steps": 4, "replay_floor": 0.1}, "no source has role: replay"),
        ({"steps": 4, "sources": {"books": SourceBudget(weight=1)}}, "without"),
        ({"steps": 40, "sources": {"books": SourceBudget(tokens=9000)}}, "its cap leaves 4,000"),
        ({"total_tokens": "all", "sources": WEB, "schedule": Constant(share=0)}, "no end"),
    ],
)
def test_a_wrong_mixture_is_refused_in_words(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        solve(SUPPLIES, _mix(**changes))
    assert message in str(refusal.value)


def test_settings_refuse_two_ways_to_say_one_thing() -> None:
    for wrong in ({"weight": 1, "tokens": 5}, {"epochs": 5}):
        with pytest.raises(ValidationError):
            SourceBudget(**wrong)
    for wrong in ({}, {"steps": 1, "total_tokens": 1000}, {"total_tokens": 99}):
        with pytest.raises(ValidationError):
            _mix(**wrong)


def test_repetition_is_discounted_as_in_the_paper() -> None:
    assert effective_tokens(50, 100) == 50
    # Four epochs: R = 3, 1 + 15.3878·(1 − e^(−3/15.3878)) = 3.7254 epochs' worth.
    assert effective_tokens(400, 100) == pytest.approx(100 * (1 + 15.3878 * (1 - math.exp(-3 / 15.3878))))
    assert effective_tokens(400, 100) == pytest.approx(372.5, abs=0.1)


def test_the_table_adds_up() -> None:
    plan = compile_plan([Supply("books", 1009, 100), *SUPPLIES[1:]], _mix(total_tokens=8050, sources=WEB))
    table = plan.table()
    assert table["realised_tokens"].sum() == plan.tokens == 8000
    assert table.filter(source="books").row(0, named=True)["tail_tokens"] == 9
    assert table.filter(source="web")["epochs"].item() == 0.4
