"""Compiling a plan: budget → quotas of every step → counts, for a whole run or for a segment that changes a run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from corpus.artifact import code_version
from corpus.errors import ConfigError
from mixing.budget import Budget, MixSettings, Supply
from mixing.plan import MixturePlan, changed_store
from mixing.plan_files import compact
from mixing.quotas import assign, group_room, whole_total
from mixing.schedule import UNIT, domain_units
from mixing.segments import Segment, Source
from mixing.sequences import Sequences, Stores, of_one_tokenizer
from mixing.solve import solve


def compile_plan(stores: Stores | Iterable[Supply], settings: MixSettings) -> MixturePlan:
    """Compile a plan from token stores by source name, or from numbers alone. Sources are sorted by name.

    Raises ConfigError when the budget cannot be met, ArtifactError when the stores' tokenizers differ.
    """
    supplies = supplies_of(stores, settings.sequence_length)
    budget = solve(supplies, settings)
    return _plan(supplies, settings, budget, _cumulative(budget, settings.global_batch), [], 0)


def append_segment(
    plan: MixturePlan, start: int, settings: MixSettings, stores: Stores | Iterable[Supply] | None = None
) -> MixturePlan:
    """A plan that is `plan` up to `start` and follows `settings` from there; `settings.steps` or `total_tokens`
    are those of the new segment. Counts go on, so nothing is lost or given twice. `stores` may bring new sources
    (default: those of the plan). Raises ConfigError when sequence length, batch or seed differ: they fix the order.
    """
    for name in ("sequence_length", "global_batch", "seed"):
        if getattr(settings, name) != getattr(plan, name):
            raise ConfigError(
                f"a new segment cannot change {name}",
                found=f"{getattr(settings, name)}, the plan has {getattr(plan, name)}",
                todo="keep it, or compile a new plan",
            )
    if not 0 < start <= plan.steps:
        raise ConfigError("a segment must start within the plan", found=start, todo=f"start it in 1 … {plan.steps}")
    known = {source.name: source.supply() for source in plan.sources}
    offered = {} if stores is None else {s.name: s for s in supplies_of(stores, plan.sequence_length)}
    for name, supply in offered.items():
        if known.setdefault(name, supply) != supply:
            raise changed_store(name, known[name].store, supply.store)
    used = [int(count) for count in plan.cumulative[:, start]] + [0] * (len(known) - len(plan.sources))
    supplies = [replace(s, used=count) for s, count in zip(known.values(), used, strict=True)]
    budget = solve(supplies, settings)
    counts = np.array(used, np.int64)[:, None] + _cumulative(budget, plan.global_batch)
    before = np.zeros((len(supplies), start), np.int64)
    before[: len(plan.sources)] = plan.cumulative[:, :start]
    segments = [_cut(segment, start, plan.cumulative) for segment in plan.segments if segment.start < start]
    return _plan(supplies, settings, budget, np.concatenate([before, counts], axis=1), segments, start)


def plan_function(stores: Stores, settings: MixSettings) -> dict[str, Any]:
    """What a plan is a function of: stores, settings and code; for skipping the stage when none has changed."""
    cut = {name: Sequences.of(entry, settings.sequence_length) for name, entry in sorted(stores.items())}
    prints = {name: entry.fingerprint for name, entry in cut.items()}
    return {"stores": prints, "settings": settings.identity(), "code": code_version("mixing")}


def supplies_of(stores: Stores | Iterable[Supply], length: int) -> list[Supply]:
    """What stores have to give in sequences of `length`, sorted by name. Raises ArtifactError when their tokenizers
    differ."""
    if not isinstance(stores, Mapping):
        return sorted(stores, key=lambda supply: supply.name)
    cut = {name: Sequences.of(entry, length) for name, entry in sorted(stores.items())}
    if cut:
        of_one_tokenizer(cut.values())
    return [
        Supply(name, entry.tokens, entry.sequences, entry.fingerprint, entry.padding_tokens)
        for name, entry in cut.items()
    ]


def _cumulative(budget: Budget, global_batch: int) -> np.ndarray:
    """int64[sources, steps + 1] of one segment, from 0."""
    totals = np.array([allocation.sequences for allocation in budget.allocations], np.int64)
    domain = whole_total(domain_units(budget.schedule, budget.steps, global_batch, budget.replay_floor))
    batches = np.arange(budget.steps + 1, dtype=np.int64) * global_batch
    room = group_room(domain)
    clocks = {"domain": (domain, room), "replay": (batches * UNIT - domain, batches - room)}
    given = np.zeros((len(totals), budget.steps + 1), np.int64)
    for role, (clock, places) in clocks.items():
        members = np.flatnonzero([entry == role for entry in budget.roles])
        given[members] = assign(clock, places, totals[members])
    return given


def _plan(
    supplies: Sequence[Supply],
    settings: MixSettings,
    budget: Budget,
    cumulative: np.ndarray,
    segments: list[Segment],
    start: int,
) -> MixturePlan:
    length = settings.sequence_length
    sources = tuple(Source.of(supply, role, length) for supply, role in zip(supplies, budget.roles, strict=True))
    last = Segment(
        start,
        budget.steps,
        budget.steps,
        settings.identity(),
        budget.schedule.identity(),
        budget.replay_floor,
        budget.roles,
        tuple(allocation.asked for allocation in budget.allocations),
        tuple(allocation.cap for allocation in budget.allocations),
        tuple(allocation.sequences for allocation in budget.allocations),
    )
    earlier = [segment.widened(budget.roles) for segment in segments]
    return MixturePlan(length, settings.global_batch, settings.seed, sources, (*earlier, last), compact(cumulative))


def _cut(segment: Segment, stop: int, cumulative: np.ndarray) -> Segment:
    """The segment up to step `stop`: what it asked shrinks to what it has given."""
    if segment.start + segment.steps <= stop:
        return segment
    given = cumulative[:, stop].astype(np.int64) - cumulative[:, segment.start]
    return replace(segment, steps=stop - segment.start, asked=tuple(float(count) for count in given))
