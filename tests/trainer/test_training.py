import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fake_training import FakeLoader, FakePlan, FakeSource, OnlyDomain  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from corpus.artifact import Manifest  # noqa: E402
from corpus.errors import ConfigError, TrainingError  # noqa: E402
from corpus.tokens.store import TokenizerIdentity, TokenStore  # noqa: E402
from mixing.batch import IGNORE, TokenBatch  # noqa: E402
from trainer.checkpoints.checkpoint import checkpoint_steps  # noqa: E402
from trainer.loop import train  # noqa: E402
from trainer.record.metrics import read_metrics  # noqa: E402
from trainer.record.progress import Progress, TrainResult  # noqa: E402
from trainer.settings import TrainSettings  # noqa: E402

pytestmark = pytest.mark.slow
CLOCK = ("seconds", "tokens_per_second", "mfu", "memory")


def settings(model: Path, **changes: Any) -> TrainSettings:
    plain = {
        "model": str(model),
        "learning_rate": 0.01,
        "precision": "fp32",
        "warmup_steps": 1,
        "micro_batch": 2,
        "evaluate_every": 3,
        "checkpoint_every": 2,
        "keep_last": 10,
        "gate": {"epsilon": 100},
    }
    return TrainSettings.model_validate(plain | changes)


def run_plan(
    run: Path,
    asked: TrainSettings,
    evaluation: dict[str, TokenStore],
    *,
    plan: FakePlan | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> TrainResult:
    plan = plan or FakePlan()
    return train(asked, plan, FakeLoader(plan), evaluation, {"general"}, run, on_progress=on_progress, **options)


def stop_at(step: int) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        if progress.phase == "train" and progress.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return watch


def weights(folder: Path) -> dict[str, "torch.Tensor"]:
    return load_file(folder / "model.safetensors")


def events(run: Path, without: str | None = None) -> list[dict[str, Any]]:
    kept = [entry for entry in read_metrics(run / "metrics.jsonl") if entry["event"] != without]
    return [{key: value for key, value in entry.items() if key not in CLOCK} for entry in kept]


REGULARIZERS: list[dict[str, Any]] = [
    {},
    {"kl": {"weight": 0.5, "on": "replay"}},
    {"kl": {"weight": 0.5, "on": "all", "direction": "reverse"}},
    {"ewc": {"weight": 5.0, "fisher_tokens": 60}, "l2sp": 0.1},
]


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=["plain", "kl-replay", "kl-all-reverse", "ewc-l2sp"])
def test_a_stopped_and_resumed_run_is_the_straight_run_bitwise(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore], regularizer: dict[str, Any]
) -> None:
    asked = settings(model_folder, **regularizer)
    straight, halved = tmp_path / "straight", tmp_path / "halved"
    whole = run_plan(straight, asked, evaluation)
    stopped = run_plan(halved, asked, evaluation, on_progress=stop_at(3))
    assert (stopped.reason, stopped.step, stopped.model_path) == ("signal", 3, None)
    assert stopped.resume
    resumed = run_plan(halved, asked, evaluation)
    assert (resumed.step, resumed.reason, resumed.best_step) == (whole.step, "finished", whole.best_step)
    assert resumed.tokens_by_source == whole.tokens_by_source
    for name in ("model", "step-000006"):
        one, other = weights(straight / name), weights(halved / name)
        assert all(torch.equal(one[key], other[key]) for key in one)
    moments = [load_file(run / "step-000006" / "optimizer.safetensors") for run in (straight, halved)]
    assert all(torch.equal(moments[0][key], moments[1][key]) for key in moments[0])
    # The signal saved one checkpoint more; everything else is line for line the same.
    assert events(straight, without="checkpoint") == events(halved, without="checkpoint")


