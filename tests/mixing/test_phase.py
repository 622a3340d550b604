"""The switch with the learning rate is where the trainer's own schedule has it."""

import math

import pytest

from corpus.errors import ConfigError
from mixing.budget import MixSettings, SourceBudget, Supply
from mixing.phase import follow_learning_rate, switch_step
from mixing.schedule import Constant, LearningRatePhase
from mixing.solve import solve

SUPPLIES = [Supply("notes", 8000, 1000), Supply("web", 80_000, 10_000)]
SOURCES = {"web": SourceBudget(role="replay")}


def _rate(warmup: int, low: float):
    def rate(step: int, steps: int) -> float:
        if step < warmup:
            return 3e-4 * (step + 1) / warmup
        x = (step - warmup) / max(steps - 1 - warmup, 1)
        return 3e-4 * (low + (1 - low) / 2 * (1 + math.cos(math.pi * x)))

    return rate


def _mix(schedule, **length) -> MixSettings:
    return MixSettings(sequence_length=8, global_batch=10, schedule=schedule, sources=SOURCES, **length)


def test_the_switch_is_the_first_step_at_a_fifth_of_the_peak() -> None:
    rate = _rate(20, 0.05)
    step = switch_step(rate, 200, 0.2)
    assert rate(step, 200) <= 0.2 * 3e-4 < rate(step - 1, 200)
    assert step > 20  # not in the warm-up
    followed = follow_learning_rate(_mix(LearningRatePhase(), steps=200), SUPPLIES, rate)
    assert isinstance(followed.schedule, LearningRatePhase)
    assert followed.schedule.switch == step / 200


def test_a_run_as_long_as_its_sources_settles_on_its_switch() -> None:
    rate = _rate(50, 0.1)
    followed = follow_learning_rate(_mix(LearningRatePhase(), total_tokens="all"), SUPPLIES, rate)
    steps = solve(SUPPLIES, followed).steps
    assert followed.schedule.switch * steps == pytest.approx(switch_step(rate, steps, 0.2), abs=1)


def test_a_schedule_that_describes_another_rate_is_refused() -> None:
    same = LearningRatePhase(warmup=0.1, min_ratio=0.05)
    followed = follow_learning_rate(_mix(same, steps=200), SUPPLIES, _rate(20, 0.05))
    assert followed.schedule.switch == pytest.approx(same.switch, abs=1 / 200)
    with pytest.raises(ConfigError, match="another learning rate than the train section"):
        follow_learning_rate(_mix(LearningRatePhase(min_ratio=0.1), steps=200), SUPPLIES, _rate(20, 0.05))
    with pytest.raises(ConfigError, match=r"never falls to 0\.2"):
        follow_learning_rate(_mix(LearningRatePhase(), steps=200), SUPPLIES, _rate(0, 0.5))


def test_other_schedules_are_left_alone() -> None:
    mix = _mix(Constant(share=0.5), steps=20)
    assert follow_learning_rate(mix, SUPPLIES, _rate(5, 0.1)) is mix
