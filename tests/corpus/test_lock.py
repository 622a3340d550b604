"""The run lock between machines that share a file system; between processes of one: test_artifact.py."""

import errno
import fcntl
import json
import pickle
import threading
import time
from pathlib import Path

import pytest

from corpus import lock
from corpus.errors import ArtifactError
from corpus.lock import RunLock, boot_id, on_shared_storage

BEAT = 0.08


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", BEAT)
    monkeypatch.setattr(lock, "LEASE", 5 * BEAT)


def left_by_another_machine(workspace: Path) -> str:
    """A lock that a run on another machine took and did not give back."""
    token = "feed" * 8
    holder = {"token": token, "pid": 7, "host": "node9", "boot": "another"}
    (workspace / ".lock").write_text(json.dumps(holder))
    return token


def test_a_run_that_beats_on_another_machine_is_not_disturbed(tmp_path: Path) -> None:
    token, stop = left_by_another_machine(tmp_path), threading.Event()

    def beat() -> None:
        count = 0
        while not stop.wait(BEAT):
            count += 1
            (tmp_path / ".lock.beat").write_text(f"{token} {count}")

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(ArtifactError, match="another run") as refused, RunLock(tmp_path, shared=True):
            pass
    finally:
        stop.set()
        thread.join()
    assert "process 7 on node9" in str(refused.value)


def test_a_run_that_died_on_another_machine_is_succeeded_and_publishes_nothing_more(tmp_path: Path) -> None:
    token = left_by_another_machine(tmp_path)
    (tmp_path / ".lock.beat").write_text(f"{token} 12")
    began = time.monotonic()
    with RunLock(tmp_path, shared=True) as mine:
        assert time.monotonic() - began >= 5 * BEAT
        dead = RunLock(tmp_path)
        dead.token = token
        with pytest.raises(ArtifactError, match="discarded"):
            dead.check()
        worker = pickle.loads(pickle.dumps(mine))  # noqa: S301 - our own bytes
        worker.check()
    assert (tmp_path / ".lock").read_bytes() == b"" and not (tmp_path / ".lock.beat").exists()


def test_a_run_that_ended_well_or_died_on_this_machine_is_not_waited_for(tmp_path: Path) -> None:
    with RunLock(tmp_path, shared=True):
        pass
    (tmp_path / ".lock").write_text(json.dumps({"token": "a", "pid": 7, "host": "here", "boot": boot_id()}))
    began = time.monotonic()
    with RunLock(tmp_path, shared=True):
        assert time.monotonic() - began < 4 * BEAT


def test_the_beat_goes_on_while_the_lock_is_held(tmp_path: Path) -> None:
    with RunLock(tmp_path, shared=True):
        first = (tmp_path / ".lock.beat").read_text()
        time.sleep(4 * BEAT)
        assert (tmp_path / ".lock.beat").read_text() != first


def test_without_flock_the_last_of_two_that_begin_at_once_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", none)
    held: list[str] = []
    ready = threading.Barrier(2)

    def begin() -> None:
        ready.wait()
        try:
            with RunLock(tmp_path, shared=True) as mine:
                held.append(mine.token)
                time.sleep(6 * BEAT)
                mine.check()
        except ArtifactError:
            held.append("refused")

    threads = [threading.Thread(target=begin) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 2 and held.count("refused") == 1


def test_a_lock_that_was_lost_is_not_given_back_in_the_name_of_its_new_holder(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        left_by_another_machine(tmp_path)
    assert "node9" in (tmp_path / ".lock").read_text()


def test_file_systems_of_one_machine_need_no_beat(tmp_path: Path) -> None:
    assert not on_shared_storage(Path("/dev/shm"))
    assert on_shared_storage(Path("/proc"))  # of a kind that is not in the list
