"""A plan on disk.

plan.json      format, sequence length, global batch, seed, sources, segments (settings, start, asked, caps)
plan.parquet   step, source, sequences, cumulative (after the step); by source and step, only where there are any
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.artifact import Manifest, RunLock, publish, scan_parquet
from corpus.errors import ArtifactError

KIND = "mixing.plan"
FORMAT = "provender.plan/3"  # of the files, of the order inside a source and of the rows of a batch

PLAN_ROWS = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),
        pa.field("source", pa.int32(), nullable=False),
        pa.field("sequences", pa.int32(), nullable=False),
        pa.field("cumulative", pa.int64(), nullable=False),
    ]
)


def write(
    folder: Path, body: dict[str, Any], cumulative: np.ndarray, function: dict[str, Any], lock: RunLock | None
) -> None:
    """Publish a plan: `body` is the content of plan.json, `cumulative` [sources, steps + 1] that of plan.parquet."""
    with publish(folder, kind=KIND, function=function, lock=lock) as draft:
        text = json.dumps(body, indent=1, ensure_ascii=False) + "\n"
        (draft.path / "plan.json").write_text(text, encoding="utf-8")
        draft.rows["plan.parquet"] = _write_rows(draft.path / "plan.parquet", cumulative)
        draft.totals |= {"steps": body["steps"], "tokens": body["tokens"], "plan": body["fingerprint"]}


def _write_rows(path: Path, cumulative: np.ndarray) -> int:
    # Sorted by source, a column is a slow ramp: its differences pack into a few bits.
    delta = dict.fromkeys(PLAN_ROWS.names, "DELTA_BINARY_PACKED")
    rows = 0
    with pq.ParquetWriter(
        path, PLAN_ROWS, compression="zstd", use_dictionary=False, column_encoding=delta, write_page_checksum=True
    ) as writer:
        for i, counts in enumerate(cumulative):
            sequences = np.diff(counts.astype(np.int64))
            steps = np.flatnonzero(sequences)
            columns = [steps, np.full(len(steps), i), sequences[steps], counts[1:][steps]]
            arrays = [pa.array(c, field.type) for c, field in zip(columns, PLAN_ROWS, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=PLAN_ROWS))
            rows += len(steps)
    return rows


def read(folder: Path) -> tuple[dict[str, Any], np.ndarray]:
    """plan.json and the cumulative counts. Raises ArtifactError when they are absent, damaged, or of another format."""
    folder = Path(folder)
    Manifest.read(folder).verify(folder)
    try:
        body = json.loads((folder / "plan.json").read_bytes())
        known = body["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(folder, error) from None
    if not known:
        raise ArtifactError(
            "a plan of another format", where=folder, found=body["format"], todo="compile it again: `provender mix`"
        )
    try:
        counts = _counts(folder, len(body["sources"]), body["steps"])
    except (IndexError, KeyError, TypeError, ValueError, MemoryError, OverflowError) as error:
        raise damaged(folder, f"{type(error).__name__} in its rows") from None
    small = int(counts.sum(axis=1, dtype=np.int64).max(initial=0)) < 1 << 31
    return body, np.cumsum(counts, axis=1, out=counts if small else None, dtype=None if small else np.int64)


def _counts(folder: Path, sources: int, steps: int) -> np.ndarray:
    """int32[sources, steps + 1]: sequences given at each step."""
    if sources * steps > 1 << 36:
        raise OverflowError
    counts = np.zeros((sources, steps + 1), np.int32)
    for batch in scan_parquet(folder / "plan.parquet", ["step", "source", "sequences"], rows=1 << 18):
        rows = pl.DataFrame(pl.from_arrow(batch))  # pyarrow's own `to_numpy` imports pandas
        source, step = rows["source"].to_numpy(), rows["step"].to_numpy()
        counts[source, step + 1] = rows["sequences"].to_numpy()
    return counts


def compact(cumulative: np.ndarray) -> np.ndarray:
    """Four bytes a count where they suffice: a plan of a trillion tokens is held in tens of megabytes."""
    small = cumulative.size == 0 or int(cumulative[:, -1].max()) < 1 << 31
    return np.ascontiguousarray(cumulative, dtype=np.int32 if small else np.int64)


def damaged(folder: Path, found: object) -> ArtifactError:
    """The error of a plan that cannot be believed."""
    return ArtifactError(
        "the plan is damaged", where=folder, found=found, todo="delete the folder and run `provender mix` again"
    )
