"""A preparation that dies by SIGKILL after so many calls that change the disk or start a program; run in a process of
its own."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES: dict[str, Any] = {"duplicates": {"rows_in_memory": 40}, "unit_bytes": 15_000}


def die_after(calls: int) -> Callable[[], int]:
    """Let this process die before the call number `calls` of those that flush, rename, link or remove files, or with
    the program just started that it would wait for. What is returned tells how many were made."""
    made, run = 0, subprocess.run

    def mortal(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            nonlocal made
            made += 1
            if made > calls:
                if original is run:
                    subprocess.Popen(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*words, **named)

        return call

    deadly = {os: ("fsync", "rename", "replace", "link"), shutil: ("rmtree",), subprocess: ("run",)}
    for module, names in deadly.items():
        for name in names:
            setattr(module, name, mortal(getattr(module, name)))
    return lambda: made


def run_and_die(
    inputs: Path, workspace: Path, calls: int, told: Path | None = None, changes: dict[str, Any] = CHANGES
) -> None:
    """Prepare, and die. `told`: where to write, when the preparation ends, the number of calls before each stage and at
    the end, a line each."""
    from small_corpus import prepare

    from corpus.engine.executors import LocalSettings

    made = die_after(calls)
    began = []
    prepare(inputs, workspace, LocalSettings(workers=1), begin=lambda title: began.append((title, made())), **changes)
    if told is not None:
        told.write_text("".join(f"{title}\t{count}\n" for title, count in [*began, ("end", made())]))
