"""Estimating n-gram models with KenLM's lmplz (modified Kneser-Ney; Heafield et al. 2013).

    train_lm(["wiki/*.jsonl.zst"], "models/english", LmTraining())

    models/english/
      lm.binary  normalisation.json  manifest.json

Any documents will do: jsonl, parquet or text files, plain or compressed, a prepared corpus among them.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from corpus.annotate import input_hash
from corpus.artifact import MANIFEST, Manifest, code_version, current, publish
from corpus.errors import ConfigError, DataError
from corpus.language_codes import same_language
from corpus.perplexity.normalisation import DEFAULT, Normalisation, normalised, write_normalisation
from corpus.readers import (
    InputFile,
    JsonlSettings,
    ParquetSettings,
    Reader,
    ReaderSettings,
    Tally,
    TextSettings,
    make_reader,
)
from corpus.settings import Settings

MODEL_FILE = "lm.binary"
TOOLS_VARIABLE = "PROVENDER_KENLM_BIN"


class LmSettings(Settings):
    """How KenLM estimates a model (modified Kneser-Ney; Heafield et al. 2013)."""

    order: int = Field(
        5,
        ge=2,
        le=6,
        description="words looked at together: 5 as in cc_net, 3 for a few megabytes; more costs memory and disk",
    )
    prune: tuple[int, ...] = Field((0, 0, 1), description="lmplz --prune: n-grams seen no more often are left out")
    memory: str = Field("1G", pattern=r"^[0-9]+[KMG%]$", description="lmplz -S")
    structure: Literal["probing", "trie"] = Field(
        "probing", description="of the file: a trie is about half as large and read four times as slowly"
    )
    normalisation: Normalisation = Field(
        DEFAULT, description="what becomes of a text before it is counted and scored; stored with the model"
    )

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


def train_kenlm(
    lines: Iterable[str],
    model: Path,
    settings: LmSettings,
    lmplz: Path,
    build_binary: Path,
    vocabulary: int | None = None,
) -> int:
    """Estimate a model from normalised lines into the file `model`; returns the number of lines.

    `vocabulary`: words there may be, seen and unseen, so that of two models to be compared neither finds an unseen word
    likelier for being small. Raises DataError when there is too little text to estimate from. Disk: the text and its
    n-grams, beside `model`.
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
    if vocabulary is not None:
        command += ["--vocab_pad", str(vocabulary)]
    # Without the fallback lmplz gives up on small or regular text, whose discounts cannot be estimated.
    command += ["--discount_fallback", "--skip_symbols", "--text", corpus, "--arpa", arpa]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode or not count:
        raise DataError(
            "no language model could be estimated",
            where=model.name,
            found=f"{count} lines" if not count else last_line(made.stderr),
            todo="let it learn from more documents: `lm.<name>.sources` and `share`",
        )
    made = subprocess.run([build_binary, settings.structure, arpa, model], capture_output=True, text=True, check=False)
    if made.returncode:
        raise DataError("the language model could not be packed", where=model, found=last_line(made.stderr))
    corpus.unlink()
    arpa.unlink()
    return count


def last_line(output: str) -> str:
    # lmplz names counts and file sizes in its errors; a message with a quoted word of the text is cut.
    lines = [re.sub(r"'[^']*'|\"[^\"]*\"", "…", line) for line in output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no message"


class LmTraining(LmSettings):
    """How `train_lm` reads its documents and estimates a model."""

    text_field: str = Field("text", description="the field of jsonl and parquet files that holds the text")
    language: str | None = Field(
        None, description="learn only from documents whose language_label is this one; for shards of a corpus"
    )


def train_lm(documents: Sequence[str | Path], output: Path, settings: LmTraining | None = None) -> Manifest:
    """Estimate a model from `documents` (files, folders or globs: jsonl, parquet, txt and md, compressed too) and
    publish the model folder `output`; skipped when it was made by the same files and settings.

    `settings.language` wants the annotations of a prepared corpus (`data/<source>/train-*.parquet`). The manifest's
    totals count documents by what became of them. Raises DataError when no file is found, a file has no annotations
    to choose by, or there is too little to learn from; ConfigError when KenLM's tools are not installed.
    Memory: `settings.memory` and one batch of documents; disk: the text and its n-grams.
    """
    settings = settings or LmTraining()
    inputs = [found for path in documents for found in _inputs(str(path), settings)]
    if not inputs:
        raise DataError(
            "no documents to learn a language model from",
            where=", ".join(map(str, documents)) or "the command",
            found="no .jsonl, .parquet, .txt or .md file",
            todo="name files, folders or globs of documents",
        )
    function = {
        "kind": "corpus.lm",
        "settings": settings.identity(),
        "inputs": [input_hash(reader, file) for reader, file in inputs],
        "code": code_version("corpus"),
    }
    if (standing := current(Path(output), function)) is not None:
        return standing
    fates: Counter[str] = Counter()
    with publish(Path(output), kind="corpus.lm", function=function) as draft:
        texts = _texts(inputs, settings, fates)
        lines = (
            line
            for group in iter(lambda: list(islice(texts, 256)), [])
            for line in normalised(pa.array(group, pa.string()), settings.normalisation)
        )
        count = train_kenlm(lines, draft.path / MODEL_FILE, settings, *find_kenlm_tools())
        write_normalisation(draft.path, settings.normalisation)
        draft.totals |= {"lines": count, "documents": dict(sorted(fates.items()))}
    return Manifest.read(Path(output))


def _inputs(path: str, settings: LmTraining) -> Iterator[tuple[Reader, InputFile]]:
    if (Path(path) / MANIFEST).is_file() and (Path(path) / "data").is_dir():
        path = f"{path}/data/**/train-*.parquet"  # a prepared corpus: what it holds out stays unseen
    chosen = () if settings.language is None else ("annotations",)
    records: dict[str, Any] = {"path": path, "text_field": settings.text_field, "metadata": chosen}
    stated: list[ReaderSettings] = [JsonlSettings(**records), ParquetSettings(**records)]
    if not chosen:
        stated.append(TextSettings(path=path))
    for kind in stated:
        reader = make_reader(kind, "lm")
        try:
            files = reader.files()
        except DataError:
            continue  # a folder without files of this kind
        taken = [file for file in files if reader.takes(file.path)]
        reader.check(taken)
        yield from ((reader, file) for file in taken)


def _texts(inputs: list[tuple[Reader, InputFile]], settings: LmTraining, fates: Counter[str]) -> Iterator[str]:
    for reader, file in inputs:
        for document in reader.read(file, Tally()):
            if document.step is not None:
                fates[document.reason or document.step] += 1
            elif settings.language is not None and not _is_in(document.metadata, settings.language):
                fates["other language"] += 1
            else:
                fates["learned"] += 1
                yield document.text


def _is_in(metadata: str | None, language: str) -> bool:
    annotations = json.loads(metadata or "{}").get("annotations") or {}
    label = annotations.get("language_label") if isinstance(annotations, dict) else None
    return label is not None and same_language(label, language)
