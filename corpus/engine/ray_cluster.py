"""The units of a stage on a Ray cluster: one actor per worker, one unit after another in each.

datatrove's RayPipelineExecutor starts an actor and a placement group for every rank, and in it a pool that waits for
ever when its process is killed; it tells nobody why a rank failed. Here the actors stay for the run, so that a unit
costs one message, and a dead worker's unit goes to a new one, `attempts` times.
"""

import logging
import os
from collections import deque
from copy import deepcopy
from pathlib import Path
from typing import Any

from datatrove.executor import RayPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from corpus.engine.executors import RaySettings
from corpus.engine.remote_ranks import RemoteRanks, environment
from corpus.engine.units import Unit
from corpus.errors import ArtifactError, ConfigError

MISSING = "Ray is not installed"


class RayUnits(RemoteRanks, RayPipelineExecutor):
    """Publishes `units` by the ranks of `steps`."""

    def __init__(
        self, stage: str, steps: list[PipelineStep], units: list[Unit], settings: RaySettings, logging_dir: Path
    ) -> None:
        super().__init__(
            pipeline=list(steps),
            tasks=len(units),
            logging_dir=str(logging_dir),
            skip_completed=False,
            cpus_per_task=settings.cpus_per_task,
            mem_per_cpu_gb=settings.mem_per_cpu_gb,
        )
        self.settings = settings
        self.describe(stage, units)

    def run(self) -> None:
        """Raises what a step raised, after the other running units ended; ConfigError without Ray or without a cluster
        that can run a worker; ArtifactError for workers that do not start or die again and again."""
        ray = connect(self.settings)
        resources = {"num_cpus": self.cpus_per_task, "memory": int(self.mem_per_cpu_gb * self.cpus_per_task * 2**30)}
        crew = _Crew(ray, resources, ray.put(self), self.settings.start_within)
        waiting = deque(range(self.tasks))
        attempts = [0] * self.tasks
        failed: list[int] = []
        try:
            for _ in range(min(self.tasks, workers(ray, self.settings))):
                crew.begin(waiting.popleft())
            while crew.running:
                for rank, outcome in crew.ended():
                    if outcome == "dead":
                        attempts[rank] += 1
                        if attempts[rank] < self.settings.attempts:
                            waiting.append(rank)
                        else:
                            failed.append(rank)
                    elif outcome == "failed":
                        failed.append(rank)
                    if waiting and not failed:
                        crew.begin(waiting.popleft())
        finally:
            crew.dismiss()
        if failed:
            raise self.failure(sorted(failed))


# Actors between two stages: starting one and loading the packages in it takes seconds.
_IDLE: dict[tuple[Any, ...], list[Any]] = {}


class _Crew:
    """The actors of a stage and what each is at."""

    def __init__(self, ray: Any, resources: dict[str, Any], executor: Any, start_within: float) -> None:
        self.ray, self.executor, self.start_within = ray, executor, start_within
        self._kind = ray.remote(_Worker).options(max_restarts=0, **resources)
        session = ray.get_runtime_context().get_job_id()
        self._idle = _IDLE.setdefault((session, *resources.items()), [])
        self.running: dict[Any, tuple[int, Any]] = {}  # by the reference of the call: rank and actor
        self._begun = bool(self._idle)
        self._greetings: list[Any] = []

    def begin(self, rank: int) -> None:
        if self._idle:
            actor = self._idle.pop()
        else:
            actor = self._kind.remote()
            self._greetings.append(actor.greet.remote())
        self.running[actor.run.remote(self.executor, rank)] = rank, actor

    def ended(self) -> list[tuple[int, str]]:
        """(rank, "published", "failed" or "dead") of the calls that have ended; waits for one. Raises ArtifactError
        when no worker has started in time, which Ray would wait for without a word."""
        found = []
        if not self._begun:
            self._begun = bool(self.ray.wait(self._greetings, num_returns=1, timeout=self.start_within)[0])
        if not self._begun:
            raise ArtifactError(
                "no worker started on the Ray cluster",
                where="executor",
                found=f"none in {self.start_within:.0f} seconds",
                todo="see raylet.err and the newest worker-*.err of its session's logs (here: "
                "/tmp/ray/session_latest/logs), or raise executor.start_within where nodes come late",
            )
        for reference in self.ray.wait(list(self.running), num_returns=1)[0]:
            rank, actor = self.running.pop(reference)
            try:
                self.ray.get(reference)
            except self.ray.exceptions.RayTaskError:
                outcome = "failed"
            except self.ray.exceptions.RayError:  # killed, out of memory, its node lost or preempted
                outcome = "dead"
                self.ray.kill(actor)
            else:
                outcome = "published"
            if outcome != "dead":
                self._idle.append(actor)
            found.append((rank, outcome))
        return found

    def dismiss(self) -> None:
        """End what still runs; the others wait for the next stage."""
        for _, actor in self.running.values():
            self.ray.kill(actor)


class _Worker:
    """The actor: runs ranks in its own process."""

    def greet(self) -> None:
        """Answered once its process runs."""

    def run(self, executor: RayUnits, rank: int) -> None:
        # Arrays that come out of Ray's store cannot be written to, which compiled kernels take for another type; the
        # units are only read and not copied.
        units = {id(unit): unit for unit in executor.units}
        executor.pipeline = deepcopy(executor.pipeline, units)
        executor._run_for_rank(rank, local_rank=1)


def connect(settings: RaySettings) -> Any:
    """The module `ray`, connected: once per process, until it ends. Raises ConfigError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise ConfigError(MISSING, where="executor.kind: ray", todo="pip install 'provender[ray]'") from None
    if not ray.is_initialized():
        remote = settings.address or os.environ.get("RAY_ADDRESS")
        here: dict[str, Any] = {"address": remote} if remote else {"address": "local", "include_dashboard": False}
        try:
            ray.init(
                **here,
                runtime_env={"env_vars": environment()},
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(
                "the Ray cluster does not answer",
                where=f"executor.address: {remote or 'none given'}",
                found=str(error).split("\n")[0],
                todo="start one with `ray start --head`, or leave address out for a cluster of this machine alone",
            ) from None
    return ray


def workers(ray: Any, settings: RaySettings) -> int:
    """Workers to start. Raises ConfigError when the cluster has no room for one, where they would wait for ever."""
    held = ray.cluster_resources()
    cores, memory = held.get("CPU", 0.0), held.get("memory", 0.0) / 2**30
    asked = settings.mem_per_cpu_gb * settings.cpus_per_task
    if not settings.autoscaling and (cores < settings.cpus_per_task or memory < asked):
        raise ConfigError(
            "the Ray cluster has no room for one worker",
            where="executor",
            found=f"{cores:.0f} cores and {memory:.1f} GB, a worker asks for {settings.cpus_per_task} and {asked:.1f}",
            todo="lower cpus_per_task or mem_per_cpu_gb, or set autoscaling: true where nodes come on demand",
        )
    room = max(1, min(int(cores // settings.cpus_per_task), int(memory // asked)))
    return settings.workers or room
