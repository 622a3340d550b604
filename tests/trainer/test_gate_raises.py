"""The gate raises KL or replay while a run goes on: recorded, the same after a stop, and the audit still adds up."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainer.evaluation.gate import Change, GateSettings, RaiseKl, RaiseReplay, change_of, judge
from trainer.evaluation.transfer import evaluation_matrix, transfer
from trainer.settings import TrainSettings


@given(st.floats(0.01, 10), st.floats(1.1, 5), st.floats(0.01, 10))
def test_a_raise_stays_within_its_bound(now: float, factor: float, most: float) -> None:
    found = change_of(RaiseKl(factor=factor, most=most), now)
    if now >= most:
        assert found is None
    else:
        assert found is not None and found.after == min(now * factor, most) > now


def test_replay_is_raised_by_steps_up_to_the_bound() -> None:
    action = RaiseReplay(by=0.2, most=0.5)
    assert change_of(action, 0.1) == Change("replay", 0.1, pytest.approx(0.3))
    assert change_of(action, 0.4) == Change("replay", 0.4, 0.5)
    assert change_of(action, 0.5) is None


def test_the_verdict_names_the_raise() -> None:
    gate = GateSettings.model_validate({"epsilon": 0, "action": {"kind": "raise_kl", "most": 1}})
    assert judge({"a": 1.1}, {"a": 1.0}, gate).action == "raise_kl"
    assert judge({"a": 0.9}, {"a": 1.0}, gate).action == "pass"


def test_raising_kl_needs_kl_below_the_bound() -> None:
    gate = {"action": {"kind": "raise_kl", "most": 1.0}}
    with pytest.raises(ValidationError, match=r"train\.kl is off"):
        TrainSettings.model_validate({"model": "m", "gate": gate})
    with pytest.raises(ValidationError, match="has weight 2"):
        TrainSettings.model_validate({"model": "m", "gate": gate, "kl": {"weight": 2.0}})


def test_backward_transfer_and_forgetting_by_hand() -> None:
    def line(step: int, domain: float, general: float) -> dict[str, Any]:
        sets = {"d": {"bits_per_byte": domain}, "g": {"bits_per_byte": general}}
        return {"event": "eval", "step": step, "sets": sets}

    matrix = evaluation_matrix(
        [line(0, 2.0, 1.0), {"event": "step", "step": 1}, line(5, 1.0, 1.25), line(9, 1.5, 1.125)]
    )
    assert matrix == {"d": {0: 2.0, 5: 1.0, 9: 1.5}, "g": {0: 1.0, 5: 1.25, 9: 1.125}}
    assert transfer(matrix, {"g"}) == {"backward_transfer": -0.125, "forgetting": (0.5 + 0.125) / 2}
    assert transfer(matrix, set()) == {"backward_transfer": None, "forgetting": (0.5 + 0.125) / 2}


pytest.importorskip("torch")

import torch  # noqa: E402
from fake_training import LENGTH, VOCABULARY, FakeLoader, FakePlan, FakeSource, make_store  # noqa: E402
from test_training import events, run_plan, settings, stop_at, weights  # noqa: E402

from corpus.artifact import content_hash  # noqa: E402
from corpus.errors import ConfigError  # noqa: E402
from corpus.tokens.store import TokenizerIdentity, TokenStore  # noqa: E402
from mixing.batch import TokenBatch  # noqa: E402
from mixing.budget import MixSettings  # noqa: E402
from mixing.compile import compile_plan  # noqa: E402
from mixing.loader import Loader  # noqa: E402
from mixing.plan import MixturePlan  # noqa: E402
from pipelines.audit.training_questions import mixture  # noqa: E402
from pipelines.audit.verify import verify  # noqa: E402
from pipelines.audit.workspace import followed_plan  # noqa: E402
from trainer.batches.replan import MixtureReplanner  # noqa: E402
from trainer.loop import train  # noqa: E402


class OnlyDomain(FakeLoader):
    def batch(self, step: int) -> TokenBatch:
        whole = super().batch(step)
        names = ("input_ids", "labels", "position_ids", "document_ids", "source_ids")
        return TokenBatch(*(getattr(whole, name)[whole.source_ids == 0] for name in names), step=step)


@pytest.mark.slow
def test_the_kl_weight_goes_up_to_its_bound_and_then_the_gate_does_what_is_said_for_then(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    action = {"kind": "raise_kl", "factor": 3.0, "most": 0.1, "at_bound": "stop"}
    asked = settings(
        model_folder,
        kl={"weight": 0.02, "on": "all"},
        gate={"epsilon": 0, "action": action},
        learning_rate=0.05,
        evaluate_every=2,
    )
    # The model is taught stride 3 only, so stride 5 gets worse whatever KL does.
    plan = FakePlan(steps=40, sources=(FakeSource("domain", "domain"), FakeSource("other", "domain")))

    def go(name: str, **options: Any) -> Any:
        return train(asked, plan, OnlyDomain(plan), evaluation, {"general"}, tmp_path / name, **options)

    straight = go("straight")
    raises = [line for line in events(tmp_path / "straight") if line["event"] == "raise"]
    assert [(line["before"], line["after"]) for line in raises] == [
        (0.02, pytest.approx(0.06)),
        (pytest.approx(0.06), 0.1),
    ]
    assert straight.reason == "gate" and straight.step < 40
    stop = raises[0]["step"] + 1
    go("halved", on_progress=stop_at(stop))
    assert go("halved").step == straight.step
    without = [list(events(tmp_path / name, without="checkpoint")) for name in ("straight", "halved")]
    assert without[0] == without[1]


@pytest.mark.slow
def test_raised_replay_is_a_segment_of_the_plan_resumes_bitwise_and_is_audited(
    tmp_path: Path, model_folder: Path
) -> None:
    tokenizer = TokenizerIdentity(content_hash(model_folder / "tokenizer.json"), VOCABULARY, 0)
    roles = {"domain": "domain", "general": "replay"}
    action = {"kind": "raise_replay", "by": 0.25, "most": 0.6}
    asked = settings(model_folder, gate={"epsilon": 0, "action": action}, learning_rate=0.05, evaluate_every=3)
    mix = MixSettings.model_validate(
        {
            "sequence_length": LENGTH,
            "global_batch": 8,
            "steps": 14,
            "schedule": {"kind": "constant", "share": 0.95},
            "sources": {name: {"role": role, "max_epochs": 50} for name, role in roles.items()},
        }
    )

    def go(workspace: Path, **options: Any) -> Any:
        stores = {
            name: make_store(workspace / "tokens" / name / "train", tokenizer, seed, stride, documents=60)
            for seed, (name, stride) in enumerate({"domain": 3, "general": 5}.items())
        }
        held = {
            name: make_store(workspace / "validation" / name, tokenizer, seed + 7, stride)
            for seed, (name, stride) in enumerate({"domain": 3, "general": 5}.items())
        }
        plan = compile_plan(stores, mix)
        plan.save(workspace / "plans" / "main")
        run = workspace / "runs" / "main"
        replanner = MixtureReplanner(plan, stores)
        return train(asked, plan, Loader(plan, stores), held, {"general"}, run, replanner=replanner, **options)

    straight, halved = tmp_path / "straight", tmp_path / "halved"
    go(straight)
    lines = events(straight / "runs" / "main")
    raises = [line for line in lines if line["event"] == "raise"]
    assert raises and raises[0]["what"] == "replay" and raises[0]["before"] == pytest.approx(0.05, abs=0.03)
    assert raises[0]["after"] == pytest.approx(raises[0]["before"] + 0.25)
    first = raises[0]["step"]
    shares = [line["source_sequences"]["general"] / 8 for line in lines if line["event"] == "step"]
    assert sum(shares[:first]) / first < 0.15 < 0.25 <= sum(shares[first:]) / (14 - first)
    # Stopped after the raise, in the middle of the new segment.
    assert go(halved, on_progress=stop_at(first + 1)).reason == "signal"
    go(halved)
    one, other = (weights(folder / "runs" / "main" / "model") for folder in (straight, halved))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert events(straight / "runs/main", without="checkpoint") == events(halved / "runs/main", without="checkpoint")
    for workspace in (straight, halved):
        followed = followed_plan(workspace, "main")
        assert followed == workspace / "runs" / "main" / "plan"
        assert len(MixturePlan.load(followed).segments) == 1 + len(raises)
        assert mixture(workspace)["difference"].to_list() == [0, 0]
        failed = [check for check in verify(workspace) if not check.passed and "run" in check.name]
        assert not failed, failed


@pytest.mark.slow
def test_raising_replay_where_nothing_is_replayed_is_refused_at_the_start(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    asked = settings(model_folder, gate={"action": {"kind": "raise_replay", "most": 0.5}})
    with pytest.raises(ConfigError, match="the plan replays nothing"):
        run_plan(tmp_path, asked, evaluation)
