"""Budgets: what a mixture may ask for. mixing/solve.py turns it into whole sequences before the first step.

The schedule divides the total between two roles, the domain and the replay; within a role the sources share by weight
(by default in proportion to their tokens), except those that ask for a share of the run, tokens or epochs of their own.
No source may be seen more often than `max_epochs` in the whole run. Sources of a role may be declared a group: it has
one share between them, and what a capped source cannot take goes to the others of its group first.
"""

import difflib
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from corpus.settings import Settings
from mixing.packing import PackingSettings
from mixing.schedule import Linear, Schedule
from mixing.supply import ROLES as ROLES
from mixing.supply import Role as Role
from mixing.supply import Supply as Supply

DEFAULT_REPLAY_FLOOR = 0.05


class Proportional(Settings):
    """Sources without a budget of their own share by their tokens."""

    kind: Literal["proportional"] = "proportional"

    def weight(self, sequences: int) -> Fraction:
        return Fraction(sequences)


class Temperature(Settings):
    """Share by tokens^(1/τ): τ = 1 is proportional, a large τ nearly even (Devlin 2019; Xue et al. 2021)."""

    kind: Literal["temperature"] = "temperature"
    tau: float = Field(default=3.33, gt=0, description="1: in proportion to the tokens; larger: more even")

    def weight(self, sequences: int) -> Fraction:
        return Fraction(float(sequences) ** (1 / self.tau)) if sequences else Fraction(0)


class UniMax(Settings):
    """Even shares until a source has been seen `max_epochs` times; what it cannot take is shared evenly by the others
    (Chung et al. 2023)."""

    kind: Literal["unimax"] = "unimax"

    def weight(self, sequences: int) -> Fraction:
        return Fraction(1 if sequences else 0)


Sharing = Annotated[Proportional | Temperature | UniMax, Field(discriminator="kind")]


class SourceBudget(Settings):
    """What one source gives: a weight within its role, or a share of the run, or tokens, or epochs; at most one. And
    how its documents are packed."""

    role: Role = Field(default="domain", description="domain: what is learned; replay: what must not be forgotten")
    group: str | None = Field(default=None, description="one of `groups`: shares its budget and takes what it spills")
    weight: float | None = Field(
        default=None, ge=0, description="share within the role, relative; default: the source's tokens"
    )
    share: float | None = Field(default=None, ge=0, le=1, description="share of all tokens of the run")
    tokens: Annotated[int, Field(ge=0)] | Literal["all"] | None = Field(
        default=None, description="tokens of this source in the whole run; all: once through it"
    )
    epochs: float | None = Field(default=None, ge=0, description="passes over this source in the whole run")
    max_epochs: float = Field(default=4, gt=0, description="never more passes than this")
    store: str | None = Field(
        default=None,
        description="a token store made elsewhere, a folder or s3://…: of Provender's, or of datatrove's with the "
        "recipe's tokenizer; for a source that the corpus does not prepare",
    )
    packing: PackingSettings = Field(default=PackingSettings(), description="how documents become sequences")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        stated = [name for name in ("weight", "share", "tokens", "epochs") if getattr(self, name) is not None]
        if len(stated) > 1:
            raise ValueError(f"state one of weight, share, tokens, epochs: found {' and '.join(stated)}")
        if self.epochs is not None and self.epochs > self.max_epochs:
            raise ValueError(f"epochs = {self.epochs} is more than max_epochs = {self.max_epochs}")
        return self


class GroupBudget(Settings):
    """What the sources of a declared group give together: a weight within their role (by default that of its sources
    together), or a share of the run, or tokens; at most one. And a cap on all of them."""

    weight: float | None = Field(default=None, gt=0, description="share within the role, relative")
    share: float | None = Field(default=None, ge=0, le=1, description="share of all tokens of the run")
    tokens: int | None = Field(default=None, ge=0, description="tokens of the group in the whole run")
    max_epochs: float | None = Field(
        default=None, gt=0, description="never more passes over the group's text than this, sources taken together"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        stated = [name for name in ("weight", "share", "tokens") if getattr(self, name) is not None]
        if len(stated) > 1:
            raise ValueError(f"state one of weight, share, tokens: found {' and '.join(stated)}")
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
    sharing: Sharing = Field(
        default=Proportional(), description="how the sources of a role share what none of them states"
    )
    sources: dict[str, SourceBudget] = Field(
        default_factory=dict, description="what is mixed, by name: sources of the corpus, or stores made elsewhere"
    )
    groups: dict[str, GroupBudget] = Field(
        default_factory=dict, description="groups of sources of one role, by name: what one cannot take the others do"
    )
    seed: int = Field(
        0, description="of the order within each source; another seed reads the same documents in another order"
    )

    @model_validator(mode="after")
    def _groups_declared(self) -> Self:
        named = {budget.group: name for name, budget in self.sources.items() if budget.group is not None}
        for group, name in named.items():
            if group not in self.groups:
                near = difflib.get_close_matches(group, self.groups, 1)
                hint = f'did you mean "{near[0]}"?' if near else f"declare it: groups: {{{group}: {{}}}}"
                raise ValueError(f"source {name} is of group {group}, which is not declared; {hint}")
        if empty := sorted(set(self.groups) - set(named)):
            raise ValueError(f"no source is of group {', '.join(empty)}: give one `group: {empty[0]}`")
        return self

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

    def identity(self) -> dict[str, Any]:
        """Quality weights and stores go by their content, not by their path."""
        plain = super().identity()
        for name, source in self.sources.items():
            plain["sources"][name]["packing"] = source.packing.identity()
            del plain["sources"][name]["store"]
        return plain


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
