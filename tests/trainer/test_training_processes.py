import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from ranks import RankServer, rank_server  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from corpus.tokens.store import TokenStore  # noqa: E402
from trainer.record.metrics import read_metrics  # noqa: E402

pytestmark = pytest.mark.slow
SCRIPT = str(Path(__file__).with_name("train_process.py"))
CHECKOUT = str(Path(__file__).parents[2])
ENVIRONMENT = os.environ | {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": CHECKOUT,
    "ACCELERATE_USE_CPU": "true",
}


LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
REGULARIZED = {
    "kl": {"weight": 0.5, "on": "all", "sample": 0.5},
    "ewc": {"weight": 5.0, "fisher_tokens": 60},
    "das": {"importance_tokens": 60},
    "freeze": {"layers": 1},
    "ema": {"decay": 0.7},
    "z_loss": 1e-3,
}


def workspace(folder: Path, model_folder: Path, evaluation: dict[str, TokenStore]) -> Path:
    shutil.copytree(model_folder, folder / "model")
    for name, store in evaluation.items():
        shutil.copytree(store.folder, folder / "tokens" / name)
    return folder


def in_words(folder: Path, changes: dict[str, Any]) -> list[str]:
    return [str(folder), *(f"{name}={json.dumps(value)}" for name, value in changes.items())]


@pytest.fixture(scope="module")
def ranks() -> Iterator[RankServer]:
    with rank_server(ENVIRONMENT) as server:
        yield server


def finish(ranks: RankServer, folder: Path, processes: int = 1, **changes: Any) -> str:
    """What the run of so many processes printed."""
    done = ranks.run(processes, in_words(folder, changes))
    assert not any(done["codes"]), done["err"][-3000:]
    return str(done["out"])


def launch(folder: Path, processes: int, **changes: Any) -> str:
    """The same by the command that a person gives."""
    done = subprocess.run(
        [sys.executable, *LAUNCH, str(processes), SCRIPT, *in_words(folder, changes)],
        env=ENVIRONMENT,
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def same_curves(one: Path, other: Path, tolerance: float = 1e-5) -> None:
    """The same events, the same tokens, and losses and scores within the relative tolerance."""
    logs = [read_metrics(folder / "run" / "metrics.jsonl") for folder in (one, other)]
    assert [entry["event"] for entry in logs[0]] == [entry["event"] for entry in logs[1]]
    for first, second in zip(*logs, strict=True):
        if first["event"] == "step":
            assert first["source_tokens"] == second["source_tokens"]
            for key in ("loss", "kl", "penalty", "grad_norm"):
                assert first[key] == pytest.approx(second[key], rel=tolerance, abs=1e-6)
        if first["event"] == "eval":
            for name, score in first["sets"].items():
                assert score["nats"] == pytest.approx(second["sets"][name]["nats"], rel=tolerance)


@pytest.mark.distributed
@pytest.mark.parametrize(
    "ways",
    [
        {},
        {"parallel": {"kind": "fsdp2"}},
        {"parallel": {"kind": "fsdp2"}, "l2sp": 0.1, "gradient_checkpointing": True, "micro_batch": 1},
        {"parallel": {"kind": "fsdp2"}} | REGULARIZED,
        {"parallel": {"kind": "ddp"}} | REGULARIZED,
        {"parallel": {"kind": "fsdp2"}, "lora": {"rank": 4}, "kl": {"weight": 0.5, "reference": "lora_off"}},
        {"lora": {"rank": 4}, "kl": {"weight": 0.5, "on": "all", "sample": 0.5, "reference": "lora_off"}},
    ],
    ids=[
        "ddp",
        "fsdp2",
        "fsdp2-l2sp-checkpointing",
        "fsdp2-regularized",
        "ddp-regularized",
        "fsdp2-lora-off",
        "ddp-lora-off-sampled",
    ],
)
def test_two_processes_give_the_loss_curve_of_one(
    ranks: RankServer, tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore], ways: dict[str, Any]
) -> None:
    single = workspace(tmp_path / "single", model_folder, evaluation)
    finish(ranks, single, **{name: value for name, value in ways.items() if name != "parallel"})
    double = workspace(tmp_path / "double", model_folder, evaluation)
    finish(ranks, double, 2, **ways)
    same_curves(single, double)
    # Checkpoints are whole whoever wrote them: what two processes in shards have written, one goes on with.
    for name in ("model.safetensors", "optimizer.safetensors"):
        one, other = (load_file(folder / "run" / "step-000006" / name) for folder in (single, double))
        assert {key: value.shape for key, value in one.items()} == {key: value.shape for key, value in other.items()}
        assert all(torch.allclose(one[key], other[key], rtol=1e-3, atol=1e-5) for key in one)


