"""The live view in the terminal."""

from pathlib import Path
from time import sleep

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipelines.progress import table_console
from pipelines.report.numbers import NONE, change, count, decimal, significant
from pipelines.watch.state import State, Training, look

SECONDS = 1.0
SPARKS = "▁▂▃▄▅▆▇█"
WIDE = 40  # characters of a curve


def show_terminal(workspace: Path, *, once: bool = False, console: Console | None = None) -> None:
    """Draw the state every second until Ctrl-C; once where there is no terminal to redraw."""
    console = console or table_console()
    if once or not console.is_terminal:
        console.print(drawn(look(workspace)))
        return
    with Live(drawn(look(workspace)), console=console, screen=False, auto_refresh=False) as live:
        while True:
            sleep(SECONDS)
            live.update(drawn(look(workspace)), refresh=True)


def drawn(state: State) -> RenderableType:
    """The state as rich shows it. Names from the data are never read as markup."""
    who = f"{state.holder} is at work" if state.holder else "nobody is at work here"
    parts: list[RenderableType] = [Text(f"{state.name}: {who}", style="bold")]
    if state.stages:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for stage in state.stages:
            bar = ProgressBar(total=1.0, completed=stage.share, width=20) if stage.share is not None else Text("")
            said = stage.result or stage.note or "…"
            table.add_row(Text(stage.title), bar, Text(f"{stage.seconds:,.0f} s"), Text(said))
        parts.append(table)
    if state.training is not None:
        parts += _training(state.training)
    if len(parts) == 1:
        parts.append(Text("nothing has been run in this workspace yet", style="dim"))
    return Group(*parts)


def _training(training: Training) -> list[RenderableType]:
    of = f" of {count(training.steps)}" if training.steps else ""
    figures = ", ".join(f"{name.replace('_', ' ')} {significant(value)}" for name, value in training.figures.items())
    parts: list[RenderableType] = [Text(f"\nrun {training.run}: step {count(training.step)}{of}; {figures}")]
    if training.losses:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("source", "loss", "last steps", "bits per byte", "against step 0"):
            table.add_column(heading, justify="left" if heading in ("source", "last steps") else "right")
        for name in sorted({*training.losses, *training.evaluation}):
            curve = [loss for _, loss in training.losses.get(name, [])]
            bits, delta = training.evaluation.get(name, (None, None))
            shown = [name, decimal(curve[-1], 3) if curve else NONE, spark(curve), decimal(bits), change(delta)]
            table.add_row(*map(Text, shown))
        parts.append(table)
    if training.gate:
        parts.append(Text(f"gate: {training.gate}"))
    if training.ended:
        parts.append(Text(f"ended: {training.ended}"))
    return parts


def spark(values: list[float]) -> str:
    """A curve in one line: the means of as many equal runs of neighbours as fit."""
    if not values:
        return ""
    size = -(-len(values) // WIDE)
    means = [sum(values[at : at + size]) / len(values[at : at + size]) for at in range(0, len(values), size)]
    low, high = min(means), max(means)
    span = (high - low) or 1.0
    return "".join(SPARKS[round((value - low) / span * (len(SPARKS) - 1))] for value in means)
