"""A training run as a process of its own: `python train_process.py <workspace> [--sleepy]`, also under torchrun, with
the checkout on PYTHONPATH.

The workspace holds `model/` and `tokens/{domain,general}`; the run goes to `run/`. `--sleepy` slows the publishing of
files, so that a kill falls into a save.
"""

import os
import sys
import time
from pathlib import Path

from fake_training import FakeLoader, FakePlan

import corpus.artifact
from corpus.tokens import TokenStore
from trainer.loop import train
from trainer.settings import TrainSettings


def main() -> None:
    workspace = Path(sys.argv[1])
    if "--sleepy" in sys.argv:
        flush = corpus.artifact.fsync

        def slow(path: Path) -> None:
            time.sleep(0.02)
            flush(path)

        corpus.artifact.fsync = slow
    settings = TrainSettings.model_validate(
        {
            "model": str(workspace / "model"),
            "learning_rate": 0.001,
            "precision": "fp32",
            "warmup_steps": 1,
            "micro_batch": 2,
            "evaluate_every": 3,
            "checkpoint_every": 1,
            "keep_last": 2,
            "kl": {"weight": 0.5},
        }
    )
    plan = FakePlan()
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    stores = {name: TokenStore.open(workspace / "tokens" / name) for name in ("domain", "general")}
    loader = FakeLoader(plan, rank=rank, world_size=world_size)
    train(
        settings,
        plan,
        loader,
        stores,
        {"general"},
        workspace / "run",
        on_progress=lambda progress: print(progress.phase, progress.step, flush=True),
    )


if __name__ == "__main__":
    main()
