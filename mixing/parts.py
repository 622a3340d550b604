"""The sources of one role, the domain or the replay: what they ask for, what caps leave, and how they divide a total.

Sources that state tokens, epochs or a share have them; the rest is shared by pools (mixing/groups.py), and within a
pool by its sources.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from corpus.errors import ConfigError
from mixing.budget import Allocation, MixSettings, Role, SourceBudget, Supply
from mixing.groups import Pool, as_written, pools_of, share_of_run, water_fill


@dataclass(frozen=True)
class Part:
    """The sources of one role: indices, proportional weights, fixed sequences (None where a weight rules), caps, and
    the pools in which they share."""

    role: Role
    members: tuple[int, ...]
    names: tuple[str, ...]
    weights: tuple[Fraction, ...]
    fixed: tuple[int | None, ...]
    once: tuple[int, ...]
    caps: tuple[int, ...]
    pools: tuple[Pool, ...]

    @classmethod
    def of(
        cls,
        role: Role,
        supplies: Sequence[Supply],
        budgets: Sequence[SourceBudget],
        settings: MixSettings,
        total: int | None,
    ) -> "Part":
        """`total` are the sequences of the run, of which a source may ask a share; None when they are not known yet."""
        members = tuple(i for i, budget in enumerate(budgets) if budget.role == role)
        fixed = tuple(_fixed(supplies[i], budgets[i], settings, total) for i in members)
        pools = pools_of(role, members, supplies, budgets, settings, total)
        _check_weights(role, pools, [budgets[i] for i in members], [supplies[i].name for i in members], fixed)
        # The cap holds for the run: what earlier segments gave counts.
        caps = tuple(
            max(0, math.floor(as_written(budgets[i].max_epochs) * supplies[i].sequences) - supplies[i].used)
            for i in members
        )
        weights = tuple(
            settings.sharing.weight(supplies[i].sequences)
            if (stated := budgets[i].weight) is None
            else Fraction(stated)
            for i in members
        )
        names = tuple(supplies[i].name for i in members)
        once = tuple(supplies[i].sequences for i in members)
        return cls(role, members, names, weights, fixed, once, caps, pools)

    @property
    def wanted(self) -> int:
        """Sequences of `total_tokens: all`: what is fixed, and one epoch of the rest."""
        stated = {i: pool for pool in self.pools if pool.total is not None for i in pool.members}
        alone = sum(
            once if fixed is None else fixed
            for i, (once, fixed) in enumerate(zip(self.once, self.fixed, strict=True))
            if i not in stated
        )
        return alone + sum(pool.total or 0 for pool in self.pools)

    def room(self, pool: Pool) -> int:
        return pool.room(self.fixed, self.weights, self.caps)

    def stated(self, pool: Pool) -> int | None:
        """What a pool's own total leaves for its sharing sources; None without one."""
        return None if pool.total is None else pool.total - pool.held(self.fixed)

    def capacity(self) -> int:
        """The most sequences the role can give."""
        shared = sum(self.room(pool) if (rest := self.stated(pool)) is None else rest for pool in self.pools)
        return sum(fixed for fixed in self.fixed if fixed is not None) + shared

    @property
    def settled(self) -> int:
        """Sequences that are asked for in so many tokens, epochs or shares."""
        return sum(fixed or 0 for fixed in self.fixed) + sum(self.stated(pool) or 0 for pool in self.pools)

    def problem(self, total: int, settings: MixSettings) -> str | None:
        """Why the role cannot give `total` sequences, or None."""
        length = settings.sequence_length
        for name, fixed, cap in zip(self.names, self.fixed, self.caps, strict=True):
            if fixed is not None and fixed > cap:
                return f"{name} asks for {fixed * length:,} tokens, its cap leaves {cap * length:,}"
        for pool in self.pools:
            held, rest, room = pool.held(self.fixed), self.stated(pool), self.room(pool)
            if pool.limit is not None and held > pool.limit:
                return (
                    f"the sources of group {pool.name} ask for {held * length:,} tokens, "
                    f"its cap leaves {pool.limit * length:,}"
                )
            if rest is not None and not 0 <= rest <= room:
                return (
                    f"group {pool.name} asks for {(held + rest) * length:,} tokens, its sources give "
                    f"{held * length:,} to {(held + room) * length:,}"
                )
        if self._proportional(total, settings):
            return None
        if self.settled > total:
            asked = f"{self.settled * length:,}"
            return f"the {self.role} sources ask for {asked} tokens, the schedule gives {total * length:,}"
        if total > self.capacity():
            return (
                f"the schedule gives {total * length:,} tokens to the {self.role} sources, "
                f"which have {self.capacity() * length:,} within their budgets and max_epochs"
            )
        return None

    def _proportional(self, total: int, settings: MixSettings) -> bool:
        """Nobody shares, and what is asked misses the whole number of steps by less than one: then all give in
        proportion."""
        sharing = [pool for pool in self.pools if pool.total is None and pool.open(self.fixed, self.weights)]
        close = abs(self.settled - total) < settings.global_batch and total <= sum(self.caps)
        return not sharing and self.settled > 0 and close and self._in_proportion().fill(total) is not None

    def _in_proportion(self) -> "Part":
        """The same part where every source shares by what it asks for, its groups' limits holding."""
        asked = self.fill(self.settled)
        if asked is None:
            raise AssertionError("demands that exceed caps are found before")
        pools = tuple(replace(pool, weight=None, total=None) for pool in self.pools)
        weights = tuple(Fraction(entry) for entry in asked)
        return replace(self, weights=weights, fixed=(None,) * len(weights), pools=pools)

    def fill(self, total: int) -> list[int] | None:
        """Whole sequences that sum to `total`: pools first, then the sources of each; None when the caps forbid it."""
        stated = [self.stated(pool) for pool in self.pools]
        rooms = [self.room(pool) for pool in self.pools]
        rest = total - self.settled
        masses = [
            Fraction(0) if entry is not None else pool.mass(self.fixed, self.weights)
            for pool, entry in zip(self.pools, stated, strict=True)
        ]
        shared = water_fill(rest, masses, rooms) if rest >= 0 else None
        if shared is None:
            return None
        out = [entry or 0 for entry in self.fixed]
        for pool, part, entry in zip(self.pools, shared, stated, strict=True):
            open_ = pool.open(self.fixed, self.weights)
            weights, caps = [self.weights[i] for i in open_], [self.caps[i] for i in open_]
            inside = water_fill(part if entry is None else entry, weights, caps)
            if inside is None:
                return None
            for i, count in zip(open_, inside, strict=True):
                out[i] = count
        return out

    def lowered(self) -> "Part":
        """The part with every demand at most its cap."""
        fixed = [None if f is None else min(f, cap) for f, cap in zip(self.fixed, self.caps, strict=True)]
        for pool in self.pools:
            asked = [fixed[i] or 0 for i in pool.members]
            if pool.limit is None or sum(asked) <= pool.limit:
                continue
            kept = water_fill(pool.limit, [Fraction(entry) for entry in asked], asked)
            for i, entry in zip(pool.members, kept or asked, strict=True):
                fixed[i] = None if fixed[i] is None else entry
        part = replace(self, fixed=tuple(fixed))
        pools = [
            pool if pool.total is None else replace(pool, total=held + min(max(pool.total - held, 0), part.room(pool)))
            for pool in self.pools
            for held in [pool.held(fixed)]
        ]
        return replace(part, pools=tuple(pools))

    def cut_to(self, total: int) -> "Part":
        """The part with its demands cut in proportion where together they exceed `total` sequences."""
        if self.settled <= total:
            return self
        demands = [entry or 0 for entry in self.fixed] + [self.stated(pool) or 0 for pool in self.pools]
        kept = water_fill(total, [Fraction(entry) for entry in demands], demands) or demands
        sources, rests = kept[: len(self.fixed)], kept[len(self.fixed) :]
        fixed = tuple(None if f is None else entry for f, entry in zip(self.fixed, sources, strict=True))
        pools = tuple(
            pool if pool.total is None else replace(pool, total=pool.held(fixed) + rest)
            for pool, rest in zip(self.pools, rests, strict=True)
        )
        return replace(self, fixed=fixed, pools=pools)

    def demands_changed(self, other: "Part") -> list[tuple[str, str, int]]:
        """(sources or groups, name, sequences) of each demand that is another one in `other`."""
        sources = zip(self.names, self.fixed, other.fixed, strict=True)
        pools = zip(self.pools, other.pools, strict=True)
        return [("sources", name, new) for name, old, new in sources if new is not None and new != old] + [
            ("groups", new.name, new.total)
            for old, new in pools
            if new.name is not None and new.total is not None and new.total != old.total
        ]

    def allocate(self, total: int, settings: MixSettings) -> list[Allocation]:
        """Whole sequences that sum to `total`. Call after `problem` has found none."""
        part = self._in_proportion() if self._proportional(total, settings) else self
        filled = part.fill(total)
        if filled is None:
            raise AssertionError("allocate() of an infeasible total")
        return [
            Allocation(asked, cap, count)
            for asked, cap, count in zip(part.asked(total), self.caps, filled, strict=True)
        ]

    def asked(self, total: int) -> list[float]:
        """Sequences of each source as asked, before caps and rounding."""
        out = [float(entry or 0) for entry in self.fixed]
        mass = sum(
            (pool.mass(self.fixed, self.weights) for pool in self.pools if pool.total is None),
            Fraction(0),
        )
        for pool in self.pools:
            open_ = pool.open(self.fixed, self.weights)
            inside = sum((self.weights[i] for i in open_), Fraction(0))
            stated = self.stated(pool)
            for i in open_:
                if stated is None:
                    part = (total - self.settled) * pool.mass(self.fixed, self.weights) / mass
                else:
                    part = Fraction(stated)
                out[i] = float(part * self.weights[i] / inside)
        return out


