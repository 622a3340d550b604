"""A recipe: one YAML file that says what a person wants, from raw files to a model."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from corpus.artifact import canonical_json
from corpus.engine.executors import Chosen, LocalSettings, with_kind
from corpus.errors import ConfigError
from corpus.recipe import CorpusSettings, Name
from corpus.settings import Settings
from corpus.tokens.tokenize import TokenizerSettings
from mixing.budget import MixSettings
from mixing.select.settings import SelectSettings
from pipelines.expect import AnyExpectation
from pipelines.recipe_file import recipe_file
from pipelines.sweep import SweepSettings
from trainer.settings import TrainSettings


class AuditSettings(Settings):
    """What answers and reports may show."""

    samples: Literal["auto", "masked", "off"] = Field(
        "auto", description="beginnings of texts, masked; auto: not where the text may hold health information"
    )


class Recipe(Settings):
    """The whole line. `mix` and `train` may be absent from a recipe that only prepares a corpus."""

    name: Name = Field(description="of the recipe, on cards and reports: small letters, digits, - and _")
    workspace: str = Field(description="the folder everything is written to; one run at a time")
    seed: int = Field(
        17, description="of the split into training and validation documents; another seed holds out others"
    )
    phi: bool = Field(False, description="the text may hold health information: dropped texts are not published")
    executor: Annotated[Chosen, BeforeValidator(with_kind)] = Field(
        LocalSettings(),
        description="who runs the stages: this machine, `kind: ray` or `kind: slurm`; never changes a byte",
    )
    tokenizer: TokenizerSettings = Field(
        description="the tokenizer of the model that is to be trained; another one counts and encodes everything again"
    )
    corpus: CorpusSettings = Field(description="raw files to clean shards: sources, steps, rules, duplicates, cuts")
    mix: MixSettings | None = Field(
        None, description="token stores to a plan; may be absent where only a corpus is prepared"
    )
    select: SelectSettings | None = Field(None, description="choose documents by their likeness to a task")
    run: Name = Field("main", description="name of the plan and of the training run in the workspace")
    train: TrainSettings | None = Field(None, description="the plan to a model; may be absent where nothing is trained")
    audit: AuditSettings = Field(AuditSettings(), description="what answers and the report may show")
    expect: tuple[AnyExpectation, ...] = Field((), description="bounds that corpus, mix and train must meet, or fail")
    sweep: SweepSettings = Field(SweepSettings(), description="small runs to fit mixture laws to")

    @model_validator(mode="after")
    def _mixed_sources_exist(self) -> "Recipe":
        if self.mix is not None:
            known = {source.name for source in self.corpus.sources}
            brought = {name for name, source in self.mix.sources.items() if source.store is not None}
            unknown = sorted(set(self.mix.sources) - known - brought)
            if unknown:
                raise ValueError(
                    f"mix.sources names {', '.join(unknown)}, which the corpus does not have; a token store made "
                    "elsewhere is named by `store:`"
                )
            if both := sorted(known & brought):
                raise ValueError(f"mix.sources.{both[0]} has a store, and the corpus prepares a source of that name")
        return self

    @model_validator(mode="after")
    def _selected_sources_exist(self) -> "Recipe":
        if self.select is not None:
            task = self.select.task.source
            named = {*self.select.pool, *([] if task is None else [task])}
            if unknown := sorted(named - {source.name for source in self.corpus.sources}):
                raise ValueError(f"select names {', '.join(unknown)}, which the corpus does not have")
        return self

    @property
    def folder(self) -> Path:
        return Path(self.workspace)

    def need(self, part: str) -> Any:
        """`mix` or `train` of the recipe. Raises ConfigError when the recipe has none."""
        value = getattr(self, part)
        if value is None:
            raise ConfigError(
                f"the recipe has no `{part}:`", where=self.name, todo=f"add it; `provender {part} --help`"
            )
        return value


def load_recipe(name: str, overrides: list[str] | None = None) -> Recipe:
    """A recipe by path, or by the name of one that comes with the toolkit (`demo`, `medical`, `code`)."""
    return recipe_file(name, overrides).validate(Recipe)


def recipe_schema() -> bytes:
    """The JSON Schema of a recipe, for editors."""
    return canonical_json(Recipe.model_json_schema())
