"""What a document has to offer, without a task (ETA-DACP, Xie et al. 2024): how unexpected it is to a proxy of the
model to be trained, and how many kinds of words it has.

The paper takes the entropy of part-of-speech types; here the types are the words themselves, which needs no tagger.
"""

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from corpus.document import BASE, Batch
from corpus.perplexity import CausalLmSettings, PerplexitySettings
from corpus.settings import Settings
from corpus.step import Step
from mixing.select.grams import type_entropy
from mixing.select.texts import Texts


class NoveltySettings(Settings):
    """Log perplexity under a proxy of the base model: a small causal transformer, or a KenLM model of general text."""

    kind: Literal["novelty"] = "novelty"
    model: CausalLmSettings | PerplexitySettings = Field(
        discriminator="kind", description="the proxy: `kind: causal_lm`, exact and slow, or `kind: kenlm`"
    )

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if isinstance(self.model, PerplexitySettings) and not isinstance(self.model.model, str):
            raise ValueError("novelty compares documents under one model: name one, not one per language")
        return self

    def identity(self) -> dict[str, Any]:
        return {"kind": self.kind, "model": self.model.identity()}

    def fit(self, task: Texts, pool: Texts, folder: Path, seed: int) -> "Novelty":
        return Novelty(self.model.build())


class Novelty:
    logarithmic = False

    def __init__(self, step: Step) -> None:
        self.step = step

    def score(self, text: pa.StringArray) -> np.ndarray:
        """float64[rows]: nats per token; NaN for a text without words."""
        given: dict[str, pa.Array] = {"text": text.cast(pa.string())}
        columns = [given[field.name] if field.name in given else _blank(field, len(text)) for field in BASE]
        measured = self.step.process(Batch(pa.RecordBatch.from_arrays(columns, schema=BASE)))
        values = measured["perplexity.value"].to_numpy(zero_copy_only=False).astype(np.float64)
        return np.log(values, out=np.full(len(values), np.nan), where=values > 0)


def _blank(field: pa.Field, rows: int) -> pa.Array:
    """A column of BASE that the measurement does not read; an id ends in a hexadecimal digit."""
    if field.nullable:
        return pa.nulls(rows, field.type)
    return pa.array(["0"] * rows if pa.types.is_string(field.type) else [0] * rows, field.type)


class DiversitySettings(Settings):
    """Entropy of the words of a document, in bits."""

    kind: Literal["diversity"] = "diversity"

    def fit(self, task: Texts, pool: Texts, folder: Path, seed: int) -> "Diversity":
        return Diversity()


class Diversity:
    logarithmic = False

    def score(self, text: pa.StringArray) -> np.ndarray:
        """float64[rows]: −Σ p log2 p over the word types; NaN without words."""
        return type_entropy(text)
