"""The units of a stage as Slurm job arrays, and the wait for them.

    executor.pik, launch_script.slurm ─ sbatch ─► array(s) of tasks ─► units published on the shared file system
    every few seconds: all published? any task failed? anything left in the queue?

What is done is seen by what is published, not by exit codes: a task that was requeued, preempted or run twice is as
good as any. When a task says that it failed, what has not begun is cancelled; when this process is interrupted, all of
it. The units of a task that died without a word are submitted again, a task for each: where a document killed it, that
is now looked for. The tasks run the Python of this process, so no environment has to be activated on the nodes.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from datatrove.executor import SlurmPipelineExecutor
from datatrove.executor.base import DistributedEnvVars
from datatrove.pipeline.base import PipelineStep

from corpus.engine.executors import SlurmSettings
from corpus.engine.remote_ranks import RemoteRanks, environment
from corpus.engine.units import Unit, pending
from corpus.errors import ArtifactError, ConfigError

GRACE = 60.0  # seconds in which what a task published must show here, by the file system's caches
SILENCE = 600.0  # seconds for which the scheduler may not answer
NEVER = ("DependencyNeverSatisfied", "JobHeldAdmin", "BadConstraints")  # reasons for which a job will never begin


class SlurmUnits(RemoteRanks, SlurmPipelineExecutor):
    """Publishes `units` by the ranks of `steps`."""

    def __init__(
        self, stage: str, steps: list[PipelineStep], units: list[Unit], settings: SlurmSettings, logging_dir: Path
    ) -> None:
        self.jobs: list[str] = []
        self.missing = list(range(len(units)))
        super().__init__(
            pipeline=list(steps),
            tasks=len(units),
            time=settings.time,
            partition=settings.partition,
            cpus_per_task=settings.cpus_per_task,
            mem_per_cpu_gb=settings.mem_per_cpu_gb,
            workers=settings.workers,
            job_name=f"provender-{re.sub('[^a-z0-9]+', '-', stage)}",
            qos=settings.qos,  # type: ignore[arg-type]
            sbatch_args=dict(settings.sbatch_args),
            max_array_size=settings.max_array_size,
            job_id_retriever=job_id,
            logging_dir=str(Path(logging_dir).absolute()),
            skip_completed=False,
            with_srun=settings.srun,
            tasks_per_job=settings.units_per_task,
        )
        self.settings = settings
        self.describe(stage, units)

    @property
    def job_id(self) -> str | None:
        """The last job that was submitted; datatrove sets it for every array, of which it remembers one."""
        return self.jobs[-1] if self.jobs else None

    @job_id.setter
    def job_id(self, value: str | None) -> None:
        if value is not None:
            self.jobs.append(value)

    def launch_and_wait(self) -> None:
        """Raises ConfigError when Slurm refuses the job, what a step raised, or ArtifactError naming stage, unit and
        log for a task that ended without publishing its unit."""
        try:
            for _ in range(self.settings.attempts):
                self._launch()
                self.missing = self._waited()
                if not self.missing or self.failed():
                    break
                self.tasks_per_job = 1
        except BaseException:
            scancel(self.jobs)
            raise
        if self.missing:
            raise self.failure(self.missing)

    def _waited(self) -> list[int]:
        """The ranks whose units are not published when nothing of ours is in the queue any more."""
        left, quiet_since = self.units, None
        while left := pending(left):
            if self.failed():
                scancel(self.jobs, "--state=PENDING")
            if self._queued():
                quiet_since = None
            elif quiet_since is None:
                quiet_since = time.monotonic()
            elif self.failed() or time.monotonic() - quiet_since > GRACE:
                break
            time.sleep(self.settings.poll)
        folders = {unit.folder for unit in left}
        return [rank for rank, unit in enumerate(self.units) if unit.folder in folders]

    def get_incomplete_ranks(self, skip_completed: bool = True) -> list[int]:
        """What an array is submitted for: all, and after that the units whose tasks died."""
        return self.missing

    def _launch(self) -> None:
        # In a job of its own this process is no task of an array, and must not hand that variable on.
        os.environ.pop("SLURM_ARRAY_TASK_ID", None)
        try:
            self.launch_job()
        except FileNotFoundError:
            raise ConfigError(
                "Slurm's sbatch is not here",
                where="executor.kind: slurm",
                todo="run this where jobs can be submitted, such as a login node",
            ) from None
        except subprocess.CalledProcessError as error:
            raise ConfigError(
                "sbatch refused the job",
                where="executor.kind: slurm",
                found=f"exit code {error.returncode}; its message stands above",
                todo=f"correct the executor in the recipe; the script is {self.logging_dir.path}/launch_script.slurm",
            ) from None

    def _queued(self) -> bool:
        """Whether any task of ours waits or runs. Raises ArtifactError for a job that can never begin."""
        rows = squeue(self.jobs)
        for _, reason in rows:
            if reason in NEVER:
                raise ArtifactError(
                    "Slurm will never begin these tasks",
                    where=f"stage {self.stage}, jobs {', '.join(self.jobs)}",
                    found=reason,
                    todo="see `scontrol show job`; correct the executor in the recipe and run again",
                )
        return bool(rows)

    def launch_merge_stats(self) -> None:
        """No further job: datatrove's statistics are not used, and it would need its command on every node's PATH."""

    def get_launch_file_contents(self, sbatch_args: dict[str, Any], run_script: str) -> str:
        """The batch script: with this Python and the packages of this checkout."""
        directives = [f"#SBATCH --{key}={value}" if value else f"#SBATCH --{key}" for key, value in sbatch_args.items()]
        command = [sys.executable, "-m", "datatrove.tools.launch_pickled_pipeline"]
        command.append(self.logging_dir.resolve_paths("executor.pik"))
        if self.with_srun:
            command = ["srun", "-l", "-n", "1", *command]
        lines = [
            "#!/bin/bash",
            *directives,
            "set -e",
            *filter(None, [self.settings.setup]),
            *(f"export {name}={shlex.quote(value)}" for name, value in environment().items()),
            f"cd {shlex.quote(self.folder)}",
            shlex.join(command),
        ]
        return "\n".join(lines) + "\n"

    def get_distributed_env(self, node_rank: int = -1) -> DistributedEnvVars:
        """For blocks that use several nodes for one rank; ours never do, so no scontrol is asked for names of nodes."""
        return DistributedEnvVars(
            datatrove_node_ips=os.environ.get("SLURM_JOB_NODELIST", ""),
            datatrove_cpus_per_task=str(self.cpus_per_task),
            datatrove_mem_per_cpu=str(self.mem_per_cpu_gb),
            datatrove_gpus_on_node="0",
            datatrove_executor="SLURM",
        )


def job_id(output: str) -> str:
    """The id in what sbatch says: `Submitted batch job 12`, `… 12 on cluster c` or, parsable, `12;c`."""
    found = re.search(r"\d+", output)
    if found is None:
        raise ConfigError("sbatch gave no job id", where="executor.kind: slurm", found=output.strip()[:200])
    return found.group()


def squeue(jobs: list[str]) -> list[tuple[str, str]]:
    """(id, reason) of the tasks of jobs that are in the queue. A scheduler that does not answer is asked again, for
    SILENCE seconds; then ArtifactError."""
    began = time.monotonic()
    while True:
        command = ["squeue", "--noheader", "--array", "--format=%i %r", f"--jobs={','.join(jobs)}"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            return [(name, reason) for name, _, reason in (line.partition(" ") for line in asked.stdout.splitlines())]
        if "Invalid job id" in asked.stderr:  # forgotten a while after its end
            return []
        if time.monotonic() - began > SILENCE:
            raise ArtifactError(
                "Slurm's squeue does not answer",
                where=f"jobs {', '.join(jobs)}",
                found=asked.stderr.strip()[:200],
                todo="what was published stays, run the same command to go on",
            )
        time.sleep(5)


def scancel(jobs: list[str], *options: str) -> None:
    """Cancel jobs as well as can be: this is called on the way out."""
    if jobs:
        subprocess.run(["scancel", *options, *jobs], capture_output=True, check=False)
