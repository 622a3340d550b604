"""Budgets: how many tokens each source gives to the run, solved in whole sequences before the first step.

The schedule divides the total between two groups, the domain and the replay; within a group the sources share by weight
(by default in proportion to their tokens), except those that ask for tokens or epochs of their own. No source may be
seen more often than `max_epochs` in the whole run: what a capped source cannot take rises among the others of its group
like water (UniMax, Chung et al. 2023). A budget that cannot be met is refused with the nearest one that can.
"""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Self

from pydantic import Field, model_validator

from corpus.errors import ConfigError
from corpus.settings import Settings
from mixing.schedule import MAX_SEQUENCES, UNIT_BITS, Constant, Linear, Schedule, domain_units

Role = Literal["domain", "replay"]
ROLES: tuple[Role, ...] = ("domain", "replay")

DEFAULT_REPLAY_FLOOR = 0.05
MOST_STEPS = 1 << 24  # of a run; searches for a feasible length stop here


class SourceBudget(Settings):
    """What one source gives: a weight within its group, or tokens, or epochs; at most one of the three."""

    role: Role = Field(default="domain", description="domain: what is learned; replay: what must not be forgotten")
    weight: float | None = Field(
        default=None, ge=0, description="share within the role, relative; default: the source's tokens"
    )
    tokens: int | None = Field(default=None, ge=0, description="tokens of this source in the whole run")
    epochs: float | None = Field(default=None, ge=0, description="passes over this source in the whole run")
    max_epochs: float = Field(default=4, gt=0, description="never more passes than this")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        stated = [name for name in ("weight", "tokens", "epochs") if getattr(self, name) is not None]
        if len(stated) > 1:
            raise ValueError(f"state one of weight, tokens, epochs: found {' and '.join(stated)}")
        if self.epochs is not None and self.epochs > self.max_epochs:
            raise ValueError(f"epochs = {self.epochs} is more than max_epochs = {self.max_epochs}")
        return self


class MixSettings(Settings):
    """The mixture of one run, or of one segment of it."""

    sequence_length: int = Field(default=2048, ge=2, description="tokens of a training sequence")
    global_batch: int = Field(ge=1, description="sequences per step, over all ranks")
    total_tokens: int | Literal["all"] | None = Field(
        default=None, description="tokens of the run, or all: once through the domain (or as far as its sources ask)"
    )
    steps: int | None = Field(default=None, ge=1, description="steps of the run; instead of total_tokens")
    schedule: Schedule = Field(default=Linear(), description="share of the domain over the run")
    replay_floor: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description=f"least share of replay in every batch; default {DEFAULT_REPLAY_FLOOR} where there is replay",
    )
    sources: dict[str, SourceBudget] = Field(default_factory=dict)
    seed: int = 0

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.total_tokens is None) == (self.steps is None):
            raise ValueError("state one of total_tokens and steps")
        if isinstance(self.total_tokens, int) and self.total_tokens < self.sequence_length * self.global_batch:
            raise ValueError(
                f"total_tokens = {self.total_tokens} is less than one step of {self.global_batch} sequences of "
                f"{self.sequence_length} tokens"
            )
        return self


@dataclass(frozen=True)
class Supply:
    """What a source has: `tokens` in its stream, `sequences` an epoch, in which `padding` places hold no token; `store`
    is the fingerprint of the token store or its packing ("" when there is none); `used` are the sequences given by
    earlier segments."""

    name: str
    tokens: int
    sequences: int
    store: str = ""
    padding: int = 0
    used: int = 0


@dataclass(frozen=True)
class Allocation:
    """What a source gives in a segment, in sequences: as asked (before caps and rounding), the cap that is left to it,
    and what it will give."""

    asked: float
    cap: int
    sequences: int


@dataclass(frozen=True)
class Budget:
    """A solved segment: its steps, the floor share of replay, and an allocation for each supply, in the same order."""

    steps: int
    schedule: Schedule
    replay_floor: float
    roles: tuple[Role, ...]
    allocations: tuple[Allocation, ...]


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


