"""datatrove's local executor, quiet: its log goes to the files of the logging folder, not to the user's terminal."""

import contextlib
import ctypes
import os
import signal
import sys

from datatrove.executor import LocalPipelineExecutor
from datatrove.utils.stats import PipelineStats
from loguru import logger

PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# The manager of datatrove's pool is a fork of this process that nobody tells when this process is killed.
os.register_at_fork(after_in_child=_die_with_parent)


class QuietLocalExecutor(LocalPipelineExecutor):
    def run(self) -> PipelineStats | None:
        logger.remove()
        with _quiet():
            return super().run()

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        with _quiet():
            return super()._run_for_rank(rank, local_rank, node_rank)


# Never closed: loguru keeps the stream of every sink it was given.
_NOWHERE = open(os.devnull, "w")


def _quiet() -> contextlib.AbstractContextManager[object]:
    # datatrove adds a sink on sys.stderr for every task; what reaches it is in the task's log file as well.
    return contextlib.redirect_stderr(_NOWHERE)
