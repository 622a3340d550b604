"""metrics.jsonl: the truth about a run, one JSON object a line in the forms of docs/design.md, flushed per line."""

import json
import math
from pathlib import Path
from typing import Any

from corpus.artifact import write_atomic


class MetricsLog:
    """Appends events; `cut_back` makes the file what it was when a checkpoint was published."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, step: int, **fields: Any) -> None:
        line = _line({"event": event, "step": step} | fields)
        with open(self.path, "a", encoding="utf-8") as handle:
            handle.write(line)

    def start_over(self) -> None:
        self.path.unlink(missing_ok=True)

    def cut_back(self, step: int) -> None:
        """Drop what a run wrote after its checkpoint of `step`, a line broken by a kill and a stop's `end` included."""
        kept = [entry for entry in read_metrics(self.path) if entry["step"] <= step and entry["event"] != "end"]
        write_atomic(self.path, "".join(map(_line, kept)).encode())
        if {"event": "checkpoint", "step": step} not in [{k: entry[k] for k in ("event", "step")} for entry in kept]:
            self.write("checkpoint", step, path=f"step-{step:06d}")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The events of a run, in order; a last line without its end is left out."""
    if not path.is_file():
        return []
    whole = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in whole]


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(_plain(entry), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def _plain(value: Any) -> Any:
    """JSON has no NaN or infinity: they become null."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
