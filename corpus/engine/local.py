"""datatrove's local executor, on worker processes that outlive a stage.

datatrove starts a pool, a manager and three log sinks for every stage; a line of a dozen stages would pay a second for
each of them, on every worker. Here one pool of a size serves all stages of the process: its workers are forked from a
server that has our modules loaded, and keep what they read (tokenizers, models, compiled kernels) from stage to stage.
The log of a rank goes to its file in the logging folder, never to the terminal.
"""

import atexit
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from copy import deepcopy
from typing import IO

import pyarrow as pa
from datatrove.executor import LocalPipelineExecutor
from datatrove.utils.stats import PipelineStats
from loguru import logger

from corpus.engine.forkserver import context
from corpus.engine.limits import expendable
from corpus.errors import ArtifactError

BREAKS = 5  # times in a row that a pool may break without any rank having ended
# By number of workers, with the environment that they have.
_POOLS: dict[int, tuple[ProcessPoolExecutor, dict[str, str]]] = {}


def _begin(environment: dict[str, str]) -> None:
    """Of a worker: take the environment of the process whose pool it is (the server it was forked from has that of its
    own start), and end when that process ends, killed or not. Nobody else would tell it, and the server lives as long
    as one of its forks."""
    os.environ.clear()
    os.environ.update(environment)
    pa.set_cpu_count(1)  # the other processors are the other workers'
    expendable()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _pool(workers: int) -> ProcessPoolExecutor:
    # datatrove writes the place of a rank into the environment of this process where it runs one itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATATROVE_")}
    pool, seen = _POOLS.get(workers, (None, None))
    if pool is None or seen != environment:
        if pool is not None:
            pool.shutdown()
        pool = ProcessPoolExecutor(workers, mp_context=context(), initializer=_begin, initargs=(environment,))
        _POOLS[workers] = pool, environment
    return pool


@atexit.register
def close_pools() -> None:
    """End the workers."""
    while _POOLS:
        _POOLS.popitem()[1][0].shutdown(cancel_futures=True)


class _TaskLog:
    """loguru's only sink while a rank runs, the same for all ranks of this process: making one takes 5 ms."""

    def __init__(self) -> None:
        self.file: IO[str] | None = None
        self._there = False

    def write(self, message: str) -> None:
        if self.file is not None:
            self.file.write(message)

    @contextmanager
    def to(self, file: IO[str], first: str) -> Iterator[None]:
        """What is logged in the body goes to `file`, after a `first` line."""
        self.file = file
        try:
            if self._there:
                logger.info(first)
            if not file.tell():  # this sink is not there yet, or others have taken its place
                logger.remove()
                logger.add(self, colorize=False, diagnose=False)
                self._there = True
                logger.info(first)
            yield
        finally:
            self.file = None


_LOG = _TaskLog()


class SharedPoolExecutor(LocalPipelineExecutor):
    """Runs every rank, whether or not an earlier run says that it completed: the engine knows what is missing."""

    def run(self) -> PipelineStats:
        """Raises what a rank raised, after the ranks that were running ended. The ranks of a worker that died are run
        again, where their documents are guarded (corpus/engine/poison.py); ArtifactError when that does not help."""
        self._launched = True
        ranks = range(self.local_rank_offset, self.local_rank_offset + self.local_tasks)
        if self.workers == 1:
            stats = [self._here(rank) for rank in ranks]
        else:
            stats = self._spread(ranks)
        total = sum(stats, start=PipelineStats())
        with self.logging_dir.open("stats.json", "wt") as file:
            total.save_to_disk(file)
        return total

    def _here(self, rank: int) -> PipelineStats:
        try:
            return deepcopy(self)._run_for_rank(rank)
        except MemoryError:  # the second time its documents are guarded
            return deepcopy(self)._run_for_rank(rank)

    def _spread(self, ranks: range) -> list[PipelineStats]:
        done: dict[int, PipelineStats] = {}
        breaks = 0
        while len(done) < len(ranks):
            before = len(done)
            whole = self._attempt([rank for rank in ranks if rank not in done], done)
            breaks = 0 if whole or len(done) > before else breaks + 1
            if breaks == BREAKS:
                raise ArtifactError(
                    "a worker process was killed before its unit was published, again and again",
                    where=self.logging_dir.path,
                    found="no exception, so a signal from outside: often the kernel, short of memory",
                    todo="run the same command again: it goes on with the missing units; use fewer executor.workers",
                )
        return [done[rank] for rank in ranks]

    def _attempt(self, ranks: list[int], done: dict[int, PipelineStats]) -> bool:
        """Run the ranks, into `done` what ended; whether no worker died or ran out of memory."""
        pool = _pool(self.workers)
        running: dict[int, Future[PipelineStats]] = {rank: pool.submit(self._run_for_rank, rank) for rank in ranks}
        wait(running.values(), return_when=FIRST_EXCEPTION)
        for future in running.values():
            future.cancel()
        wait(running.values())
        # in order of rank; a cancelled rank always stands behind an error
        errors = [error for future in running.values() if not future.cancelled() and (error := future.exception())]
        for error in errors:
            if not isinstance(error, BrokenProcessPool | MemoryError):
                raise error
        done |= {rank: f.result() for rank, f in running.items() if not f.cancelled() and f.exception() is None}
        if any(isinstance(error, BrokenProcessPool) for error in errors):
            _POOLS.pop(self.workers)[0].shutdown()
        return not errors

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        self._set_distributed_environment(node_rank)
        with self.logging_dir.open(f"logs/task_{rank:05d}.log", "w") as file, _LOG.to(file, f"Processing {rank=}"):
            try:
                data = None
                for step in self.pipeline:
                    data = step(data, rank, self.world_size) if callable(step) else step
                for _ in data or ():
                    pass
                logger.success(f"Processing done for {rank=}")
            except Exception as error:
                logger.exception(error)
                raise
        stats = PipelineStats(self.pipeline)
        with self.logging_dir.open(f"stats/{rank:05d}.json", "w") as file:
            stats.save_to_disk(file)
        return stats
