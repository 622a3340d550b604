"""Declared groups: two levels of water, what one source cannot take goes to its group first."""

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpus.errors import ConfigError
from mixing.budget import GroupBudget, MixSettings, SourceBudget, Supply
from mixing.compile import append_segment, compile_plan
from mixing.schedule import Constant
from mixing.solve import solve

FOUR = [Supply(name, 10 * n, n) for name, n in (("a", 100), ("b", 100), ("c", 100), ("d", 100))]


def _mix(**changes) -> MixSettings:
    base = {"sequence_length": 10, "global_batch": 10, "schedule": Constant(share=1.0)}
    return MixSettings.model_validate(base | changes)


def _given(mix: MixSettings, supplies: list[Supply] = FOUR) -> list[int]:
    return [allocation.sequences for allocation in solve(supplies, mix).allocations]


def test_what_a_capped_source_cannot_take_stays_in_its_group() -> None:
    sources = {"a": {"group": "x", "max_epochs": 0.2}, "b": {"group": "x"}, "c": {}, "d": {}}
    assert _given(_mix(steps=20, sources=sources, groups={"x": {}})) == [20, 80, 50, 50]
    # Without the group, all others share it.
    alone = {name: {k: v for k, v in budget.items() if k != "group"} for name, budget in sources.items()}
    assert _given(_mix(steps=20, sources=alone)) == [20, 60, 60, 60]


def test_what_a_full_group_cannot_take_goes_to_the_rest_of_its_role() -> None:
    sources = {"a": {"group": "x", "max_epochs": 0.2}, "b": {"group": "x", "max_epochs": 0.4}, "c": {}, "d": {}}
    assert _given(_mix(steps=20, sources=sources, groups={"x": {}})) == [20, 40, 70, 70]
    limited = {"a": {"group": "x"}, "b": {"group": "x"}, "c": {}, "d": {}}
    assert _given(_mix(steps=20, sources=limited, groups={"x": {"max_epochs": 0.25}})) == [25, 25, 75, 75]


def test_a_group_has_its_weight_its_share_or_its_tokens() -> None:
    sources = {"a": {"group": "x"}, "b": {"group": "x"}, "c": {"group": "y"}, "d": {"group": "y", "max_epochs": 0.1}}
    weighted = _mix(steps=20, sources=sources, groups={"x": {"weight": 3}, "y": {"weight": 1}})
    assert _given(weighted) == [75, 75, 40, 10]
    for stated in ({"share": 0.3}, {"tokens": 600}):
        assert _given(_mix(steps=20, sources=sources, groups={"x": stated, "y": {}})) == [30, 30, 130, 10]
    fixed = sources | {"a": {"group": "x", "tokens": 500}}
    assert _given(_mix(steps=20, sources=fixed, groups={"x": {"tokens": 600}, "y": {}})) == [50, 10, 130, 10]
    assert _given(_mix(steps=20, sources=fixed, groups={"x": {"weight": 2}, "y": {"weight": 1}})) == [50, 100, 40, 10]


def test_inside_a_group_weights_compare_with_each_other_only() -> None:
    sources = {
        "a": {"group": "x", "weight": 3},
        "b": {"group": "x", "weight": 1},
        "c": {"group": "y"},
        "d": {"group": "y"},
    }
    groups = {"x": {"weight": 1}, "y": {"weight": 1}}
    assert _given(_mix(steps=20, sources=sources, groups=groups)) == [75, 25, 50, 50]
    with pytest.raises(ConfigError, match="some of role domain have a weight"):
        _given(_mix(steps=20, sources=sources, groups={"x": {}, "y": {}}))
    with pytest.raises(ConfigError, match="some of group x have a weight"):
        _given(_mix(steps=20, sources=sources | {"b": {"group": "x"}}, groups=groups))


def test_a_group_that_is_misspelt_empty_or_of_two_roles_is_refused() -> None:
    with pytest.raises(ValidationError, match='did you mean "clinical"'):
        _mix(steps=1, sources={"a": {"group": "clinicl"}}, groups={"clinical": {}})
    with pytest.raises(ValidationError, match="no source is of group y"):
        _mix(steps=1, sources={"a": {"group": "x"}}, groups={"x": {}, "y": {}})
    with pytest.raises(ValidationError, match="state one of weight, share, tokens"):
        GroupBudget(weight=1, share=0.5)
    both = {"a": {"group": "x"}, "b": {"group": "x", "role": "replay"}}
    with pytest.raises(ConfigError, match="both roles"):
        solve(FOUR, _mix(steps=1, schedule=Constant(share=0.5), sources=both, groups={"x": {}}))


