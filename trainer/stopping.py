"""Stopping on a signal without losing the step at hand."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; a second signal acts as it did before. Inert outside the main thread."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: object) -> None:
        stop.set()
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()


def resume_command() -> str:
    """The command this process was started with, launcher included, and without what would begin the run again: the
    same command goes on with the run."""
    program, *arguments = sys.argv
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None:
        started = ["python", "-m", spec.name.removesuffix(".__main__")]
    elif program.endswith(".py"):
        started = ["python", program]
    else:
        started = [Path(program).name]
    if "TORCHELASTIC_RUN_ID" in os.environ:
        started = [*_launcher(), *(started[1:] if started[0] == "python" else [program])]
    return shlex.join([*started, *(word for word in arguments if word != "--restart")])


def _launcher() -> list[str]:
    """torchrun with the processes it was asked for; where nodes meet is for the user to fill in."""
    local, world = (int(os.environ.get(name, 1)) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    nodes = [] if world == local else ["--nnodes", str(world // local), "--rdzv-endpoint", "<host:port>"]
    return ["torchrun", *(nodes or ["--standalone"]), "--nproc-per-node", str(local)]
