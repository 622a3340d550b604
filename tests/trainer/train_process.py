"""A training run as a process of its own: `python train_process.py <workspace> [setting=json …]`, also under torchrun,
with the checkout on PYTHONPATH.

The workspace holds `model/` and `tokens/{domain,general}`; the run goes to `run/`. `steps=N` is the plan's length, and
with `stop=N` the process of the first rank, which reports progress, is told by a signal to end when step N is done.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fake_training import FakeLoader, FakePlan

from corpus.tokens.store import TokenStore
from trainer.loop import train
from trainer.record.progress import Progress, TrainResult
from trainer.settings import TrainSettings

SETTINGS: dict[str, Any] = {
    "learning_rate": 0.001,
    "precision": "fp32",
    "warmup_steps": 1,
    "micro_batch": 2,
    "evaluate_every": 3,
    "checkpoint_every": 1,
    "keep_last": 2,
    "kl": {"weight": 0.5},
}


def run(
    workspace: Path, steps: int = 6, on_progress: Callable[[Progress], None] | None = None, **changes: Any
) -> TrainResult:
    settings = TrainSettings.model_validate({"model": str(workspace / "model")} | SETTINGS | changes)
    plan = FakePlan(steps=steps)
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    stores = {name: TokenStore.open(workspace / "tokens" / name) for name in ("domain", "general")}
    loader = FakeLoader(plan, rank=rank, world_size=world_size)
    return train(settings, plan, loader, stores, {"general"}, workspace / "run", on_progress=on_progress)


def main() -> None:
    changes = {name: json.loads(value) for name, _, value in (word.partition("=") for word in sys.argv[2:])}

    stop = changes.pop("stop", None)

    def tell(progress: Progress) -> None:
        print(progress.phase, progress.step, flush=True)
        if progress.phase == "train" and progress.step == stop:
            os.kill(os.getpid(), signal.SIGTERM)

    result = run(Path(sys.argv[1]), on_progress=tell, **changes)
    print(result.reason, result.step, result.resume, flush=True)


if __name__ == "__main__":
    main()
