"""Schedules against their closed forms, written out here once more from the papers."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from trainer.peak import BaseTraining, peak_advice, recommended_peak
from trainer.schedules import RateSchedule, Shape, learning_rate
from trainer.settings import TrainSettings

KINDS = ("cosine", "linear", "wsd", "inverse_sqrt", "infinite", "rewarm", "from_minimum")


def shape(kind: str, **fields: object) -> Shape:
    return TypeAdapter(RateSchedule).validate_python({"kind": kind, **fields})


def rates(kind: str, steps: int, warmup: int | None = None, low: float | None = None, **fields: object) -> list[float]:
    asked = shape(kind, **fields)
    return [
        learning_rate(step, steps=steps, peak=2.0, shape=asked, warmup=warmup, min_ratio=low) / 2
        for step in range(steps)
    ]


def test_warm_up_is_linear_and_the_cosine_ends_at_the_minimum() -> None:
    found = rates("cosine", 21, warmup=4, low=0.2)
    assert found[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    expected = [0.2 + 0.8 / 2 * (1 + math.cos(math.pi * t / 16)) for t in range(17)]
    assert found[4:] == pytest.approx(expected)
    assert found[12] == pytest.approx(0.6)  # half way: the mean of peak and minimum


def test_linear_is_a_straight_line() -> None:
    assert rates("linear", 12, warmup=1, low=0.5) == pytest.approx([1.0, *(1 - 0.05 * t for t in range(11))])


def test_wsd_is_stable_and_then_decays_over_the_stated_fraction() -> None:
    found = rates("wsd", 102, warmup=1, low=0.0, decay=0.2)
    assert found[1:82] == pytest.approx([1.0] * 81)
    assert found[81:] == pytest.approx([1 - t / 20 for t in range(21)])
    root = rates("wsd", 102, warmup=1, low=0.0, decay=0.2, form="sqrt")
    assert root[81:] == pytest.approx([1 - math.sqrt(t / 20) for t in range(21)])
    cosine = rates("wsd", 102, warmup=1, low=0.1, decay=0.2, form="cosine")
    assert cosine[91] == pytest.approx(0.55)


def test_inverse_sqrt_is_that_of_the_transformer_paper() -> None:
    # Vaswani et al. 2017: min(s^-1/2, s · w^-3/2) for s = 1, 2, …, here over its peak w^-1/2.
    warm = 25
    found = rates("inverse_sqrt", 400, warmup=warm, low=0.0)
    expected = [min(s**-0.5, s * warm**-1.5) * warm**0.5 for s in range(1, 401)]
    assert found[:warm] == pytest.approx(expected[:warm])
    assert found[warm:] == pytest.approx([math.sqrt(warm / (warm + t)) for t in range(400 - warm)])
    assert found[warm:] == pytest.approx(expected[warm - 1 : -1])


def test_infinite_cools_down_stays_and_anneals() -> None:
    # 405M of Ibrahim et al. 2024: 3e-4 / 1.65e-4 / 3e-5.
    found = rates("infinite", 1001, warmup=0, cooldown=0.3, constant=0.55, annealing=0.1, low=0.1)
    cool = [0.55 + 0.45 / 2 * (1 + math.cos(math.pi * t / 300)) for t in range(301)]
    assert found[:301] == pytest.approx(cool)
    assert found[301:901] == pytest.approx([0.55] * 600)
    assert found[901:] == pytest.approx([0.55 * (0.1 / 0.55) ** (t / 100) for t in range(1, 101)])
    fast = rates("infinite", 1001, warmup=0, cooldown=0.3, constant=0.55, annealing=0.1, form="inverse_sqrt")

    def fall(x: float) -> float:
        return (1 + 10 * x) ** -0.5 - 1

    assert fast[:301] == pytest.approx([1 - 0.45 * fall(t / 300) / fall(1) for t in range(301)])


def test_an_open_infinite_schedule_does_not_depend_on_the_length_after_its_cooldown() -> None:
    found = rates("infinite", 50, warmup=0, cooldown=0.2, annealing=0)
    assert found[10:] == pytest.approx([0.55] * 40)


def test_the_presets_are_what_the_papers_do() -> None:
    rewarm = rates("rewarm", 1000)  # Ibrahim: linear over 1%, cosine to a tenth
    assert rewarm[:10] == pytest.approx([(t + 1) / 10 for t in range(10)])
    assert rewarm[-1] == pytest.approx(0.1)
    low = rates("from_minimum", 1000)  # Parmar: from the base's last rate, no warm-up, to a hundredth
    assert low[0] == 1.0 and low[-1] == pytest.approx(0.01)
    assert all(later <= earlier for earlier, later in itertools.pairwise(low))


@given(st.sampled_from(KINDS), st.integers(1, 200), st.none() | st.integers(0, 250), st.floats(0, 1))
def test_the_rate_stays_within_its_bounds_for_any_length(kind: str, steps: int, warmup: int | None, low: float) -> None:
    for rate in rates(kind, steps, warmup, low):
        assert 0 <= rate <= 1 + 1e-12


@given(st.sampled_from(KINDS), st.integers(2, 300))
def test_after_the_warm_up_the_rate_never_rises(kind: str, steps: int) -> None:
    found = rates(kind, steps, warmup=0)
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(found))


def test_settings_refuse_what_contradicts_itself() -> None:
    with pytest.raises(ValidationError, match="leave warmup_steps out"):
        TrainSettings.model_validate({"model": "m", "schedule": {"kind": "from_minimum"}, "warmup_steps": 5})
    with pytest.raises(ValidationError, match="more than the run"):
        shape("infinite", cooldown=0.7, annealing=0.5)


def base(**changes: float) -> BaseTraining:
    return BaseTraining.model_validate({"peak": 3e-4, "last": 3e-5, "tokens": 300e9} | changes)


def test_the_recommended_peak_is_the_published_one_at_both_published_points() -> None:
    assert recommended_peak(base(), int(300e9), 1) == pytest.approx(3e-4)  # Ibrahim: as much again
    assert recommended_peak(base(tokens=8e12), int(300e9), 1) == pytest.approx(3e-5)  # Parmar: 0.0375
    assert recommended_peak(base(), 1000, 1) == pytest.approx(3e-5)
    middle = math.sqrt(0.0375) * 300e9
    assert recommended_peak(base(), int(middle), 1) == pytest.approx(math.sqrt(3e-4 * 3e-5), rel=1e-6)


def test_a_smaller_batch_than_the_base_models_lowers_the_recommendation_by_the_square_root() -> None:
    assert recommended_peak(base(batch_tokens=4e6), int(300e9), int(1e6)) == pytest.approx(1.5e-4)


def test_a_recommendation_is_words_and_changes_no_setting() -> None:
    settings = TrainSettings.model_validate({"model": "m", "learning_rate": 5e-4, "base": base().model_dump()})
    plain = TrainSettings.model_validate({"model": "m", "learning_rate": 5e-4})
    assert settings.identity() == plain.identity()
    assert settings.rate(20, 100) == plain.rate(20, 100)
    line = peak_advice(settings.base, 5e-4, int(300e9), 1)
    assert line is not None and "0.0005 is used" in line and "0.0003" in line
    assert peak_advice(None, 5e-4, 10, 1) is None
