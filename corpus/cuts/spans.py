"""Cuts: byte spans taken out of documents after they were annotated, each of a named kind.

A finder looks across documents and gives `Spans`; the next finder works on the text without them, and its spans are
told in the bytes of the annotated text again, so that the cuts of all finders stand side by side, apart and in order:
the annotated text is what is left with the cuts put back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Cuts:
    """What was cut so far: the artefacts of finders that have ended, and the passes of the one at work, stages with a
    folder for each unit of which something was cut."""

    finders: tuple[Path, ...] = ()
    passes: tuple[Path, ...] = ()

    def of(self, unit: int) -> Spans:
        """The spans of one unit."""
        return Spans.read([*self.finders, *(stage / f"{unit:05d}" for stage in self.passes)], unit)

    def then(self, stage: Path) -> "Cuts":
        """These cuts and those of one more pass."""
        return replace(self, passes=(*self.passes, stage))


def publish_spans(parts: Iterable[Spans], draft: Draft) -> None:
    """Write a file for each unit that has spans, and the totals; the spans of a unit are in one part."""
    (draft.path / FOLDER).mkdir()
    spans, documents, sizes = 0, 0, np.zeros(len(KINDS), np.int64)
    for part in parts:
        for unit in np.unique(part.unit).tolist():
            mine = slice(*np.searchsorted(part.unit, [unit, unit + 1]))
            names = pa.array(KINDS).take(pa.array(part.kind[mine]))
            columns = [part.row[mine], part.start[mine], part.stop[mine] - part.start[mine], names]
            table = pa.table(columns, names=SPANS.names).cast(SPANS)
            draft.rows[span_file(unit)] = write_parquet(draft.path / span_file(unit), table)
            documents += len(np.unique(part.row[mine]))
        spans += len(part)
        np.add.at(sizes, part.kind, part.stop - part.start)
    draft.totals |= {"spans": spans, "documents": documents}
    draft.totals["bytes"] = {kind: int(size) for kind, size in zip(KINDS, sizes, strict=True) if size}


def strings(data: np.ndarray, offsets: np.ndarray) -> pa.StringArray:
    """Texts from their bytes and offsets, without a copy of the bytes."""
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.StringArray.from_buffers(len(offsets) - 1, buffers[1], buffers[2])
