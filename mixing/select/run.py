"""Selection as artefacts: measures by source, then the choice.

    selection/<run>/
      scores/<measure>/<source>.parquet   id, value        one manifest for each measure
      chosen/<source>.parquet             id, tokens, <measure> …, score, chosen (0.0 or 1.0)

Two passes over the pool for a measure (one learns, one scores), none for a choice. Memory: some 100 bytes a document of
the pool, and what a measure holds.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from corpus.artifact import RunLock, code_version, current, publish, read_parquet, scan_parquet, write_parquet
from corpus.errors import ArtifactError, DataError
from mixing.select.choose import choose, combined
from mixing.select.settings import MeasureSettings, SelectSettings
from mixing.select.texts import ROWS, Texts, texts_of_shards

VALUES = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("value", pa.float64())])
Watch = Callable[[str], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Pool:
    """What is chosen from: the shards (id, text, token_count) of each source, and their `fingerprint`."""

    shards: Mapping[str, Sequence[Path]]
    fingerprint: str

    @property
    def texts(self) -> Texts:
        return texts_of_shards([path for paths in self.shards.values() for path in paths])


@dataclass(frozen=True)
class Task:
    """The task's texts and what they are a function of."""

    texts: Texts
    identity: Any


def select(
    settings: SelectSettings,
    task: Task,
    pool: Pool,
    folder: Path,
    lock: RunLock | None = None,
    watch: Watch = lambda name: nullcontext(),
) -> pl.DataFrame:
    """Measure what has not been measured, choose, and publish; the choice by source (`selection_table`).

    Raises DataError when the task or the pool has no text, ConfigError when a model is missing.
    """
    inputs = {"task": task.identity, "pool": pool.fingerprint, "seed": settings.seed, "code": code_version("mixing")}
    for measure in settings.by:
        with watch(f"measure {measure.kind}"):
            _measure(measure, task, pool, folder / "scores" / measure.kind, inputs, settings.seed, lock)
    function = inputs | {"settings": settings.identity() | {"task": None}}
    function["settings"]["by"] = [measure.identity() for measure in settings.by]
    if current(folder / "chosen", function) is None:
        with (
            watch("choose"),
            publish(folder / "chosen", kind="mixing.selection", function=function, lock=lock) as draft,
        ):
            frame = _chosen(settings, pool, folder)
            for source in pool.shards:
                rows = frame.filter(pl.col("source") == source).drop("source")
                name = f"{source}.parquet"
                draft.rows[name] = write_parquet(draft.path / name, rows.to_arrow())
            draft.totals["sources"] = selection_table(frame).to_dicts()
    return selection_table(read_selection(folder, list(pool.shards)))


def _measure(
    measure: MeasureSettings,
    task: Task,
    pool: Pool,
    folder: Path,
    inputs: Mapping[str, Any],
    seed: int,
    lock: RunLock | None,
) -> None:
    function = {**inputs, "measure": measure.identity()}
    if current(folder, function) is not None:
        return
    if not any(len(batch) for batch in task.texts()):
        raise DataError("the task has no readable text", where="select.task", todo="name files with the task's texts")
    if not any(len(batch) for batch in pool.texts()):
        raise DataError("there is nothing to choose from", where="select.pool", found=", ".join(pool.shards))
    with (
        tempfile.TemporaryDirectory() as scratch,
        publish(folder, kind="mixing.scores", function=function, lock=lock) as draft,
    ):
        scorer = measure.fit(task.texts, pool.texts, Path(scratch), seed)
        for source, shards in pool.shards.items():
            scored = (
                pa.RecordBatch.from_arrays(
                    [
                        batch.column("id").cast(pa.string()),
                        pa.array(scorer.score(batch.column("text")), from_pandas=True),
                    ],
                    schema=VALUES,
                )
                for batch in _batches(shards)
            )
            draft.rows[f"{source}.parquet"] = write_parquet(draft.path / f"{source}.parquet", scored, VALUES)


def _batches(shards: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for shard in shards:
        yield from scan_parquet(shard, ["id", "text"], rows=ROWS)


def _chosen(settings: SelectSettings, pool: Pool, folder: Path) -> pl.DataFrame:
    """source, id, tokens, the measures, score and chosen of every document of the pool."""
    parts = []
    for source, shards in pool.shards.items():
        tables = [read_parquet(shard, ["id", "token_count"]) for shard in shards]
        documents = pl.DataFrame(pl.from_arrow(pa.concat_tables(tables))).rename({"token_count": "tokens"})
        for measure in settings.by:
            values = pl.DataFrame(pl.from_arrow(read_parquet(folder / "scores" / measure.kind / f"{source}.parquet")))
            if not values["id"].equals(documents["id"]):
                raise ArtifactError(
                    "scores and documents differ",
                    where=folder / "scores" / measure.kind,
                    todo="delete the folder and run `provender mix select` again",
                )
            documents = documents.with_columns(values["value"].alias(measure.kind))
        parts.append(documents.with_columns(source=pl.lit(source)))
    frame = pl.concat(parts)
    score = combined([_floats(frame[measure.kind]) for measure in settings.by])
    logarithmic = len(settings.by) == 1 and settings.by[0].kind == "dsir"
    tokens = frame["tokens"].fill_null(0).to_numpy()
    taken = choose(frame["id"], tokens, score, settings.choose, settings.seed, logarithmic)
    return frame.with_columns(
        pl.Series("score", score, nan_to_null=True), pl.Series("chosen", taken.astype(np.float64))
    )


def _floats(column: pl.Series) -> np.ndarray:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def read_selection(folder: Path, sources: Sequence[str]) -> pl.DataFrame:
    """The published choice: source and the columns of chosen/<source>.parquet."""
    parts = [
        pl.DataFrame(pl.from_arrow(read_parquet(folder / "chosen" / f"{source}.parquet"))).with_columns(
            source=pl.lit(source)
        )
        for source in sources
    ]
    return pl.concat(parts)


def selection_table(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per source: documents and tokens, how many are chosen, the least score chosen, the share of tokens."""
    chosen = pl.col("chosen") > 0
    return (
        frame.group_by("source", maintain_order=True)
        .agg(
            documents=pl.len(),
            chosen_documents=chosen.sum(),
            tokens=pl.col("tokens").sum(),
            chosen_tokens=pl.col("tokens").filter(chosen).sum(),
            least_score=pl.col("score").filter(chosen).min(),
        )
        .with_columns(chosen_share=pl.col("chosen_tokens") / pl.col("tokens"))
    )
