import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ConfigError
from mixing.amend import replay_share, with_more_replay, with_raises
from mixing.budget import MixSettings, Supply
from mixing.compile import compile_plan
from mixing.plan import MixturePlan

SCHEDULES = [
    {"kind": "constant", "share": 0.9},
    {"kind": "linear", "start": 0.5, "end": 0.95},
    {"kind": "cosine", "start": 0.4, "end": 0.95},
    {"kind": "annealing", "before": 0.6, "after": 0.95, "at": 0.8},
]


def plan(schedule: dict[str, object], steps: int = 80, replay: int = 4000) -> MixturePlan:
    asked = MixSettings.model_validate(
        {
            "sequence_length": 16,
            "global_batch": 8,
            "steps": steps,
            "schedule": schedule,
            "sources": {"a": {}, "b": {}, "wiki": {"role": "replay"}, "news": {"role": "replay"}},
        }
    )
    supplies = [Supply("a", 64_000, 4000), Supply("b", 32_000, 2000), Supply("wiki", replay * 16, replay)]
    return compile_plan([*supplies, Supply("news", 8000, 500)], asked)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(SCHEDULES), st.integers(1, 79), st.floats(0.2, 0.8))
def test_a_raise_keeps_length_past_and_batch_and_holds_the_floor(
    schedule: dict[str, object], start: int, floor: float
) -> None:
    before = plan(schedule)
    after = with_more_replay(before, start, floor)
    assert after.steps == before.steps
    assert np.array_equal(after.cumulative[:, : start + 1], before.cumulative[:, : start + 1])
    assert (np.diff(after.cumulative, axis=1).sum(axis=0) == 8).all()
    replay = np.diff(after.cumulative, axis=1)[[after.names.index(name) for name in ("news", "wiki")]].sum(axis=0)
    left = after.steps - start
    # At every prefix of what is left, within one sequence of the floor or above it.
    running = np.cumsum(replay[start:])
    assert (running >= floor * 8 * np.arange(1, left + 1) - 2).all()
    assert replay_share(after, start) >= floor - 2 / (8 * left)
    for step in (start, after.steps - 1):
        assert len(after.batch(step)) == 8


def test_sequences_go_on_where_they_were_and_none_comes_twice_in_an_epoch() -> None:
    after = with_more_replay(plan(SCHEDULES[1]), 40, 0.6)
    seen: set[tuple[int, int, int]] = set()
    for step in range(after.steps):
        rows = after.batch(step)
        here = set(zip(rows.source.tolist(), rows.sequence.tolist(), rows.epoch.tolist(), strict=True))
        assert len(here) == 8 and not here & seen
        seen |= here


def test_a_floor_below_the_planned_share_changes_the_curve_by_little() -> None:
    before = plan(SCHEDULES[2])
    after = with_more_replay(before, 20, 0.01)
    domain = [index for index, source in enumerate(before.sources) if source.role == "domain"]
    gap = before.cumulative[domain].sum(axis=0) - after.cumulative[domain].sum(axis=0)
    assert np.abs(gap).max() <= 3


def test_raises_are_a_function_and_follow_each_other() -> None:
    base = plan(SCHEDULES[0])
    twice = with_raises(base, [(20, 0.3), (50, 0.5)])
    assert twice.fingerprint == with_more_replay(with_more_replay(base, 20, 0.3), 50, 0.5).fingerprint
    assert [segment.start for segment in twice.segments] == [0, 20, 50]
    assert with_raises(base, []).fingerprint == base.fingerprint
    assert replay_share(twice, 50) == pytest.approx(0.5, abs=0.01)


def test_more_replay_than_there_is_within_its_epochs_is_refused() -> None:
    short = plan(SCHEDULES[0], steps=400, replay=10)  # 2,040 sequences of replay in four epochs
    assert replay_share(short, 0) == pytest.approx(0.1, abs=0.01)
    with_more_replay(short, 10, 0.6)
    with pytest.raises(ConfigError):
        with_more_replay(short, 10, 0.95)
