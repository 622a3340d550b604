"""Cells as recipes: recipes/study.yaml with the study's paths and the cell's mixture."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.recipe import Recipe, load_recipe
from pipelines.study.grid import LINE, SMOLLM2, Cell
from pipelines.study.sizes import StudySize
from pipelines.study.texts import GENERAL, POOL

RECIPE = "study"
MOST = 8  # epochs of a source at the most


@dataclass(frozen=True)
class Places:
    """Where things lie under the folder of one size of the study, and the model of packages that is not made here."""

    root: Path
    smollm2_model: Path | None = None

    @property
    def texts(self) -> Path:
        return self.root / "texts"

    @property
    def tokenizer(self) -> Path:
        return self.root / "tokenizer"

    @property
    def fresh(self) -> Path:
        return self.root / "fresh"

    @property
    def base(self) -> Path:
        return self.root / LINE / "runs" / "base" / "model"

    def result(self, run: str) -> Path:
        """The artefact with what a run measured."""
        return self.root / "cells" / run

    def model(self, workspace: str) -> Path:
        """The base model of the cells of a workspace."""
        if workspace == LINE:
            return self.base
        assert self.smollm2_model is not None
        return self.smollm2_model


def corpus_overrides(places: Places, workspace: str) -> list[str]:
    """The study's paths: a workspace has the texts as tokens of its model."""
    tokenizer = places.tokenizer if workspace == LINE else places.model(workspace)
    overrides = [f"workspace={places.root / workspace}", f"tokenizer.path={tokenizer}"]
    for index, source in enumerate(load_recipe(RECIPE).corpus.sources):
        overrides.append(f"corpus.sources.{index}.reader.path={places.texts / source.name}")
    return overrides


def base_overrides(places: Places, size: StudySize) -> list[str]:
    """The pre-training of the base on general text."""
    sources = ", ".join(f"{kind}: {{role: domain, max_epochs: {MOST}}}" for kind in GENERAL)
    return [
        *corpus_overrides(places, LINE),
        "run=base",
        *_lengths(size.sequence_length, size.batch.base, size.base_steps),
        "mix.schedule={kind: constant, share: 1}",
        "mix.replay_floor=null",
        f"mix.sources={{{sources}}}",
        f"train.model={places.fresh}",
        f"train.learning_rate={size.base_rate}",
        "train.schedule={kind: cosine}",
        f"train.warmup_steps={max(size.base_steps // 50, 2)}",
    ]


def cell_recipe(places: Places, size: StudySize, cell: Cell, seed: int, steps: int | None = None) -> Recipe:
    """The recipe of one run of a cell. `steps` where they follow from the pool and not from the size."""
    return load_recipe(RECIPE, cell_overrides(places, size, cell, seed, steps))


def cell_overrides(places: Places, size: StudySize, cell: Cell, seed: int, steps: int | None = None) -> list[str]:
    """What `--set` of `provender mix` and `provender train` would have to say on recipes/study.yaml."""
    smol = size.smollm2 if cell.workspace == SMOLLM2 else None
    rate = smol.learning_rate if smol is not None else size.learning_rate
    length, batch = (smol.sequence_length, smol.global_batch) if smol else (size.sequence_length, size.batch.cell)
    planned = steps or (smol.steps if smol is not None else size.steps)
    run = (cell.after or cell.name) + f"-s{seed}"
    return [
        *corpus_overrides(places, cell.workspace),
        f"run={run}",
        *_lengths(length, batch, planned),
        f"mix.schedule={{kind: constant, share: {1 - cell.replay}}}",
        f"mix.sources={{{_sources(places, cell, run)}}}",
        *([] if cell.replay else ["mix.replay_floor=null"]),
        f"mix.seed={seed}",
        f"train.model={places.model(cell.workspace)}",
        f"train.learning_rate={rate}",
        f"train.warmup_steps={max(planned // 10, 1)}",
        f"train.seed={seed}",
        *([] if smol is None else ["train.evaluation_tokens=300"]),
        *_merging(cell),
        *cell.changes,
    ]


def _lengths(sequence: int, batch: int, steps: int) -> list[str]:
    lengths = [f"mix.sequence_length={sequence}", f"mix.global_batch={batch}", f"mix.steps={steps}"]
    return [*lengths, f"train.micro_batch={batch}"]


def _sources(places: Places, cell: Cell, run: str) -> str:
    chosen = ""
    if cell.select not in (None, "all"):
        path = places.root / cell.workspace / "selection" / run / "chosen" / f"{POOL}.parquet"
        chosen = f", packing: {{weights: {path}, weight_column: chosen}}"
    sources = [f"{cell.domain}: {{role: domain, max_epochs: {MOST}{chosen}}}"]
    if cell.replay:
        sources += [f"{kind}: {{role: replay, max_epochs: {MOST}}}" for kind in GENERAL]
    return ", ".join(sources)


def _merging(cell: Cell) -> list[str]:
    """One share, whatever the gate would say of it: the study compares shares itself."""
    if cell.alpha is None:
        return []
    return [f"train.merge={{alphas: [{cell.alpha}]}}", "train.gate={epsilon: 100, action: warn}"]
