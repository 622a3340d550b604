"""`provender study`: the grid from end to end, or some of its cells, and the page from what is there."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from corpus.errors import ConfigError
from corpus.tokens.store import TokenStore
from pipelines import progress
from pipelines.study.grid import GENERAL_TESTS, LINE, SMOLLM2, Cell, grid
from pipelines.study.page import Findings, write_page
from pipelines.study.results import Row, Run, read_result
from pipelines.study.sizes import FULL, QUICK, StudySize
from pipelines.study.texts import GENERAL
from pipelines.study.verdicts import BASE, COUNTED

SIZES = {size.name: size for size in (QUICK, FULL)}


def run_study(size: StudySize, folder: Path, only: Sequence[str] = ()) -> list[Cell]:
    """Make the cells of these names, or all, that are not there yet, in the order of the grid; which are in the study.

    Raises ConfigError for a name that no cell has, TrainingError when a signal stops it: the same command goes on.
    """
    from pipelines.study.run import prepared, prepared_smollm2, run_cell

    cells = chosen(grid(size), only)
    cache = folder.parent / "cache"
    study = prepared(size, folder / size.name, cache)
    runs = [(cell, seed) for cell in cells for seed in cell.seeds]
    with progress.stage(f"study {size.name}", "runs", 1) as meter:
        for number, (cell, seed) in enumerate(runs):
            meter.note(number, len(runs), f"{cell.run(seed)}, {number + 1} of {len(runs)}")
            if cell.workspace == SMOLLM2 and study.places.smollm2_model is None:
                study = prepared_smollm2(study, cache, [each for each in cells if each.workspace == SMOLLM2])
            run_cell(study, cell, seed)
        meter.close(f"{len(cells)} cells, {len(runs)} runs")
    return cells


def names(size: StudySize) -> str:
    """The cells of a size, one a line: name, table, seeds."""
    return "\n".join(f"{cell.name:<22} {cell.part}, {len(cell.seeds)} seed(s)" for cell in grid(size))


def chosen(cells: Sequence[Cell], names: Sequence[str]) -> list[Cell]:
    """The cells of these names, all without names, and before a merge the cell it is made of. Raises ConfigError."""
    by_name = {cell.name: cell for cell in cells}
    for name in names:
        if name not in by_name:
            near = get_close_matches(name, by_name, 1)
            hint = f'did you mean "{near[0]}"?' if near else "`provender study --list` names them"
            raise ConfigError("the study has no such cell", where="--cell", found=name, todo=hint)
    wanted = {*names, *(by_name[name].after for name in names)} if names else set(by_name)
    return [cell for cell in cells if cell.name in wanted]


def findings(size: StudySize, folder: Path, command: str) -> Findings:
    """What there is of the grid. A result counts when it is of the cell, size and base as they are now; which trainer
    code made it the page says."""
    root, cells = folder / size.name, grid(size)
    rows: dict[str, dict[str, Row]] = {LINE: {}, SMOLLM2: {}}
    codes: dict[str, str] = {}
    models: dict[str, str] = {}
    for workspace in rows:
        base = read_result(root / "cells" / f"{BASE}-{workspace}")
        if base is not None and base[0]["size"] == size.of_rows(workspace == SMOLLM2):
            rows[workspace][BASE] = Row(BASE, {0: base[1]}, constant=True)
            models[workspace] = base[0]["model"]
    for cell in cells:
        runs: dict[int, Run] = {}
        for seed in cell.seeds:
            result = read_result(root / "cells" / cell.run(seed))
            if result is not None and _is_of(result[0], cell, size, models.get(cell.workspace)):
                runs[seed], codes[cell.run(seed)] = result[1], result[0]["code"]
        if runs:
            rows[cell.workspace][cell.name] = Row(cell.name, runs, cell.domain, cell.method)
    if BASE in rows[LINE]:
        rows[LINE] |= _counted(root, size)
    return Findings(size, cells, rows[LINE], rows[SMOLLM2], codes, command, root)


def _is_of(function: dict[str, Any], cell: Cell, size: StudySize, base: str | None) -> bool:
    """Whether a result is of the cell and the size as they are now, and of the base that is there."""
    expected = (cell.identity(), size.of_rows(cell.workspace == SMOLLM2), base)
    return (function["cell"], function["size"], function["model"]) == expected


def _counted(root: Path, size: StudySize) -> dict[str, Row]:
    """The counting models as rows, to measure the base against."""
    from pipelines.study.counting import counted

    tokens = root / LINE / "tokens"
    train = [TokenStore.open(tokens / kind / "train") for kind in GENERAL]
    found = {
        name: counted(train, TokenStore.open(tokens / name / "train"), size.test_tokens, size.sequence_length)
        for name in GENERAL_TESTS
    }
    return {
        model: Row(model, {0: Run({name: scores[model] for name, scores in found.items()})}, constant=True)
        for model in COUNTED
    }


def publish_page(size: StudySize, folder: Path, path: Path) -> list[Path]:
    """Write the page from the rows that are there; what was written."""
    command = f".venv/bin/provender study{' --quick' if size.name == 'quick' else ''}"
    return write_page(findings(size, folder, command), path)
