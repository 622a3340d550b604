"""Limits on what a batch of documents may take of the process that works on it.

A process that works for another one (a worker of a pool, an actor, a task of an array) ends itself when a batch takes
too long or too much memory, as it would by a fault of a parser; whoever gave it the unit then looks for the document
(corpus/engine/poison.py). Time is the processor time of the process, kept by the kernel, which works inside C code too;
the wall clock only catches a process that sleeps. A process that a person started is never ended: it has no limits.
"""

import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import Field

from corpus.memory import anonymous_bytes
from corpus.settings import Settings

GB = 1 << 30
PATIENCE = 20.0  # a batch may wait for the processor so many times as long as it may use it
DOCUMENTS = 128  # a batch may take the seconds of one document for each so many documents
LOOK = 0.2  # seconds between two looks at the memory


class GuardSettings(Settings):
    """What one document may take in the steps of its source. A document whose steps crash, take too long or too much
    memory is found and quarantined, and its unit goes on."""

    seconds: float = Field(20, gt=0, description="processor time of one document in all steps together")
    memory_gb: float = Field(4, gt=0, description="memory of one document, beyond what the models take")

    def allowance(self, documents: int, pace: float) -> float:
        """Seconds of processor time for a batch whose slowest step is `pace` times as slow as steps usually are."""
        return self.seconds * pace * (1 + documents // DOCUMENTS)


class _Limits:
    """Of this process: whether it may be ended, and the memory at which it is."""

    def __init__(self) -> None:
        self.expendable = False
        self.memory: int | None = None
        self._watching = False

    def watch(self) -> None:
        """Begin to look at the memory, once per process."""
        if not self._watching:
            self._watching = True
            threading.Thread(target=self._look, name="provender-memory", daemon=True).start()

    def _look(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK):
            most = self.memory
            if most is not None and anonymous_bytes() > most:
                os.kill(os.getpid(), signal.SIGKILL)


_LIMITS = _Limits()


def expendable() -> None:
    """Say of this process that another one gave it its work and will notice when it dies. It leaves no core file, which
    would hold texts."""
    _LIMITS.expendable = True
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def is_expendable() -> bool:
    """Whether `expendable` was said of this process."""
    return _LIMITS.expendable


@contextmanager
def limited(seconds: float, memory: int) -> Iterator[None]:
    """End this process, if it is expendable, when the body takes `seconds` of processor time or `memory` bytes more
    than now."""
    if not _LIMITS.expendable:
        yield
        return
    _LIMITS.memory = anonymous_bytes() + memory
    _LIMITS.watch()
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _LIMITS.memory = None
