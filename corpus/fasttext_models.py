"""Loading fastText models, once a process; a model that somebody gives is first loaded in a process of its own.

fastText's reader is C++ and believes what the file says of its sizes: a damaged or hostile file ends the process.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from corpus.artifact import content_hash
from corpus.errors import ConfigError

_PROBE = """
import resource, sys
import fasttext
seconds, size = int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_AS, (size, size))
fasttext.load_model(sys.argv[1])
"""
_PATIENCE = 600.0  # seconds of waiting for a slow disk


def check_model(path: Path, sha256: str | None, todo: str) -> None:
    """Raises ConfigError when the file has not the hash `sha256`, where one is pinned, or a process of its own does not
    survive loading it. Costs one loading, once a process and file."""
    found = content_hash(path)
    if sha256 is not None and found != sha256.lower():
        raise ConfigError(
            "the model file is not the one that was pinned",
            where=path,
            found=f"sha256 {found}, the recipe says {sha256}",
            todo="get the file you meant, or correct `sha256` of the step",
        )
    _survives(str(path), found, todo)


@cache
def _survives(path: str, sha256: str, todo: str) -> None:
    size = Path(path).stat().st_size  # a sound model is as large in memory, and read at some 100 MB/s
    limits = [str(5 + size // 10_000_000), str((2 << 30) + 4 * size)]
    command = [sys.executable, "-P", "-c", _PROBE, path, *limits]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False).returncode
    except subprocess.TimeoutExpired:
        ended = -1
    if ended:
        raise ConfigError(
            "this is not a fastText model",
            where=path,
            found=f"a process that loaded it ended with {ended}",
            todo=todo,
        )


@cache
def load_fasttext(path: str, todo: str) -> Any:
    """The model in a .bin or .ftz file. Raises ConfigError, with `todo` as the remedy, where it is none."""
    import fasttext

    try:
        return fasttext.load_model(path)
    except (ValueError, MemoryError) as error:
        raise ConfigError("this is not a fastText model", where=path, found=error, todo=todo) from None
