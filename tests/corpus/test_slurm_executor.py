"""Stages as Slurm job arrays, by the scripts that datatrove's executor and ours write, run by a fake Slurm for real."""

import json
import os
import time
from pathlib import Path

import executor_units
import fake_slurm
import numpy as np
import pytest
from cut_units import kept, spans
from small_corpus import digests, prepare, write_inputs

from corpus.dedup.repeated import RepeatedSettings, RepeatSettings, find_repeated
from corpus.engine import LocalSettings, Outcome, Workplace, workplace
from corpus.engine import slurm as slurm_executor
from corpus.engine.executors import SlurmSettings
from corpus.errors import ArtifactError, ConfigError, DataError

pytestmark = [pytest.mark.slow, pytest.mark.distributed]


def slurm(**changes) -> SlurmSettings:
    return SlurmSettings(kind="slurm", partition="cpu", poll=0.1, **changes)


@pytest.fixture(autouse=True)
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the fake Slurm's jobs."""
    folder = tmp_path / "slurm"
    monkeypatch.setenv("PATH", f"{fake_slurm.install(folder)}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(slurm_executor, "GRACE", 0.5)
    return folder / "jobs"


def states(jobs: Path) -> dict[str, list[str]]:
    """How the tasks of all jobs ended, when they have."""
    while any(fake_slurm.unfinished(job) for job in jobs.iterdir()):
        time.sleep(0.05)
    return {job.name: [state for _, state in sorted(fake_slurm.tasks(job).items())] for job in sorted(jobs.iterdir())}


def test_a_whole_preparation_has_the_bytes_of_the_local_one(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path / "inputs", documents=30)
    prepare(inputs, tmp_path / "local", LocalSettings(workers=1), unit_bytes=15_000)
    prepare(inputs, tmp_path / "slurm-run", slurm(), unit_bytes=15_000)
    assert digests(tmp_path / "slurm-run") == digests(tmp_path / "local")


def test_a_finder_of_cuts_runs_as_arrays_however_little_it_has_to_do(
    tmp_path: Path, jobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = kept(tmp_path, [f"Text {row} of its own.\nThe same line in all of them" for row in range(9)], units=3)
    asked = RepeatedSettings(lines=RepeatSettings(min_documents=5, share=0), paragraphs=None)
    here = find_repeated(documents, ("s",), asked, Workplace(tmp_path / "here"))
    monkeypatch.setattr(workplace, "INLINE", 0)
    place = Workplace(tmp_path / "there", slurm(units_per_task=3), name="repeated")
    there = find_repeated(documents, ("s",), asked, place)
    assert there.most.equals(here.most)
    one, other = (spans(documents, found.passes) for found in (here, there))
    assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("unit", "row", "start", "stop"))
    assert len(one) == 9
    names = [json.loads((job / "options.json").read_text())["job-name"] for job in sorted(jobs.iterdir())]
    assert names == [f"provender-repeated-lines-{stage}" for stage in ("pieces", "counts", "cut")]


def test_arrays_longer_than_the_cluster_allows_depend_on_one_another(tmp_path: Path, jobs: Path) -> None:
    outcome = executor_units.run(tmp_path, slurm(max_array_size=2, workers=1))
    assert outcome == Outcome(ran=5, skipped=0)
    assert states(jobs) == {"100": ["0", "0"], "101": ["0", "0"], "102": ["0", "0"]}  # the sixth task has no unit
    assert '"dependency": "afterany:101"' in (jobs / "102/options.json").read_text()
    assert executor_units.run(tmp_path, slurm()) == Outcome(ran=0, skipped=5)
    assert len(states(jobs)) == 3


def test_a_task_may_work_on_several_units(tmp_path: Path, jobs: Path) -> None:
    executor_units.run(tmp_path, slurm(units_per_task=3, srun=False, setup="true"))
    assert states(jobs) == {"100": ["0", "0"]}
    assert "srun" not in (jobs / "100/script").read_text()


def test_a_failed_unit_is_told_with_stage_unit_and_log_and_stops_the_rest(tmp_path: Path, jobs: Path) -> None:
    with pytest.raises(DataError, match="this number is not liked") as told:
        executor_units.run(tmp_path, slurm(workers=1), trouble="fails", numbers=12)
    assert "stage squares, unit squares/00002" in str(told.value) and "take another" in str(told.value)
    log = Path(str(told.value).split("see ")[1].split(";")[0])
    assert log.is_file()
    assert states(jobs)["100"].count("cancelled") >= 1 and states(jobs)["100"][0] == "0"
    assert executor_units.run(tmp_path, slurm(), numbers=12).skipped >= 2


def test_an_error_that_may_quote_a_document_is_named_and_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="a unit failed") as told:
        executor_units.run(tmp_path, slurm(), numbers=3, trouble="is wrong")
    assert "ValueError" in str(told.value) and "Ole" not in str(told.value)


@pytest.mark.faults
def test_a_killed_task_is_noticed_and_its_unit_made_by_the_next_run(tmp_path: Path, jobs: Path) -> None:
    with pytest.raises(ArtifactError, match="without a word") as told:
        executor_units.run(tmp_path, slurm(attempts=1), numbers=3, trouble="dies")
    assert "unit squares/00002" in str(told.value)
    assert executor_units.run(tmp_path, slurm(), numbers=3, trouble="dies") == Outcome(ran=1, skipped=2)


@pytest.mark.faults
def test_a_killed_task_is_submitted_again(tmp_path: Path, jobs: Path) -> None:
    assert executor_units.run(tmp_path, slurm(), numbers=3, trouble="dies") == Outcome(ran=3, skipped=0)
    assert [len(ended) for ended in states(jobs).values()] == [3, 1]


@pytest.mark.faults
def test_poisonous_documents_are_found_by_tasks(tmp_path: Path, jobs: Path) -> None:
    executor_units.poisoned(tmp_path, slurm(units_per_task=4))


def test_a_refused_job_and_a_missing_slurm_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = SlurmSettings(kind="slurm", partition="closed")
    with pytest.raises(ConfigError, match="refused"):
        executor_units.run(tmp_path, refused)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="sbatch is not here"):
        executor_units.run(tmp_path, refused)


def test_what_is_interrupted_cancels_its_tasks(tmp_path: Path, jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(slurm_executor, "squeue", interrupted)
    with pytest.raises(KeyboardInterrupt):
        executor_units.run(tmp_path, slurm(workers=1))
    assert "cancelled" in states(jobs)["100"]


@pytest.mark.parametrize("said", ["Submitted batch job 12\n", "Submitted batch job 12 on cluster c2", "12;c2"])
def test_the_id_of_a_job_is_read_from_what_sbatch_says(said: str) -> None:
    assert slurm_executor.job_id(said) == "12"
