import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from corpus.artifact import Manifest  # noqa: E402
from corpus.tokens import TokenStore  # noqa: E402
from trainer.checkpoint import checkpoint_folder, checkpoint_steps  # noqa: E402
from trainer.metrics import read_metrics  # noqa: E402

pytestmark = pytest.mark.slow
SCRIPT = str(Path(__file__).with_name("train_process.py"))
CHECKOUT = str(Path(__file__).parents[2])
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": CHECKOUT}


def workspace(folder: Path, model_folder: Path, evaluation: dict[str, TokenStore]) -> Path:
    shutil.copytree(model_folder, folder / "model")
    for name, store in evaluation.items():
        shutil.copytree(store.folder, folder / "tokens" / name)
    return folder


def finish(folder: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, str(folder)], env=ENVIRONMENT, check=True, capture_output=True, timeout=120)


@pytest.mark.faults
def test_after_a_kill_at_any_instant_every_visible_checkpoint_is_whole_and_the_run_ends_the_same(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    straight = workspace(tmp_path / "straight", model_folder, evaluation)
    finish(straight)
    killed = workspace(tmp_path / "killed", model_folder, evaluation)
    for delay in (0.03, 0.1, 0.17):
        process = subprocess.Popen(
            [sys.executable, SCRIPT, str(killed), "--sleepy"], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                if line.startswith("train"):
                    break
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        process.wait()
        assert checkpoint_steps(killed / "run")
        for step in checkpoint_steps(killed / "run"):
            folder = checkpoint_folder(killed / "run", step)
            Manifest.read(folder).verify(folder)
    finish(killed)
    one, other = (load_file(folder / "run" / "model" / "model.safetensors") for folder in (straight, killed))
    assert all(torch.equal(one[key], other[key]) for key in one)
    logs = [read_metrics(folder / "run" / "metrics.jsonl") for folder in (straight, killed)]
    for log in logs:
        for entry in log:
            entry.pop("seconds", None), entry.pop("tokens_per_second", None), entry.pop("mfu", None)
    assert logs[0] == logs[1]
    assert not list((killed / "run").glob(".*"))


@pytest.mark.distributed
def test_two_processes_give_the_loss_curve_of_one(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    single = workspace(tmp_path / "single", model_folder, evaluation)
    finish(single)
    double = workspace(tmp_path / "double", model_folder, evaluation)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", SCRIPT, str(double)]
    environment = ENVIRONMENT | {"ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [sys.executable, *launch], env=environment, check=False, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    logs = [read_metrics(folder / "run" / "metrics.jsonl") for folder in (single, double)]
    for one, other in zip(*logs, strict=True):
        assert one["event"] == other["event"]
        if one["event"] == "step":
            assert one["source_tokens"] == other["source_tokens"]
            for key in ("loss", "kl", "grad_norm"):
                assert one[key] == pytest.approx(other[key], rel=1e-5, abs=1e-6)
        if one["event"] == "eval":
            for name, score in one["sets"].items():
                assert score["nats"] == pytest.approx(other["sets"][name]["nats"], rel=1e-5)
