"""A mixture plan whose replay the gate may raise while the run goes on.

The run's own plan stays what the run is known by; a checkpoint remembers the raises, and the plan that is followed is
their function. So a resumed run follows the very plan it followed before, wherever it was stopped.
"""

from collections.abc import Sequence
from pathlib import Path

from corpus.artifact import RunLock
from mixing.amend import Raise, replay_share, with_raises
from mixing.loader import Loader
from mixing.plan import MixturePlan
from mixing.sequences import Stores


class MixtureReplanner:
    """Replanning `plan` on the token stores it was compiled for, for one rank."""

    def __init__(self, plan: MixturePlan, stores: Stores, rank: int = 0, world_size: int = 1) -> None:
        self.plan, self.stores, self.rank, self.world_size = plan, stores, rank, world_size

    def share(self, raises: Sequence[Raise], step: int) -> float:
        return replay_share(with_raises(self.plan, raises), step)

    def raised(self, raises: Sequence[Raise]) -> tuple[MixturePlan, Loader]:
        plan = with_raises(self.plan, raises)
        return plan, Loader(plan, self.stores, self.rank, self.world_size)

    def publish(self, raises: Sequence[Raise], folder: Path, lock: RunLock | None) -> None:
        plan = with_raises(self.plan, raises)
        function = {"plan": self.plan.fingerprint, "raises": [list(entry) for entry in raises]}
        plan.save(folder, lock=lock, function=function)