def _check_weights(
    role: Role,
    pools: Sequence[Pool],
    budgets: Sequence[SourceBudget],
    names: Sequence[str],
    fixed: Sequence[int | None],
) -> None:
    """Weights compare within a group, and groups and lone sources within the role: all have one, or none has.

    Raises ConfigError."""
    outer: dict[str, bool] = {}
    for pool in pools:
        inside = {names[i]: budgets[i].weight is not None for i in pool.members if fixed[i] is None}
        _require_alike(inside, f"group {pool.name}")
        if inside and pool.total is None:
            outer[pool.name or next(iter(inside))] = pool.weight is not None or all(inside.values())
    _require_alike(outer, f"role {role}")


def _require_alike(weighted: dict[str, bool], whose: str) -> None:
    if len(set(weighted.values())) > 1:
        raise ConfigError(
            f"some of {whose} have a weight and others have none",
            found=", ".join(name for name, has in weighted.items() if not has) + " without",
            todo="give each a weight (relative numbers), or none of them",
        )


def _fixed(supply: Supply, budget: SourceBudget, settings: MixSettings, total: int | None) -> int | None:
    """The sequences a source asks for by itself; None where its weight rules."""
    if budget.tokens == "all":
        return supply.sequences
    if budget.tokens is not None:
        return budget.tokens // settings.sequence_length
    if budget.epochs is not None:
        return math.floor(as_written(budget.epochs) * supply.sequences)
    if budget.share is None:
        return None
    return share_of_run(budget.share, total, f"source {supply.name}")
