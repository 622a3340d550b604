"""Predictions of what a recipe takes on a cluster: against closed forms, and the records they come from."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.engine.spent import StageRecord, read_records
from corpus.errors import ArtifactError, ConfigError
from pipelines.plan_cluster import BASE_RSS, Measured, measured, plan_cluster

MB = 1_000_000


def run(size: int, seconds: float, decide: float = 1.0, made: int = 4, of: int = 4) -> Measured:
    stages = {
        "annotate": StageRecord("annotate", made, of, wall=seconds, seconds=seconds, rss=500 * MB),
        "decide": StageRecord("decide", 1, None, wall=decide, seconds=decide, rss=BASE_RSS + 10 * MB),
    }
    return Measured(size, stages, disk=3 * size)


def test_units_spread_over_workers_and_the_runs_own_process_does_not():
    plan = plan_cluster([run(100 * MB, 50)], 1000 * MB, unit_bytes=10 * MB, workers=20, price=3.6)
    annotate, decide = plan.stages
    assert annotate.core_seconds == pytest.approx(500) and annotate.wall_seconds == pytest.approx(25)
    assert decide.core_seconds == decide.wall_seconds == pytest.approx(10)
    assert annotate.rss == 500 * MB and decide.rss == BASE_RSS + 100 * MB and plan.disk == 3000 * MB
    assert plan.cost == pytest.approx(3.6 * 20 * 35 / 3600)


def test_more_workers_than_units_do_not_help():
    few, many = (plan_cluster([run(100 * MB, 50)], 100 * MB, 30 * MB, workers).wall_seconds for workers in (4, 400))
    assert few == many == pytest.approx(50 / 4 + 1)


def test_two_sizes_tell_what_is_fixed_from_what_grows():
    runs = [run(100 * MB, 5 + 10), run(200 * MB, 5 + 20)]
    assert plan_cluster(runs, 2000 * MB, 10 * MB, 1).stages[0].core_seconds == pytest.approx(5 + 200)
    assert plan_cluster(runs[1:], 2000 * MB, 10 * MB, 1).stages[0].core_seconds == pytest.approx(250)


def test_memory_of_the_runs_own_process_lies_on_the_line_through_two_sizes():
    runs = [run(100 * MB, 10), run(200 * MB, 20)]
    own = [replace(one.stages["decide"], rss=rss * MB) for one, rss in zip(runs, (600, 610), strict=True)]
    runs = [replace(one, stages=one.stages | {"decide": record}) for one, record in zip(runs, own, strict=True)]
    assert plan_cluster(runs, 1200 * MB, 10 * MB, 2).stages[1].rss == pytest.approx(710 * MB)
    assert plan_cluster(runs, 50 * MB, 10 * MB, 2).stages[1].rss == pytest.approx(610 * MB)  # never less than it had


def test_a_run_that_went_on_counts_for_all_its_units():
    plan = plan_cluster([run(100 * MB, 10, made=1, of=4)], 100 * MB, 10 * MB, 1)
    assert plan.stages[0].core_seconds == pytest.approx(40)


@given(st.integers(1, 10**13), st.integers(1, 500), st.integers(10**6, 10**9))
def test_more_workers_never_take_longer_and_all_of_it_is_done(size, workers, unit):
    one, many = (plan_cluster([run(100 * MB, 50)], size, unit, n) for n in (1, workers))
    assert many.wall_seconds <= one.wall_seconds * (1 + 1e-9)
    assert one.stages[0].wall_seconds == pytest.approx(one.stages[0].core_seconds)
    assert many.stages[0].wall_seconds >= many.stages[0].core_seconds / workers * (1 - 1e-9)


def test_without_a_finished_run_there_is_no_rate(tmp_path):
    with pytest.raises(ArtifactError, match="no finished run"):
        measured(tmp_path)
    with pytest.raises(ConfigError, match="no rate"):
        plan_cluster([Measured(0, {}, 0)], 1, 1, 1)


def test_records_are_read_back(tmp_path):
    records = [StageRecord("a", 1, 2, 0.5, 0.25, 7), StageRecord("b", 1, None, 0.5, 0.5, 8)]
    for record in records:
        record.append(tmp_path)
    assert read_records(tmp_path) == records
