"""The sources of one role as a group: what they ask for, what caps leave them, and how they divide a total.

What a capped source cannot take rises among the others of its group like water in connected vessels, which with equal
weights is UniMax (Chung et al. 2023).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from corpus.errors import ConfigError
from mixing.budget import Allocation, MixSettings, Role, SourceBudget, Supply


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


@dataclass(frozen=True)
class Group:
    """The sources of one role: indices, proportional weights, fixed sequences (None where a weight rules), caps."""

    role: Role
    members: tuple[int, ...]
    names: tuple[str, ...]
    weights: tuple[Fraction, ...]
    fixed: tuple[int | None, ...]
    once: tuple[int, ...]
    caps: tuple[int, ...]

    @classmethod
    def of(
        cls,
        role: Role,
        supplies: Sequence[Supply],
        budgets: Sequence[SourceBudget],
        settings: MixSettings,
        total: int | None,
    ) -> "Group":
        """`total` are the sequences of the run, of which a source may ask a share; None when they are not known yet."""
        members = tuple(i for i, budget in enumerate(budgets) if budget.role == role)
        fixed = tuple(_fixed(supplies[i], budgets[i], settings, total) for i in members)
        weighted = [i for i, entry in zip(members, fixed, strict=True) if entry is None]
        if len({budgets[i].weight is None for i in weighted}) > 1:
            raise ConfigError(
                f"some {role} sources have a weight and others have none",
                found=", ".join(supplies[i].name for i in weighted if budgets[i].weight is None) + " without",
                todo="give every source of the role a weight (relative numbers), or none of them",
            )
        # The cap holds for the run: what earlier segments gave counts.
        caps = tuple(
            max(0, math.floor(Fraction(budgets[i].max_epochs) * supplies[i].sequences) - supplies[i].used)
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
        return cls(role, members, names, weights, fixed, once, caps)

    @property
    def wanted(self) -> int:
        """Sequences of `total_tokens: all`: what is fixed, and one epoch of the rest."""
        return sum(once if fixed is None else fixed for once, fixed in zip(self.once, self.fixed, strict=True))

    def capacity(self) -> int:
        """The most sequences the group can give."""
        return sum(
            (cap if weight > 0 else 0) if fixed is None else fixed
            for weight, fixed, cap in zip(self.weights, self.fixed, self.caps, strict=True)
        )

    @property
    def settled(self) -> int:
        """Sequences that are asked for in so many tokens, epochs or shares."""
        return sum(fixed for fixed in self.fixed if fixed is not None)

    def problem(self, total: int, settings: MixSettings) -> str | None:
        """Why the group cannot give `total` sequences, or None."""
        length = settings.sequence_length
        for name, fixed, cap in zip(self.names, self.fixed, self.caps, strict=True):
            if fixed is not None and fixed > cap:
                return f"{name} asks for {fixed * length:,} tokens, its cap leaves {cap * length:,}"
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
        """All sources are fixed and miss the whole number of steps by less than one: then they give in proportion."""
        close = abs(self.settled - total) < settings.global_batch and total <= sum(self.caps)
        return None not in self.fixed and self.settled > 0 and close

    def allocate(self, total: int, settings: MixSettings) -> list[Allocation]:
        """Whole sequences that sum to `total`. Call after `problem` has found none."""
        fixed = self.fixed
        weights = tuple(w if f is None else Fraction(0) for w, f in zip(self.weights, self.fixed, strict=True))
        if self._proportional(total, settings):
            weights, fixed = tuple(Fraction(entry or 0) for entry in self.fixed), tuple(None for _ in self.fixed)
        rest = total - sum(entry for entry in fixed if entry is not None)
        filled = water_fill(rest, weights, self.caps)
        if filled is None:
            raise AssertionError("allocate() of an infeasible total")
        mass = sum(weights, Fraction(0))
        return [
            Allocation(float(rest * weight / mass) if mass else 0.0, cap, part)
            if entry is None
            else Allocation(float(entry), cap, entry)
            for weight, entry, cap, part in zip(weights, fixed, self.caps, filled, strict=True)
        ]


def _fixed(supply: Supply, budget: SourceBudget, settings: MixSettings, total: int | None) -> int | None:
    """The sequences a source asks for by itself; None where its weight rules."""
    if budget.tokens == "all":
        return supply.sequences
    if budget.tokens is not None:
        return budget.tokens // settings.sequence_length
    if budget.epochs is not None:
        return math.floor(Fraction(budget.epochs) * supply.sequences)
    if budget.share is None:
        return None
    if total is None:
        raise ConfigError(
            "a share of the run is asked, and the run is as long as its sources",
            where=f"mixture, source {supply.name}",
            found=f"share: {budget.share}, total_tokens: all",
            todo="state total_tokens or steps, or give the source a weight within its role",
        )
    return math.floor(Fraction(budget.share) * total)
