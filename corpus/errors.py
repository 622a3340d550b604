"""The errors a user can cause, each saying what, where, what was found and what to do.

    ProvenderError        exit code 1
    ├── ConfigError       2   the recipe or the command line is wrong
    ├── DataError         3   the input cannot be used as it is
    ├── ArtifactError     4   something on disk is damaged, locked or of another run
    └── TrainingError     5   the model, the plan and the run do not fit together

The command line prints `str(error)` and exits with `exit_code`; a traceback is for our own mistakes only.
"""

import errno
import os
import re
from typing import ClassVar


class ProvenderError(Exception):
    """Any error that a change of input, recipe or environment can mend."""

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        found: object = None,
        todo: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what, self.where, self.found, self.todo = what, where, found, todo

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where is not None else self.what]
        if self.found is not None:
            lines.append(f"  found: {self.found}")
        if self.todo:
            lines.append(f"  to do: {self.todo}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple:
        # Errors cross process borders (datatrove's workers); keyword arguments do not survive the default pickling.
        return _rebuild, (type(self), self.what, self.where, self.found, self.todo)


def _rebuild(kind: type[ProvenderError], what: str, where: object, found: object, todo: str | None) -> ProvenderError:
    return kind(what, where=where, found=found, todo=todo)


class ConfigError(ProvenderError):
    exit_code = 2


class DataError(ProvenderError):
    exit_code = 3


class ArtifactError(ProvenderError):
    exit_code = 4


class TrainingError(ProvenderError):
    exit_code = 5


_STORAGE = {
    errno.ENOSPC: "make room and run the same command again: what was published stays",
    errno.EDQUOT: "your quota of the disk is used up: make room and run the same command again",
    errno.EROFS: "choose another folder with --set workspace=…",
    errno.EACCES: "give yourself the right to it, or choose another folder with --set workspace=…",
    errno.EPERM: "give yourself the right to it, or choose another folder with --set workspace=…",
    errno.EIO: "the disk fails: look into the system's log before you go on",
}


# Arrow, Rust's libraries, and numpy, whose count falls short of what it wanted to write.
_FULL = re.compile(r"No space left on device|os error 28|^\d+ requested and \d+ written$")


def storage_error(error: BaseException, where: object = None) -> ArtifactError | None:
    """The error of a disk that is full, read-only or forbidden, told as ours; None for any other error. Libraries that
    write without errno say it in words."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and _FULL.search(str(error)):
        number = errno.ENOSPC
    if number not in _STORAGE or isinstance(error, ProvenderError):
        return None
    place = getattr(error, "filename", None) or where
    return ArtifactError(
        "this cannot be read or written", where=place, found=os.strerror(number), todo=_STORAGE[number]
    )
