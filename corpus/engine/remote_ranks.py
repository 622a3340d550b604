"""What the rank of a unit does on another machine, and how its failure comes back.

    folder, umask, environment of the run ─► published already? ─► the pipeline ─► published, or failures/<rank>.json

A task may run twice, when a scheduler requeues it or takes its node for lost. That does no harm: what is published by
the same function is left alone, and two publishers of one unit publish the same bytes.
"""

import os
from pathlib import Path
from typing import Any

import orjson
from datatrove.executor.base import PipelineExecutor
from datatrove.utils.stats import PipelineStats

import corpus
from corpus import errors
from corpus.artifact import current, write_atomic
from corpus.engine.limits import expendable
from corpus.engine.units import Unit
from corpus.errors import ArtifactError, ProvenderError

CHECKOUT = Path(corpus.__file__).parents[1]


def environment() -> dict[str, str]:
    """What a process must have in its environment before it loads anything of ours: where the packages lie, and that
    loguru keeps the values of variables, which hold text, out of its logs."""
    path = os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": path, "LOGURU_DIAGNOSE": "NO"}


class RemoteRanks(PipelineExecutor):
    """Mixed into an executor of datatrove whose ranks run elsewhere: rank r publishes units[r]."""

    stage: str
    units: list[Unit]
    folder: str  # where relative paths of the recipe begin
    umask: int  # of the run: strict where texts may hold health information

    def describe(self, stage: str, units: list[Unit]) -> None:
        """Take down what ranks need to know of this process."""
        self.stage, self.units, self.folder = stage, units, str(Path.cwd())
        self.umask = os.umask(0o077)
        os.umask(self.umask)

    def save_executor_as_json(self, indent: int = 4) -> None:
        """Not written: datatrove's would hold every unit again, and the settings of all steps in clear."""

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        os.chdir(self.folder)
        os.umask(self.umask)
        expendable()
        unit = self.units[rank]
        if current(unit.folder, unit.function) is not None:
            return PipelineStats()
        try:
            # Not Ray's own: it writes its log to a folder of /tmp that all users and runs of a node share.
            return PipelineExecutor._run_for_rank(self, rank, local_rank, node_rank)
        except Exception as error:
            write_atomic(self._failure(rank), orjson.dumps(_told(error)))
            raise

    def _failure(self, rank: int) -> Path:
        return Path(self.folder) / self.logging_dir.path / "failures" / f"{rank:05d}.json"

    def failed(self) -> list[int]:
        """Ranks that said that they failed."""
        return sorted(int(path.stem) for path in self._failure(0).parent.glob("*.json"))

    def failure(self, missing: list[int]) -> ProvenderError:
        """The error to raise for ranks whose units are not published: the first that said why, else the first."""
        told = [rank for rank in missing if self._failure(rank).is_file()]
        rank = (told or missing)[0]
        where = f"stage {self.stage}, unit {self.units[rank].name}"
        log = f"see {self.log_of(rank)}; what was published stays, run the same command to go on"
        others = f"; {len(missing) - 1} more units are missing" if len(missing) > 1 else ""
        if not told:
            return ArtifactError(
                "the task of a unit ended without publishing it and without a word",
                where=where,
                found=f"it was killed, ran out of memory or time, or never began{others}",
                todo=log,
            )
        said = orjson.loads(self._failure(rank).read_bytes())
        if "what" not in said:
            return ArtifactError("a unit failed", where=where, found=said["kind"] + others, todo=log)
        kind = getattr(errors, said["kind"])
        todo = f"{said['todo']} ({log})" if said["todo"] else log
        at = f"{where}: {said['where']}" if said["where"] else where
        return kind(said["what"], where=at, found=said["found"], todo=todo)

    def log_of(self, rank: int) -> str:
        """Where the log of a rank lies."""
        return f"{self.logging_dir.path}/logs/task_{rank:05d}.log"


def _told(error: Exception) -> dict[str, Any]:
    """An error as it is told to the process that waits. The text of one that is not ours may quote a document."""
    if not isinstance(error, ProvenderError):
        return {"kind": type(error).__name__}
    parts = {name: getattr(error, name) for name in ("what", "where", "found", "todo")}
    told = {name: None if value is None else str(value) for name, value in parts.items()}
    kind = type(error) if hasattr(errors, type(error).__name__) else ProvenderError
    return {"kind": kind.__name__, **told}
