"""The run's model as others get it: a Hugging Face folder with a model card, and the matrix behind the card.

Nothing is uploaded unless asked: a model that has learned from private text is private text.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table

from corpus.artifact import MANIFEST, Manifest, publish
from corpus.errors import ArtifactError, ConfigError
from pipelines.audit import training_questions
from pipelines.audit.workspace import read_events
from pipelines.cards import model_card
from pipelines.recipe import Recipe
from pipelines.report.numbers import decimal, paired

KIND = "pipelines.model"
CARD = "README.md"
SHOWN = ("learning_rate", "min_ratio", "warmup_steps", "weight_decay", "micro_batch", "clip", "seed")


def export_run(recipe: Recipe, to: Path | None = None) -> Path:
    """Write the run's model, its tokenizer and its card to `to`, whole or not at all.

    Raises ArtifactError when the run has no model yet, ConfigError when `to` holds something else.
    """
    run = recipe.folder / "runs" / recipe.run
    try:
        manifest = Manifest.read(run / "model")
        manifest.verify(run / "model")
    except ArtifactError as error:
        raise ArtifactError(
            f'run "{recipe.run}" has no model to export',
            where=run,
            found=error.what,
            todo="run `provender train` with this recipe until it ends",
        ) from None
    folder = to if to is not None else recipe.folder / "export" / recipe.run
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise ConfigError("the folder holds something else", where=folder, todo="give an empty or new one: --to …")
    function = {"model": manifest.fingerprint, "run": recipe.run, "name": recipe.name}
    with publish(folder, kind=KIND, function=function) as draft:
        for path in sorted((run / "model").iterdir()):
            if path.name not in (MANIFEST, CARD):
                shutil.copyfile(path, draft.path / path.name)
        (draft.path / CARD).write_text(card_of(recipe, manifest), encoding="utf-8")
        draft.totals |= manifest.totals
    return folder


def card_of(recipe: Recipe, manifest: Manifest) -> str:
    """The card of the run's model: what it was trained on, evaluated as the very step that is exported."""
    settings = recipe.need("train")
    own = pl.col("run") == recipe.run
    mixture = training_questions.mixture(recipe.folder).filter(own)
    exported = manifest.totals["best_step"] or manifest.totals["step"]
    shown = {key: value for key in SHOWN if (value := getattr(settings, key)) is not None}
    shown |= {"schedule": settings.schedule.kind, "steps": manifest.totals["step"], "exported step": exported}
    guards = [name for name in ("kl", "ewc", "l2sp", "das", "lora", "ema", "freeze") if getattr(settings, name)]
    shown["held near the base by"] = ", ".join(guards) or "nothing"
    licences = {source.name: source.license for source in recipe.corpus.sources if source.license}
    unstated = [name for name in mixture["source"] if name not in licences]
    limits = ["A base model, ready for instruction tuning: it continues text and follows no instructions."]
    if unstated:
        limits.append(f"No licence is stated for {', '.join(unstated)}: find out before you hand the model on.")
    if recipe.phi:
        limits.append("The sources may hold health information; a model can repeat what it was trained on.")
    return model_card(
        f"{recipe.name} ({recipe.run})",
        base_model=_public_name(settings.model),
        mixture=mixture.to_dicts(),
        evaluation=_evaluation(recipe, exported),
        settings=shown,
        licences=licences,
        limits=limits,
        evaluations=training_questions.evaluations(recipe.folder).filter(own).to_dicts(),
    )


def _public_name(model: str) -> str:
    """A hub name as it is; of a local folder its last part, for a card holds no paths."""
    return Path(model).name if Path(model).is_dir() or model.startswith((".", "/", "~")) else model


def _evaluation(recipe: Recipe, step: int) -> list[dict[str, Any]]:
    """Before (step 0) and after (`step`, or the last evaluation before it) by set."""
    frame = training_questions.evaluations(recipe.folder).filter(
        (pl.col("run") == recipe.run) & (pl.col("step") <= step)
    )
    last = frame.filter(pl.col("step") == pl.col("step").max())
    before = dict(frame.filter(pl.col("step") == 0).select("set", "bits_per_byte").iter_rows())
    roles = dict(
        training_questions.forgetting(recipe.folder)
        .filter(pl.col("run") == recipe.run)
        .select("set", "role")
        .iter_rows()
    )
    return [
        {
            "set": row["set"],
            "role": roles.get(row["set"]),
            "before": before.get(row["set"]),
            "after": row["bits_per_byte"],
            "delta": row["delta"],
            "delta_se": row["delta_se"],
        }
        for row in last.sort("set").iter_rows(named=True)
    ]


def matrix_table(recipe: Recipe) -> RenderableType:
    """Sets × steps in bits per byte with the change against step 0, and what it comes to."""
    from trainer.evaluation.transfer import evaluation_matrix, transfer

    path = recipe.folder / "runs" / recipe.run / "metrics.jsonl"
    if not path.is_file():
        raise ArtifactError("the run has no metrics yet", where=path.parent, todo="run `provender train` first")
    events = read_events(path)
    matrix = evaluation_matrix(events)
    steps = sorted({step for scores in matrix.values() for step in scores})
    changes = {event["step"]: event["sets"] for event in events if event["event"] == "eval"}
    table = Table(title="Bits per byte by set and step (change against step 0 ± standard error)", title_justify="left")
    table.add_column("step", justify="right")
    for name in matrix:
        table.add_column(name, justify="right")
    for step in steps:
        table.add_row(f"{step:,}", *(_score(changes[step].get(name), step) for name in matrix))
    domain = {name for name, source in recipe.need("mix").sources.items() if source.role == "domain"}
    found = transfer(matrix, set(matrix) - domain)
    words = {"backward_transfer": "backward transfer (below 0: lost)", "forgetting": "forgetting (above 0: was better)"}
    return Group(table, *(f"{words[key]}: {decimal(value)}" for key, value in found.items()))


def _score(scores: Mapping[str, Any] | None, step: int) -> str:
    if scores is None:
        return decimal(None)
    value = decimal(scores["bits_per_byte"])
    return value if step == 0 else f"{value} ({paired(scores['delta'], scores['delta_se'])})"
