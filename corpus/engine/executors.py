"""Who runs the units of a stage: this machine, a Ray cluster or Slurm, by the recipe's `executor`.

    executor: {workers: 8}                                   this machine
    executor: {kind: ray, address: auto, workers: 64}        actors of a Ray cluster
    executor: {kind: slurm, partition: cpu, time: "8:00:00"} job arrays

The kinds are datatrove's executors. The artefacts are the same bytes whoever made them, so a run may be begun on one
and finished on another. All of them need the workspace, the inputs and this installation under the same paths.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from corpus.settings import Settings


class LocalSettings(Settings):
    """Run on this machine, `workers` processes at a time (default: one per core)."""

    kind: Literal["local"] = "local"
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="processes at a time, some 0.5 GB each; default: one per core",
    )

    def said(self) -> str:
        return f"{self.workers} workers"


class RaySettings(Settings):
    """Run as actors of a Ray cluster, one per worker; each works on one unit after another."""

    kind: Literal["ray"]
    address: str | None = Field(
        None, description="`auto`, host:port or ray://…; by default $RAY_ADDRESS, else a cluster of this machine alone"
    )
    workers: int | None = Field(None, ge=1, description="units at a time; by default what the cluster's cores allow")
    cpus_per_task: int = Field(1, ge=1, description="cores that Ray sets aside for a worker; our steps use one")
    mem_per_cpu_gb: float = Field(2, gt=0, description="memory that Ray reserves for a worker")
    autoscaling: bool = Field(False, description="the cluster grows on demand: do not refuse what it lacks now")
    attempts: int = Field(3, ge=1, description="times a unit is tried whose worker dies")
    start_within: float = Field(600, gt=0, description="seconds to wait for a first worker to start")

    def said(self) -> str:
        return f"Ray, {self.workers or 'all'} workers"


class SlurmSettings(Settings):
    """Run as Slurm job arrays; this process submits them and waits. Start it on a login node or in a job."""

    kind: Literal["slurm"]
    partition: str = Field(description="as `sbatch --partition`")
    time: str = Field("24:00:00", description="time limit of a task")
    workers: int = Field(-1, description="tasks of an array at a time; -1: as many as Slurm lets run")
    cpus_per_task: int = Field(1, ge=1, description="cores of a task, as `sbatch --cpus-per-task`; our steps use one")
    mem_per_cpu_gb: int = Field(
        2, ge=1, description="gigabytes for each core of a task; a worker takes some 0.5, KenLM and embeddings more"
    )
    qos: str | None = Field(None, description="as `sbatch --qos`; default: the cluster's")
    setup: str | None = Field(None, description="shell commands before a task, such as `module load gcc`")
    sbatch_args: dict[str, str] = Field(default_factory=dict, description="such as {account: me, exclude: node7}")
    max_array_size: int = Field(1001, ge=1, description="the cluster's MaxArraySize; more units are arrays in a row")
    units_per_task: int = Field(1, ge=1, description="units a task works on, one after another")
    srun: bool = Field(True, description="start tasks by srun")
    attempts: int = Field(3, ge=1, description="times a unit is submitted whose task dies without a word")
    poll: float = Field(10, gt=0, description="seconds between two looks at the queue")

    def said(self) -> str:
        return f"Slurm, partition {self.partition}"


ExecutorSettings = LocalSettings | RaySettings | SlurmSettings
Chosen = Annotated[ExecutorSettings, Field(discriminator="kind")]


def with_kind(value: Any) -> Any:
    """The executor of a recipe that names no kind is local."""
    return {"kind": "local", **value} if isinstance(value, dict) else value


def execute(stage: str, steps: list[Any], units: list[Any], settings: ExecutorSettings, logging_dir: Path) -> None:
    """Run `steps` with rank r for unit r, all of `units`. Raises what a step raised, or ArtifactError naming stage,
    unit and log where a task ended without publishing its unit."""
    # Imported here: datatrove's executors take a fifth of a second, which `--help` should not pay.
    if isinstance(settings, RaySettings):
        from corpus.engine.ray_cluster import RayUnits

        RayUnits(stage, steps, units, settings, logging_dir).run()
    elif isinstance(settings, SlurmSettings):
        from corpus.engine.slurm import SlurmUnits

        SlurmUnits(stage, steps, units, settings, logging_dir).launch_and_wait()
    else:
        from corpus.engine.local import SharedPoolExecutor

        SharedPoolExecutor(
            pipeline=steps,
            tasks=len(units),
            workers=min(settings.workers, len(units)),
            logging_dir=str(logging_dir),
            skip_completed=False,
        ).run()
