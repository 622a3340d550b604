"""`step S`: the documents of one step, from the plan alone, with the losses that the run had there."""

from pathlib import Path

import polars as pl

from corpus.errors import ConfigError, DataError
from mixing.plan import MixturePlan
from mixing.sequences import Sequences
from pipelines.audit import training_questions
from pipelines.audit.workspace import plan_folders, planned_sequences, progress_of, rows_at, run_of_plan

DOCUMENTS = {
    "row": pl.Int64, "source": pl.String, "sequence": pl.Int64, "epoch": pl.Int64, "place": pl.Int64,
    "tokens": pl.Int64, "document": pl.String,
}  # fmt: skip


def step(workspace: Path, number: int, name: str | None = None) -> dict[str, pl.DataFrame]:
    """`sources`: source → sequences, documents, tokens, training loss at the step (null before it was trained);
    `documents`: every piece of a document in the batch: row, source, sequence, epoch, place in the row, tokens, id.

    `number` counts finished steps, as metrics do: the first is 1. `name` is that of the plan; it may be left out where
    there is one. Raises ConfigError for a step or plan that is not there.
    """
    folder = _plan(workspace, name)
    plan = MixturePlan.load(folder)
    if not 1 <= number <= plan.steps:
        raise ConfigError("no such step", where=folder.name, found=number, todo=f"steps run from 1 to {plan.steps}")
    rows = plan.batch(number - 1)
    pieces: list[tuple] = []
    stores = {source: _sequences(workspace, plan, folder, source) for source in plan.names}
    for row, (index, sequence, epoch) in enumerate(
        zip(rows.source.tolist(), rows.sequence.tolist(), rows.epoch.tolist(), strict=True)
    ):
        source = plan.names[index]
        pieces += [
            (row, source, sequence, epoch, piece.place, piece.size, piece.document)
            for piece in stores[source].pieces(sequence)
        ]
    frame = pl.DataFrame(pieces, DOCUMENTS | {"document": pl.Int64}, orient="row")
    frame = _named(workspace, frame)
    run, _ = progress_of(workspace, plan.fingerprint)
    losses = training_questions.losses(workspace).filter((pl.col("run") == (run or "")) & (pl.col("step") == number))
    sources = (
        frame.group_by("source")
        .agg(
            pl.struct("row").n_unique().cast(pl.Int64).alias("sequences"),
            pl.col("document").n_unique().cast(pl.Int64).alias("documents"),
            pl.col("tokens").sum(),
        )
        .join(losses.select("source", "loss"), on="source", how="left")
        .sort("source")
    )
    return {"sources": sources, "documents": frame}


def _plan(workspace: Path, name: str | None) -> Path:
    folders = {run_of_plan(folder): folder for folder in plan_folders(workspace)}
    if name is None and len(folders) == 1:
        return next(iter(folders.values()))
    if name is None and "main" in folders:
        return folders["main"]
    if name is None or name not in folders:
        raise ConfigError(
            "no such plan" if name else "which plan?",
            where=workspace,
            found=name,
            todo=f"--plan {' or '.join(folders)}" if folders else "run `provender mix` first",
        )
    return folders[name]


def _sequences(workspace: Path, plan: MixturePlan, folder: Path, source: str) -> Sequences:
    held = Sequences.of(planned_sequences(workspace, folder, source), plan.sequence_length)
    planned = next(known for known in plan.sources if known.name == source)
    if held.fingerprint != planned.store:
        raise DataError(
            "the plan was made for other tokens than those that are here", where=source, todo="run `provender mix`"
        )
    return held


def _named(workspace: Path, pieces: pl.DataFrame) -> pl.DataFrame:
    """The pieces with the ids of their documents instead of their rows in the stores."""
    found = []
    for (source,), own in pieces.group_by("source"):
        rows = own["document"].unique().sort().to_list()
        path = workspace / "tokens" / str(source) / "train" / "documents.parquet"
        ids = [entry["id"] for entry in rows_at(path, rows, ["id"])]
        found.append(pl.DataFrame({"source": [source] * len(rows), "document": rows, "id": ids}))
    schema = {"source": pl.String, "document": pl.Int64, "id": pl.String}
    names = pl.concat([pl.DataFrame(schema=schema), *found])
    joined = pieces.join(names, on=["source", "document"], how="left", maintain_order="left")
    return joined.drop("document").rename({"id": "document"})
