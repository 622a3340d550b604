"""kill -9: of a mixture at every point at which it changes the disk, of a worker whose parent lives, of a perplexity
stage. Of a preparation: tests/corpus/test_killed_preparation.py; of a checkpoint: tests/trainer/test_save_faults.py."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import killed_mixture
import pytest
from seeds import EVERY, chosen
from small_corpus import digests, prepare, write_inputs
from small_stores import make_store

from corpus.engine import LocalSettings
from corpus.engine.local import close_pools

pytestmark = pytest.mark.faults
POINTS = 25  # at which a mixture changes the disk, at least


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    for name, documents, shards in (("books", 60, 2), ("notes", 40, 1), ("web", 80, 3)):
        make_store(folder, name, documents, shards)
    return folder


def die(calls: int, tokens: Path, workspace: Path) -> int | None:
    """Mix in a process that may make so many calls; how it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_mixture", "small_stores"])
    life = context.Process(target=killed_mixture.mix_and_die, args=(tokens, workspace, calls))
    life.start()
    life.join()
    return life.exitcode


def test_a_mixture_killed_at_any_point_and_run_again_is_the_clean_one(tokens: Path, tmp_path: Path) -> None:
    killed_mixture.mix(tokens, tmp_path / "clean")
    clean = digests(tmp_path / "clean")
    killed = 0
    for calls in count() if EVERY else sorted(Random(1).sample(range(POINTS), 3)):
        workspace = tmp_path / f"at-{calls}"
        if die(calls, tokens, workspace) != -signal.SIGKILL:
            break  # that was every point there is
        killed += 1
        killed_mixture.mix(tokens, workspace)
        assert digests(workspace) == clean
        assert not [path for path in workspace.rglob(".*-*") if path.is_dir()]
    assert killed >= (POINTS if EVERY else 3)


@pytest.mark.skipif(not EVERY, reason="minutes: PROVENDER_FAULTS=all")
def test_a_mixture_killed_again_and_again_is_the_clean_one(tokens: Path, tmp_path: Path) -> None:
    killed_mixture.mix(tokens, tmp_path / "clean")
    calls = 1
    while die(calls, tokens, tmp_path / "again") == -signal.SIGKILL:
        calls += 1  # what is published by then stays, so the lives get further and further
    assert calls > 3 and digests(tmp_path / "again") == digests(tmp_path / "clean")


@pytest.fixture
def fresh_pools() -> Iterator[None]:
    close_pools()
    yield
    close_pools()


def children() -> list[int]:
    """Worker processes that descend from this one: what forked from the server of our pools."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(status.parent.name)] = int(fields[1])

    def ours(process: int) -> bool:
        while process in parents:
            process = parents[process]
            if process == os.getpid():
                return True
        return False

    def command(process: int) -> bytes:
        try:
            return Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            return b""

    found = [process for process in parents if ours(process) and b"forkserver" in command(process)]
    return [process for process in found if parents[process] in found]  # the server itself is no worker


@pytest.mark.parametrize("seed", chosen(2, 30))
def test_a_worker_killed_while_its_parent_lives_costs_nothing(seed: int, tmp_path: Path, fresh_pools: None) -> None:
    inputs = write_inputs(tmp_path / "inputs", documents=30)
    changes: dict[str, Any] = {"unit_bytes": 15_000}
    prepare(inputs, tmp_path / "clean", LocalSettings(workers=1), **changes)
    random, done, kills = Random(seed), threading.Event(), []

    def hunt() -> None:
        while not done.is_set() and len(kills) < 3:
            time.sleep(random.uniform(0.02, 0.4))
            if workers := children():
                victim = random.choice(workers)
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                kills.append(victim)

    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        prepare(inputs, tmp_path / "hunted", LocalSettings(workers=2), **changes)
    finally:
        done.set()
        hunter.join()
    assert kills
    assert digests(tmp_path / "hunted") == digests(tmp_path / "clean")
