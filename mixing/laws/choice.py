"""Which laws there are, and which of them fit a set of runs best on mixtures they have not seen."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from corpus.errors import ConfigError, DataError
from mixing.laws.dcpt import DcptLaw
from mixing.laws.exponential import ExponentialLaw
from mixing.laws.linear import LinearLaw, LogLinearLaw
from mixing.laws.mixtures import Mixtures
from mixing.laws.power import PowerLaw
from mixing.laws.quality import Assessment, Law, assess
from mixing.laws.repetition import RepetitionLaw
from mixing.laws.trees import TreesLaw

AnyLaw = Annotated[
    ExponentialLaw | DcptLaw | PowerLaw | LinearLaw | LogLinearLaw | TreesLaw | RepetitionLaw,
    Field(discriminator="kind"),
]
KINDS = ("linear", "log_linear", "power", "exponential", "dcpt", "trees")


def laws_of(names: Sequence[str], kinds: Sequence[str] = KINDS) -> list[Law]:
    """A law of each kind for the loss on text of the sources `names`. Raises ConfigError when a kind is unknown."""
    made: dict[str, Law] = {
        "linear": LinearLaw(),
        "log_linear": LogLinearLaw(),
        "power": PowerLaw(of=tuple(names)),
        "exponential": ExponentialLaw(),
        "dcpt": DcptLaw(of=tuple(names)),
        "trees": TreesLaw(),
    }
    for kind in kinds:
        if kind not in made:
            raise ConfigError(f"no such law: {kind}", found=kind, todo=f"one of {', '.join(made)}")
    return [made[kind] for kind in kinds]


def varied(at: Mixtures) -> bool:
    """Whether the runs differ in length or in the model's size, which only the D-CPT law knows about."""
    columns = [column for column in (at.tokens, at.parameters) if column is not None]
    return any(np.ptp(column) > 1e-6 * np.max(column) for column in columns)


def compare(
    laws: Sequence[Law], at: Mixtures, losses: np.ndarray, *, folds: int, seed: int = 0
) -> tuple[list[Assessment], dict[str, str]]:
    """Every law that can be fitted, judged on left-out mixtures, and why the others cannot. Raises DataError when none
    can."""
    judged, refused = [], {}
    for law in laws:
        if varied(at) and law.kind != "dcpt":
            refused[law.kind] = "runs of several lengths or sizes: name one, or use dcpt"
            continue
        try:
            judged.append(assess(law, at, losses, folds, seed))
        except (DataError, ConfigError) as error:
            refused[law.kind] = f"{error.what}: {error.found or error.todo}"
    if not judged:
        raise DataError(
            "no law can be fitted to these runs",
            found="; ".join(f"{kind}: {reason}" for kind, reason in refused.items()),
            todo="make more runs: `provender mix sweep`",
        )
    return judged, refused
