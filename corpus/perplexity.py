"""Perplexity under a KenLM n-gram model, trained on documents of the corpus or given.

A document is normalised (lower case, digits as 0, punctuation apart), cut into its lines, and scored line by line:

    perplexity = 10^(− Σ log10 p / Σ (words + 1))

with one end of sentence per line, as in cc_net (Wenzek et al. 2020). The normalisation is the model's and is named in
every fingerprint.

A model that is learned from the corpus it measures would find its own documents likely, nonsense included. So two
models are learned, each from half of the documents, and a document is measured by the one that has not seen it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import Field, model_validator

from corpus.artifact import content_hash
from corpus.document import Batch
from corpus.errors import ConfigError, DataError
from corpus.rules import Rule, at_least, at_most, shown
from corpus.settings import Settings
from corpus.step import Step

MODEL_FILE = "lm.binary"
FOLDS = 2
NORMALISATION = "lower-digits-punctuation/1"
TOOLS_VARIABLE = "PROVENDER_KENLM_BIN"

# Linear patterns: one character class each. Angle brackets become separate marks, so a text can spell neither <s> nor
# <unk> to the estimator.
_DIGITS = r"[0-9]"
_MARKS = r"([^\p{L}\p{N}\s])"


def fold_of(document_id: str) -> int:
    """The half of the corpus a document belongs to; ids are hashes, so their last digit is a fair coin."""
    return int(document_id[-1], 16) % FOLDS


def fold_file(fold: int) -> str:
    """The model learned from the documents of one half."""
    return f"lm-{fold}.binary"


def normalised(text: pa.StringArray) -> Iterator[str]:
    """The lines of each document as the model reads them, documents one after another, empty lines left out."""
    for document in _normalised_documents(text):
        yield from document


def _normalised_documents(text: pa.StringArray) -> Iterator[list[str]]:
    column: Any = pl.Series("text", pl.from_arrow(text), pl.String)
    prepared = column.str.to_lowercase().str.replace_all(_DIGITS, "0").str.replace_all(_MARKS, " $1 ")
    for document in prepared:
        lines = (" ".join(line.split()) for line in document.split("\n"))
        yield [line for line in lines if line]


class LmSettings(Settings):
    """How KenLM estimates a model (modified Kneser-Ney; Heafield et al. 2013)."""

    order: int = Field(5, ge=2, le=6)
    prune: tuple[int, ...] = Field((0, 0, 1), description="lmplz --prune: n-grams seen no more often are left out")
    memory: str = Field("1G", pattern=r"^[0-9]+[KMG%]$", description="lmplz -S")

    @model_validator(mode="after")
    def _prune_fits_order(self) -> "LmSettings":
        if len(self.prune) > self.order:
            raise ValueError("prune has more counts than the order of the model")
        return self


def find_kenlm_tools() -> tuple[Path, Path]:
    """lmplz and build_binary: from PROVENDER_KENLM_BIN, this environment's bin, or PATH. Raises ConfigError."""
    folders = [Path(os.environ[TOOLS_VARIABLE])] if TOOLS_VARIABLE in os.environ else []
    folders.append(Path(sys.prefix) / "bin")
    found = []
    for tool in ("lmplz", "build_binary"):
        place = next((folder / tool for folder in folders if (folder / tool).is_file()), None) or shutil.which(tool)
        if place is None:
            raise ConfigError(
                "KenLM's estimator is not installed",
                where=tool,
                found=f"nothing in {', '.join(map(str, folders))} or on PATH",
                todo="make setup builds it; or name its folder in PROVENDER_KENLM_BIN",
            )
        found.append(Path(place))
    return found[0], found[1]


def train_kenlm(lines: Iterable[str], model: Path, settings: LmSettings, lmplz: Path, build_binary: Path) -> int:
    """Estimate a model from normalised lines into the file `model`; returns the number of lines.

    Raises DataError when there is too little text to estimate from. Disk: the text and its n-grams, beside `model`.
    """
    folder = model.parent
    corpus, arpa = folder / "corpus.txt", folder / "lm.arpa"
    count = 0
    with open(corpus, "w", encoding="utf-8") as handle:
        for line in lines:
            handle.write(line + "\n")
            count += 1
    prune = ["--prune", *map(str, settings.prune)] if any(settings.prune) else []
    command: list[str | Path] = [lmplz, "-o", str(settings.order), "-S", settings.memory, "-T", folder, *prune]
    # Without the fallback lmplz gives up on small or regular text, whose discounts cannot be estimated.
    command += ["--discount_fallback", "--skip_symbols", "--text", corpus, "--arpa", arpa]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode or not count:
        raise DataError(
            "no language model could be estimated",
            where=model.name,
            found=f"{count} lines" if not count else _last_line(made.stderr),
            todo="let it learn from more documents: `lm.<name>.sources` and `share`",
        )
    made = subprocess.run([build_binary, "trie", arpa, model], capture_output=True, text=True, check=False)
    if made.returncode:
        raise DataError("the language model could not be packed", where=model, found=_last_line(made.stderr))
    corpus.unlink()
    arpa.unlink()
    return count


