"""The executor's pool: it outlives a stage, and says so when one of its workers does not."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datatrove.pipeline.base import PipelineStep

from corpus.errors import ArtifactError, DataError
from corpus.local_executor import SharedPoolExecutor, close_pools


class NoteProcess(PipelineStep):
    """Leaves its process id in a file per rank; a rank may be told to die or to fail, once."""

    name = "note"
    type = "test"

    def __init__(self, folder: Path, dies: int | None = None, fails: int | None = None) -> None:
        super().__init__()
        self.folder, self.dies, self.fails = folder, dies, fails

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        if rank == self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        if rank == self.fails:
            raise DataError("this rank fails", where=rank)
        (self.folder / str(rank)).write_text(str(os.getpid()))


@pytest.fixture(autouse=True)
def fresh_pools() -> Iterator[None]:
    close_pools()
    yield
    close_pools()


def run(folder: Path, ranks: int, workers: int = 2, **trouble: int) -> set[int]:
    """Processes that worked on the ranks."""
    folder.mkdir(exist_ok=True)
    steps = [NoteProcess(folder, **trouble)]
    SharedPoolExecutor(steps, tasks=ranks, workers=workers, logging_dir=str(folder / "logs")).run()
    return {int(path.read_text()) for path in folder.iterdir() if path.is_file()}


def test_the_same_workers_serve_the_next_stage(tmp_path: Path) -> None:
    first = run(tmp_path / "a", 12)
    second = run(tmp_path / "b", 12)
    assert os.getpid() not in first and len(first | second) <= 2 and first & second
    assert run(tmp_path / "c", 3, workers=1) == {os.getpid()}


def test_a_killed_worker_is_an_error_and_the_next_run_has_new_ones(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="was killed"):
        run(tmp_path / "a", 4, dies=2)
    assert len(list((tmp_path / "a" / "logs" / "stats").iterdir())) < 4
    run(tmp_path / "a", 4)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"0", "1", "2", "3", "logs"}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_rank_raises_is_raised_and_logged_without_its_values(tmp_path: Path, workers: int) -> None:
    with pytest.raises(DataError, match="this rank fails"):
        run(tmp_path / "a", 3, workers, fails=1)
    log = (tmp_path / "a/logs/logs/task_00001.log").read_text()
    assert "this rank fails" in log and "DataError" in log
