"""Cross-entropy difference (Moore and Lewis 2010), by two KenLM models.

    score = H_general(document) − H_in(document)      bits per token, words and line ends

H_in is under a model of the task's texts, H_general under one of a sample of the pool with as many texts. Models made
elsewhere (`provender corpus lm`) may be named instead.
"""

from collections.abc import Iterator
from functools import cached_property
from math import log2
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpus.artifact import content_hash
from corpus.errors import ConfigError
from corpus.perplexity import LmSettings, find_kenlm_tools, train_kenlm
from corpus.perplexity.estimate import MODEL_FILE
from corpus.perplexity.normalisation import Normalisation, normalised, normalised_documents, read_normalisation
from corpus.settings import Settings
from mixing.select.texts import Texts, sample_of

BITS = log2(10)  # in a decimal digit, which KenLM counts in


class MooreLewisSettings(Settings):
    """Cross-entropy difference between a model of the task and one of the pool."""

    kind: Literal["moore_lewis"] = "moore_lewis"
    in_domain: str | None = Field(None, description="a model folder; by default one is learned from the task")
    general: str | None = Field(None, description="a model folder; by default one is learned from a sample of the pool")
    sample: int = Field(20_000, gt=0, description="at most so many texts of the pool are learned from")
    kenlm: LmSettings = Field(default_factory=lambda: LmSettings(order=3, prune=(0,)))

    def identity(self) -> dict[str, Any]:
        named = {"in_domain": self.in_domain, "general": self.general}
        return super().identity() | {
            name: None if path is None else content_hash(_file(path)) for name, path in named.items()
        }

    def fit(self, task: Texts, pool: Texts, folder: Path, seed: int) -> "CrossEntropyDifference":
        """Learn what is not named; models are written into `folder`. Raises ConfigError when KenLM is not installed."""
        count = sum(len(batch) for batch in task())
        paths = []
        for name, named in (("in_domain", self.in_domain), ("general", self.general)):
            if named is not None:
                paths.append(_file(named))
                continue
            texts = task if name == "in_domain" else _batches(sample_of(pool, min(self.sample, count), seed))
            lines = (line for batch in texts() for line in normalised(batch, self._writing))
            paths.append(folder / f"{name}.binary")
            train_kenlm(lines, paths[-1], self.kenlm, *find_kenlm_tools())
        return CrossEntropyDifference(paths[0], paths[1], self._writing)

    @property
    def _writing(self) -> Normalisation:
        """How the texts are written: as for the named models, which must agree."""
        named = [read_normalisation(_file(path).parent) for path in (self.in_domain, self.general) if path is not None]
        if len(named) == 2 and named[0] != named[1]:
            raise ConfigError(
                "the two models read texts written in different ways",
                where="moore_lewis",
                found=f"{self.in_domain} and {self.general}",
                todo="train both with one normalisation",
            )
        return named[0] if named else self.kenlm.normalisation


def _file(model: str) -> Path:
    """The binary of a model folder, or the file itself. Raises ConfigError when there is none."""
    path = Path(model) / MODEL_FILE if Path(model).is_dir() else Path(model)
    if not path.is_file():
        raise ConfigError("no such language model", where=path, todo="make one: `provender corpus lm`")
    return path


def _batches(texts: list[str]) -> Texts:
    def read() -> Iterator[pa.StringArray]:
        yield pa.array(texts, pa.string())

    return read


class CrossEntropyDifference:
    """Scores texts by two KenLM files. Models are opened where the scorer is used, so that it can be pickled."""

    logarithmic = False

    def __init__(self, in_domain: Path, general: Path, writing: Normalisation) -> None:
        self.in_domain, self.general, self.writing = in_domain, general, writing

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.in_domain, self.general, self.writing)

    @cached_property
    def _models(self) -> tuple[Any, Any]:
        import kenlm

        return kenlm.Model(str(self.in_domain)), kenlm.Model(str(self.general))

    def score(self, text: pa.StringArray) -> np.ndarray:
        """float64[rows]: bits per token that the task's model needs less than the pool's; NaN without words."""
        inside, general = (model.score for model in self._models)
        out = np.full(len(text), np.nan)
        for row, lines in enumerate(normalised_documents(text, self.writing)):
            if lines:
                tokens = sum(line.count(" ") for line in lines) + 2 * len(lines)  # words, and the end of each line
                out[row] = BITS * (sum(map(inside, lines)) - sum(map(general, lines))) / tokens
        return out
