"""A preparation that dies by SIGKILL after so many calls that change the disk; run in a process of its own."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


def die_after(calls: int) -> None:
    """Let this process die before the call number `calls` of those that flush, rename, link or remove files."""
    left = calls

    def mortal(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*words, **named)

        return call

    for module, name in ((os, "fsync"), (os, "rename"), (os, "replace"), (os, "link"), (shutil, "rmtree")):
        setattr(module, name, mortal(getattr(module, name)))


def run_and_die(inputs: Path, workspace: Path, calls: int) -> None:
    """Prepare, and die."""
    from small_corpus import prepare

    from corpus.engine.executors import LocalSettings

    die_after(calls)
    prepare(inputs, workspace, LocalSettings(workers=1), duplicates={"rows_in_memory": 40}, unit_bytes=15_000)
