"""Running the study: prepare once, then cell after cell, each an artefact that is skipped when it is there.

    texts ─► tokenizer ─► corpus (a workspace for each model) ─► base ─► for each cell and seed: mix, train, measure

A cell is a function of its settings, its plan, the base model, the test sets and the trainer's code. Killed at any
time, the same command goes on: what is published stays, and a run continues from its last checkpoint.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.artifact import RunLock, code_version, current
from corpus.errors import ConfigError
from corpus.tokens.store import TokenStore
from pipelines import progress
from pipelines.demo.model import prepare_model
from pipelines.demo.texts import fetch_texts
from pipelines.models import merge_model
from pipelines.recipe import Recipe, load_recipe
from pipelines.selection import choose_at_random, select_documents
from pipelines.stages import compile_mixture, prepare_corpus
from pipelines.study.base import base_recipe, finished, make_tokenizer, pretrain_base
from pipelines.study.grid import LINE, SMOLLM2, TASK, TESTS, Cell
from pipelines.study.measure import measure
from pipelines.study.recipes import RECIPE, Places, cell_overrides, cell_recipe, corpus_overrides
from pipelines.study.results import write_result
from pipelines.study.sizes import StudySize
from pipelines.study.texts import POOL, study_texts
from trainer.model.packed import model_hash

BASE = "base"  # the result of the base model of a workspace is `base-<workspace>`


@dataclass(frozen=True)
class Study:
    """One size of the study in its folder, prepared as far as the cells that are to run need it."""

    size: StudySize
    places: Places

    def test_stores(self, workspace: str, names: Sequence[str]) -> dict[str, TokenStore]:
        folder = self.places.root / workspace / "tokens"
        return {name: TokenStore.open(folder / name / "train") for name in names}


def prepared(size: StudySize, root: Path, cache: Path) -> Study:
    """Text, tokenizer, token stores and base model of the cells on our own base; what is there is skipped."""
    study_texts(cache, root / "texts", size.texts, progress.console.print)
    study = Study(size, Places(root))
    make_tokenizer(study.places, size.vocabulary)
    prepare_corpus(load_recipe(RECIPE, corpus_overrides(study.places, LINE)))
    pretrain_base(study.places, size)
    measure_base(study, LINE, base_recipe(study.places, size), tuple(TESTS.values()))
    return study


def prepared_smollm2(study: Study, cache: Path, cells: Sequence[Cell]) -> Study:
    """The same texts as SmolLM2's tokens, and its own measure: only when the first of its cells is to run."""
    packages = fetch_texts(cache, progress.console.print)
    model = prepare_model(cache, False, packages, progress.console.print)
    study = Study(study.size, Places(study.places.root, model))
    prepare_corpus(load_recipe(RECIPE, corpus_overrides(study.places, SMOLLM2)))
    sets = tuple(dict.fromkeys(name for cell in cells for name in cell.measured))
    measure_base(study, SMOLLM2, cell_recipe(study.places, study.size, cells[0], 0), sets)
    return study


def measure_base(study: Study, workspace: str, recipe: Recipe, sets: Sequence[str]) -> None:
    """The result of the model that a workspace's cells start from."""
    folder = study.places.result(f"{BASE}-{workspace}")
    model = study.places.model(workspace)
    function = _function(study, recipe, workspace, sets) | {"cell": {"name": BASE, "workspace": workspace}}
    if current(folder, function) is not None:
        return
    with RunLock(study.places.root / "cells") as lock, progress.stage(f"measure {folder.name}") as meter:
        scores = _measured(study, recipe, workspace, sets, model)
        facts = {"workspace": workspace}
        if workspace == LINE:  # of our own training
            facts |= {"run": BASE, "plan": compile_mixture(recipe).fingerprint}
        write_result(folder, function, scores, facts, lock)
        meter.close(f"{len(scores)} sets")


