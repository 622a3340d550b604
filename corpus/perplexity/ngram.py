"""Perplexity under KenLM n-gram models, one for all documents or one per language.

A document is normalised as its model was, cut into its lines, and scored line by line:

    perplexity = 10^(− Σ log10 p / Σ (words + 1))

with one end of sentence per line, as in cc_net (Wenzek et al. 2020).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpus.artifact import MANIFEST, Manifest, content_hash
from corpus.document import Batch
from corpus.errors import ArtifactError, ConfigError
from corpus.language_codes import best_match
from corpus.perplexity.estimate import MODEL_FILE, last_line
from corpus.perplexity.normalisation import Normalisation, normalised_column, read_normalisation
from corpus.perplexity.probing import ProbingModel
from corpus.settings import Settings
from corpus.step import Step

FOLDS = 2
ANY = "*"
# A language's code and no other word, or a misspelt key of a causal_lm would pass for a language.
LanguageKey = Annotated[str, Field(pattern=r"^(\*|[a-z]{2,3}([-_][A-Za-z0-9]+)*)$")]
ModelByLanguage = dict[LanguageKey, str]
# KenLM gives an unseen word 10^-100 under an .arpa without <unk>, more than a float32 can invert. Such a text is as
# unlikely as can be and stays comparable: greater than any bound, in the last percentile.
LARGEST = 1e30


def fold_of(document_id: str) -> int:
    """The half of the corpus a document belongs to; ids are hashes, so their last digit is a fair coin."""
    return int(document_id[-1], 16) % FOLDS


def fold_file(fold: int) -> str:
    """The model learned from the documents of one half."""
    return f"lm-{fold}.binary"


@dataclass(frozen=True)
class ModelFiles:
    """A model's files: one, or the two learned from the halves of the corpus; how text is written for it."""

    paths: tuple[Path, ...]
    normalisation: Normalisation

    @classmethod
    def find(cls, model: str | Path) -> "ModelFiles":
        """The files of a model folder or a bare .binary or .arpa file. Raises ConfigError when there is none."""
        path = Path(model)
        halves = tuple(path / fold_file(fold) for fold in range(FOLDS))
        found = halves if halves[0].is_file() else (path / MODEL_FILE if path.is_dir() else path,)
        for file in found:
            if not file.is_file():
                raise ConfigError(
                    "no such language model",
                    where=file,
                    todo="name a model under `lm:` or give the path of a KenLM file in `perplexity`",
                )
        return cls(found, read_normalisation(path))

    def identity(self) -> dict[str, Any]:
        """Hashes of the files. Raises ArtifactError when one is not what its folder's manifest says."""
        hashes = [content_hash(path) for path in self.paths]
        folder = self.paths[0].parent
        if (folder / MANIFEST).is_file():
            published = {entry.path: entry.sha256 for entry in Manifest.read(folder).files}
            for path, digest in zip(self.paths, hashes, strict=True):
                if published.get(path.name, digest) != digest:
                    raise ArtifactError(
                        "a language model differs from its manifest",
                        where=path,
                        found=digest,
                        todo="train the model again, or use the file on its own, outside of the folder",
                    )
        return {"model": hashes, "normalisation": self.normalisation.identity()}


class PerplexitySettings(Settings):
    """Measure the perplexity of each document under KenLM models."""

    kind: Literal["kenlm"] = "kenlm"
    model: str | ModelByLanguage = Field(
        description="a name under `lm`, a model folder, a KenLM .binary or .arpa file; or one of these per language, "
        "`{en: …, de: …}`, where `*` stands for any other language"
    )

    def models(self) -> dict[str, str]:
        """Model by language; `*` alone for a model of all."""
        return {ANY: self.model} if isinstance(self.model, str) else dict(self.model)

    def identity(self) -> dict[str, Any]:
        found = {language: ModelFiles.find(model).identity() for language, model in self.models().items()}
        return found[ANY] if isinstance(self.model, str) else {"models": found}

    def build(self) -> "Perplexity":
        return Perplexity(self)


