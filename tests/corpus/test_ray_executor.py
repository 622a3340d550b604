"""Stages on a Ray cluster of several workers on this machine."""

import os
from pathlib import Path

import executor_units
import pytest
from small_corpus import digests, prepare, write_inputs

from corpus.engine import LocalSettings, Outcome, workplace
from corpus.engine.executors import RaySettings
from corpus.errors import ArtifactError, ConfigError, DataError

pytest.importorskip("ray", reason="Ray is not installed: pip install 'provender[ray]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.distributed,
    # Ray leaves sockets and subprocesses to the interpreter's end.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def cluster(**changes) -> RaySettings:
    return RaySettings(kind="ray", **{"workers": 2, "mem_per_cpu_gb": 0.25, **changes})


@pytest.fixture(scope="module", autouse=True)
def ray():
    """A cluster of three workers for the tests of this module."""
    import ray

    from corpus.engine.remote_ranks import environment

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    variables = environment()
    variables["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
    ray.init(
        num_cpus=3, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": variables}, logging_level=40
    )
    yield ray
    ray.shutdown()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_whole_preparation_has_the_bytes_of_the_local_one(
    workers: int, tmp_path: Path, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The searches across documents among its stages, however little they have to do here."""
    monkeypatch.setattr(workplace, "INLINE", 0)
    prepare(local.parent / "inputs", tmp_path, cluster(workers=workers), unit_bytes=15_000)
    assert digests(tmp_path) == digests(local)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    inputs = write_inputs(folder / "inputs", documents=30)
    prepare(inputs, folder / "local", LocalSettings(workers=1), unit_bytes=15_000)
    return folder / "local"


@pytest.mark.faults
def test_the_unit_of_a_worker_that_dies_goes_to_another(tmp_path: Path) -> None:
    assert executor_units.run(tmp_path, cluster(), trouble="dies") == Outcome(ran=5, skipped=0)


@pytest.mark.faults
def test_poisonous_documents_are_found_by_actors(tmp_path: Path) -> None:
    executor_units.poisoned(tmp_path, cluster())


def test_a_unit_whose_workers_die_again_and_again_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="without a word") as told:
        executor_units.run(tmp_path, cluster(attempts=1), trouble="dies")
    assert "stage squares, unit squares/00002" in str(told.value)


def test_a_failed_unit_is_told_with_stage_unit_and_log(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="this number is not liked") as told:
        executor_units.run(tmp_path, cluster(), trouble="fails")
    assert "stage squares, unit squares/00002" in str(told.value)
    assert Path(str(told.value).split("see ")[1].split(";")[0]).is_file()
    assert executor_units.run(tmp_path, cluster()).skipped >= 2


def test_a_cluster_that_starts_no_worker_is_told_and_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no worker started"):
        executor_units.run(tmp_path, cluster(mem_per_cpu_gb=0.2501, start_within=0.01))


def test_a_cluster_without_room_for_a_worker_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no room for one worker"):
        executor_units.run(tmp_path, cluster(cpus_per_task=64))
