"""What the trainer asks of a plan and of a loader, and which part of the loader's rows is this process's."""

from collections.abc import Collection, Generator, Sequence
from pathlib import Path
from typing import Protocol

from accelerate import PartialState

from corpus.artifact import RunLock
from mixing.amend import Raise
from mixing.batch import TokenBatch


class PlanSource(Protocol):
    """`role` is "domain" or "replay"."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...


class Plan(Protocol):
    """What the loop asks of a `mixing.plan.MixturePlan`."""

    @property
    def steps(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def sources(self) -> Collection[PlanSource]: ...


class Loader(Protocol):
    """What the loop asks of a `mixing.loader.Loader`: this rank's rows of a step, and a generator of those of every
    step from one on. `rank_and_world_size` says which rows are this process's."""

    def batch(self, step: int) -> TokenBatch: ...
    def iterate(self, start_step: int) -> Generator[TokenBatch, None, None]: ...


class Replanner(Protocol):
    """How the gate raises replay; trainer/batches/replan.py has the one for a `MixturePlan`."""

    def share(self, raises: Sequence[Raise], step: int) -> float:
        """The share of replay from `step` on, after `raises`."""
        ...

    def raised(self, raises: Sequence[Raise]) -> tuple[Plan, Loader]:
        """The plan after `raises` and its loader. Raises ConfigError when there is not so much replay."""
        ...

    def publish(self, raises: Sequence[Raise], folder: Path, lock: RunLock | None) -> None:
        """Write the plan after `raises` to `folder`, for the audit."""
        ...


def rank_and_world_size() -> tuple[int, int]:
    """This process's rank and how many processes train, as the launcher (torchrun, accelerate) said; (0, 1) alone."""
    state = PartialState()
    return state.process_index, state.num_processes