def run_cell(study: Study, cell: Cell, seed: int) -> bool:
    """Make one run of a cell unless it is there; whether it had to be made. Raises TrainingError when a signal stopped
    it, ConfigError when the cell it is made from is not there yet."""
    overrides = _chosen_overrides(study, cell, seed)
    recipe = _selected(study, cell, seed, overrides)
    plan = compile_mixture(recipe)
    function = _function(study, recipe, cell.workspace, cell.measured)
    function |= {"cell": cell.identity(), "seed": seed, "plan": plan.fingerprint}
    folder = study.places.result(cell.run(seed))
    if current(folder, function) is not None:
        return False
    model = _trained(recipe, cell)
    with RunLock(study.places.root / "cells") as lock, progress.stage(f"measure {cell.run(seed)}") as meter:
        scores = _measured(study, recipe, cell.workspace, cell.measured, model)
        tokens = dict(zip(plan.names, (plan.cumulative[:, -1] * plan.sequence_length).tolist(), strict=True))
        facts = {
            "run": recipe.run,
            "workspace": cell.workspace,
            "plan": plan.fingerprint,
            "steps": plan.steps,
            "tokens": tokens,
            "overrides": overrides,
        }
        write_result(folder, function, scores, facts, lock)
        meter.close(f"{len(scores)} sets")
    _let_go(recipe, cell)
    return True


def _function(study: Study, recipe: Recipe, workspace: str, sets: Sequence[str]) -> dict[str, Any]:
    """What a result is a function of, besides its cell and plan."""
    settings = recipe.need("train")
    return {
        "model": model_hash(study.places.model(workspace)),
        "train": settings.identity() | {"merge": settings.merge.identity()},
        "tests": {name: store.manifest.fingerprint for name, store in study.test_stores(workspace, sets).items()},
        "size": study.size.of_rows(workspace == SMOLLM2),
        "code": code_version("trainer"),
    }


def _measured(study: Study, recipe: Recipe, workspace: str, sets: Sequence[str], model: Path) -> dict[str, Any]:
    smol = study.size.smollm2
    tokens = smol.test_tokens if workspace == SMOLLM2 and smol else study.size.test_tokens
    stores = study.test_stores(workspace, sets)
    return measure(model, recipe.need("train"), stores, tokens, recipe.need("mix").sequence_length)


def _trained(recipe: Recipe, cell: Cell) -> Path:
    """The model of a cell: trained, or merged of one that was."""
    if cell.after is None:
        return finished(recipe)
    if not (recipe.folder / "runs" / recipe.run / "model").is_dir():
        raise ConfigError("the cell that is to be merged has not run", where=cell.name, todo=f"--cell {cell.after}")
    return merge_model(recipe)[0]


def _steps(study: Study, cell: Cell) -> int | None:
    """Once through what is chosen of the pool; None for other cells, whose size says it."""
    if cell.select is None:
        return None
    pool = study.test_stores(cell.workspace, [POOL])[POOL].tokens
    share = 1.0 if cell.select == "all" else study.size.selected
    return max(int(share * pool) // (study.size.sequence_length * study.size.batch.cell), 1)


def _chosen_overrides(study: Study, cell: Cell, seed: int) -> list[str]:
    overrides = cell_overrides(study.places, study.size, cell, seed, _steps(study, cell))
    if cell.select not in (None, "all", "random"):
        choice = f"by: [{{kind: {cell.select}}}], choose: {{share: {study.size.selected}}}, seed: {seed}"
        overrides.append(f"select={{task: {{source: {TASK}}}, pool: [{POOL}], {choice}}}")
    return overrides


def _selected(study: Study, cell: Cell, seed: int, overrides: list[str]) -> Recipe:
    """The cell's recipe, with the documents chosen that it trains on."""
    recipe = load_recipe(RECIPE, overrides)
    if cell.select == "random":
        choose_at_random(recipe, POOL, study.size.selected, seed)
    elif recipe.select is not None:
        select_documents(recipe)
    return recipe


def _let_go(recipe: Recipe, cell: Cell) -> None:
    """Checkpoints of a finished cell; of SmolLM2 the model too, half a gigabyte that nothing is made of."""
    run = recipe.folder / "runs" / recipe.run
    for checkpoint in run.glob("step-*"):
        shutil.rmtree(checkpoint)
    for folder in ("merged",) if cell.after else ("model",) if cell.workspace == SMOLLM2 else ():
        shutil.rmtree(run / folder, ignore_errors=True)
