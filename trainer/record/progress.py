"""What a run tells its caller while it works and when it ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Reason = Literal["finished", "signal", "gate"]


@dataclass(frozen=True)
class Progress:
    """`step` of `steps` are steps of the plan in the phases train and reference, models in merge and tokens in the
    others; `eta` in seconds; `losses` are nats per predicted token by source; `mfu` is the share of the processors'
    arithmetic that the model used."""

    phase: Literal["train", "evaluate", "fisher", "importance", "reference", "merge"]
    step: int
    steps: int
    tokens_per_second: float = 0.0
    eta: float | None = None
    losses: Mapping[str, float] = field(default_factory=dict)
    lr: float | None = None
    mfu: float | None = None


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class TrainResult:
    """How a run ended after `step` steps. Stopped by a signal it has no `model_path`, and `resume` is the command to go
    on with. `best_step` is None when no evaluated step passed the gate; the model is then the last step's."""

    step: int
    reason: Reason
    best_step: int | None
    model_path: Path | None
    tokens_by_source: Mapping[str, int]
    resume: str | None = None
