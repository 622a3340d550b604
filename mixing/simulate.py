"""What a plan will do, before it does it: planned and realised shares over the run, for a table or a chart."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from mixing.plan import MixturePlan, Segment
from mixing.schedule import UNIT, Schedule, domain_units
from mixing.sequences import Sequences


def curves(plan: MixturePlan, points: int = 200) -> pl.DataFrame:
    """Shares by stretch of the run and source, at most `points` stretches, cut into equal numbers of steps.

    `step` is where the stretch ends (steps done), `sequences` what the source gives in it, `tokens` what it has given
    until then, `share` its part of the stretch, `target_share` the part the schedule and the budget ask for, `epochs`
    the passes over the source so far.
    """
    marks = np.unique(np.linspace(0, plan.steps, min(points, plan.steps) + 1).round().astype(np.int64))
    given = plan.cumulative[:, marks].astype(np.int64)
    targets = target(plan)[:, marks]
    room = np.diff(marks) * plan.global_batch
    per_epoch = np.array([max(source.sequences, 1) for source in plan.sources])
    stretches, sources = len(marks) - 1, len(plan.sources)
    return pl.DataFrame(
        {
            "step": np.tile(marks[1:], sources),
            "source": np.repeat(plan.names, stretches).tolist(),
            "role": np.repeat([source.role for source in plan.sources], stretches).tolist(),
            "sequences": np.diff(given, axis=1).ravel(),
            "tokens": given[:, 1:].ravel() * plan.sequence_length,
            "share": (np.diff(given, axis=1) / room).ravel(),
            "target_share": (np.diff(targets, axis=1) / room).ravel(),
            "epochs": (given[:, 1:] / per_epoch[:, None]).ravel(),
        }
    )


@dataclass(frozen=True)
class Forecast:
    """What a run will take: tokens, their worth after the discount of repetition, repeated tokens, padding; seconds and
    cost where a speed and a price are known."""

    steps: int
    tokens: int
    effective_tokens: int
    repeated_tokens: int
    padding_tokens: int
    seconds: float | None
    cost: float | None


def forecast(
    plan: MixturePlan, tokens_per_second: float | None = None, price_per_hour: float | None = None
) -> Forecast:
    """The run as figures; `tokens_per_second` and `price_per_hour` are those of all devices together."""
    table = plan.table()
    repeated = sum(
        max(0, int(given) - source.sequences) * plan.sequence_length
        for source, given in zip(plan.sources, plan.cumulative[:, -1], strict=True)
    )
    seconds = plan.tokens / tokens_per_second if tokens_per_second else None
    cost = seconds / 3600 * price_per_hour if seconds is not None and price_per_hour is not None else None
    effective, padding = int(table["effective_tokens"].sum()), int(table["padding_tokens"].sum())
    return Forecast(plan.steps, plan.tokens, effective, repeated, padding, seconds, cost)


def tokens_by_step(plan: MixturePlan, source: str, sequences: Sequences, steps: int) -> np.ndarray:
    """int64[steps]: tokens, without padding, that a source gives to each of the first steps; reads their rows."""
    index = plan.names.index(source)
    filled = sequences.filled(np.arange(sequences.sequences))
    rows = (plan.batch(step) for step in range(steps))
    return np.array([filled[batch.sequence[batch.source == index]].sum() for batch in rows], np.int64)


def target(plan: MixturePlan) -> np.ndarray:
    """float64[sources, steps + 1]: the sequences each source should have given before each step, as asked of it."""
    asked = np.zeros(plan.cumulative.shape)
    for segment in plan.segments:
        stop = segment.start + segment.steps
        start = plan.cumulative[:, segment.start].astype(np.float64)
        asked[:, segment.start : stop + 1] = start[:, None] + _segment_target(plan, segment)
    return asked


def _segment_target(plan: MixturePlan, segment: Segment) -> np.ndarray:
    """float64[sources, segment's steps + 1], from 0: the group's curve times the source's part of the group."""
    schedule: Schedule = TypeAdapter(Schedule).validate_python(segment.schedule)
    domain = domain_units(schedule, segment.planned_steps, plan.global_batch, segment.replay_floor) / UNIT
    batches = np.arange(segment.planned_steps + 1) * plan.global_batch
    curves_by_role = {"domain": domain, "replay": batches - domain}
    out = np.zeros((len(plan.sources), segment.steps + 1))
    for role, curve in curves_by_role.items():
        members = [i for i, name in enumerate(segment.roles) if name == role]
        parts = np.array([segment.planned[i] for i in members], np.float64)
        if parts.sum():
            out[members] = np.outer(parts / parts.sum(), curve[: segment.steps + 1])
    return out