def test_a_finished_run_returns_at_once_and_its_model_loads(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    from transformers import AutoModelForCausalLM

    asked = settings(model_folder)
    first = run_plan(tmp_path / "run", asked, evaluation)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    assert run_plan(tmp_path / "run", asked, evaluation) == first
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    assert first.model_path is not None
    Manifest.read(first.model_path).verify(first.model_path)
    loaded = AutoModelForCausalLM.from_pretrained(first.model_path)
    saved = weights(tmp_path / "run" / f"step-{first.best_step:06d}")
    assert torch.equal(loaded.get_input_embeddings().weight, saved["model.embed_tokens.weight"])
    assert (first.model_path / "tokenizer.json").read_bytes() == (model_folder / "tokenizer.json").read_bytes()


def test_metrics_have_the_forms_of_the_design_and_account_for_every_token(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    result = run_plan(tmp_path, settings(model_folder, kl={"weight": 0.1}), evaluation)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    forms = {
        "start": "event step plan model parameters world_size guards precision",
        "eval": "event step sets",
        "step": "event step lr loss kl penalty grad_norm tokens predicted source_tokens source_sequences source_loss "
        "seconds tokens_per_second mfu memory",
        "gate": "event step set rise epsilon action best_step",
        "checkpoint": "event step path",
        "transfer": "event step backward_transfer forgetting",
        "end": "event step reason best_step tokens source_tokens",
    }
    for line in lines:
        assert list(line) == forms[line["event"]].split()
    scores = next(line for line in lines if line["event"] == "eval")["sets"]["domain"]
    assert list(scores) == ["nats", "tokens", "bytes", "documents", "perplexity", "bits_per_byte", "delta", "delta_se"]
    batches = [FakeLoader(FakePlan()).batch(step) for step in range(6)]
    seen = {
        name: sum(int((batch.source_ids == index).sum()) * batch.input_ids.shape[1] for batch in batches)
        for index, name in enumerate(("domain", "general"))
    }
    assert result.tokens_by_source == seen == lines[-1]["source_tokens"]
    assert [line["step"] for line in lines if line["event"] == "step"] == [1, 2, 3, 4, 5, 6]


def test_training_learns_the_domain(tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]) -> None:
    run_plan(tmp_path, settings(model_folder, checkpoint_every=100), evaluation, plan=FakePlan(steps=30))
    scores = [line["sets"]["domain"] for line in events(tmp_path) if line["event"] == "eval"]
    assert scores[-1]["delta"] < -4 * scores[-1]["delta_se"] < 0


class Ragged(FakeLoader):
    """Rows of which each predicts another number of tokens, from none to all."""

    def batch(self, step: int) -> TokenBatch:
        whole = super().batch(step)
        ends = np.random.default_rng(step).permutation(np.linspace(0, whole.labels.shape[1], len(whole), dtype=int))
        labels = np.where(np.arange(whole.labels.shape[1]) < ends[:, None], whole.labels, IGNORE)
        return replace(whole, labels=labels)


@pytest.mark.parametrize("kl", [None, {"weight": 0.5, "on": "all"}, {"weight": 0.5, "on": "all", "sample": 0.6}])
def test_ragged_micro_batches_give_the_step_of_one_big_batch(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore], kl: dict[str, Any] | None
) -> None:
    # clip and Adam would hide or amplify differences: compare losses, gradient norms and weights all the same
    plan = FakePlan(steps=2)
    for name, size in (("big", 5), ("ragged", 2)):
        asked = settings(model_folder, micro_batch=size, kl=kl, learning_rate=1e-3)
        train(asked, plan, Ragged(plan), evaluation, {"general"}, tmp_path / name)
    big, ragged = (events(tmp_path / name) for name in ("big", "ragged"))
    for one, other in zip(big, ragged, strict=True):
        if one["event"] == "step":
            assert one["predicted"] == other["predicted"] > 0
            for key in ("loss", "kl", "grad_norm"):
                assert one[key] == pytest.approx(other[key], rel=1e-6, abs=1e-7)
    one, other = (weights(tmp_path / name / "step-000002") for name in ("big", "ragged"))
    assert all(torch.allclose(one[key], other[key], rtol=0, atol=1e-5) for key in one)