def _last_line(output: str) -> str:
    # lmplz names counts and file sizes in its errors; a message with a quoted word of the text is cut.
    lines = [re.sub(r"'[^']*'|\"[^\"]*\"", "…", line) for line in output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no message"


class PerplexitySettings(Settings):
    """Measure the perplexity of each document under a model."""

    model: str = Field(description="a folder of `lm:`, one with lm.binary, or a KenLM .binary or .arpa file")

    def paths(self) -> list[Path]:
        """The model, or the two learned from the halves of the corpus. Raises ConfigError when there is none."""
        path = Path(self.model)
        halves = [path / fold_file(fold) for fold in range(FOLDS)]
        found = halves if halves[0].is_file() else [path / MODEL_FILE if path.is_dir() else path]
        for file in found:
            if not file.is_file():
                raise ConfigError(
                    "no such language model",
                    where=file,
                    todo="name a model under `lm:` or give the path of a KenLM file in `perplexity`",
                )
        return found

    def identity(self) -> dict[str, Any]:
        return {"model": [content_hash(path) for path in self.paths()], "normalisation": NORMALISATION}

    def build(self) -> "Perplexity":
        return Perplexity(self)


class Perplexity(Step):
    """Adds perplexity.value and perplexity.tokens (words and line ends); null for a text without words."""

    name: ClassVar[str] = "perplexity"
    columns: ClassVar[dict[str, pa.DataType]] = {"perplexity.value": pa.float32(), "perplexity.tokens": pa.int32()}

    def __init__(self, settings: PerplexitySettings) -> None:
        super().__init__()
        self.settings = settings

    def process(self, batch: Batch) -> Batch:
        models = [_load(str(path)) for path in self.settings.paths()]
        ids = batch["id"].to_pylist()
        values = np.full(len(batch), np.nan, np.float32)
        tokens = np.zeros(len(batch), np.int32)
        for row, lines in enumerate(_normalised_documents(batch.text)):
            if lines:
                model = models[0] if len(models) == 1 else models[1 - fold_of(ids[row])]
                log10 = sum(model.score(line) for line in lines)
                tokens[row] = sum(line.count(" ") + 2 for line in lines)
                values[row] = 10.0 ** (-log10 / tokens[row])
        return batch.with_columns(
            {
                "perplexity.value": pa.array(values, from_pandas=True),
                "perplexity.tokens": pa.array(tokens, mask=tokens == 0),
            }
        )


@cache
def _load(path: str) -> Any:
    import kenlm

    try:
        return kenlm.Model(path)
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            "this is not a KenLM model",
            where=path,
            found=_last_line(str(error)),
            todo="give an lm.binary or .arpa file",
        ) from None


class PerplexityRule(Settings):
    """Drop documents above or below a bound, absolute or by percentile of their source."""

    rule: Literal["perplexity"]
    max: float | None = Field(None, gt=1)
    min: float | None = Field(None, ge=1)
    max_percentile: float | None = Field(None, gt=0, le=1, description="the share of a source with the lowest stays")

    @model_validator(mode="after")
    def _some_bound(self) -> "PerplexityRule":
        if self.max is None and self.min is None and self.max_percentile is None:
            raise ValueError("state max, min or max_percentile")
        return self

    def rules(self) -> list[Rule]:
        column = "perplexity.value"
        stated = []
        if self.max is not None:
            stated.append(at_most("perplexity", "high perplexity", column, self.max))
        if self.min is not None:
            stated.append(at_least("perplexity", "low perplexity", column, self.min))
        if self.max_percentile is not None:
            value = pl.col(column)
            bound = value.quantile(self.max_percentile, interpolation="linear")
            detail = pl.format("{} > {} (percentile {})", shown(value), shown(bound), pl.lit(self.max_percentile))
            stated.append(Rule("perplexity", "perplexity percentile", value > bound, detail))
        return stated
