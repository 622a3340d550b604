"""Progress on the terminal: bars with rate and time left, plain lines where there is no terminal."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

# The real stderr: datatrove's runs redirect sys.stderr while the bar is drawn.
PROGRESS = ".progress.json"
console = Console(file=sys.__stderr__, highlight=False)


def table_console() -> Console:
    """The console that tables are printed to; in a file or a pipe they are not cut to a screen."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=160)


class Record:
    """The stages of the run that is on, in a small file that `provender watch` reads. It is no artefact: it may be
    lost, and half of it may be read."""

    INTERVAL = 0.5  # seconds between two writings

    def __init__(self) -> None:
        self.path: Path | None = None
        self.stages: list[dict[str, object]] = []
        self._last = 0.0

    def start(self, workspace: Path) -> None:
        self.path, self.stages = workspace / PROGRESS, []

    def say(self, title: str, *, at_once: bool = False, **facts: object) -> None:
        """Facts about a stage, which is the last one when it is new."""
        known = next((own for own in self.stages if own["title"] == title and "result" not in own), None)
        if known is None:
            known = {"title": title, "started": time()}
            self.stages.append(known)
        known.update(facts)
        if self.path is not None and (at_once or monotonic() - self._last >= self.INTERVAL):
            self._last = monotonic()
            with suppress(OSError):  # watching is worth no failure
                self.path.write_text(json.dumps({"updated": time(), "stages": self.stages}))


RECORD = Record()


class Meter:
    """The progress of one stage. `update` may be called often, from another thread; a log gets a line every 15 s."""

    def __init__(self, title: str, unit: str, scale: float = 1.0) -> None:
        self.title, self.unit, self.scale = title, unit, scale
        self.started = monotonic()
        self._last = self.started
        RECORD.say(title, at_once=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if console.is_terminal:
            columns = ("{task.description}", BarColumn(), TextColumn("{task.fields[amount]}"))
            self._bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
            self._task = self._bar.add_task(title, total=None, amount="")
            self._bar.start()

    def update(self, done: float, total: float, note: str = "") -> None:
        elapsed = max(monotonic() - self.started, 1e-6)
        rate = done / self.scale / elapsed
        left = f", {elapsed * (total / done - 1):,.0f} s left" if done else ""
        amount = f"{done / self.scale:,.1f} of {total / self.scale:,.1f} {self.unit}, {rate:,.2f} {self.unit}/s {note}"
        self.note(done, total, amount + left)

    def note(self, done: float, total: float, amount: str) -> None:
        """Progress in words that the stage itself chose."""
        RECORD.say(self.title, done=done, total=total, note=amount)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, amount=amount)
        elif monotonic() - self._last >= 15 and done < total:
            self._last = monotonic()
            console.print(f"  {self.title}: {amount}", soft_wrap=True)

    def close(self, result: str) -> None:
        if self._bar is not None:
            self._bar.stop()
        RECORD.say(self.title, at_once=True, result=result, ended=time())
        console.print(f"{self.title:<14} {result}", soft_wrap=True)


@contextmanager
def stage(title: str, unit: str = "MB", scale: float = 1e6) -> Iterator[Meter]:
    """A stage with a meter; the bar is taken down whatever happens."""
    meter = Meter(title, unit, scale)
    try:
        yield meter
    except BaseException:
        meter.close("failed")
        raise
