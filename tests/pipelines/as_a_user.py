"""The command line as a user calls it: a process of its own."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def provender(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done
