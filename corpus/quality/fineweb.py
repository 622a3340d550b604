"""FineWeb's quality rules (Penedo et al. 2024) on the lines of a document, as in datatrove's FineWebQualityFilter."""

from typing import ClassVar, Literal

import polars as pl
import pyarrow as pa
from pydantic import Field, field_validator

from corpus.document import Batch
from corpus.kernels.fineweb import MEASURES, fineweb_measures
from corpus.kernels.lines import lines_of
from corpus.kernels.words import words_of
from corpus.rules import Rule, at_least, at_most
from corpus.settings import Settings
from corpus.step import Step

MEASURED = {f"fineweb.{name}": pa.int32() if name == "lines" else pa.float32() for name in MEASURES}


class FineWebSettings(Settings):
    """Measure lines as FineWeb does."""

    kind: Literal["fineweb"]
    short_line_characters: int = Field(30, ge=0, description="a line of at most so many characters is short")
    stop_characters: tuple[str, ...] | None = Field(
        None, description="what a finished line ends in; default: the sentence ends of all scripts"
    )

    @field_validator("stop_characters")
    @classmethod
    def _some_characters(cls, stops: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if stops is not None and ("" in stops or not stops):
            raise ValueError("stop_characters needs at least one, and none of them empty")
        return stops

    def build(self) -> "FineWeb":
        return FineWeb(self)


class FineWeb(Step):
    """Adds the fineweb.* columns; zeros for a text without a line that is not blank."""

    name: ClassVar[str] = "fineweb"
    columns: ClassVar[dict[str, pa.DataType]] = MEASURED

    def __init__(self, settings: FineWebSettings) -> None:
        super().__init__()
        self.settings = settings

    def process(self, batch: Batch) -> Batch:
        from datatrove.utils.text import TERMINAL_PUNCTUATION

        stops = self.settings.stop_characters or tuple(sorted(TERMINAL_PUNCTUATION))
        measures = fineweb_measures(lines_of(batch), words_of(batch), stops, self.settings.short_line_characters)
        return batch.with_columns(
            {
                name: pa.array(measures[:, index].astype(kind.to_pandas_dtype()))
                for index, (name, kind) in enumerate(self.columns.items())
            }
        )


class FineWebRule(Settings):
    """The bounds of FineWeb; None leaves a rule out."""

    rule: Literal["fineweb"]
    min_punctuated_line_share: float | None = Field(0.12, description="lines that end as a sentence does")
    allow_unpunctuated: bool = Field(False, description="a text without any such line passes that rule")
    max_short_line_share: float | None = Field(0.67, description="lines that are short, as the step says")
    max_duplicate_char_share: float | None = Field(0.01, description="characters in lines seen before")
    max_newline_share: float | None = Field(0.3, description="line breaks per token")

    def rules(self) -> list[Rule]:
        step = "fineweb"
        rules = [at_least(step, "no line", "fineweb.lines", 1)]
        if self.min_punctuated_line_share is not None:
            column = "fineweb.punctuated_line_share"
            rule = at_least(step, "few lines end in punctuation", column, self.min_punctuated_line_share)
            if self.allow_unpunctuated:
                rule = Rule(step, rule.reason, rule.fails & (pl.col(column) > 0), rule.detail)
            rules.append(rule)
        high = (
            ("many short lines", "short_line_share", self.max_short_line_share),
            ("duplicate lines by characters", "duplicate_char_share", self.max_duplicate_char_share),
            ("a list", "newline_share", self.max_newline_share),
        )
        return rules + [at_most(step, why, f"fineweb.{name}", bound) for why, name, bound in high if bound is not None]
