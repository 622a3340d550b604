"""Numpy files of published artefacts, whose bytes are compared with the manifest before a number of them is used.

    load(folder / "rank.npy")       in memory
    mapped(folder / "bands.npy")    mapped
    checked(folder / "sets.bin")    the path, for a file that is read in another way

A process hashes a file when it first opens it, and once more when the file is another one by then: its first reading,
at 1 to 2 GB/s, and no memory. Workers of one machine read it from the kernel's cache.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from corpus.artifact import MANIFEST, Manifest
from corpus.errors import ArtifactError
from corpus.mapping import map_npy


def load(path: Path) -> Any:
    """The array of a .npy file, or the archive of a .npz. Raises ArtifactError when the file is not what was
    published."""
    return np.load(checked(path))


def mapped(path: Path, *, writable: bool = False) -> np.ndarray:
    """The array of a .npy file, mapped (corpus/mapping.py). Raises as `load`."""
    return map_npy(checked(path), writable=writable)


def checked(path: Path) -> Path:
    """The path, of a file that is as its manifest says. Raises ArtifactError when it is missing or differs."""
    try:
        state = os.stat(path)
    except FileNotFoundError:
        raise ArtifactError("a file of the artefact is missing", where=path, todo="run the stage again") from None
    _compare(path, state.st_ino, state.st_size, state.st_mtime_ns)
    return path


@lru_cache(maxsize=1 << 14)
def _compare(path: Path, *_: int) -> None:
    """Returns for a file, in a state of it, that is as published; an error is not remembered."""
    # A file may lie one folder below its manifest.
    folder = next((parent for parent in path.parents[:2] if (parent / MANIFEST).is_file()), path.parent)
    name = path.relative_to(folder).as_posix()
    for entry in Manifest.read(folder).files:
        if entry.path == name:
            return entry.verify(path)
    raise ArtifactError("a file that its manifest does not name", where=path, todo="run the stage again")
