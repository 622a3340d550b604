"""Expectations: `expect:` in a recipe, named bounds that a stage must meet or fail with figure, bound and query.

    expect:
      - {check: tokens_at_least, tokens: 50_000_000, source: papers}
      - {check: max_drop_rate, rate: 0.4}
      - {check: language_share, language: en, at_least: 0.9}
      - {check: pii_residual_max, per_million: 5, sample: 2000}
      - {check: general_bpb_rise_max, rise: 0.02}

Each check belongs to a stage: it runs when `corpus`, `mix` or `train` has finished, over what is on the disk then. The
artefacts stay; the command fails. The query is one to paste behind `provender audit sql`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from corpus.errors import DataError, ProvenderError, TrainingError
from corpus.settings import Settings

Stage = Literal["corpus", "mix", "train"]


@dataclass(frozen=True)
class Finding:
    """A measured expectation: the figure (None where there is nothing to measure), its bound, whether it holds."""

    check: str
    figure: float | None
    bound: str
    holds: bool
    query: str

    def __str__(self) -> str:
        figure = "nothing to measure" if self.figure is None else f"{self.figure:,.6g}"
        return f"{self.check}: {figure}, expected {self.bound}; query: {self.query}"


class Expectation(Settings):
    """A figure and its bounds. A figure that cannot be measured fails."""

    stage: ClassVar[Stage] = "corpus"

    def query(self) -> str:
        """SQL over the views of pipelines.audit.views: one row, one column."""
        raise NotImplementedError

    def bounds(self) -> tuple[float | None, float | None]:
        """The least and the largest figure that holds."""
        raise NotImplementedError

    def measure(self, workspace: Path) -> float | None:
        from pipelines.audit.views import Views

        with Views(workspace) as views:
            value = (views if self.stage == "corpus" else views.with_training()).query(self.query()).item()
        return None if value is None else float(value)

    def of_run(self, run: str) -> "Expectation":
        """This expectation of the named run, where it is of a run and names none."""
        return self.model_copy(update={"run": run}) if getattr(self, "run", run) is None else self

    def judge(self, workspace: Path) -> Finding:
        """Measure and compare."""
        figure = self.measure(workspace)
        low, high = self.bounds()
        words = [f"{word} {bound:,.6g}" for word, bound in (("at least", low), ("at most", high)) if bound is not None]
        holds = figure is not None and (low is None or figure >= low) and (high is None or figure <= high)
        return Finding(self.check, figure, " and ".join(words), holds, " ".join(self.query().split()))  # type: ignore[attr-defined]


class _OfSource(Expectation):
    source: str | None = Field(None, description="one source; without, all together")

    @property
    def _where(self) -> str:
        return f"source = '{self.source.replace(chr(39), chr(39) * 2)}'" if self.source is not None else "true"


class TokensAtLeast(_OfSource):
    """Tokens kept, without end-of-text tokens."""

    check: Literal["tokens_at_least"] = "tokens_at_least"
    tokens: int = Field(ge=0, description="fewest tokens")

    def query(self) -> str:
        return f"SELECT coalesce(sum(tokens_out), 0) FROM ledger WHERE {self._where}"

    def bounds(self) -> tuple[float | None, float | None]:
        return self.tokens, None


class DocumentsAtLeast(_OfSource):
    """Documents kept."""

    check: Literal["documents_at_least"] = "documents_at_least"
    documents: int = Field(ge=0, description="fewest documents")

    def query(self) -> str:
        return f"SELECT count(*) FROM ledger WHERE fate = 'kept' AND {self._where}"

    def bounds(self) -> tuple[float | None, float | None]:
        return self.documents, None


class MaxDropRate(_OfSource):
    """Share of the documents read that were not kept, for any reason or one step or rule."""

    check: Literal["max_drop_rate"] = "max_drop_rate"
    rate: float = Field(ge=0, le=1, description="largest share, of documents")
    reason: str | None = Field(None, description="a step (`quality`) or a rule (`too few words`)")

    def query(self) -> str:
        why = ""
        if self.reason is not None:
            quoted = self.reason.replace("'", "''")
            why = f" AND (step = '{quoted}' OR reason = '{quoted}')"
        return f"SELECT count(*) FILTER (fate != 'kept'{why}) / count(*) FROM ledger WHERE {self._where}"

    def bounds(self) -> tuple[float | None, float | None]:
        return None, self.rate


class LanguageShare(_OfSource):
    """Share of the kept tokens that is in a language; documents without an identified language count as none."""

    check: Literal["language_share"] = "language_share"
    language: str = Field(pattern=r"^[A-Za-z_-]+$", description="label as the model has it, such as en")
    at_least: float | None = Field(None, ge=0, le=1, description="least share, of tokens")
    at_most: float | None = Field(None, ge=0, le=1, description="largest share, of tokens")

    @model_validator(mode="after")
    def _bounded(self) -> "LanguageShare":
        if self.at_least is None and self.at_most is None:
            raise ValueError("state at_least or at_most")
        return self

    def query(self) -> str:
        return (
            f"SELECT sum(tokens_out) FILTER (language = '{self.language}') / sum(tokens_out) FROM ledger "
            f"WHERE fate = 'kept' AND {self._where}"
        )

    def bounds(self) -> tuple[float | None, float | None]:
        return self.at_least, self.at_most


class PiiResidualMax(_OfSource):
    """Values that the strictest profile still finds in kept text, per million tokens of a sample. An estimate from
    above: surrogates and generalised dates look like what they stand for, so state the `types` that no policy leaves
    a trace of (those that are tagged), such as EMAIL."""

    check: Literal["pii_residual_max"] = "pii_residual_max"
    per_million: float = Field(ge=0, description="most values per million tokens")
    types: tuple[str, ...] = Field(
        ("EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IBAN", "SECRET"),
        min_length=1,
        description="what is looked for: types whose values leave as tags; surrogates would be found again",
    )
    sample: int = Field(1000, ge=1, description="documents, drawn by their ids")

    def query(self) -> str:
        return f"SELECT text, token_count FROM corpus WHERE {self._where} ORDER BY id LIMIT {self.sample}"

    def bounds(self) -> tuple[float | None, float | None]:
        return None, self.per_million

    def measure(self, workspace: Path) -> float | None:
        from pipelines.audit.masking import residual
        from pipelines.audit.views import Views

        with Views(workspace, texts=True) as views:
            if not views.has("corpus"):
                return None
            rows = views.query(self.query())
        tokens = int(rows["token_count"].sum() or 0)
        return residual(rows["text"].to_list(), self.types) / tokens * 1e6 if tokens else None


class DuplicateRateMax(_OfSource):
    """Share of the documents read that repeat another one."""

    check: Literal["duplicate_rate_max"] = "duplicate_rate_max"
    rate: float = Field(ge=0, le=1, description="largest share, of documents")

    def query(self) -> str:
        return f"SELECT count(duplicate_of) / count(*) FROM ledger WHERE {self._where}"

    def bounds(self) -> tuple[float | None, float | None]:
        return None, self.rate


class PlannedEpochsMax(_OfSource):
    """Passes over a source in the plan of the recipe's run; without a source, of the one most repeated."""

    stage: ClassVar[Stage] = "mix"
    check: Literal["epochs_at_most"] = "epochs_at_most"
    epochs: float = Field(gt=0, description="most passes")
    run: str | None = Field(None, description="name of the plan; without, the recipe's run")

    def query(self) -> str:
        return f"SELECT max(epochs) FROM planned WHERE plan = 'plans/{self.run}' AND {self._where}"

    def bounds(self) -> tuple[float | None, float | None]:
        return None, self.epochs


