"""The corpus part of a recipe: sources, what is done to them, and every threshold."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, model_validator

from corpus.annotate import SourceLine
from corpus.cuts.settle import AfterCutsSettings
from corpus.cuts.stages import CutSettings
from corpus.decontaminate import DecontaminateSettings
from corpus.dedup.cluster import DedupSettings
from corpus.dedup.keep import KeepSettings
from corpus.dedup.repeated import RepeatedSettings
from corpus.dedup.semantic import SemanticSettings
from corpus.dedup.substring import SubstringSettings
from corpus.deidentify import DeidentifySettings
from corpus.engine.limits import GuardSettings
from corpus.extract import ExtractSettings
from corpus.language import LanguageRule, LanguageSettings
from corpus.own_steps import FilterSettings, FormatterSettings
from corpus.perplexity import BucketSettings, LmSettings, PerplexityOf, PerplexityRule
from corpus.quality import (
    BadWordsRule,
    BadWordsSettings,
    C4ParagraphRule,
    C4ParagraphSettings,
    C4Rule,
    C4Settings,
    ClassifierRule,
    ClassifierSettings,
    CodeQualityRule,
    CodeQualitySettings,
    FineWebRule,
    FineWebSettings,
    GopherQualityRule,
    GopherRepetitionRule,
    LengthRule,
    QualitySettings,
)
from corpus.readers import ReaderSettings, make_reader
from corpus.repair import RepairSettings
from corpus.rules import Rule
from corpus.settings import Settings
from corpus.step import Step, StockSettings

StepSettings = Annotated[
    ExtractSettings
    | RepairSettings
    | DeidentifySettings
    | LanguageSettings
    | QualitySettings
    | C4Settings
    | C4ParagraphSettings
    | BadWordsSettings
    | FineWebSettings
    | ClassifierSettings
    | CodeQualitySettings
    | StockSettings
    | FilterSettings
    | FormatterSettings,
    Field(discriminator="kind"),
]
RuleSettings = Annotated[
    LanguageRule
    | LengthRule
    | GopherQualityRule
    | GopherRepetitionRule
    | C4Rule
    | C4ParagraphRule
    | BadWordsRule
    | FineWebRule
    | ClassifierRule
    | CodeQualityRule
    | PerplexityRule,
    Field(discriminator="rule"),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]


class SourceSettings(Settings):
    """One source of documents. `steps` and `decide` replace those of the corpus when given."""

    name: Name = Field(description="small letters, digits, - and _; folders, ledger and mixture call the source by it")
    reader: ReaderSettings = Field(description="kind of the files and where they are")
    steps: tuple[StepSettings, ...] | None = Field(
        None, description="in place of the corpus's; an empty list measures nothing"
    )
    decide: tuple[RuleSettings, ...] | None = Field(
        None, description="in place of the corpus's; an empty list drops nothing"
    )
    perplexity: PerplexityOf | None = Field(
        None, description="name of the language model under `lm`, or a path to one; one per language; or a causal_lm"
    )
    perplexity_buckets: BucketSettings | None = Field(None, description="in place of those of the corpus")
    license: str = Field("unknown", description="as the cards name it, best an SPDX expression")
    priority: int = Field(0, description="of two copies, the one in the source of lower priority number stays")
    validation: float | None = Field(None, ge=0, lt=1, description="share of this source held out")


class TrainedLm(Settings):
    """KenLM learned from documents of the corpus itself: those that pass every rule but perplexity. Every document is
    measured by a model that has not seen it."""

    sources: tuple[str, ...] = Field(
        min_length=1, description="whose documents the model learns from: clean text like the text to be kept"
    )
    kenlm: LmSettings = Field(LmSettings(), description="how KenLM estimates it: order, pruning, memory, normalisation")


class CorpusSettings(Settings):
    """Raw files → kept shards."""

    sources: tuple[SourceSettings, ...] = Field(
        min_length=1, description="where documents come from, each with its reader"
    )
    steps: tuple[StepSettings, ...] = Field(
        (), description="what measures and edits documents, in this order; a source may have its own"
    )
    decide: tuple[RuleSettings, ...] = Field(
        (), description="rules on what steps measured, which drop documents; a changed bound decides again in seconds"
    )
    lm: dict[Name, TrainedLm] = Field(
        default_factory=dict,
        description="language models learned from the corpus itself, by the name that `perplexity` of a source says",
    )
    perplexity_buckets: BucketSettings = Field(BucketSettings(), description="where head and middle end")
    duplicates: DedupSettings | None = Field(
        DedupSettings(), description="copies of whole documents, over all sources; null looks for none"
    )
    keep: KeepSettings = Field(KeepSettings(), description="which of several copies stays")
    semantic: SemanticSettings | None = Field(None, description="duplicates by embeddings of your own")
    repeated: RepeatedSettings | None = Field(None, description="lines and paragraphs that many documents share")
    substring: SubstringSettings | None = Field(None, description="exact spans that several documents share")
    decontaminate: DecontaminateSettings = Field(
        DecontaminateSettings(),
        description="text shared with evaluation sets, and between held-out and training documents",
    )
    after_cuts: AfterCutsSettings = Field(
        AfterCutsSettings(), description="what becomes of documents that cuts left short"
    )
    validation: float = Field(0.02, ge=0, lt=1, description="share of each source held out, by duplicate cluster")
    guard: GuardSettings | None = Field(GuardSettings(), description="bounds of one document; null: no guard")
    unit_bytes: int = Field(8 << 20, ge=1, description="input bytes grouped into one unit of work")

    @model_validator(mode="after")
    def _names(self) -> "CorpusSettings":
        names = [source.name for source in self.sources]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"two sources are called {', '.join(repeated)}")
        if self.repeated is not None and (unknown := sorted(set(self.repeated.sources or ()) - set(names))):
            raise ValueError(f"repeated.sources names {', '.join(unknown)}, which is no source")
        for lm, settings in self.lm.items():
            unknown = sorted(set(settings.sources) - set(names))
            if unknown:
                raise ValueError(f"lm.{lm} learns from {', '.join(unknown)}, which is no source")
        return self

    def steps_of(self, source: SourceSettings) -> tuple[Any, ...]:
        return self.steps if source.steps is None else source.steps

    def rules_of(self, source: SourceSettings) -> tuple[Any, ...]:
        return self.decide if source.decide is None else source.decide

    def decisions_of(self, source: SourceSettings, without: str | None = None) -> list[Rule]:
        """Everything that may drop a document of a source: the rules of its steps (a density of personal data), then
        those under `decide`; but not those of the step `without`."""
        stated = (*self.steps_of(source), *self.rules_of(source))
        rules = [rule for settings in stated if hasattr(settings, "rules") for rule in settings.rules()]
        return [rule for rule in rules if rule.step != without]

    def rules_identity(self, sources: Sequence[SourceSettings], without: str | None = None) -> dict[str, list[str]]:
        """What `decisions_of` gives for each source, as a fingerprint names it."""
        return {source.name: [rule.identity() for rule in self.decisions_of(source, without)] for source in sources}

    def buckets_of(self, source: SourceSettings) -> BucketSettings:
        return self.perplexity_buckets if source.perplexity_buckets is None else source.perplexity_buckets

    def validation_of(self, source: SourceSettings) -> float:
        return self.validation if source.validation is None else source.validation

    def cuts(self) -> CutSettings | None:
        """What looks across documents for cuts; None when nothing does."""
        settings = CutSettings(self.repeated, self.substring, self.decontaminate, self.after_cuts)
        held_out = any(self.validation_of(source) > 0 for source in self.sources)
        return settings if settings.find_anything(held_out) else None


def source_line(settings: CorpusSettings, source: SourceSettings, ends: Sequence[Step] = ()) -> SourceLine:
    """A source ready to be annotated: its reader, its built steps and, after them, `ends`."""
    steps = [step.build() for step in settings.steps_of(source)]
    return SourceLine(source.name, make_reader(source.reader, source.name), (*steps, *ends), settings.guard)
