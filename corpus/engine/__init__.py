"""The engine: who does the units of a stage, and what it took.

units         a stage's missing units, run as the ranks of a datatrove pipeline
executors     the recipe's `executor`: this machine, a Ray cluster or Slurm
local         one pool of worker processes for all stages
forkserver    where worker processes come from
limits        what a batch of documents may take of its process
child         a process that is watched while it works on documents
poison        documents that kill their process: found and quarantined
reading       files that kill the process that reads them
ray_cluster   actors of a Ray cluster
slurm         job arrays
remote_ranks  what the two share: ranks on other machines, whose errors come back as files
workplace     a folder in which a search over all documents works, stage by stage
spent         time, memory and bytes of each stage, for `provender plan-cluster`
"""

from corpus.engine.executors import ExecutorSettings, LocalSettings
from corpus.engine.units import Heartbeat, Outcome, Progress, Unit, pending, run_units, silent
from corpus.engine.workplace import Workplace

__all__ = [
    "ExecutorSettings",
    "Heartbeat",
    "LocalSettings",
    "Outcome",
    "Progress",
    "Unit",
    "Workplace",
    "pending",
    "run_units",
    "silent",
]
