"""The stages of duplicates as units of the engine: workers, interruptions and a source more change nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from test_dedup_cluster import documents_of, near_copies, publish_unit, same, write_unit

from corpus.artifact import RunLock
from corpus.dedup.cluster import Clusters, DedupSettings, find_clusters
from corpus.dedup.keep import KeepSettings, UnitMeasure, choose_keepers
from corpus.dedup.signature import Signature
from corpus.document import Batch, Document
from corpus.engine import LocalSettings, Workplace, workplace
from corpus.errors import ArtifactError

SETTINGS = DedupSettings(rows_in_memory=60)  # small parts: several ranges of each band, several parts of the pairs
TEXTS = [*near_copies(50, seed=21), *["An exact copy of five words and more"] * 5]
CHECKOUT = Path(__file__).parents[2]


def write_sources(folder: Path) -> dict[str, list[Path]]:
    documents = documents_of(TEXTS)
    parts = {"a": [documents[:40], documents[40:80]], "b": [documents[80:130]], "c": [documents[130:]]}
    return {
        name: [write_unit(folder / name / str(number), part) for number, part in enumerate(units)]
        for name, units in parts.items()
    }


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def expected(sources: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Clusters:
    found = find_clusters(sources, DedupSettings(), Workplace(tmp_path_factory.mktemp("one")))
    assert found.pairs.num_rows > 50 and len(set(found.pairs["kind"].to_pylist())) == 2
    return found


def keepers(found: Clusters, sources: dict[str, list[Path]]) -> pl.DataFrame:
    members = pl.DataFrame(pl.from_arrow(found.clusters)).with_columns(
        priority=pl.lit(0), quality=pl.lit(None, pl.Float64), bytes=pl.lit(1), passes=pl.lit(True)
    )
    units = [unit for parts in sources.values() for unit in parts]
    return choose_keepers(members, found.pairs, UnitMeasure(units, 5), 0.8, KeepSettings())


class OnePublication(RunLock):
    """A lock that is lost after one artefact was published: `publish` asks before and after it writes."""

    def __init__(self) -> None:
        self.checks = 0

    def check(self) -> None:
        self.checks += 1
        if self.checks > 2:
            raise ArtifactError("interrupted")


def test_a_run_interrupted_after_every_artefact_goes_on_where_it_stopped(
    sources: dict[str, list[Path]], expected: Clusters, tmp_path: Path
) -> None:
    """Were anything published made again, no attempt would come further than the first."""
    attempts = 0
    found = None
    while found is None:
        attempts += 1
        assert attempts < 500
        try:
            found = find_clusters(sources, SETTINGS, Workplace(tmp_path, lock=OnePublication()))
        except ArtifactError:
            continue
    assert attempts > 50  # three groups of keys, 14 bands of several ranges, sets, parts
    assert same(found, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


@pytest.mark.distributed
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_do_not_matter(
    workers: int,
    sources: dict[str, list[Path]],
    expected: Clusters,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workplace, "INLINE", 0)
    found = find_clusters(sources, SETTINGS, Workplace(tmp_path, LocalSettings(workers=workers)))
    assert same(found, expected)
    assert keepers(found, sources).equals(keepers(expected, sources))


SCRIPT = """
import sys
from pathlib import Path
from corpus.dedup.cluster import DedupSettings, find_clusters
from corpus.engine import LocalSettings, workplace

if __name__ == "__main__":
    workplace.INLINE = 0
    sources = {name: sorted((Path(sys.argv[1]) / name).iterdir()) for name in "abc"}
    place = workplace.Workplace(Path(sys.argv[2]), LocalSettings(workers=2))
    find_clusters(sources, DedupSettings(rows_in_memory=60), place)
"""


@pytest.mark.distributed
@pytest.mark.faults
def test_a_killed_run_is_finished_by_the_next(
    sources: dict[str, list[Path]], expected: Clusters, tmp_path: Path
) -> None:
    script, work = tmp_path / "run.py", tmp_path / "work"
    script.write_text(SCRIPT)
    root = sources["a"][0].parents[1]
    run = subprocess.Popen(
        [sys.executable, script, root, work],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while run.poll() is None and len(list(work.glob("bands/*/manifest.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    published = {path: path.stat().st_mtime_ns for path in work.glob("keys/*/*/manifest.json")}
    assert len(published) == 3
    found = find_clusters(sources, SETTINGS, Workplace(work))
    assert same(found, expected)
    assert keepers(found, sources).equals(keepers(expected, sources))
    assert {path: path.stat().st_mtime_ns for path in published} == published


def test_a_source_more_takes_the_keys_of_the_others_as_they_are(
    sources: dict[str, list[Path]], expected: Clusters, tmp_path: Path
) -> None:
    find_clusters({name: sources[name] for name in "ac"}, SETTINGS, Workplace(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("keys/*/*/manifest.json")}
    assert len(before) == 2
    assert same(find_clusters(sources, SETTINGS, Workplace(tmp_path)), expected)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_unit_in_which_nothing_could_be_read_has_no_clusters(tmp_path: Path) -> None:
    unread = [Document("s", "f", row, "", 9, step="quarantine", reason="not JSON") for row in range(3)]
    unit = publish_unit(tmp_path / "u", Signature().process(Batch.of(unread)))
    found = find_clusters({"s": [unit]}, SETTINGS, Workplace(tmp_path / "w"))
    assert (found.documents, found.clusters.num_rows, found.candidates) == (0, 0, 0)