@pytest.mark.distributed
def test_a_run_goes_on_in_shards_on_two_processes_where_one_process_was_stopped(
    ranks: RankServer, tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    straight = workspace(tmp_path / "straight", model_folder, evaluation)
    finish(ranks, straight)
    moved = workspace(tmp_path / "moved", model_folder, evaluation)
    shutil.copytree(straight / "run" / "step-000005", moved / "run" / "step-000005")
    lines = (straight / "run" / "metrics.jsonl").read_text()
    (moved / "run" / "metrics.jsonl").write_text(lines)
    launch(moved, 2, parallel={"kind": "fsdp2"})
    same_curves(straight, moved)


@pytest.mark.distributed
@pytest.mark.parametrize(
    "ways",
    [
        pytest.param({}, id="ddp"),
        pytest.param({"parallel": {"kind": "fsdp2"}} | REGULARIZED, id="fsdp2-regularized"),
    ],
)
def test_two_processes_then_one_then_three_take_every_step_once_with_the_curve_of_one(
    ranks: RankServer, tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore], ways: dict[str, Any]
) -> None:
    alone = {name: value for name, value in ways.items() if name != "parallel"}
    straight = workspace(tmp_path / "straight", model_folder, evaluation)
    finish(ranks, straight, **alone)
    moved = workspace(tmp_path / "moved", model_folder, evaluation)
    assert "signal 2 " in finish(ranks, moved, 2, stop=2, **ways)
    assert "signal 4 " in finish(ranks, moved, stop=4, **alone)
    assert "finished 6 " in finish(ranks, moved, 3, **ways)
    logs = [read_metrics(folder / "run" / "metrics.jsonl") for folder in (straight, moved)]
    steps, others = ([entry for entry in log if entry["event"] == "step"] for log in logs)
    assert [entry["step"] for entry in others] == list(range(1, 7))
    for one, other in zip(steps, others, strict=True):
        assert one["source_tokens"] == other["source_tokens"]
        for key in ("loss", "kl", "penalty", "grad_norm"):
            assert one[key] == pytest.approx(other[key], rel=1e-5, abs=1e-6)
    ends = [log[-1] for log in logs]
    assert ends[0]["tokens"] == ends[1]["tokens"] and ends[0]["source_tokens"] == ends[1]["source_tokens"]
    one, other = (load_file(folder / "run" / "model" / "model.safetensors") for folder in (straight, moved))
    assert one.keys() == other.keys()
    assert all(torch.allclose(one[key], other[key], rtol=1e-3, atol=1e-5) for key in one)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_exits_with_0_and_prints_the_command_that_goes_on(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore], number: signal.Signals
) -> None:
    folder = workspace(tmp_path / "stopped", model_folder, evaluation)
    command = [sys.executable, SCRIPT, str(folder), "steps=400", "checkpoint_every=1000", "evaluate_every=1000"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if line.startswith("train"):
                process.send_signal(number)
                break
        said = process.stdout.read().splitlines()[-1]
    assert process.wait(timeout=60) == 0
    reason, step, resume = said.split(" ", 2)
    assert reason == "signal" and resume == f"python {SCRIPT} {' '.join(command[2:])}"
    assert (folder / "run" / f"step-{int(step):06d}" / "manifest.json").is_file()
