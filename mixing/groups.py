"""Sharing under caps: what a capped source cannot take rises among the others of its group, like water in connected
vessels, which with equal weights is UniMax (Chung et al. 2023); what a whole group cannot take, among the others of its
role.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from corpus.errors import ConfigError
from mixing.budget import GroupBudget, MixSettings, Role, SourceBudget, Supply


def water_fill(total: int, weights: Sequence[Fraction], caps: Sequence[int]) -> list[int] | None:
    """Divide `total` in proportion to `weights`, none above its cap, in whole numbers; None when the caps forbid it.

    The level λ with Σ min(cap_i, λ·w_i) = total is found exactly; what is not whole goes to the largest remainders,
    ties to the earlier one.
    """
    open_ = [i for i, weight in enumerate(weights) if weight > 0]
    if total > sum(caps[i] for i in open_):
        return None
    parts = [Fraction(0)] * len(weights)
    left, mass = Fraction(total), sum((weights[i] for i in open_), Fraction(0))
    for i in sorted(open_, key=lambda i: (caps[i] / weights[i], i)):
        parts[i] = min(Fraction(caps[i]), left * weights[i] / mass)
        left, mass = left - parts[i], mass - weights[i]
    whole = [math.floor(part) for part in parts]
    for i in sorted(range(len(parts)), key=lambda i: (whole[i] - parts[i], i))[: total - sum(whole)]:
        whole[i] += 1
    return whole


def as_written(number: float) -> Fraction:
    """The decimal a person wrote: 0.3 of 200 sequences are 60, though the nearest float is below 3/10."""
    return Fraction(repr(number))


@dataclass(frozen=True)
class Pool:
    """Sources of one role that share what they are given: a declared group, or a source that is in none.

    `members` are places in the role's list of sources, `weight` that of the pool where one is stated, `total` the
    sequences of all its members where they are stated, `limit` the most they may give together.
    """

    name: str | None
    members: tuple[int, ...]
    weight: Fraction | None = None
    total: int | None = None
    limit: int | None = None

    def held(self, fixed: Sequence[int | None]) -> int:
        """Sequences its sources ask for by themselves."""
        return sum(fixed[i] or 0 for i in self.members)

    def open(self, fixed: Sequence[int | None], weights: Sequence[Fraction]) -> list[int]:
        """The members that share."""
        return [i for i in self.members if fixed[i] is None and weights[i] > 0]

    def room(self, fixed: Sequence[int | None], weights: Sequence[Fraction], caps: Sequence[int]) -> int:
        """The most its sharing members can give."""
        most = sum(caps[i] for i in self.open(fixed, weights))
        return most if self.limit is None else max(0, min(most, self.limit - self.held(fixed)))

    def mass(self, fixed: Sequence[int | None], weights: Sequence[Fraction]) -> Fraction:
        """Its weight within the role: as stated, or that of its sharing members together."""
        shared = sum((weights[i] for i in self.open(fixed, weights)), Fraction(0))
        return self.weight if self.weight is not None and shared else shared


def pools_of(
    role: Role,
    members: Sequence[int],
    supplies: Sequence[Supply],
    budgets: Sequence[SourceBudget],
    settings: MixSettings,
    total: int | None,
) -> tuple[Pool, ...]:
    """The pools of a role, in the order of their first source. `members` are its sources, `total` the sequences of the
    run. Raises ConfigError when a group holds sources of two roles."""
    pools: dict[str, list[int]] = {}
    for place, i in enumerate(members):
        pools.setdefault(budgets[i].group or f"\0{i}", []).append(place)
    found = []
    for name, places in pools.items():
        if name not in settings.groups:
            found.append(Pool(None, tuple(places)))
            continue
        outside = [s.name for s, b in zip(supplies, budgets, strict=True) if b.group == name and b.role != role]
        if outside:
            raise ConfigError(
                f"the group {name} holds sources of both roles",
                where="mixture, groups",
                found=f"{', '.join(supplies[members[p]].name for p in places)} ({role}) and {', '.join(outside)}",
                todo="declare one group for each role: what one source cannot take goes to the others of its group",
            )
        held = [supplies[members[place]] for place in places]
        found.append(_declared(name, tuple(places), held, settings.groups[name], settings, total))
    return tuple(found)


def _declared(
    name: str,
    places: tuple[int, ...],
    supplies: Sequence[Supply],
    group: GroupBudget,
    settings: MixSettings,
    total: int | None,
) -> Pool:
    limit = None
    if group.max_epochs is not None:
        once, used = sum(s.sequences for s in supplies), sum(s.used for s in supplies)
        limit = max(0, math.floor(as_written(group.max_epochs) * once) - used)
    asked = None
    if group.tokens is not None:
        asked = group.tokens // settings.sequence_length
    elif group.share is not None:
        asked = share_of_run(group.share, total, f"group {name}")
    return Pool(name, places, None if group.weight is None else Fraction(group.weight), asked, limit)


def share_of_run(share: float, total: int | None, whose: str) -> int:
    """The sequences of a share of the run. Raises ConfigError when the run has no length yet (`total` None)."""
    if total is None:
        raise ConfigError(
            "a share of the run is asked, and the run is as long as its sources",
            where=f"mixture, {whose}",
            found=f"share: {share}, total_tokens: all",
            todo="state total_tokens or steps, or give a weight within the role",
        )
    return math.floor(as_written(share) * total)
