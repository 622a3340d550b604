"""What a recipe says of selection."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from corpus.annotate import input_hash
from corpus.readers import ReaderSettings, make_reader
from corpus.settings import Settings
from mixing.select.choose import ChoiceSettings
from mixing.select.cross_entropy import MooreLewisSettings
from mixing.select.dsir import DsirSettings
from mixing.select.novelty import DiversitySettings, NoveltySettings
from mixing.select.similarity import NearestSettings, SimilaritySettings

MeasureSettings = Annotated[
    DsirSettings | MooreLewisSettings | SimilaritySettings | NearestSettings | NoveltySettings | DiversitySettings,
    Field(discriminator="kind"),
]


class TaskSettings(Settings):
    """The texts of the task: files of your own, or a source of the corpus (what it trains on)."""

    reader: ReaderSettings | None = Field(None, description="files of the task, read as those of a source")
    source: str | None = Field(None, description="a source of the corpus, its training documents")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.reader is None) == (self.source is None):
            raise ValueError("state one of reader and source")
        return self


class SelectSettings(Settings):
    """Measure the documents of some sources against a task and choose among all of them together."""

    task: TaskSettings = Field(description="texts of what the model is to be good at")
    pool: tuple[str, ...] = Field(min_length=1, description="the sources that are chosen from")
    by: tuple[MeasureSettings, ...] = Field(
        (DsirSettings(),), min_length=1, description="with several, the mean of their quantile ranks"
    )
    choose: ChoiceSettings = Field(description="how much of the pool: a budget or a bound")
    seed: int = Field(0, description="of samples of the pool and of soft choice")

    @model_validator(mode="after")
    def _measured_once(self) -> Self:
        kinds = [measure.kind for measure in self.by]
        if repeated := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
            raise ValueError(f"by names {', '.join(repeated)} twice")
        if self.task.source in self.pool:
            raise ValueError(f"{self.task.source} is the task, and in the pool as well")
        return self


def reader_identity(settings: ReaderSettings) -> dict[str, Any]:
    """The task's files by their content."""
    reader = make_reader(settings, "task")
    where = settings.identity() | {"path": None}
    return {"reader": where, "files": [input_hash(reader, file) for file in reader.files()]}
