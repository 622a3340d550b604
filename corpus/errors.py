"""The errors a user can cause, each saying what, where, what was found and what to do.

    ProvenderError        exit code 1
    ├── ConfigError       2   the recipe or the command line is wrong
    ├── DataError         3   the input cannot be used as it is
    ├── ArtifactError     4   something on disk is damaged, locked or of another run
    └── TrainingError     5   the model, the plan and the run do not fit together

The command line prints `str(error)` and exits with `exit_code`; a traceback is for our own mistakes only.
"""

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
