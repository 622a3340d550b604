import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from corpus.artifact import (
    Manifest,
    RunLock,
    content_hash,
    current,
    fingerprint,
    publish,
    read_parquet,
    write_parquet,
)
from corpus.errors import ArtifactError

FUNCTION = {"kind": "test", "settings": {"a": 1}}


def publish_table(folder: Path, function: dict = FUNCTION, rows: int = 100) -> None:
    with publish(folder, kind="test", function=function) as draft:
        draft.rows["t.parquet"] = write_parquet(draft.path / "t.parquet", pa.table({"x": list(range(rows))}))
        draft.totals["documents"] = rows


def test_an_artefact_is_current_for_its_own_function_only(tmp_path):
    publish_table(tmp_path / "a")
    assert current(tmp_path / "a", FUNCTION) is not None
    assert current(tmp_path / "a", {"kind": "test", "settings": {"a": 2}}) is None
    assert current(tmp_path / "b", FUNCTION) is None


def test_equal_functions_give_equal_bytes_wherever_they_are_published(tmp_path):
    publish_table(tmp_path / "a")
    publish_table(tmp_path / "elsewhere" / "b")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "elsewhere" / "b")


def test_nothing_is_visible_when_the_writer_fails_and_the_old_artefact_stays(tmp_path):
    publish_table(tmp_path / "a")
    before = content_hash(tmp_path / "a")
    with pytest.raises(RuntimeError), publish(tmp_path / "a", kind="test", function={"kind": "other"}) as draft:
        (draft.path / "half").write_text("half")
        raise RuntimeError
    assert content_hash(tmp_path / "a") == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_verify_finds_one_flipped_bit_and_a_missing_file(tmp_path):
    publish_table(tmp_path / "a")
    manifest = Manifest.read(tmp_path / "a")
    manifest.verify(tmp_path / "a")
    path = tmp_path / "a" / "t.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="differs"):
        manifest.verify(tmp_path / "a")
    path.unlink()
    with pytest.raises(ArtifactError, match="missing"):
        manifest.verify(tmp_path / "a")
    assert current(tmp_path / "a", FUNCTION) is None


def test_a_flip_inside_a_page_is_found_when_the_page_is_read(tmp_path):
    path = tmp_path / "t.parquet"
    write_parquet(path, pa.table({"x": [f"value {i * 7919 % 1000}" for i in range(5000)]}))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="damaged"):
        read_parquet(path)


def test_an_edited_manifest_is_refused(tmp_path):
    publish_table(tmp_path / "a")
    path = tmp_path / "a" / "manifest.json"
    path.write_text(path.read_text().replace('"a": 1', '"a": 3'))
    with pytest.raises(ArtifactError, match="fingerprint"):
        Manifest.read(tmp_path / "a")


def test_the_fingerprint_does_not_depend_on_the_order_of_keys():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1, "b": [1, 2]}) != fingerprint({"a": 1, "b": [2, 1]})


def test_a_second_run_on_a_folder_is_refused_and_told_who_holds_it(tmp_path):
    with RunLock(tmp_path), pytest.raises(ArtifactError, match=f"process {os.getpid()}"), RunLock(tmp_path):
        pass
    with RunLock(tmp_path):
        pass


def test_a_forked_helper_does_not_hold_the_lock_of_its_dead_parent(tmp_path):
    code = (
        "import os, time, pathlib; from corpus.artifact import RunLock\n"
        f"with RunLock(pathlib.Path({str(tmp_path)!r})):\n"
        "    helper = os.fork()\n"
        "    if not helper: print(os.getpid(), flush=True)\n"  # its fork is over then, handlers and all
        "    time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    helper = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    os.kill(helper, 0)  # it lives
    try:
        with RunLock(tmp_path):
            pass
    finally:
        os.kill(helper, signal.SIGKILL)


def test_a_dead_holder_frees_the_lock_and_its_worker_may_not_publish(tmp_path):
    code = (
        "import sys, time, pathlib; from corpus.artifact import RunLock\n"
        f"with RunLock(pathlib.Path({str(tmp_path)!r})):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    orphan = RunLock(tmp_path)
    with RunLock(tmp_path) as lock:
        pickle.loads(pickle.dumps(lock)).check()  # noqa: S301 - our own bytes
        with (
            pytest.raises(ArtifactError, match="discarded"),
            publish(tmp_path / "a", kind="test", function=FUNCTION, lock=orphan),
        ):
            pass
    assert not (tmp_path / "a").exists()