class PlannedShare(_OfSource):
    """Share of the planned tokens of a source, or of a role."""

    stage: ClassVar[Stage] = "mix"
    check: Literal["planned_share"] = "planned_share"
    role: Literal["domain", "replay"] | None = Field(None, description="all sources of this role together")
    at_least: float | None = Field(None, ge=0, le=1, description="least share, of tokens")
    at_most: float | None = Field(None, ge=0, le=1, description="largest share, of tokens")
    run: str | None = Field(None, description="name of the plan; without, the recipe's run")

    @model_validator(mode="after")
    def _bounded(self) -> "PlannedShare":
        if self.at_least is None and self.at_most is None:
            raise ValueError("state at_least or at_most")
        return self

    def query(self) -> str:
        role = f" AND role = '{self.role}'" if self.role else ""
        return f"SELECT sum(share) FROM planned WHERE plan = 'plans/{self.run}' AND {self._where}{role}"

    def bounds(self) -> tuple[float | None, float | None]:
        return self.at_least, self.at_most


class GeneralRiseMax(Expectation):
    """The largest rise in bits per byte, against step 0, of any general set at the run's last evaluation."""

    stage: ClassVar[Stage] = "train"
    check: Literal["general_bpb_rise_max"] = "general_bpb_rise_max"
    rise: float = Field(description="bits per byte; the gate's default epsilon is 0.02")
    run: str | None = Field(None, description="name of the run; without, the recipe's")

    def query(self) -> str:
        return f"SELECT max(delta) FROM forgetting WHERE run = '{self.run}' AND role IS DISTINCT FROM 'domain'"

    def bounds(self) -> tuple[float | None, float | None]:
        return None, self.rise


class DomainFallMin(Expectation):
    """The least fall in bits per byte, against step 0, of any domain set at the run's last evaluation."""

    stage: ClassVar[Stage] = "train"
    check: Literal["domain_bpb_fall_min"] = "domain_bpb_fall_min"
    fall: float = Field(description="bits per byte; 0: it must not have got worse")
    run: str | None = Field(None, description="name of the run; without, the recipe's")

    def query(self) -> str:
        return f"SELECT min(-delta) FROM forgetting WHERE run = '{self.run}' AND role = 'domain'"

    def bounds(self) -> tuple[float | None, float | None]:
        return self.fall, None


AnyExpectation = Annotated[
    TokensAtLeast | DocumentsAtLeast | MaxDropRate | LanguageShare | PiiResidualMax | DuplicateRateMax
    | PlannedEpochsMax | PlannedShare | GeneralRiseMax | DomainFallMin,
    Field(discriminator="check"),
]  # fmt: skip
_ERRORS: dict[Stage, type[ProvenderError]] = {"corpus": DataError, "mix": DataError, "train": TrainingError}


def hold(expectations: Sequence[Expectation], stage: Stage, workspace: Path, run: str) -> list[Finding]:
    """Judge those of a stage; `run` is the recipe's. Raises DataError, or TrainingError for `train`, naming every one
    that does not hold with its figure, its bound and the query."""
    own = [expectation for expectation in expectations if expectation.stage == stage]
    found = [expectation.of_run(run).judge(workspace) for expectation in own]
    failed = [finding for finding in found if not finding.holds]
    if failed:
        raise _ERRORS[stage](
            f"{len(failed)} of {len(found)} expectations do not hold after `{stage}`",
            where=workspace,
            found="\n    ".join(map(str, failed)),
            todo=f'ask `provender audit sql {workspace} "<query>"`; mend what it shows, or the bound under `expect`',
        )
    return found
