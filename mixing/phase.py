"""A mixture that switches with the learning rate: where the switch is, by the schedule that the trainer will follow."""

from collections.abc import Callable, Sequence

from corpus.errors import ConfigError
from mixing.budget import MixSettings, Supply
from mixing.schedule import LearningRatePhase
from mixing.solve import solve

Rate = Callable[[int, int], float]  # the learning rate of a 0-based step of so many steps
WHERE = "mixture, schedule learning_rate"


def switch_step(rate: Rate, steps: int, ratio: float) -> int:
    """The first step after the peak whose rate is at most `ratio` of it. Raises ConfigError when there is none."""
    rates = [rate(step, steps) for step in range(steps)]
    peak = max(range(steps), key=lambda step: (rates[step], step))
    for step in range(peak, steps):
        if rates[step] <= ratio * rates[peak] * (1 + 1e-9):
            return step
    raise ConfigError(
        f"the learning rate never falls to {ratio} of its peak",
        where=WHERE,
        found=f"its last of {steps} steps is {rates[-1] / rates[peak]:.3g} of the peak",
        todo="raise schedule.ratio, or lower the last rate of the train section",
    )


def follow_learning_rate(settings: MixSettings, supplies: Sequence[Supply], rate: Rate) -> MixSettings:
    """The settings with the switch of a `learning_rate` schedule put where `rate` has it; others as they are.

    Raises ConfigError when the schedule describes another learning rate than `rate`, by more than one step.
    """
    schedule = settings.schedule
    if not isinstance(schedule, LearningRatePhase) or schedule.at is not None:
        return settings
    followed, steps = settings, solve(supplies, settings).steps
    for _ in range(20):  # with `total_tokens: all` the length follows from the switch, which follows from the length
        step = switch_step(rate, steps, schedule.ratio)
        placed = schedule.model_copy(update={"at": max(step, 0.5) / steps})
        followed = settings.model_copy(update={"schedule": placed})
        before, steps = steps, solve(supplies, followed).steps
        if steps == before:
            break
    if schedule.described and abs(schedule.switch * steps - step) > 1:
        raise ConfigError(
            "the schedule describes another learning rate than the train section",
            where=WHERE,
            found=f"a switch at step {schedule.switch * steps:.0f} of {steps}, the trainer is down to "
            f"{schedule.ratio} of its peak at step {step}",
            todo="leave warmup, min_ratio and decay out: the train section has them",
        )
    return followed