class Perplexity(Step):
    """Adds perplexity.value and perplexity.tokens (words and line ends); null for a text without words, and where no
    model is of the document's language. Values end at 1e30.

    Models per language are chosen by the column language.label. Raises ConfigError when there is none."""

    name: ClassVar[str] = "perplexity"
    columns: ClassVar[dict[str, pa.DataType]] = {"perplexity.value": pa.float32(), "perplexity.tokens": pa.int32()}

    def __init__(self, settings: PerplexitySettings) -> None:
        super().__init__()
        self.settings = settings
        if not isinstance(settings.model, str):
            self.needs = ("language.label",)  # type: ignore[misc]

    def process(self, batch: Batch) -> Batch:
        values = np.full(len(batch), np.nan, np.float32)
        tokens = np.zeros(len(batch), np.int32)
        for model, rows in self._by_model(batch).items():
            self._measure(ModelFiles.find(model), batch, rows, values, tokens)
        return batch.with_columns(
            {
                "perplexity.value": pa.array(values, from_pandas=True),
                "perplexity.tokens": pa.array(tokens, mask=tokens == 0),
            }
        )

    def _by_model(self, batch: Batch) -> dict[str, np.ndarray]:
        """Which rows each model measures."""
        models = self.settings.models()
        if isinstance(self.settings.model, str):
            return {models[ANY]: np.arange(len(batch))}
        if "language.label" not in batch:
            raise ConfigError(
                "perplexity per language needs the language of each document",
                where="perplexity",
                found="no column language.label",
                todo="add {kind: language} to the steps of the source",
            )
        labels = batch["language.label"].to_pylist()
        named = tuple(language for language in models if language != ANY)
        rows: dict[str, list[int]] = {}
        chosen = {label: best_match(label, named) for label in set(labels) if label is not None}
        for row, label in enumerate(labels):
            model = models.get(chosen.get(label) or ANY)
            if model is not None:
                rows.setdefault(model, []).append(row)
        return {model: np.array(members) for model, members in sorted(rows.items())}

    @staticmethod
    def _measure(files: ModelFiles, batch: Batch, rows: np.ndarray, values: np.ndarray, tokens: np.ndarray) -> None:
        text = normalised_column(batch.text.take(pa.array(rows)), files.normalisation)
        ids = batch["id"].to_pylist()
        unseen = np.array([1 - fold_of(ids[row]) if len(files.paths) > 1 else 0 for row in rows], np.int64)
        for number, path in enumerate(files.paths):
            mine = np.flatnonzero(unseen == number)
            log10, counts = scorer(path)(text.take(pa.array(mine)))
            some = counts > 0
            tokens[rows[mine]] = counts
            with np.errstate(over="ignore"):
                values[rows[mine[some]]] = np.minimum(10.0 ** (-log10[some] / counts[some]), LARGEST)


Scorer = Callable[[pa.LargeStringArray], tuple[np.ndarray, np.ndarray]]  # texts → Σ log10 p, words and line ends


def scorer(path: Path) -> Scorer:
    """How the texts of a column are scored by a model file, loaded once a process for as long as it stays the same.

    Raises ConfigError when it is none that KenLM reads.
    """
    status = path.stat()
    return _load(str(path), status.st_ino, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _load(path: str, *_: int) -> Scorer:
    import kenlm

    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        model = kenlm.Model(path, config)  # which checks what it maps
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            "this is not a KenLM model",
            where=path,
            found=last_line(str(error)),
            todo="give an lm.binary or .arpa file",
        ) from None
    mapped = ProbingModel.read(Path(path))
    return mapped.score if mapped is not None else partial(_score_lines, model)


def _score_lines(model: Any, text: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    documents = [[words for line in document.split("\n") if (words := line.split())] for document in text.to_pylist()]
    log10 = [math.fsum(model.score(" ".join(words)) for words in lines) for lines in documents]
    counts = [sum(len(words) + 1 for words in lines) for lines in documents]
    return np.array(log10, np.float64), np.array(counts, np.int64)
