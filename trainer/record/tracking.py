"""Trackers: metrics.jsonl is the truth, TensorBoard, trackio and W&B are views of it, through accelerate.

An event's numbers go on under its name, nested ones by path: `step/loss`, `step/source_loss/notes`,
`eval/sets/general/bits_per_byte`. A tracker that fails is the tracker's problem: the run says so once and goes on.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from corpus.errors import ConfigError

PROJECT = "provender"


def check_installed(trackers: Sequence[str]) -> None:
    """Raises ConfigError naming the first tracker whose package is absent."""
    for name in trackers:
        if find_spec(name) is None and not (name == "tensorboard" and find_spec("tensorboardX")):
            raise ConfigError(
                f"the tracker {name} is not installed",
                where="train.trackers",
                todo=f"pip install {name}, or take it out of train.trackers",
            )


class Tracking:
    """The trackers of a run; without any it does nothing. `settings` are shown beside the curves."""

    def __init__(
        self, accelerator: Accelerator, trackers: Sequence[Any], run: Path, settings: Mapping[str, Any]
    ) -> None:
        self.accelerator, self.broken = accelerator, not trackers
        if trackers:
            accelerator.project_configuration.set_directories(str(run / "trackers"))
            accelerator.log_with = list(trackers)
            flat = {
                key: value if isinstance(value, (int, float, str, bool)) else str(value)
                for key, value in settings.items()
            }
            accelerator.init_trackers(PROJECT, config=flat, init_kwargs={"wandb": {"name": run.name}})

    def log(self, event: str, step: int, fields: Mapping[str, Any]) -> None:
        if self.broken or not (values := dict(numbers(event, fields))):
            return
        try:
            self.accelerator.log(values, step=step)
        except Exception as error:  # a tracker's network or disk must not cost the run
            self.broken = True
            sys.stderr.write(f"tracking ended: {type(error).__name__}: {error}\n")

    def close(self) -> None:
        if not self.broken:
            self.accelerator.end_training()


def numbers(path: str, value: Any) -> Iterator[tuple[str, float]]:
    """The numbers of a nested event by path; what is no number is left out."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from numbers(f"{path}/{key}", entry)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value
