"""Cuts: byte spans taken out of documents after they were annotated, each of a named kind.

A finder looks across documents and gives `Spans`; the next finder works on the text without them, and its spans are
told in the bytes of the annotated text again, so that the cuts of all finders stand side by side, apart and in order:
the annotated text is what is left with the cuts put back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa

from corpus.artifact import Draft, read_parquet, write_parquet

Kind = Literal["repeated_lines", "repeated_paragraphs", "substring", "contamination"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SPANS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),  # row of the unit's documents.parquet
        pa.field("start", pa.int64(), nullable=False),  # UTF-8 bytes into the annotated text
        pa.field("length", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
    ]
)
FOLDER = "spans"
NOTHING = np.zeros(0, np.int64)


def span_file(unit: int) -> str:
    """Where in its artefact a finder publishes the spans of unit number `unit`, counted over all sources."""
    return f"{FOLDER}/{unit:05d}.parquet"


@dataclass(frozen=True)
class Spans:
    """Spans by ascending (unit, row, start), none touching another's bytes; int64 arrays, `kind` an index of KINDS."""

    unit: np.ndarray
    row: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    kind: np.ndarray

    @classmethod
    def none(cls) -> "Spans":
        return cls(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)

    @classmethod
    def together(cls, parts: Sequence["Spans"]) -> "Spans":
        """All spans of the parts, in order."""
        columns = ("unit", "row", "start", "stop", "kind")
        joined = {name: np.concatenate([NOTHING, *(getattr(part, name) for part in parts)]) for name in columns}
        order = np.lexsort((joined["start"], joined["row"], joined["unit"]))
        return cls(**{name: values[order] for name, values in joined.items()})

    @classmethod
    def read(cls, folders: Sequence[Path], unit: int) -> "Spans":
        """The spans of one unit that the finders published in `folders`."""
        paths = [path for folder in folders if (path := folder / span_file(unit)).exists()]
        return cls.together([cls._read(path, unit) for path in paths])

    @classmethod
    def _read(cls, path: Path, unit: int) -> "Spans":
        table = read_parquet(path)
        row, start, length = (table[name].to_numpy().astype(np.int64) for name in SPANS.names[:3])
        kind = np.array([KINDS.index(name) for name in table["kind"].to_pylist()], np.int64)
        return cls(np.full(len(row), unit, np.int64), row, start, start + length, kind)

    def publish(self, draft: Draft) -> None:
        """Write one file for each unit that has spans."""
        (draft.path / FOLDER).mkdir()
        for unit in np.unique(self.unit).tolist():
            mine = slice(*np.searchsorted(self.unit, [unit, unit + 1]))
            names = pa.array(KINDS).take(pa.array(self.kind[mine]))
            columns = [self.row[mine], self.start[mine], self.stop[mine] - self.start[mine], names]
            table = pa.table(columns, names=SPANS.names).cast(SPANS)
            draft.rows[span_file(unit)] = write_parquet(draft.path / span_file(unit), table)
        draft.totals |= {"spans": len(self), "documents": len(np.unique(np.stack([self.unit, self.row]), axis=1).T)}
        bytes_by_kind = np.bincount(self.kind, self.stop - self.start, minlength=len(KINDS)).astype(int)
        draft.totals["bytes"] = {kind: int(n) for kind, n in zip(KINDS, bytes_by_kind, strict=True) if n}

    def __len__(self) -> int:
        return len(self.unit)

    def of(self, unit: int, rows: np.ndarray) -> tuple[np.ndarray, "Spans"]:
        """(bounds int64[rows + 1], spans) of ascending rows of one unit; row rows[i] owns bounds[i]:bounds[i + 1]."""
        first, last = np.searchsorted(self.unit, [unit, unit + 1])
        owner = self.row[first:last]
        begins, ends = np.searchsorted(owner, rows, side="left"), np.searchsorted(owner, rows, side="right")
        counts = ends - begins
        bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        # Rows between them that are not asked for may have spans, too.
        part = first + np.repeat(begins - bounds[:-1], counts) + np.arange(bounds[-1])
        return bounds, Spans(self.unit[part], self.row[part], self.start[part], self.stop[part], self.kind[part])


def strings(data: np.ndarray, offsets: np.ndarray) -> pa.StringArray:
    """Texts from their bytes and offsets, without a copy of the bytes."""
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.StringArray.from_buffers(len(offsets) - 1, buffers[1], buffers[2])
