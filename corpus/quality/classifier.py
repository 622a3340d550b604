"""A fastText classifier as a step: a score for each of its labels, and the rule that decides on one.

The model is one that `corpus.quality.training` made, or any other supervised fastText model (.bin or .ftz) with a
softmax over a few labels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpus.artifact import content_hash
from corpus.document import Batch
from corpus.errors import ConfigError
from corpus.fasttext_models import check_model, load_fasttext
from corpus.quality.fasttext_file import PREFIX
from corpus.rules import Rule, at_least, at_most
from corpus.settings import Settings
from corpus.step import Step

MODEL_FILE = "classifier.bin"


def prepared(text: str, characters: int) -> str:
    """The first characters of a text on one line, as fastText reads it."""
    return " ".join(text[:characters].split())


def labels_of(model: Path) -> tuple[str, ...]:
    """The labels of a model without their prefix, sorted. Raises ConfigError for a file that is no model of labels."""
    labels = tuple(sorted(label.removeprefix(PREFIX) for label in _load(str(model)).get_labels()))
    if not labels or len(labels) > 100:
        raise ConfigError(
            "this is no classifier of a few labels",
            where=model,
            found=f"{len(labels)} labels",
            todo="name a model of `provender corpus classifier`, or another supervised fastText model",
        )
    return labels


def scores_of(model: Path, lines: Sequence[str]) -> dict[str, np.ndarray]:
    """float32[lines] for each label: its probability, NaN for an empty line."""
    scores = {label: np.full(len(lines), np.nan, np.float32) for label in labels_of(model)}
    rows = [row for row, line in enumerate(lines) if line]
    if rows:
        # Always a list: predict(str) fails under numpy 2. A threshold below 0 keeps the labels of probability 0.
        found, values = _load(str(model)).predict([lines[row] for row in rows], k=-1, threshold=-1.0)
        for row, names, probabilities in zip(rows, found, values, strict=True):
            for name, probability in zip(names, probabilities, strict=True):
                # fastText adds 1e-5 before it takes the logarithm, so a probability may exceed 1.
                scores[name.removeprefix(PREFIX)][row] = min(float(probability), 1.0)
    return scores


def _load(path: str) -> Any:
    return load_fasttext(path, _REMEDY)


_REMEDY = "train one with `provender corpus classifier`, or give a .bin or .ftz file"


class ClassifierSettings(Settings):
    """Score each document by a fastText classifier."""

    kind: Literal["classifier"]
    model: str = Field(description="a folder of `provender corpus classifier`, or a fastText .bin or .ftz file")
    name: str = Field("classifier", pattern=r"^[a-z][a-z0-9_]*$", description="the columns are <name>.<label>")
    characters: int = Field(5000, ge=1, description="only the first characters of a document are scored")
    sha256: str | None = Field(None, pattern="^[0-9a-fA-F]{64}$", description="refuse a model file of another hash")

    def path(self) -> Path:
        path = Path(self.model)
        path = path / MODEL_FILE if path.is_dir() else path
        if not path.is_file():
            raise ConfigError("no such classifier", where=path, todo="correct `model` of the classifier step")
        return path

    def identity(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"sha256"}) | {"model": content_hash(self.path())}

    def build(self) -> "Classifier":
        check_model(self.path(), self.sha256, _REMEDY)
        return Classifier(self)


class Classifier(Step):
    """Adds <name>.<label> for every label of the model; null for an empty text."""

    name: ClassVar[str] = "classifier"

    def __init__(self, settings: ClassifierSettings) -> None:
        super().__init__()
        self.settings = settings
        self.columns = {f"{settings.name}.{label}": pa.float32() for label in labels_of(settings.path())}  # type: ignore[misc]

    def process(self, batch: Batch) -> Batch:
        limit = self.settings.characters
        heads = pc.utf8_slice_codeunits(batch.text, 0, limit).to_pylist()
        scores = scores_of(self.settings.path(), [prepared(head, limit) for head in heads])
        return batch.with_columns(
            {f"{self.settings.name}.{label}": pa.array(values, from_pandas=True) for label, values in scores.items()}
        )


class ClassifierRule(Settings):
    """Drop documents by the score of one label; an empty text passes."""

    rule: Literal["classifier"]
    label: str = Field("good", description="as the model has it, without __label__")
    name: str = Field("classifier", description="`name` of the step")
    min_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="least probability of the label; train_classifier prints what each bound would keep and drop",
    )
    max_score: float | None = Field(
        None, ge=0, le=1, description="largest probability of the label, for a label of what is not wanted"
    )

    @model_validator(mode="after")
    def _some_bound(self) -> "ClassifierRule":
        if self.min_score is None and self.max_score is None:
            raise ValueError("state min_score or max_score")
        return self

    def rules(self) -> list[Rule]:
        column = f"{self.name}.{self.label}"
        rules = []
        if self.min_score is not None:
            rules.append(at_least("classifier", f"low score of {self.label}", column, self.min_score))
        if self.max_score is not None:
            rules.append(at_most("classifier", f"high score of {self.label}", column, self.max_score))
        return rules
