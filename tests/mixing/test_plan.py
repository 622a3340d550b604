"""The laws of a plan, on random budgets: exact rows, within one sequence at every prefix, caps, floor, totals."""

from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from corpus.errors import ArtifactError, ConfigError
from mixing.budget import MixSettings, Proportional, SourceBudget, Supply, Temperature, UniMax
from mixing.compile import append_segment, compile_plan
from mixing.plan import MixturePlan
from mixing.schedule import (
    UNIT,
    Annealing,
    Constant,
    Cosine,
    Knots,
    LearningRatePhase,
    Linear,
    Point,
    Schedule,
    Stepwise,
    domain_units,
)
from mixing.simulate import curves, forecast, target

share = st.sampled_from([0.0, 1e-9, 0.001, 0.1, 1 / 3, 0.5, 0.9, 0.999, 1.0]) | st.floats(0, 1)
points = st.lists(share, min_size=1, max_size=4).map(
    lambda shares: tuple(Point(at=i / len(shares), share=s) for i, s in enumerate(shares))
)
schedules = st.one_of(
    share.map(lambda s: Constant(share=s)),
    st.tuples(share, share).map(lambda s: Linear(start=s[0], end=s[1])),
    st.tuples(share, share).map(lambda s: Cosine(start=s[0], end=s[1])),
    points.map(lambda p: Stepwise(points=p)),
    points.map(lambda p: Knots(points=p)),
    st.tuples(share, share, st.floats(0.01, 0.9), st.floats(0, 0.1)).map(
        lambda s: Annealing(before=s[0], after=s[1], at=s[2], ramp=s[3])
    ),
    st.tuples(share, share).map(lambda s: LearningRatePhase(before=s[0], after=s[1])),
)


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[list[Supply], MixSettings]:
    count = draw(st.sampled_from([1, 2, 3, 7, 40, 200]))
    weight = st.sampled_from([1e-12, 1e-3, 1.0, 1e6]) | st.floats(1e-6, 1)
    roles = draw(st.lists(st.sampled_from(["domain", "replay"]), min_size=count, max_size=count))
    weights = draw(st.lists(weight, min_size=count, max_size=count))
    steps, batch = draw(st.integers(1, 120)), draw(st.integers(1, 40))
    supplies = [Supply(f"s{i:03d}", 8 * 10_000, 10_000) for i in range(count)]
    sources = {
        supply.name: SourceBudget(role=role, weight=w) for supply, role, w in zip(supplies, roles, weights, strict=True)
    }
    floor = draw(st.sampled_from([0.0, 0.05, 0.3, 0.5])) if "replay" in roles else None
    return supplies, MixSettings(
        sequence_length=8,
        global_batch=batch,
        steps=steps,
        schedule=draw(schedules),
        replay_floor=floor,
        sources=sources,
    )


@settings(max_examples=150, deadline=None)
@given(mixtures())
def test_every_prefix_is_within_one_sequence_of_its_target(mixture: tuple[list[Supply], MixSettings]) -> None:
    plan = compile_plan(*mixture)
    quotas = np.diff(plan.cumulative.astype(np.int64), axis=1)
    assert (quotas >= 0).all()
    assert (quotas.sum(axis=0) == plan.global_batch).all()
    assert tuple(plan.cumulative[:, -1]) == plan.segments[0].planned
    # A source's target is its part of the curve that ends at the whole total; `target` follows the asked curve itself,
    # from which a group's whole total is less than one sequence away, and all its sources together less than that.
    roles = np.array(plan.segments[0].roles)
    asked = target(plan)
    for role in ("domain", "replay"):
        group = plan.cumulative[roles == role].astype(np.int64)
        total, end = group[:, -1].sum(), asked[roles == role][:, -1].sum()
        if total:
            assert abs(total - end) < 1
    whole = _whole_targets(plan)
    assert all(
        abs(count - want) < 1
        for counts, wants in zip(plan.cumulative.tolist(), whole, strict=True)
        for count, want in zip(counts, wants, strict=True)
    )


