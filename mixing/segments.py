"""What a plan is made of: its sources, its segments, and the rows of a batch."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixing.supply import Role, Supply


@dataclass(frozen=True)
class Source:
    """A source of the plan: `sequences` are one epoch, with `padding_tokens` places left free; the last `tail_tokens`
    of its `tokens` are not trained; `store` is the fingerprint of its token store or of its packing ("" for a plan
    compiled from numbers alone)."""

    name: str
    role: Role
    tokens: int
    tail_tokens: int
    padding_tokens: int
    sequences: int
    store: str

    @classmethod
    def of(cls, supply: Supply, role: Role, sequence_length: int) -> "Source":
        tail = supply.tokens - (supply.sequences * sequence_length - supply.padding)
        return cls(supply.name, role, supply.tokens, tail, supply.padding, supply.sequences, supply.store)

    def supply(self) -> Supply:
        return Supply(self.name, self.tokens, self.sequences, self.store, self.padding_tokens)


@dataclass(frozen=True)
class Segment:
    """Steps [start, start + steps) under one mixture, solved for `planned_steps` of which a later segment may cut some.

    The tuples have an entry for each source of the plan, in sequences: `asked` (before caps and rounding; when cut,
    what it has given), `caps`, and the solved totals over the planned steps (`planned`).
    """

    start: int
    steps: int
    planned_steps: int
    settings: dict[str, Any]
    schedule: dict[str, Any]
    replay_floor: float
    roles: tuple[Role, ...]
    asked: tuple[float, ...]
    caps: tuple[int, ...]
    planned: tuple[int, ...]

    @classmethod
    def parse(cls, entry: dict[str, Any]) -> "Segment":
        """From JSON, which knows no tuples."""
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in entry.items()}
        return cls(**values)

    @property
    def groups(self) -> dict[str, str]:
        """The declared group of each source that is in one."""
        sources = self.settings["sources"].items()
        return {name: budget["group"] for name, budget in sources if budget["group"] is not None}

    def widened(self, roles: tuple[Role, ...]) -> "Segment":
        """For a plan with more sources, which this segment gave nothing of."""
        more = (0,) * (len(roles) - len(self.roles))
        widths = {name: getattr(self, name) + more for name in ("asked", "caps", "planned")}
        return replace(self, roles=self.roles + roles[len(self.roles) :], **widths)


@dataclass(frozen=True)
class Rows:
    """The rows of one global batch in order; all int64[global_batch]: index of the source, sequence in it, epoch."""

    source: np.ndarray
    sequence: np.ndarray
    epoch: np.ndarray

    def __len__(self) -> int:
        return len(self.source)