def test_strong_pulls_hold_the_weights_where_they_were(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    base = weights(model_folder)

    def distance(run: Path) -> float:
        trained = weights(run / "step-000006")
        return sum(float((trained[name] - base[name]).square().sum()) for name in base)

    for name, extra in {
        "free": {},
        "l2sp": {"l2sp": 1e4},
        "ewc": {"ewc": {"weight": 1e6, "fisher_tokens": 100}},
    }.items():
        run_plan(tmp_path / name, settings(model_folder, **extra), evaluation)
    free, l2sp, ewc = (distance(tmp_path / name) for name in ("free", "l2sp", "ewc"))
    assert l2sp < free * 1e-3
    assert ewc < free * 0.5


def test_kl_holds_the_model_near_the_base(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    changes = []
    for name, weight in (("loose", 1e-6), ("held", 20.0)):
        asked = settings(model_folder, kl={"weight": weight, "on": "all"}, learning_rate=2e-3)
        run_plan(tmp_path / name, asked, evaluation, plan=FakePlan(steps=20))
        changes.append([line["kl"] for line in events(tmp_path / name) if line["event"] == "step"])
    loose, held = changes
    assert abs(loose[0]) < 1e-6 and abs(held[0]) < 1e-6  # the first step starts at the base
    assert held[-1] < 0.2 * loose[-1]


def test_the_gate_stops_a_run_that_forgets_and_no_best_is_named(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    # The model is taught stride 3 only; on stride 5 it gets worse.
    plan = FakePlan(steps=40, sources=(FakeSource("domain", "domain"), FakeSource("other", "domain")))

    asked = settings(model_folder, gate={"epsilon": 0, "action": "stop"}, learning_rate=0.05)
    result = train(asked, plan, OnlyDomain(plan), evaluation, {"general"}, tmp_path)
    assert (result.reason, result.best_step) == ("gate", None)
    assert result.step < 40
    assert result.model_path is not None and result.model_path.is_dir()
    assert [line["action"] for line in events(tmp_path) if line["event"] == "gate"][-1] == "stop"
    assert train(asked, plan, OnlyDomain(plan), evaluation, {"general"}, tmp_path) == result


def test_the_best_and_the_last_checkpoints_are_kept(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    asked = settings(model_folder, keep_last=1, checkpoint_every=1, evaluate_every=2, gate={"epsilon": 1e-9})
    result = run_plan(tmp_path, asked, evaluation, plan=FakePlan(steps=5))
    assert checkpoint_steps(tmp_path) == sorted({5} | ({result.best_step} if result.best_step else set()))


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    asked = settings(model_folder, evaluate_every=100)
    run_plan(tmp_path / "straight", asked, evaluation)
    run_plan(tmp_path / "hurt", asked, evaluation, on_progress=stop_at(5))
    victim = tmp_path / "hurt" / "step-000005" / "optimizer.safetensors"
    damaged = bytearray(victim.read_bytes())
    damaged[-1] ^= 1
    victim.write_bytes(damaged)
    run_plan(tmp_path / "hurt", asked, evaluation)
    one, other = (weights(tmp_path / name / "model") for name in ("straight", "hurt"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert events(tmp_path / "straight") == events(tmp_path / "hurt")


def test_another_plan_or_setting_is_refused_with_what_changed(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    run_plan(tmp_path, settings(model_folder), evaluation)
    with pytest.raises(TrainingError, match="another plan"):
        run_plan(tmp_path, settings(model_folder), evaluation, plan=FakePlan(fingerprint="another"))
    with pytest.raises(TrainingError, match=r"settings\.learning_rate was 0\.01, now 0\.02"):
        run_plan(tmp_path, settings(model_folder, learning_rate=0.02), evaluation)
    assert run_plan(tmp_path, settings(model_folder, learning_rate=0.02), evaluation, resume=False).step == 6


def test_steps_without_a_finite_loss_are_skipped_counted_and_end_the_run(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    # The first step throws the weights out of range; from then on no gradient has a value.
    with pytest.raises(TrainingError, match="stays without a finite value"):
        run_plan(tmp_path, settings(model_folder, learning_rate=1e37, max_skipped=2), evaluation)
    lines = events(tmp_path)
    assert [line["skipped"] for line in lines if line["event"] == "skip"] == [1, 2, 3]
    assert [line["grad_norm"] is None for line in lines if line["event"] == "step"] == [False, True, True, True]


def test_a_model_with_damaged_weights_is_refused(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model_folder, broken)
    hurt = weights(model_folder)
    hurt["model.layers.0.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(hurt, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match="not finite"):
        run_plan(tmp_path / "run", settings(broken), evaluation)


def test_a_guarded_set_that_is_not_evaluated_is_refused(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    plan = FakePlan()
    with pytest.raises(ConfigError, match="domain, general"):
        train(settings(model_folder), plan, FakeLoader(plan), evaluation, {"wikipedia"}, tmp_path)


@pytest.mark.parametrize("model", ["/nowhere/at/all", "./missing"])
def test_a_missing_model_folder_is_said_to_be_missing(
    tmp_path: Path, evaluation: dict[str, TokenStore], model: str
) -> None:
    with pytest.raises(ConfigError, match="no such model folder"):
        run_plan(tmp_path / "run", settings(Path(model)), evaluation)


def test_a_folder_without_weights_and_a_broken_file_are_told_apart(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    broken = tmp_path / "model"
    broken.mkdir()
    with pytest.raises(ConfigError, match=r"no config\.json and no \*\.safetensors"):
        run_plan(tmp_path / "run", settings(broken), evaluation)
    (broken / "config.json").write_text((model_folder / "config.json").read_text())
    (broken / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(TrainingError, match="does not load"):
        run_plan(tmp_path / "run", settings(broken), evaluation)


def test_tokens_of_another_vocabulary_are_refused(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    from fake_training import make_store

    large = make_store(tmp_path / "tokens" / "large", TokenizerIdentity("0" * 64, 1000, 0), 3, 3)
    with pytest.raises(TrainingError, match="a tokenizer of 1000 ids, 64 embedding rows"):
        run_plan(tmp_path / "run", settings(model_folder), evaluation | {"domain": large})
    other = make_store(tmp_path / "tokens" / "other", TokenizerIdentity("0" * 64, 64, 0), 3, 3)
    with pytest.raises(TrainingError, match="another tokenizer"):
        run_plan(tmp_path / "run", settings(model_folder), evaluation | {"domain": other})


def test_a_record_of_the_run_holds_no_path(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    run_plan(tmp_path / "run", settings(model_folder), evaluation)
    for path in (tmp_path / "run").rglob("*.json*"):
        assert str(tmp_path) not in path.read_text()
        assert str(model_folder) not in path.read_text()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["plan"] == "plan-of-the-tests"


def test_the_model_trains_in_bf16_as_well(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    for precision in ("fp32", "bf16"):
        run_plan(tmp_path / precision, settings(model_folder, precision=precision, kl={"weight": 0.1}), evaluation)
    exact, coarse = (
        np.array([line["loss"] for line in events(tmp_path / name) if line["event"] == "step"])
        for name in ("fp32", "bf16")
    )
    assert np.allclose(exact, coarse, rtol=0.03)
    assert weights(tmp_path / "bf16" / "model")["model.embed_tokens.weight"].dtype == torch.float32
