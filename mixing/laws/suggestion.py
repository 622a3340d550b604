"""What to train on, from runs: laws chosen by held-out error → the critical share → a budget, beside the baselines.

Everything is said of one length of run and one size of model; runs of others serve the D-CPT law alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from pydantic import Field

from corpus.errors import ConfigError, DataError, ProvenderError
from corpus.settings import Settings
from mixing.budget import MixSettings, SourceBudget, Supply, Temperature, UniMax
from mixing.laws.choice import KINDS, compare, laws_of
from mixing.laws.critical import CriticalShare, Line, critical_by_tokens, critical_share, ratio_law
from mixing.laws.design import caps_of
from mixing.laws.mixtures import Mixtures
from mixing.laws.quality import MOST_FOLDS, Assessment, best
from mixing.laws.reach import Reach
from mixing.laws.runs import Runs
from mixing.schedule import Constant
from mixing.solve import solve
from mixing.table import effective_tokens

REPLAYS = (0.05, 0.25)
CURVE = 41


class Question(Settings):
    """How much general text may get worse, what the coming run is, and how to fit."""

    domain: tuple[str, ...] = Field(min_length=1, description="the sources that are learned; the others are replay")
    general: tuple[str, ...] = Field((), description="losses that are guarded; none: all but the domain's")
    epsilon: float = Field(0.05, gt=0, description="largest rise of a general loss over the untrained model's")
    relative: bool = Field(False, description="epsilon is a part of that loss; 0.05 is 5%")
    base: dict[str, float] = Field(default_factory=dict, description="losses before training, where not in the runs")
    law: str = Field("auto", description="auto: the least error on left-out mixtures")
    level: float = Field(0.9, gt=0, lt=1, description="of the intervals")
    folds: int = Field(MOST_FOLDS, ge=2, description="of left-out mixtures; fewer mixtures than this: one each")
    draws: int = Field(100, ge=10, description="resampled laws behind the interval of the share")
    tokens: int | None = Field(None, gt=0, description="of the coming run; default: as the runs")
    parameters: int | None = Field(None, gt=0, description="of the model; default: the largest of the runs")
    mix: MixSettings | None = Field(None, description="the coming run's mix, whose schedule is to be found")
    supply: dict[str, int] = Field(default_factory=dict, description="tokens a source has, where not in the runs")
    max_epochs: float = Field(4, gt=0, description="of sources that `mix` does not name")
    seed: int = 0


@dataclass(frozen=True)
class Judged:
    """The laws tried on one loss, the one that is used, and why others were not tried."""

    loss: str
    chosen: Assessment
    tried: Sequence[Assessment]
    refused: Mapping[str, str]


@dataclass(frozen=True)
class Proposal:
    """A mixture by name: shares by source, predicted losses by set as (mean, low, high), the rise of each general loss,
    whether all stay within epsilon, and what about it no run covers. `problem` says why there is none."""

    name: str
    shares: Mapping[str, float] = field(default_factory=dict)
    losses: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    rises: Mapping[str, float] = field(default_factory=dict)
    within: bool = False
    beyond: Sequence[str] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Given:
    """What a source gives to the coming run under the suggestion, in tokens; `worth` after the discount of repeats."""

    source: str
    role: str
    tokens: int
    epochs: float
    worth: int


@dataclass(frozen=True)
class Suggestion:
    """`curve`: proposals along the line from replay to domain; `critical_by_length` the CMR law's ratio and interval at
    the coming run's length, None where the runs do not allow it; `epsilon` absolute by general set."""

    question: Question
    tokens: float | None
    parameters: float | None
    critical: CriticalShare
    epsilon: Mapping[str, float]
    base: Mapping[str, float]
    targets: Sequence[str]
    judged: Sequence[Judged]
    proposals: Sequence[Proposal]
    curve: Sequence[Proposal]
    budget: Sequence[Given]
    budget_problem: str | None
    critical_by_length: tuple[float, float, float] | None
    runs: Runs
    notes: Sequence[str]


