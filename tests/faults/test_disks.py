"""Disks that are full or read-only, two runs at once, and a clock that jumps."""

import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from seeds import chosen
from small_corpus import digests, prepare, write_inputs

from corpus.artifact import RunLock, publish
from corpus.engine import LocalSettings
from corpus.errors import ArtifactError, storage_error

pytestmark = pytest.mark.faults
ONE = LocalSettings(workers=1)
CHANGES = {"unit_bytes": 15_000, "guard": None}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs, and the workspace of an undisturbed run."""
    folder = tmp_path_factory.mktemp("clean")
    write_inputs(folder / "inputs", documents=24)
    prepare(folder / "inputs", folder / "work", ONE, **CHANGES)
    return folder


def mount(folder: Path, *options: str) -> None:
    """A file system in memory of a size of its own; skips where this user may not mount one."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting a small disk needs root")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    yield folder
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


@pytest.mark.parametrize("seed", chosen(2, 20))
def test_a_full_disk_is_said_and_with_room_the_run_goes_on_to_the_clean_bytes(
    seed: int, clean: Path, disk: Path
) -> None:
    used = sum(path.stat().st_size + 4096 for path in (clean / "work").rglob("*") if path.is_file())
    size = Random(seed).randrange(40_000, used // 2)
    mount(disk, f"size={size}")
    with pytest.raises((ArtifactError, OSError)) as told:
        prepare(clean / "inputs", disk / "work", ONE, **CHANGES)
    said = told.value if isinstance(told.value, ArtifactError) else storage_error(told.value)
    assert "No space left" in str(said) and "make room" in str(said)
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    prepare(clean / "inputs", disk / "work", ONE, **CHANGES)
    assert digests(disk / "work") == digests(clean / "work")


def test_a_read_only_folder_is_refused_in_words(clean: Path, disk: Path) -> None:
    mount(disk, "size=1m")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(ArtifactError, match="Read-only file system"):
        prepare(clean / "inputs", disk / "work", ONE, **CHANGES)


def _as_nobody(folder: Path, words: "multiprocessing.SimpleQueue[str]") -> None:
    os.setuid(65534)
    for attempt in (
        lambda: RunLock(folder).__enter__(),
        lambda: publish(folder / "x", kind="k", function={}).__enter__(),
    ):
        try:
            attempt()
        except ArtifactError as error:
            words.put(str(error))
        except OSError as error:
            words.put(f"not told: {error}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_of_another_user_is_refused_in_words() -> None:
    context = multiprocessing.get_context("fork")
    words = context.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, which lies in a folder closed to others
        Path(folder).chmod(0o755)
        other = context.Process(target=_as_nobody, args=(Path(folder), words))
        other.start()
        other.join()
    for _ in range(2):
        said = words.get()
        assert "Permission denied" in said and "another folder" in said


def test_a_clock_that_jumps_changes_no_byte(clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Years forward and back at every look; the monotonic clock goes on, as it does in a machine whose clock is set."""
    random, plain = Random(3), time.time
    monkeypatch.setattr(time, "time", lambda: plain() + random.uniform(-3e8, 3e8))
    for path in (clean / "inputs").rglob("*.jsonl"):
        os.utime(path, (0, random.uniform(0, 4e9)))
    prepare(clean / "inputs", tmp_path / "work", ONE, **CHANGES)
    assert digests(tmp_path / "work") == digests(clean / "work")


def test_a_lock_that_a_dead_process_left_does_not_hold_up_the_next_run(clean: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/.lock").write_text('{"boot":"another","host":"gone","pid":1,"token":"dead"}')
    prepare(clean / "inputs", tmp_path / "work", ONE, **CHANGES)
    with RunLock(tmp_path / "work"), pytest.raises(ArtifactError, match="another run is working"):
        prepare(clean / "inputs", tmp_path / "work", ONE, **CHANGES)
    assert digests(tmp_path / "work") == digests(clean / "work")
