"""A child process that is watched: what it tells, and how it dies.

    with Child(target, …) as child:            target(connection, …) runs in the child
        child.send(…); word = child.hear(patience)

What one document may take of it is kept by the child itself for processor time (SIGPROF), by its parent for memory and
for the clock.
"""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from corpus.engine.forkserver import context
from corpus.engine.limits import GB, expendable
from corpus.memory import anonymous_bytes

LOOK = 0.05  # seconds between two looks at the child's memory
TIMED_OUT, CRASHED, MEMORY = "timed out", "crashed", "out of memory"
NO_LIMIT = 1 << 62
STARTS = 3  # of a child whose server dies
PAUSE = 0.1  # seconds between two of them


class DiedError(Exception):
    """The child is no more, or must not go on; `how` is TIMED_OUT, CRASHED or MEMORY."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Child:
    """A process that runs `target` with a connection to this one and the arguments; a context that ends it."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        made = context()
        self._line, theirs = made.Pipe()
        self._process = made.Process(target=target, args=(theirs, *arguments), daemon=False)
        self._start()
        theirs.close()
        self._memory = NO_LIMIT

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _start(self) -> None:
        """A server that was killed while it was to fork is an end of file here; the next start makes a new one, once
        the kernel has said that the old one is dead."""
        for left in reversed(range(STARTS)):
            try:
                self._process.start()
                break
            except (EOFError, ConnectionError):
                if not left:
                    raise
                time.sleep(PAUSE)

    def allow(self, gigabytes: float) -> None:
        """From now on it may take so much memory beyond what it has."""
        self._memory = anonymous_bytes(self._process.pid or "self") + int(gigabytes * GB)

    def send(self, message: Any) -> None:
        """Raises DiedError when nobody is there to hear it."""
        try:
            self._line.send(message)
        except (BrokenPipeError, ConnectionResetError):
            raise self._died() from None

    def hear(self, patience: float) -> Any:
        """What it tells next. Raises DiedError when it died, takes too much memory, or says nothing for `patience`
        seconds."""
        deadline = time.monotonic() + patience
        try:
            while not self._line.poll(LOOK):
                if time.monotonic() > deadline:
                    raise DiedError(TIMED_OUT)
                if anonymous_bytes(self._process.pid or "self") > self._memory:
                    raise DiedError(MEMORY)
            return self._line.recv()
        except (EOFError, ConnectionResetError):
            raise self._died() from None

    def _died(self) -> DiedError:
        self._process.join()
        return DiedError(TIMED_OUT if self._process.exitcode == -signal.SIGPROF else CRASHED)

    def end(self) -> None:
        """Kill it, if it lives."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._line.close()


def begin() -> None:
    """Of the child, first: it may be ended, by the processor time it sets itself (`may_use`) among others."""
    expendable()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, too, and closes the line


def may_use(seconds: float) -> None:
    """Of the child: it ends itself after so many seconds of processor time from now; 0: no limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def tell(line: Connection, message: Any) -> None:
    """Of the child: send, whether or not anybody is there."""
    with suppress(BrokenPipeError):
        line.send(message)