def suggest(runs: Runs, question: Question) -> Suggestion:
    """Answer a question from runs. Raises ConfigError when it does not fit the table, DataError when the runs are too
    few for every law."""
    asker = _Asker(runs, question)
    return asker.answer()


class _Asker:
    """A question being answered: the runs of its scale, the laws, the line of mixtures."""

    def __init__(self, runs: Runs, question: Question) -> None:
        self.every, self.question = runs, question
        for name in question.domain:
            runs.at.index(name)
        self.sources = runs.at.sources
        self.in_domain = np.array([name in question.domain for name in self.sources])
        self.general = question.general or tuple(name for name in runs.losses if name not in question.domain)
        self.targets = tuple(name for name in runs.losses if name not in self.general)
        if not self.general:
            raise ConfigError("no loss is general", found=", ".join(runs.losses), todo="name one with --general")
        self.parameters, self.length = _largest(runs.at.parameters), _largest(runs.at.tokens)
        self.scale_notes: list[str] = []
        if question.law == "dcpt":
            self.used = runs
            self.parameters = question.parameters or self.parameters
            self.length = question.tokens or self.length
        else:
            self.used = runs.of_scale(self.length, self.parameters)
            self._mention_scale()
        self.supply = dict(runs.supply) | question.supply
        self.run_tokens = self._run_tokens()
        self.base = {name: self._base(name) for name in self.general}
        part = question.epsilon
        self.epsilon = {name: part * base if question.relative else part for name, base in self.base.items()}

    def _mention_scale(self) -> None:
        left = len(self.every.at) - len(self.used.at)
        if left:
            self.scale_notes.append(f"{left} runs of other lengths or sizes are not used; --law dcpt uses all")
        for asked, have, what in (
            (self.question.tokens, self.length, "tokens"),
            (self.question.parameters, self.parameters, "parameters"),
        ):
            if asked and have and not np.isclose(asked, have, rtol=1e-6):
                self.scale_notes.append(
                    f"the runs have {have:,.0f} {what}, the coming one {asked:,}: shares of small runs carry over only "
                    "so far (the critical share grows with length and size)"
                )

    def _run_tokens(self) -> int | None:
        mix = self.question.mix
        if self.question.tokens:
            return self.question.tokens
        if mix is not None:
            if mix.steps is not None:
                return mix.steps * mix.global_batch * mix.sequence_length
            if isinstance(mix.total_tokens, int):
                return mix.total_tokens
        return None if self.length is None else int(self.length)

    def _base(self, name: str) -> float:
        self.every.loss(name)
        if name in self.question.base:
            return self.question.base[name]
        known = self.used.base.get(name)
        if known is None or not np.isfinite(known).all():
            raise ConfigError(
                f"the loss of {name} before training is not known",
                where=name,
                todo=f"give it: --base {name}=LOSS of the untrained model",
            )
        return float(known.mean())

    def answer(self) -> Suggestion:
        """The laws, the share and all that follows from it."""
        judged = [self._judge(name) for name in (*self.general, *self.targets)]
        self.laws = {each.loss: each.chosen.fitted for each in judged}
        self.reach = Reach(self.used.at)
        line = self._line()
        lowest, highest = self._range()
        limits = {name: self.base[name] + self.epsilon[name] for name in self.general}
        guards = {name: self.laws[name] for name in self.general}
        asked = self.question
        critical = critical_share(
            line, guards, limits, lowest=lowest, highest=highest, level=asked.level, draws=asked.draws, seed=asked.seed
        )
        proposals = []
        if critical.share is None:
            reason = f"every share of the domain breaks epsilon on {critical.broken}"
            proposals.append(Proposal("suggested", problem=reason))
        else:
            names = "suggested", f"safe at {asked.level:.0%}"
            proposals += self._proposals(names, line.at(np.array([critical.share, max(critical.low, lowest)])))
        proposals += self._baselines(line)
        shares = np.linspace(lowest, highest, CURVE)
        curve = self._proposals([f"domain {share:.2f}" for share in shares], line.at(shares))
        given, problem = self._budget(critical.share)
        return Suggestion(
            asked, self.run_tokens, self.parameters, critical, self.epsilon, self.base, self.targets, judged, proposals,
            curve, given, problem, self._by_length(), self.used, tuple(self.scale_notes),
        )  # fmt: skip

    def _judge(self, name: str) -> Judged:
        asked = self.question
        group = self.in_domain if name in asked.domain or name not in self.general else ~self.in_domain
        together = tuple(source for source, inside in zip(self.sources, group, strict=True) if inside)
        text = (name,) if name in self.sources else together
        laws = laws_of(text, KINDS if asked.law == "auto" else (asked.law,))
        tried, refused = compare(laws, self.used.at, self.used.loss(name), folds=asked.folds, seed=asked.seed)
        return Judged(name, best(tried), tried, refused)

    def _line(self) -> Line:
        """Within a role sources share by their tokens, or as they did on average in the runs."""
        ends = []
        for members in (~self.in_domain, self.in_domain):
            if all(name in self.supply for name in self.sources):
                weights = np.array([float(self.supply[name]) for name in self.sources])
            else:
                weights = self.used.at.shares.mean(axis=0)
            part = np.where(members, weights, 0.0)
            if not part.sum() > 0:
                raise ConfigError(
                    "the runs mix only one side of domain and replay",
                    found=f"domain: {', '.join(self.question.domain)}; sources: {', '.join(self.sources)}",
                    todo="name with --domain the sources that are learned, and leave at least one for replay",
                )
            ends.append(part / part.sum())
        unique = [float(self.supply[name]) for name in self.sources if name in self.supply]
        known = np.array(unique) if len(unique) == len(self.sources) else None
        return Line(self.sources, ends[0], ends[1], self.length, self.parameters, known)

    def _budgets(self) -> dict[str, SourceBudget]:
        mixed = self.question.mix.sources if self.question.mix is not None else {}
        return {
            name: mixed.get(name, SourceBudget(max_epochs=self.question.max_epochs)).model_copy(
                update={"role": "domain" if inside else "replay"}
            )
            for name, inside in zip(self.sources, self.in_domain, strict=True)
        }

    def _range(self) -> tuple[float, float]:
        """The least and the largest domain share that the sources can give within their caps."""
        if self.run_tokens is None or any(name not in self.supply for name in self.sources):
            return 0.0, 1.0
        epochs = {name: budget.max_epochs for name, budget in self._budgets().items()}
        caps = caps_of({n: float(self.supply[n]) for n in self.sources}, epochs, float(self.run_tokens))
        highest, replay = float(min(1.0, caps[self.in_domain].sum())), float(min(1.0, caps[~self.in_domain].sum()))
        if highest + replay < 1:
            raise ConfigError(
                "the sources cannot fill the run within max_epochs",
                found=f"domain at most {highest:.3g}, replay at most {replay:.3g} of {self.run_tokens:,} tokens",
                todo="make the run shorter, raise max_epochs, or add text",
            )
        return 1 - replay, highest

    def _proposals(self, names: Sequence[str], at: Mixtures) -> list[Proposal]:
        predicted = {}
        for loss, law in self.laws.items():
            columns = np.column_stack([law.predict(at), *law.interval(at, self.question.level)])
            predicted[loss] = [(middle, low, high) for middle, low, high in columns.tolist()]
        found = []
        for row, (name, beyond) in enumerate(zip(names, self.reach.beyond(at), strict=True)):
            losses = {loss: values[row] for loss, values in predicted.items()}
            rises = {each: losses[each][0] - self.base[each] for each in self.general}
            shares = dict(zip(self.sources, at.shares[row].tolist(), strict=True))
            within = all(rises[each] <= self.epsilon[each] + 1e-9 for each in self.general)
            found.append(Proposal(name, shares, losses, rises, within, beyond))
        return found

    def _baselines(self, line: Line) -> list[Proposal]:
        found = self._proposals([f"{part:.0%} replay" for part in REPLAYS], line.at(1 - np.array(REPLAYS)))
        for name, sharing in (("UniMax", UniMax()), ("temperature 3.33", Temperature())):
            try:
                shares = self._shared(sharing)
            except ProvenderError as error:
                found.append(Proposal(name, problem=f"{error.what}; {error.todo}" if error.todo else error.what))
                continue
            found += self._proposals([name], replace(line.at(np.zeros(1)), shares=shares[None]))
        return found

    def _supplies(self, length: int) -> list[Supply]:
        missing = [name for name in self.sources if name not in self.supply]
        if missing or self.run_tokens is None:
            raise ConfigError(
                "the tokens of the sources or of the run are not known",
                todo="give --have NAME=TOKENS for every source and --run-tokens, or --recipe",
            )
        return [Supply(name, self.supply[name], self.supply[name] // length) for name in self.sources]

    def _settings(self, share: float) -> MixSettings:
        """The coming run's mix with a constant share of the domain."""
        mix, length = self.question.mix, self.every.sequence_length or 2048
        if mix is not None and self.question.tokens is None:
            return mix.model_copy(update={"schedule": Constant(share=share)})
        return MixSettings(
            sequence_length=mix.sequence_length if mix is not None else length,
            global_batch=mix.global_batch if mix is not None else self.every.global_batch or 1,
            total_tokens=self.run_tokens,
            schedule=Constant(share=share),
            replay_floor=0.0,
            sources=self._budgets(),
        )

    def _shared(self, sharing: UniMax | Temperature) -> np.ndarray:
        """float64[sources]: all sources as one group that shares by `sharing` under the caps."""
        settings = self._settings(1.0)
        group = {name: b.model_copy(update={"role": "domain", "weight": None}) for name, b in self._budgets().items()}
        alone = settings.model_copy(update={"sharing": sharing, "sources": group, "replay_floor": None})
        given = [a.sequences for a in solve(self._supplies(settings.sequence_length), alone).allocations]
        return np.array(given, np.float64) / sum(given)

    def _budget(self, share: float | None) -> tuple[list[Given], str | None]:
        if share is None:
            return [], "no share of the domain is within epsilon"
        try:
            settings = self._settings(share)
            supplies = self._supplies(settings.sequence_length)
            solved = solve(supplies, settings)
        except ProvenderError as error:
            return [], str(error)
        length = settings.sequence_length
        return [
            Given(
                supply.name,
                role,
                allocation.sequences * length,
                allocation.sequences / max(supply.sequences, 1),
                round(float(effective_tokens(allocation.sequences * length, supply.sequences * length))),
            )
            for supply, role, allocation in zip(supplies, solved.roles, solved.allocations, strict=True)
        ], None

    def _by_length(self) -> tuple[float, float, float] | None:
        """The CMR law at the coming run's length, from runs of at least three lengths, for the first general loss."""
        runs = self.every.of_scale(None, self.parameters)
        if runs.at.tokens is None or self.run_tokens is None or len(np.unique(runs.at.tokens)) < 3:
            return None
        name = self.general[0]
        rises = runs.loss(name) - (runs.base[name] if name in runs.base else self.base[name])
        try:
            law = ratio_law(critical_by_tokens(runs.at, rises, self.question.domain, self.epsilon[name]))
        except DataError:
            return None
        there = Mixtures(("domain", "replay"), np.zeros((1, 2)), np.array([float(self.run_tokens)]))
        low, high = law.interval(there, self.question.level)
        return float(law.predict(there)[0]), float(low[0]), float(high[0])


def _largest(scales: np.ndarray | None) -> float | None:
    return None if scales is None else float(scales.max())
