"""The state of a workspace at this moment, from small files that the stages keep anyway."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

from pipelines.audit.workspace import last_events
from pipelines.progress import PROGRESS

RECENT = 200  # steps of a run that are shown


@dataclass(frozen=True)
class Stage:
    """One stage of the run: `share` done (None where it is not known), what it says of itself, seconds so far."""

    title: str
    share: float | None
    note: str
    result: str | None
    seconds: float


@dataclass(frozen=True)
class Training:
    """The newest run: its name, finished steps of planned ones, the last step's figures, losses by source, the last
    evaluation in bits per byte with the change against step 0, and what the gate said."""

    run: str
    step: int
    steps: int | None
    figures: dict[str, float] = field(default_factory=dict)
    losses: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    evaluation: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    gate: str | None = None
    ended: str | None = None


@dataclass(frozen=True)
class State:
    """`holder`: who works in the workspace, None when nobody does."""

    name: str
    holder: str | None
    stages: list[Stage]
    training: Training | None


def look(workspace: Path) -> State:
    """The state now. Files that are being written may be read half: then the older figures are gone for a moment."""
    workspace = Path(workspace)
    held = _json(workspace / ".lock")
    holder = f"process {held['pid']} on {held['host']}" if held.get("pid") else None
    record = _json(workspace / PROGRESS)
    now = time() if holder else record.get("updated", 0.0)
    stages = [_stage(own, now) for own in record.get("stages", []) if isinstance(own, dict)]
    return State(workspace.resolve().name, holder, stages, _training(workspace))


def _stage(own: dict[str, Any], now: float) -> Stage:
    total, result = own.get("total"), own.get("result")
    share = 1.0 if result else min(own.get("done", 0) / total, 1.0) if total else None
    seconds = max(0.0, float(own.get("ended", now)) - float(own.get("started", now)))
    return Stage(str(own.get("title", "?")), share, str(own.get("note", "")), result, seconds)


def _training(workspace: Path) -> Training | None:
    paths = sorted((workspace / "runs").glob("*/metrics.jsonl"), key=lambda path: path.stat().st_mtime)
    if not paths:
        return None
    run = paths[-1].parent.name
    events = last_events(paths[-1], RECENT)
    steps = [event for event in events if event["event"] == "step"]
    losses: dict[str, list[tuple[int, float]]] = {}
    for event in steps:
        for source, loss in event.get("source_loss", {}).items():
            if loss is not None:
                losses.setdefault(source, []).append((event["step"], loss))
    last = steps[-1] if steps else {}
    names = ("lr", "loss", "grad_norm", "tokens_per_second", "mfu")
    evaluation: dict[str, dict] = next((event["sets"] for event in reversed(events) if event["event"] == "eval"), {})
    gate = next((event for event in reversed(events) if event["event"] == "gate"), None)
    end = next((event for event in events if event["event"] == "end"), None)
    plan = _json(workspace / "plans" / run / "plan.json")
    return Training(
        run,
        int(last.get("step", 0)),
        plan.get("steps"),
        {name: last[name] for name in names if last.get(name) is not None},
        dict(sorted(losses.items())),
        {name: (values["bits_per_byte"], values.get("delta")) for name, values in sorted(evaluation.items())},
        f"{gate['action']} at step {gate['step']}" if gate else None,
        f"{end['reason']} at step {end['step']}" if end else None,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
