"""The executor's pool: it outlives a stage, and says so when one of its workers does not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from corpus.engine.local import SharedPoolExecutor, close_pools
from corpus.errors import ArtifactError, DataError


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
        (self.folder / str(rank)).write_text(os.environ.get("TEST_NOTE", str(os.getpid())))


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
    after = run(
        tmp_path / "d", 12
    )  # a rank of this process leaves its place in the environment, which is none of theirs
    assert len(first | second | after) <= 2


def test_every_rank_has_its_log_though_others_change_the_sinks(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        run(tmp_path / name, 2, workers=1)
        if name == "b":
            logger.remove()
        logs = [(tmp_path / name / f"logs/logs/task_0000{rank}.log").read_text() for rank in range(2)]
        assert [log.count("Processing done for rank=") for log in logs] == [1, 1]
        assert [f"Processing rank={rank}" in log for rank, log in enumerate(logs)] == [True, True]


def test_workers_have_the_environment_of_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "a", 2)
    monkeypatch.setenv("TEST_NOTE", "17")
    assert run(tmp_path / "b", 2) == {17}
    monkeypatch.delenv("TEST_NOTE")
    assert 17 not in run(tmp_path / "c", 2)


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


class Sleep(PipelineStep):
    """A rank that takes a minute."""

    name = "sleep"
    type = "test"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        (self.folder / f"{rank}.part").write_text(f"{os.getpid()} {os.getppid()}")
        (self.folder / f"{rank}.part").rename(self.folder / str(rank))
        time.sleep(60)


def within(seconds: float, condition: Any) -> bool:
    """Whether the condition comes true in so many seconds."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(condition())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_workers_of_a_killed_process_end_with_it(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from corpus.engine.local import SharedPoolExecutor;"
        "from tests.corpus.test_local_executor import Sleep;"
        f"folder = Path({str(tmp_path)!r});"
        "SharedPoolExecutor([Sleep(folder)], tasks=2, workers=2, logging_dir=str(folder / 'logs')).run()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    ready = [tmp_path / "0", tmp_path / "1"]
    assert within(60, lambda: all(path.exists() for path in ready))
    others = {int(number) for path in ready for number in path.read_text().split()}
    assert len(others) == 3 and all(Path(f"/proc/{number}").exists() for number in others)  # two workers, one server
    parent.kill()
    parent.wait()

    def alive(number: int) -> bool:
        status = Path(f"/proc/{number}/stat")
        try:
            return status.read_text().rpartition(")")[2].split()[0] != "Z"  # nobody here waits for orphans
        except OSError:
            return False

    assert within(20, lambda: not any(alive(number) for number in others))