@pytest.mark.parametrize(
    ("groups", "changes", "reason"),
    [
        ({"x": {"tokens": 9000}}, {}, "group x asks for 9,000 tokens, its sources give 0 to 8,000"),
        ({"x": {"tokens": 300}}, {"a": {"group": "x", "tokens": 500}}, "its sources give 500 to"),
        ({"x": {"max_epochs": 0.1}}, {"a": {"group": "x", "tokens": 500}}, "x ask for 500 tokens, its cap leaves"),
    ],
)  # fmt: skip
def test_a_group_that_cannot_be_met_is_refused_with_one_that_can(groups: dict, changes: dict, reason: str) -> None:
    sources = {"a": {"group": "x"}, "b": {"group": "x"}, "c": {}, "d": {}} | changes
    with pytest.raises(ConfigError, match=reason) as refusal:
        solve(FOUR, _mix(steps=100, sources=sources, groups=groups))
    todo = refusal.value.todo or ""
    for kind, name, tokens in re.findall(r"(sources|groups)\.(\w+)\.tokens: (\d+)", todo):
        if kind == "groups":
            groups = {name: {"tokens": int(tokens)}}
        else:
            sources = sources | {name: {"group": "x", "tokens": int(tokens)}}
    total = int(re.findall(r"total_tokens: (\d+)", todo)[0])
    solve(FOUR, _mix(total_tokens=total, sources=sources, groups=groups))


def test_the_table_and_the_next_segment_know_the_groups() -> None:
    sources = {"a": {"group": "x"}, "b": {"group": "x"}}
    mix = _mix(steps=20, sources=sources, groups={"x": {"max_epochs": 0.3}})
    plan = compile_plan(FOUR, mix)
    assert plan.table()["group"].to_list() == ["x", "x", "", ""]
    longer = append_segment(plan, 20, mix)  # what the group gave counts against its cap
    assert longer.cumulative[:2, -1].tolist() == plan.cumulative[:2, -1].tolist() == [30, 30]


def _level(total: float, weights: list[float], caps: list[float]) -> list[float]:
    """The definition, by bisection: min(cap, λ·w) that sum to the total."""
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(map(min, caps, (middle * w for w in weights))) < total else (low, middle)
    return [min(cap, high * weight) for cap, weight in zip(caps, weights, strict=True)]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_groups_are_two_levels_of_water(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    have = data.draw(st.lists(st.integers(1, 300), min_size=count, max_size=count))
    names = [f"s{i:02d}" for i in range(count)]
    group = [data.draw(st.sampled_from([None, "x", "y"])) for _ in names]
    epochs = [data.draw(st.sampled_from([0.3, 1.0, 2.5])) for _ in names]
    limits = {name: data.draw(st.none() | st.sampled_from([0.5, 1.5])) for name in set(group) - {None}}
    stated = data.draw(st.booleans())
    weights = {name: data.draw(st.sampled_from([1, 2, 5])) for name in limits} if stated else {}
    lone = [data.draw(st.sampled_from([1, 3])) if stated else None for _ in names]
    steps = data.draw(st.integers(1, 60))
    sources = {
        n: SourceBudget(group=g, max_epochs=e, weight=w if g is None else None)
        for n, g, e, w in zip(names, group, epochs, lone, strict=True)
    }
    groups = {name: GroupBudget(max_epochs=limits[name], weight=weights.get(name)) for name in limits}
    mix = _mix(steps=steps, sources=sources, groups=groups)
    supplies = [Supply(n, 10 * h, h) for n, h in zip(names, have, strict=True)]
    caps = [int(Fraction(repr(e)) * h) for e, h in zip(epochs, have, strict=True)]
    pools = [[i for i, g in enumerate(group) if g == name] for name in sorted(limits)]
    rooms = [
        min(sum(caps[i] for i in pool), int(Fraction(repr(limits[name] or 10**6)) * sum(have[i] for i in pool)))
        for name, pool in zip(sorted(limits), pools, strict=True)
    ]
    masses = [
        float(weights.get(name, sum(have[i] for i in pool))) for name, pool in zip(sorted(limits), pools, strict=True)
    ]
    single = [i for i, g in enumerate(group) if g is None]
    masses += [float(lone[i] or have[i]) for i in single]
    pools += [[i] for i in single]
    rooms += [caps[i] for i in single]
    if sum(rooms) < steps * 10:
        with pytest.raises(ConfigError, match="cannot be met"):
            solve(supplies, mix)
        return
    got = _given(mix, supplies)
    assert sum(got) == steps * 10
    assert all(part <= cap for part, cap in zip(got, caps, strict=True))
    for pool, wanted, room in zip(pools, _level(steps * 10, masses, rooms), rooms, strict=True):
        total = sum(got[i] for i in pool)
        assert total <= room
        assert abs(total - wanted) < 1 + 1e-6
        inside = _level(total, [float(have[i]) for i in pool], [float(caps[i]) for i in pool])
        assert all(abs(got[i] - part) < 1 + 1e-6 for i, part in zip(pool, inside, strict=True))
