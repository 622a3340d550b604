"""More replay for the rest of a plan: a segment that keeps the run's length and the curve, above a higher floor.

    replay share   planned  ____/‾‾‾      raised at step s   ____|‾‾‾‾‾   never below the floor from s on

The sources of a role go on in the proportions the plan had left for them, the order inside a source is untouched, and
the counts go on from step s, so nothing is lost or given twice (`mixing.compile.append_segment`).
"""

from collections.abc import Iterable

import numpy as np
from pydantic import TypeAdapter

from mixing.budget import ROLES, MixSettings, SourceBudget
from mixing.compile import append_segment
from mixing.plan import MixturePlan
from mixing.schedule import Knots, Point, Schedule
from mixing.segments import Segment

KNOTS = 64  # straight pieces that stand for what is left of the domain's curve

Raise = tuple[int, float]  # from this step on, at least this share of replay


def replay_share(plan: MixturePlan, start: int) -> float:
    """The share of replay in the steps from `start` on; 0 when none is left."""
    left = _left(plan, start)
    replay = sum(count for count, source in zip(left, plan.sources, strict=True) if source.role == "replay")
    return float(replay) / max(int(left.sum()), 1)


def with_raises(plan: MixturePlan, raises: Iterable[Raise]) -> MixturePlan:
    """The plan after raises at rising steps."""
    for start, floor in raises:
        plan = with_more_replay(plan, start, floor)
    return plan


def with_more_replay(plan: MixturePlan, start: int, floor: float) -> MixturePlan:
    """The plan up to `start`, then the same number of steps with at least the share `floor` of replay.

    Raises ConfigError when the replay sources do not have that much within their epochs, or `start` is no step of it.
    """
    last, left = plan.segments[-1], _left(plan, start)
    given = plan.cumulative[:, -1].astype(np.int64)
    sources = {}
    for role in ROLES:
        members = [index for index, source in enumerate(plan.sources) if source.role == role]
        # A role that the rest of the plan has no part for goes by what it gave so far, or by what it has.
        for counts in (left, given, np.array([source.sequences for source in plan.sources])):
            if any(counts[index] for index in members):
                break
        for index in members:
            source = plan.sources[index]
            epochs = last.settings["sources"].get(source.name, {}).get("max_epochs", 4)
            sources[source.name] = SourceBudget(role=role, weight=float(counts[index]), max_epochs=epochs)
    settings = MixSettings(
        sequence_length=plan.sequence_length,
        global_batch=plan.global_batch,
        seed=plan.seed,
        steps=plan.steps - start,
        schedule=_rest(last, start),
        replay_floor=floor,
        sources=sources,
    )
    return append_segment(plan, start, settings)


def _left(plan: MixturePlan, start: int) -> np.ndarray:
    """int64[sources]: sequences the plan gives from `start` on."""
    return plan.cumulative[:, -1].astype(np.int64) - plan.cumulative[:, start]


def _rest(segment: Segment, start: int) -> Knots:
    """The curve of a segment from step `start` of the run on: straight between means over short stretches."""
    curve: Schedule = TypeAdapter(Schedule).validate_python(segment.schedule)
    done = (start - segment.start) / segment.planned_steps
    # KNOTS + 1 points at rest; the share at a point is the mean over half a stretch to either side.
    at = np.linspace(0, 1, KNOTS + 1)
    edges = done + np.clip(np.concatenate([at - 0.5 / KNOTS, [1 + 0.5 / KNOTS]]), 0, 1) * (1 - done)
    shares = np.clip(np.diff(curve.integral(edges)) / np.diff(edges), 0, 1)
    return Knots(points=tuple(Point(at=float(x), share=float(y)) for x, y in zip(at, shares, strict=True)))
