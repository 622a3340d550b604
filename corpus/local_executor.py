"""datatrove's local executor, quiet: its log goes to the files of the logging folder, not to the user's terminal."""

import contextlib
import os

from datatrove.executor import LocalPipelineExecutor
from datatrove.utils.stats import PipelineStats
from loguru import logger


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