def _whole_targets(plan: MixturePlan) -> list[list[Fraction]]:
    """In exact fractions, from the definition: u_i/U_g of the group's curve, the domain's scaled to its whole total."""
    segment = plan.segments[0]
    schedule = TypeAdapter(Schedule).validate_python(segment.schedule)
    units = domain_units(schedule, plan.steps, plan.global_batch, segment.replay_floor).tolist()
    whole = units[-1] // UNIT * UNIT
    domain = [Fraction(unit * whole // units[-1] if whole else 0, UNIT) for unit in units]
    curves_of = {"domain": domain, "replay": [step * plan.global_batch - d for step, d in enumerate(domain)]}
    sums = {
        role: sum(u for u, r in zip(segment.planned, segment.roles, strict=True) if r == role) for role in curves_of
    }
    return [
        [Fraction(u, sums[role]) * point if sums[role] else Fraction(0) for point in curves_of[role]]
        for u, role in zip(segment.planned, segment.roles, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(mixtures())
def test_every_batch_holds_the_replay_floor(mixture: tuple[list[Supply], MixSettings]) -> None:
    plan = compile_plan(*mixture)
    floor = plan.segments[0].replay_floor
    replay = [i for i, source in enumerate(plan.sources) if source.role == "replay"]
    per_batch = np.diff(plan.cumulative[replay].astype(np.int64).sum(axis=0))
    assert (per_batch >= int(floor * plan.global_batch + 1e-9)).all()


@pytest.mark.parametrize(
    ("schedule", "share"),
    [
        (Constant(share=0.3), lambda x: 0.3),
        (Linear(start=0.5, end=0.9), lambda x: 0.5 + 0.4 * x),
        (Cosine(start=0.2, end=0.8), lambda x: 0.8 - 0.6 * (1 + np.cos(np.pi * x)) / 2),
        (Stepwise(points=(Point(at=0, share=0.2), Point(at=0.75, share=1))), lambda x: 0.2 if x < 0.75 else 1.0),
        (
            Knots(points=(Point(at=0.25, share=0.2), Point(at=0.5, share=1))),
            lambda x: np.interp(x, [0.25, 0.5], [0.2, 1]),
        ),
        (Annealing(before=0.5, after=0.9, at=0.8), lambda x: 0.5 if x < 0.8 else 0.9),
        (Annealing(before=0.6, after=0.2, at=0.5, ramp=0.25), lambda x: np.interp(x, [0.5, 0.75], [0.6, 0.2])),
        (LearningRatePhase(before=0.3, after=0.7, warmup=0.1, decay="linear"), lambda x: 0.3 if x < 0.9 else 0.7),
    ],
)
def test_the_integral_is_that_of_the_curve(schedule: Schedule, share) -> None:
    middles = (np.arange(100_000) + 0.5) / 100_000
    numeric = np.cumsum([share(x) for x in middles]) / 100_000
    exact = schedule.integral((np.arange(100_000) + 1) / 100_000)
    assert np.abs(numeric - exact).max() < 1e-5


def test_the_mixture_switches_where_the_learning_rate_has_fallen_to_a_fifth() -> None:
    schedule = LearningRatePhase(warmup=0.04, min_ratio=0.05)
    u = (schedule.switch - 0.04) / 0.96
    assert 0.05 + 0.95 * (1 + np.cos(np.pi * u)) / 2 == pytest.approx(0.2)
    with pytest.raises(ValidationError, match="never falls"):
        LearningRatePhase(ratio=0.1, min_ratio=0.1)
    with pytest.raises(ValidationError, match="within the run"):
        Annealing(at=0.9, ramp=0.2)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 200), st.integers(1, 60), st.integers(1, 12), st.data())
def test_caps_hold_for_any_number_of_sources(count: int, steps: int, batch: int, data: st.DataObject) -> None:
    have = data.draw(st.lists(st.integers(0, 40), min_size=count, max_size=count))
    epochs = data.draw(st.lists(st.sampled_from([0.5, 1, 2.5, 4]), min_size=count, max_size=count))
    supplies = [Supply(f"s{i:03d}", 8 * n, n) for i, n in enumerate(have)]
    sources = {s.name: SourceBudget(max_epochs=cap) for s, cap in zip(supplies, epochs, strict=True)}
    sharing = data.draw(st.sampled_from([UniMax(), Temperature(tau=2), Temperature(tau=50), Proportional()]))
    mix = MixSettings(sequence_length=8, global_batch=batch, steps=steps, sources=sources, sharing=sharing)
    caps = [int(n * cap) for n, cap in zip(have, epochs, strict=True)]
    if sum(caps) < steps * batch:
        with pytest.raises(ConfigError, match="cannot be met"):
            compile_plan(supplies, mix)
        return
    plan = compile_plan(supplies, mix)
    given_ = plan.cumulative[:, -1].tolist()
    assert all(got <= cap for got, cap in zip(given_, caps, strict=True))
    assert sum(given_) == steps * batch
    # What the rows say is what was counted, and within an epoch nothing comes twice.
    seen = {
        (i, e, q) for t in range(steps) for i, q, e in zip(*map(np.ndarray.tolist, _row_columns(plan, t)), strict=True)
    }
    assert len(seen) == steps * batch


def _row_columns(plan: MixturePlan, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = plan.batch(step)
    return rows.source, rows.sequence, rows.epoch


def _three() -> list[Supply]:
    return [Supply("books", 900 * 16, 900), Supply("notes", 500 * 16 + 3, 500), Supply("web", 2000 * 16, 2000)]


def _settings(**changes) -> MixSettings:
    base = {"sequence_length": 16, "global_batch": 12, "steps": 90, "sources": {"web": SourceBudget(role="replay")}}
    return MixSettings(**(base | changes))


def test_an_appended_segment_loses_nothing_and_repeats_nothing() -> None:
    plan = compile_plan(_three(), _settings())
    longer = append_segment(plan, 40, _settings(steps=200, schedule=Constant(share=0.25)))
    assert longer.steps == 240
    assert (longer.cumulative[:, :41] == plan.cumulative[:, :41]).all()
    for step in (0, 17, 39):
        assert (longer.batch(step).sequence == plan.batch(step).sequence).all()
    seen = {}
    for step in range(longer.steps):
        rows = longer.batch(step)
        for entry in zip(rows.source.tolist(), rows.epoch.tolist(), rows.sequence.tolist(), strict=True):
            assert entry not in seen
            seen[entry] = step
    for index, source in enumerate(longer.sources):
        whole_epochs = longer.cumulative[index, -1] // source.sequences
        for epoch in range(whole_epochs):
            assert sum(1 for i, e, _ in seen if (i, e) == (index, epoch)) == source.sequences


@settings(max_examples=40, deadline=None)
@given(mixtures(), schedules, st.integers(1, 60), st.data())
def test_a_segment_starts_at_the_counts_and_keeps_to_its_own_targets(
    mixture: tuple[list[Supply], MixSettings], schedule: Schedule, steps: int, data: st.DataObject
) -> None:
    first = compile_plan(*mixture)
    start = data.draw(st.integers(1, first.steps))
    plan = append_segment(first, start, mixture[1].model_copy(update={"schedule": schedule, "steps": steps}))
    assert plan.steps == start + steps
    assert (plan.cumulative[:, : start + 1] == first.cumulative[:, : start + 1]).all()
    quotas = np.diff(plan.cumulative.astype(np.int64), axis=1)
    assert (quotas >= 0).all()
    assert (quotas.sum(axis=0) == plan.global_batch).all()
    gained = plan.cumulative[:, -1].astype(np.int64) - plan.cumulative[:, start]
    assert tuple(gained.tolist()) == plan.segments[-1].planned


def test_a_segment_may_bring_a_source_and_counts_earlier_epochs_against_the_cap() -> None:
    plan = compile_plan(_three(), _settings(steps=100))
    new = [*_three(), Supply("code", 300 * 16, 300)]
    longer = append_segment(plan, 100, _settings(steps=50), new)
    assert longer.cumulative[longer.names.index("code"), 100] == 0
    assert longer.cumulative[longer.names.index("code"), -1] > 0
    with pytest.raises(ConfigError, match="max_epochs"):
        append_segment(plan, 100, _settings(steps=700, schedule=Constant(share=0.9)))


def test_saving_twice_gives_the_same_bytes_and_loading_the_same_plan(tmp_path) -> None:
    plan = append_segment(compile_plan(_three(), _settings()), 40, _settings(steps=20))
    plan.save(tmp_path / "one")
    append_segment(compile_plan(_three()[::-1], _settings()), 40, _settings(steps=20)).save(tmp_path / "two")
    for name in ("plan.json", "plan.parquet", "manifest.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    loaded = MixturePlan.load(tmp_path / "one")
    assert loaded.fingerprint == plan.fingerprint
    assert (loaded.cumulative == plan.cumulative).all()
    assert loaded.segments == plan.segments
    assert compile_plan(_three(), _settings(seed=1)).fingerprint != compile_plan(_three(), _settings()).fingerprint


def test_a_damaged_plan_is_refused(tmp_path) -> None:
    compile_plan(_three(), _settings()).save(tmp_path / "plan")
    path = tmp_path / "plan" / "plan.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ArtifactError, match="damaged"):
        MixturePlan.load(tmp_path / "plan")


def test_the_simulated_share_follows_the_curriculum() -> None:
    frame = curves(compile_plan(_three(), _settings(steps=100)), points=10)
    domain = frame.filter(role="domain").group_by("step").agg(pl.col("share", "target_share").sum()).sort("step")
    # The middle of the first tenth of a line from 0.5 to 0.9 is 0.52, of the last 0.88.
    assert abs(domain["share"][0] - 0.52) < 0.02
    assert abs(domain["share"][-1] - 0.88) < 0.02
    assert abs(domain["target_share"][-1] - 0.88) < 1e-6
    assert frame["sequences"].sum() == 1200


def test_the_forecast_counts_time_cost_and_repeats() -> None:
    plan = compile_plan(_three(), _settings(steps=200, schedule=Constant(share=0.9)))
    run = forecast(plan, tokens_per_second=96.0, price_per_hour=7.2)
    assert run.tokens == 200 * 12 * 16
    assert run.seconds == pytest.approx(400)
    assert run.cost == pytest.approx(0.8)
    # 2,160 domain sequences of 1,400: books 1,389 of 900, notes 771 of 500.
    assert run.repeated_tokens == (2160 - 1400) * 16
    assert run.effective_tokens < run.tokens
    assert forecast(plan).seconds is None
