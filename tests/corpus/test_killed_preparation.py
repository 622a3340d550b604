"""kill -9 at seeded points of every stage, duplicates and finders of cuts among them: the clean run's bytes."""

import multiprocessing
import signal
from pathlib import Path
from random import Random

import killed_preparation
import pytest
from small_corpus import digests, prepare, write_inputs

from corpus.engine import LocalSettings

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.distributed]
NEVER = 10**9


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    write_inputs(folder / "inputs", documents=30)
    prepare(folder / "inputs", folder / "work", LocalSettings(workers=1), **killed_preparation.CHANGES)
    return folder


@pytest.mark.parametrize(
    ("seed", "least", "most"),
    [pytest.param(1, 30, 130, id="fast"), pytest.param(2, 5, 110, id="often")],
)
def test_a_preparation_killed_again_and_again_ends_with_the_bytes_of_a_clean_one(
    seed: int, least: int, most: int, clean: Path, tmp_path: Path
) -> None:
    """Each life is long enough to publish something; where it ends is seeded."""
    random = Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["small_corpus", "corpus.prepare"])
    deaths = 0
    while True:
        calls = random.randint(least, most) if deaths < 150 else NEVER
        life = context.Process(target=killed_preparation.run_and_die, args=(clean / "inputs", tmp_path / "work", calls))
        life.start()
        life.join()
        if life.exitcode == 0:
            break
        assert life.exitcode == -signal.SIGKILL
        deaths += 1
    assert deaths >= 3
    assert digests(tmp_path / "work") == digests(clean / "work")
    assert not [path for path in (tmp_path / "work").rglob(".*-*") if path.is_dir()]  # no drafts are left
