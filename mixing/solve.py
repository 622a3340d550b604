"""Solving a budget: steps, the roles' totals under the schedule, and whole sequences for every source.

A budget that cannot be met is refused with the reason and the nearest one that can: another length of the run where one
is feasible as it stands, else the same run with the sources' own demands cut to what there is.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from corpus.errors import ConfigError
from mixing.budget import (
    DEFAULT_REPLAY_FLOOR,
    ROLES,
    Allocation,
    Budget,
    MixSettings,
    Role,
    SourceBudget,
    Supply,
)
from mixing.parts import Part
from mixing.schedule import MAX_SEQUENCES, UNIT_BITS, Constant, Schedule, domain_units

MOST_STEPS = 1 << 24  # of a run; searches for a feasible length stop here


def solve(supplies: Sequence[Supply], settings: MixSettings) -> Budget:
    """Solve a segment. Raises ConfigError with what was asked, the nearest feasible budget and the reason."""
    budgets = _budgets(supplies, settings)
    roles = tuple(budget.role for budget in budgets)
    schedule, floor = _curve(roles, settings)
    question = _Question(supplies, budgets, settings, schedule, floor)
    steps = question.steps()
    if steps * settings.global_batch >= MAX_SEQUENCES:
        raise ConfigError("the run is too long to be planned", found=f"{steps} steps of {settings.global_batch}")

    parts, totals = question.parts(steps), question.totals(steps)
    allocations: list[Allocation | None] = [None] * len(supplies)
    for role, part in parts.items():
        problem = part.problem(totals[role], settings)
        if problem is not None:
            raise question.refusal(problem, steps)
        for index, allocation in zip(part.members, part.allocate(totals[role], settings), strict=True):
            allocations[index] = allocation
    return Budget(steps, schedule, floor, roles, tuple(entry for entry in allocations if entry is not None))


def role_totals(schedule: Schedule, steps: int, global_batch: int, replay_floor: float) -> dict[Role, int]:
    """Sequences of each role over the run: the domain's integral rounded down, the rest replay."""
    domain = int(domain_units(schedule, steps, global_batch, replay_floor)[-1]) >> UNIT_BITS
    return {"domain": domain, "replay": steps * global_batch - domain}


@dataclass(frozen=True)
class _Question:
    """A budget to be solved, for any number of steps."""

    supplies: Sequence[Supply]
    budgets: Sequence[SourceBudget]
    settings: MixSettings
    schedule: Schedule
    floor: float

    def parts(self, steps: int | None) -> Mapping[Role, Part]:
        total = None if steps is None else steps * self.settings.global_batch
        return {role: Part.of(role, self.supplies, self.budgets, self.settings, total) for role in ROLES}

    def totals(self, steps: int) -> dict[Role, int]:
        return role_totals(self.schedule, steps, self.settings.global_batch, self.floor)

    def steps(self) -> int:
        """As stated, or as many as use up the leading role's sources."""
        settings = self.settings
        if settings.steps is not None:
            return settings.steps
        if isinstance(settings.total_tokens, int):
            return settings.total_tokens // (settings.sequence_length * settings.global_batch)
        role: Role = "domain" if any(budget.role == "domain" for budget in self.budgets) else "replay"
        wanted = self.parts(None)[role].wanted

        def fits(steps: int) -> bool:
            return self.totals(steps)[role] <= wanted

        bound = 1
        while bound < MOST_STEPS and fits(bound):
            bound *= 2
        if bound >= MOST_STEPS:
            raise ConfigError(
                "total_tokens: all has no end under this schedule",
                found=f"after {bound} steps the {role} sources are not used up",
                todo="raise the domain's share, or state total_tokens or steps",
            )
        if not (steps := _largest(fits, bound)):
            raise ConfigError(
                "the sources do not fill one step",
                found=f"{wanted} sequences of {settings.sequence_length}, batches of {settings.global_batch}",
                todo="lower global_batch or sequence_length, or add text",
            )
        return steps

    def _feasible(self, steps: int) -> bool:
        totals = self.totals(steps)
        return all(part.problem(totals[role], self.settings) is None for role, part in self.parts(steps).items())

    def _within(self, steps: int) -> bool:
        """Whether no role is asked for more than it has."""
        totals = self.totals(steps)
        return all(totals[role] <= part.capacity() for role, part in self.parts(steps).items())

    def _short(self, steps: int) -> bool:
        """Whether some role's sources ask for more than the schedule gives."""
        totals = self.totals(steps)
        return any(totals[role] < part.settled for role, part in self.parts(steps).items())

    def refusal(self, problem: str, steps: int) -> ConfigError:
        """The error: what was asked, why not, and the nearest that can be met."""
        step_tokens = self.settings.sequence_length * self.settings.global_batch
        bounds = {_largest(self._within, steps), _largest(self._short, min(MOST_STEPS, 64 * steps)) + 1}
        near = [n for n in sorted(bounds, key=lambda n: (abs(n - steps), n)) if n and self._feasible(n)]
        if near:
            nearest = f"{near[0] * step_tokens:,} tokens ({near[0]} steps)"
            todo = f"set total_tokens: {near[0] * step_tokens}, or "
        else:
            nearest, todo = self._cut(steps)
        return ConfigError(
            f"the budget cannot be met: {problem}",
            where="mixture",
            found=f"asked {steps * step_tokens:,} tokens ({steps} steps); nearest feasible total: {nearest}",
            todo=todo + "raise max_epochs, add text, or change the schedule",
        )

    def _cut(self, steps: int) -> tuple[str, str]:
        """A budget that can be met when no length of the run suffices as it stands: demands at most their caps, the run
        as long as the sources last, and demands beyond the schedule cut in proportion."""
        length, batch = self.settings.sequence_length, self.settings.global_batch
        before = self.parts(steps)
        capped = {role: part.lowered() for role, part in before.items()}

        def lasts(count: int) -> bool:
            totals = self.totals(count)
            return all(totals[role] <= part.capacity() for role, part in capped.items())

        if not (count := _largest(lasts, steps)):
            return "none with these sources and this schedule", ""
        totals = self.totals(count)
        changed = [
            change
            for role, part in capped.items()
            for change in before[role].demands_changed(part.cut_to(totals[role]))
        ]
        total_tokens = count * batch * length
        if not changed:
            return f"{total_tokens:,} tokens", f"set total_tokens: {total_tokens}, or "
        named = ", ".join(f"{name} {entry * length:,}" for _, name, entry in changed)
        stated = ", ".join(f"{kind}.{name}.tokens: {entry * length}" for kind, name, entry in changed)
        return (
            f"{total_tokens:,} tokens ({count} steps), with tokens of {named}",
            f"set total_tokens: {total_tokens} and {stated}, or ",
        )


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
