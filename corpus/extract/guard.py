"""The parent's side of guarded extraction: a child that may hang, crash or eat memory, one page's fault at a time.

A batch goes to the child in one message and its results stream back page by page, so when the child dies the culprit is
the first page without an answer: it gets a verdict, and a new child goes on with the page after it. Popen is used
instead of multiprocessing because datatrove's workers may be daemons, which may not have multiprocessing children.
"""

import atexit
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")
ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
MEMORY = 1 << 30
# A page may wait for the processor much longer than it uses it; this factor only catches a child that sleeps.
PATIENCE = 20.0
# A child that has answered so many bytes of pages is replaced: what it keeps between pages counts against its limit.
RENEWED = 256 << 20
PIPE = 1 << 20  # bytes of the pipes, where the system lets them be set: parent and child change places less often

Page = bytes | memoryview


class Failure(Enum):
    """Why a page has no text; the value is the reason in the ledger."""

    TIMED_OUT = "timed out"
    CRASHED = "parser crashed"
    RAISED = "parser error"
    MEMORY = "out of memory"


class Guard:
    """Maps an engine of corpus/extract/worker.py over pages in a child process, which is started at the first use.

    A page may take `seconds` of processor time and `memory` bytes. Pickles without its child. `close` ends the child,
    which the next use starts anew; so does the end of this process, by closing the pipe.
    """

    def __init__(self, engine: str, seconds: float, memory: int = MEMORY) -> None:
        self.engine, self.seconds, self.memory = engine, seconds, memory
        self._child: subprocess.Popen[bytes] | None = None
        self._buffer = bytearray()
        self._owner = 0  # the process that started the child: a fork of it must leave the child alone
        self._answered = 0  # bytes of pages

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_child": None, "_buffer": bytearray()}

    def map(self, texts: list[str]) -> list[str | Failure]:
        """The engine's result for each text, in order, or how it failed."""
        results = self.map_bytes([text.encode() for text in texts])
        return [result if isinstance(result, Failure) else result.decode() for result in results]

    def map_bytes(self, pages: Sequence[Page]) -> list[bytes | Failure]:
        """The same, for an engine from bytes to bytes, or for texts in UTF-8."""
        results: list[bytes | Failure] = []
        while len(results) < len(pages):
            try:
                self._ask(pages[len(results) :])
                while len(results) < len(pages):
                    results.append(self._answer())
            except _DeadError as death:
                results.append(death.args[0])
        self._answered += sum(map(len, pages))
        return results

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        self._buffer.clear()
        if child is not None and self._owner == os.getpid():
            child.kill()
            child.communicate()

    def _ready(self) -> subprocess.Popen[bytes]:
        """The child, started if there is none: it died between two batches, is another process's, or has had its
        share."""
        child = self._child
        if child is None or self._owner != os.getpid() or child.poll() is not None or self._answered >= RENEWED:
            self.close()
            child = self._start()
        return child

    def _start(self) -> subprocess.Popen[bytes]:
        self._owner, self._answered = os.getpid(), 0
        self._child = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), self.engine, str(self.seconds), str(self.memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pipesize=PIPE,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])},
        )
        try:
            self._take(1, START_SECONDS)
        except _DeadError:
            raise RuntimeError(
                f"the extraction engine {self.engine!r} cannot be loaded; see the message above"
            ) from None
        return self._child

    def _ask(self, pages: Sequence[Page]) -> None:
        child = self._ready()
        parts: list[Page] = [struct.pack("<Q", len(pages))]
        for page in pages:
            parts += [struct.pack("<Q", len(page)), page]
        assert child.stdin is not None
        message = memoryview(b"".join(parts))
        try:
            while message:
                message = message[child.stdin.write(message) :]
        except BrokenPipeError:
            raise self._dead() from None

    def _answer(self) -> bytes | Failure:
        patience = PATIENCE * self.seconds
        (length,) = struct.unpack("<q", self._take(8, patience))
        if length < 0:
            return Failure.RAISED if length == -1 else Failure.MEMORY
        return self._take(length, patience)

    def _take(self, size: int, seconds: float) -> bytes:
        """The next `size` bytes of the child's output. Raises _DeadError when it ends or is late."""
        assert self._child is not None and self._child.stdout is not None
        output = self._child.stdout.fileno()
        deadline = time.monotonic() + seconds
        while len(self._buffer) < size:
            ready, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.close()
                raise _DeadError(Failure.TIMED_OUT)
            data = os.read(output, 1 << 20)
            if not data:
                raise self._dead()
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _dead(self) -> "_DeadError":
        assert self._child is not None
        code = self._child.wait()
        self.close()
        return _DeadError(Failure.TIMED_OUT if code == -signal.SIGPROF else Failure.CRASHED)


@cache
def shared_guard(engine: str, seconds: float) -> Guard:
    """The guard of an engine in this process, which keeps its child from unit to unit until the process ends."""
    guard = Guard(engine, seconds)
    atexit.register(guard.close)
    return guard


class _DeadError(Exception):
    """The child ended while it worked on a page; carries the page's Failure."""