def solve(supplies: Sequence[Supply], settings: MixSettings) -> Budget:
    """Solve a segment. Raises ConfigError with what was asked, the nearest feasible total and the reason."""
    budgets = _budgets(supplies, settings)
    roles = tuple(budget.role for budget in budgets)
    schedule, floor = _curve(roles, settings)
    groups = {role: _Group.of(role, supplies, budgets, settings) for role in ROLES}
    steps = _steps(groups["domain" if "domain" in roles else "replay"], schedule, floor, settings)
    if steps * settings.global_batch >= MAX_SEQUENCES:
        raise ConfigError("the run is too long to be planned", found=f"{steps} steps of {settings.global_batch}")

    totals = group_totals(schedule, steps, settings.global_batch, floor)
    allocations: list[Allocation | None] = [None] * len(supplies)
    for role, group in groups.items():
        problem = group.problem(totals[role], settings)
        if problem is not None:
            raise _infeasible(problem, groups, schedule, steps, floor, settings)
        for index, allocation in zip(group.members, group.allocate(totals[role], settings), strict=True):
            allocations[index] = allocation
    return Budget(steps, schedule, floor, roles, tuple(entry for entry in allocations if entry is not None))


def group_totals(schedule: Schedule, steps: int, global_batch: int, replay_floor: float) -> dict[Role, int]:
    """Sequences of each group over the run: the domain's integral rounded down, the rest replay."""
    domain = int(domain_units(schedule, steps, global_batch, replay_floor)[-1]) >> UNIT_BITS
    return {"domain": domain, "replay": steps * global_batch - domain}


