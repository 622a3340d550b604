"""kill -9 at seeded points of all that looks across documents, and once more the same command: the clean run's bytes.

The points lie between the begin of `duplicates` and the end of `decide`, one in each of as many equal stretches of the
calls that change the disk. PROVENDER_KILLS says how many; a few by default, to be quick.
"""

import multiprocessing
import os
import shutil
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path
from random import Random

import killed_preparation
import polars as pl
import pytest
from small_corpus import digests, write_inputs

KILLS = int(os.environ.get("PROVENDER_KILLS", "4"))
NEVER = 10**9
pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.distributed]


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["small_corpus", "corpus.prepare"])
    return context


def live(context: ForkServerContext, *words: object) -> int | None:
    """The exit code of a preparation in a process of its own."""
    life = context.Process(target=killed_preparation.run_and_die, args=words)
    life.start()
    life.join()
    return life.exitcode


@pytest.fixture(scope="module")
def clean(processes: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, range]:
    """A folder with inputs, a clean run, and in `annotated` what is there when `duplicates` begins; and the numbers of
    the calls from then to the end of `decide`."""
    folder = tmp_path_factory.mktemp("clean")
    write_inputs(folder / "inputs", documents=30)
    assert live(processes, folder / "inputs", folder / "work", NEVER) == 0
    shutil.copytree(folder / "work/annotate", folder / "annotated/annotate")
    shutil.copytree(folder / "annotated", folder / "counted")
    assert live(processes, folder / "inputs", folder / "counted", NEVER, folder / "calls") == 0
    calls = dict(line.split("\t") for line in (folder / "calls").read_text().splitlines())
    stages = list(calls)
    first, last = stages.index("duplicates"), stages.index("decide") + 1
    assert {"survivors", "repeated", "substring", "contamination", "cuts"} < set(stages[first:last])
    assert digests(folder / "counted") == digests(folder / "work")
    return folder, range(int(calls["duplicates"]), int(calls[stages[last]]))


@pytest.mark.timeout(60 * KILLS + 600)
def test_a_search_killed_anywhere_ends_with_the_decisions_of_a_clean_one(
    clean: tuple[Path, range], processes: ForkServerContext, tmp_path: Path
) -> None:
    folder, calls = clean
    random = Random(5)
    assert len(calls) > 500
    expected = digests(folder / "work")
    for kill in range(KILLS):
        point = random.choice(calls[len(calls) * kill // KILLS : len(calls) * (kill + 1) // KILLS])
        work = tmp_path / str(kill)
        shutil.copytree(folder / "annotated", work)
        assert live(processes, folder / "inputs", work, point) == -signal.SIGKILL, point
        assert not (work / "decisions/manifest.json").exists() or point > calls[-100]
        assert live(processes, folder / "inputs", work, NEVER) == 0, point
        assert digests(work) == expected, point
        assert not [path for path in work.rglob(".*-*") if path.is_dir()], point  # no drafts are left
        shutil.rmtree(work)
    decided = pl.concat([pl.read_parquet(path) for path in (folder / "work/decisions").glob("*.parquet")])
    assert decided["duplicate_of"].is_not_null().sum() >= 4  # what the bytes say: keepers among it
