"""Cross-entropy difference (Moore and Lewis 2010), by two KenLM models.

    score = H_general(document) − H_in(document)      bits per token, words and line ends
          = mean over the tokens of  log2(λ p_in / p_general + 1 − λ)      with λ = 1

p_in is under a model of the task's texts, p_general under one of a sample of the pool with as many texts. Models made
elsewhere (`provender corpus lm`) may be named instead. A task is little text: what it has not, its model finds very
unlikely, and the plain difference (λ = 1, the paper's) is then mostly about how texts are written. With λ below 1 the
task's model is mixed with the pool's (Jelinek and Mercer 1980): no token is more than log2(1 − λ) against a document.
Both models are learned for the same number of words, so that an unknown one is as unlikely under either.
"""

from collections.abc import Callable
from functools import cached_property, partial
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
from corpus.perplexity.normalisation import Normalisation, normalised, normalised_column, read_normalisation
from corpus.perplexity.probing import ProbingModel
from corpus.settings import Settings
from mixing.select.texts import Texts, batches_of, sample_of

BITS = log2(10)  # in a decimal digit, which KenLM counts in
VOCABULARY = 1 << 18  # words a model is learned for, known or not


class MooreLewisSettings(Settings):
    """Cross-entropy difference between a model of the task and one of the pool."""

    kind: Literal["moore_lewis"] = "moore_lewis"
    in_domain: str | None = Field(None, description="a model folder; by default one is learned from the task")
    general: str | None = Field(None, description="a model folder; by default one is learned from a sample of the pool")
    sample: int = Field(20_000, gt=0, description="at most so many texts of the pool are learned from")
    mixed: float = Field(
        0.5, gt=0, le=1, description="λ: the task's part in p_in, the rest is the pool's; 1: the paper's"
    )
    kenlm: LmSettings = Field(
        default_factory=lambda: LmSettings(order=3, prune=(0,)),
        description="of both models; order 3 without pruning, because task texts are few",
    )

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
            drawn = sample_of(pool, min(self.sample, count), seed) if name == "general" else []
            texts = task() if name == "in_domain" else batches_of(drawn)
            lines = (line for batch in texts for line in normalised(batch, self._writing))
            paths.append(folder / f"{name}.binary")
            train_kenlm(lines, paths[-1], self.kenlm, *find_kenlm_tools(), vocabulary=VOCABULARY)
        return CrossEntropyDifference(paths[0], paths[1], self._writing, self.mixed)

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


class CrossEntropyDifference:
    """Scores texts by two KenLM files. Models are opened where the scorer is used, so that it can be pickled."""

    logarithmic = False

    def __init__(self, in_domain: Path, general: Path, writing: Normalisation, mixed: float) -> None:
        self.in_domain, self.general, self.writing, self.mixed = in_domain, general, writing, mixed

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.in_domain, self.general, self.writing, self.mixed)

    @cached_property
    def _models(self) -> "tuple[Scorer, Scorer]":
        return scorer_of(self.in_domain), scorer_of(self.general)

    def score(self, text: pa.StringArray) -> np.ndarray:
        """float64[rows]: bits per token that the task's model needs less than the pool's; NaN without words."""
        written = normalised_column(text, self.writing)
        (inside, tokens), (general, _) = (scorer(written) for scorer in self._models)
        bits = BITS * (inside - general)
        if self.mixed < 1:
            bits = np.logaddexp2(np.log2(self.mixed) + bits, np.log2(1 - self.mixed))
        sums = np.bincount(np.repeat(np.arange(len(text)), tokens), bits, len(text))
        return np.divide(sums, tokens, out=np.full(len(text), np.nan), where=tokens > 0)


Scorer = Callable[[pa.StringArray], tuple[np.ndarray, np.ndarray]]


def scorer_of(model: Path) -> Scorer:
    """(log10 p of each token, tokens of each text) of written texts: compiled for a probing file, else by KenLM."""
    mapped = ProbingModel.read(model)
    return mapped.score_each if mapped is not None else partial(_score_each, kenlm_model(model))


def kenlm_model(path: Path) -> Any:
    import kenlm

    return kenlm.Model(str(path))


def _score_each(model: Any, text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    each: list[float] = []
    tokens = np.zeros(len(text), np.int64)
    for row, written in enumerate(text.to_pylist()):
        found = [score for line in written.split("\n") if line for score, _, _ in model.full_scores(line)]
        each += found
        tokens[row] = len(found)
    return np.array(each), tokens