@dataclass(frozen=True)
class _Group:
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
        cls, role: Role, supplies: Sequence[Supply], budgets: Sequence[SourceBudget], settings: MixSettings
    ) -> "_Group":
        members = tuple(i for i, budget in enumerate(budgets) if budget.role == role)
        weighted = [i for i in members if budgets[i].tokens is None and budgets[i].epochs is None]
        if len({budgets[i].weight is None for i in weighted}) > 1:
            raise ConfigError(
                f"some {role} sources have a weight and others have none",
                found=", ".join(supplies[i].name for i in weighted if budgets[i].weight is None) + " without",
                todo="give every source of the role a weight (relative numbers), or none of them",
            )
        fixed = tuple(_fixed(supplies[i], budgets[i], settings) for i in members)
        # The cap holds for the run: what earlier segments gave counts.
        caps = tuple(
            max(0, math.floor(Fraction(budgets[i].max_epochs) * supplies[i].sequences) - supplies[i].used)
            for i in members
        )
        weights = tuple(
            Fraction(supplies[i].sequences if (stated := budgets[i].weight) is None else stated) for i in members
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

    def problem(self, total: int, settings: MixSettings) -> str | None:
        """Why the group cannot give `total` sequences, or None."""
        length = settings.sequence_length
        for name, fixed, cap in zip(self.names, self.fixed, self.caps, strict=True):
            if fixed is not None and fixed > cap:
                return f"{name} asks for {fixed * length:,} tokens, its cap leaves {cap * length:,}"
        settled = sum(fixed for fixed in self.fixed if fixed is not None)
        if self._proportional(total, settings):
            return None
        if settled > total:
            return f"the {self.role} sources ask for {settled * length:,} tokens, the schedule gives {total * length:,}"
        if total > self.capacity():
            return (
                f"the schedule gives {total * length:,} tokens to the {self.role} sources, "
                f"which have {self.capacity() * length:,} within their budgets and max_epochs"
            )
        return None

    def _proportional(self, total: int, settings: MixSettings) -> bool:
        """All sources are fixed and miss the whole number of steps by less than one: then they give in proportion."""
        settled = sum(fixed for fixed in self.fixed if fixed is not None)
        close = abs(settled - total) < settings.global_batch and total <= sum(self.caps)
        return None not in self.fixed and settled > 0 and close

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


def _budgets(supplies: Sequence[Supply], settings: MixSettings) -> list[SourceBudget]:
    names = [supply.name for supply in supplies]
    if not names:
        raise ConfigError("there is no source to mix", todo="tokenize at least one source")
    for name in settings.sources:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            raise ConfigError(
                f"the mixture names a source that has no token store: {name}",
                found=", ".join(names),
                todo=f'did you mean "{near[0]}"?' if near else "name one of these, or prepare the source first",
            )
    return [settings.sources.get(name, SourceBudget()) for name in names]


def _curve(roles: Sequence[Role], settings: MixSettings) -> tuple[Schedule, float]:
    """The schedule and floor that hold: with sources of one role only there is nothing to divide."""
    if "replay" not in roles:
        if settings.replay_floor:
            raise ConfigError(
                "replay_floor is set, and no source has role: replay",
                found=f"replay_floor = {settings.replay_floor}",
                todo="give one source role: replay, or set replay_floor: 0",
            )
        return Constant(share=1.0), 0.0
    if "domain" not in roles:
        return Constant(share=0.0), 0.0
    return settings.schedule, DEFAULT_REPLAY_FLOOR if settings.replay_floor is None else settings.replay_floor


def _fixed(supply: Supply, budget: SourceBudget, settings: MixSettings) -> int | None:
    if budget.tokens is not None:
        return budget.tokens // settings.sequence_length
    if budget.epochs is not None:
        return math.floor(Fraction(budget.epochs) * supply.sequences)
    return None


def _steps(leading: _Group, schedule: Schedule, floor: float, settings: MixSettings) -> int:
    if settings.steps is not None:
        return settings.steps
    step_tokens = settings.sequence_length * settings.global_batch
    if isinstance(settings.total_tokens, int):
        return settings.total_tokens // step_tokens

    def fits(steps: int) -> bool:
        return group_totals(schedule, steps, settings.global_batch, floor)[leading.role] <= leading.wanted

    bound = 1
    while bound < MOST_STEPS and fits(bound):
        bound *= 2
    if bound >= MOST_STEPS:
        raise ConfigError(
            "total_tokens: all has no end under this schedule",
            found=f"after {bound} steps the {leading.role} sources are not used up",
            todo="raise the domain's share, or state total_tokens or steps",
        )
    steps = _largest(fits, bound)
    if not steps:
        raise ConfigError(
            "the sources do not fill one step",
            found=f"{leading.wanted} sequences of {settings.sequence_length}, batches of {settings.global_batch}",
            todo="lower global_batch or sequence_length, or add text",
        )
    return steps


def _largest(fits: Callable[[int], bool], bound: int) -> int:
    """The largest n in [0, bound] that fits, where smaller ones do too."""
    low, high = 0, bound
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _infeasible(
    problem: str, groups: Mapping[Role, _Group], schedule: Schedule, steps: int, floor: float, settings: MixSettings
) -> ConfigError:
    """The refusal, with the nearest feasible number of steps below and above what was asked, if there is one."""
    step_tokens = settings.sequence_length * settings.global_batch

    def feasible(count: int) -> bool:
        totals = group_totals(schedule, count, settings.global_batch, floor)
        return all(group.problem(totals[role], settings) is None for role, group in groups.items())

    def within(count: int) -> bool:
        totals = group_totals(schedule, count, settings.global_batch, floor)
        return all(totals[role] <= group.capacity() for role, group in groups.items())

    def enough(count: int) -> bool:
        totals = group_totals(schedule, count, settings.global_batch, floor)
        settled = {role: sum(f for f in group.fixed if f is not None) for role, group in groups.items()}
        return any(totals[role] < settled[role] for role in ROLES)

    below = _largest(within, steps)
    above = _largest(enough, min(MOST_STEPS, 64 * steps)) + 1
    near = [count for count in sorted({below, above}, key=lambda n: (abs(n - steps), n)) if count and feasible(count)]
    nearest = (
        f"{near[0] * step_tokens:,} tokens ({near[0]} steps)" if near else "none with these sources and this schedule"
    )
    return ConfigError(
        f"the budget cannot be met: {problem}",
        where="mixture",
        found=f"asked {steps * step_tokens:,} tokens ({steps} steps); nearest feasible total: {nearest}",
        todo=(f"set total_tokens: {near[0] * step_tokens}, or " if near else "")
        + "raise max_epochs, add text, or change the schedule",
    )
