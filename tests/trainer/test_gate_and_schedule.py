import math

import pytest

from trainer.evaluation.gate import Best, Verdict, better, judge
from trainer.record.metrics import MetricsLog, read_metrics
from trainer.settings import GateSettings


def gate(**changes: object) -> GateSettings:
    return GateSettings.model_validate(changes)


def test_the_gate_names_the_set_that_rose_most() -> None:
    verdict = judge({"a": 1.02, "b": 2.2}, {"a": 1.0, "b": 2.0}, gate(epsilon=0.1, action="stop"))
    assert (verdict.name, verdict.action) == ("b", "stop")
    assert verdict.rise == pytest.approx(0.2)


def test_a_relative_epsilon_is_a_share_of_step_0() -> None:
    scores, baseline = {"a": 1.09, "b": 2.1}, {"a": 1.0, "b": 2.0}
    assert judge(scores, baseline, gate(epsilon=0.1, unit="relative")).action == "pass"
    assert judge(scores, baseline, gate(epsilon=0.05, unit="relative")) == Verdict("a", pytest.approx(0.09), "warn")


def test_without_general_sets_the_gate_passes() -> None:
    assert judge({}, {}, gate()) == Verdict(None, None, "pass")


def test_best_is_the_lowest_target_among_those_the_gate_passed() -> None:
    passed, warned = Verdict("g", 0.0, "pass"), Verdict("g", 1.0, "warn")
    best = None
    for step, target, verdict in [(0, 0.1, passed), (1, 2.0, passed), (2, 1.0, warned), (3, 2.0, passed)]:
        best = better(best, step, target, verdict)
    assert best == Best(1, 2.0)
    assert better(best, 4, 1.5, passed) == Best(4, 1.5)


def test_cutting_back_drops_later_steps_broken_lines_and_the_end(tmp_path: object) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")  # type: ignore[operator]
    log.write("start", 0, plan="p")
    log.write("step", 1, loss=math.nan)
    log.write("checkpoint", 1, path="step-000001")
    log.write("end", 1, reason="signal")
    log.write("step", 2, loss=1.0)
    with open(log.path, "a") as handle:
        handle.write('{"event":"st')
    log.cut_back(1)
    events = read_metrics(log.path)
    assert [entry["event"] for entry in events] == ["start", "step", "checkpoint"]
    assert events[1]["loss"] is None


def test_a_kill_between_publishing_and_logging_a_checkpoint_loses_no_line(tmp_path: object) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")  # type: ignore[operator]
    log.write("step", 7, loss=1.0)
    log.cut_back(7)
    assert read_metrics(log.path)[-1] == {"event": "checkpoint", "step": 7, "path": "step-000007"}
