"""What was removed, as columns of a batch: spans, counts by type, density. No column holds a value."""

from collections.abc import Sequence, Set

import numpy as np
import pyarrow as pa

from corpus.deidentify.replace import Removed
from corpus.deidentify.scanner import Label
from corpus.kernels.spans import in_characters
from corpus.ledger import entries

_SPAN = {
    "type": pa.string(),
    "start": pa.int32(),
    "length": pa.int32(),
    "recogniser": pa.string(),
    "score": pa.float32(),
}
SPANS = pa.list_(pa.struct([pa.field(name, kind) for name, kind in _SPAN.items()]))
COUNTS = entries(pa.int32())


class Evidence:
    """Collects the spans removed from a batch, group of rows by group of rows, in ascending order of rows."""

    def __init__(self, rows: int) -> None:
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self._labels: Sequence[Label] = ()
        self._density = np.zeros(rows, np.float32)

    def add(self, rows: np.ndarray, removed: Removed, labels: Sequence[Label]) -> None:
        """`removed` from the texts of these rows; `labels` only grow from group to group."""
        joined = removed.joined
        starts, lengths, characters = in_characters(
            joined.view, joined.begins, joined.stops, removed.documents, removed.starts, removed.ends
        )
        gone = np.bincount(removed.documents, weights=lengths, minlength=len(rows))
        self._density[rows] = gone / np.maximum(characters, 1)
        self._parts.append((rows[removed.documents], starts, lengths, removed.labels))
        self._labels = labels

    def _spans(self) -> list[np.ndarray]:
        """Row, start, length and label of each span."""
        nothing = (np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64))
        return [np.concatenate(column) for column in zip(nothing, *self._parts, strict=True)]

    def rows_with(self, types: Set[str]) -> list[int]:
        """The rows that a value of one of the types was removed from."""
        rows, _, _, labels = self._spans()
        wanted = np.array([label.type in types for label in self._labels] or [False], bool)
        return np.unique(rows[wanted[labels]]).tolist()

    def columns(self) -> dict[str, pa.Array]:
        rows, starts, lengths, labels = self._spans()
        names = ("type", "recogniser", "score")
        said = [
            pa.array([getattr(label, name) for label in self._labels], _SPAN[name]).take(pa.array(labels))
            for name in names
        ]
        columns = {**dict(zip(names, said, strict=True)), "start": pa.array(starts), "length": pa.array(lengths)}
        spans = pa.StructArray.from_arrays([columns[name] for name in _SPAN], list(_SPAN))
        return {
            "deidentify.spans": pa.ListArray.from_arrays(_offsets(rows, len(self._density)), spans).cast(SPANS),
            "deidentify.counts": self._counts(rows, labels),
            "deidentify.density": pa.array(self._density),
        }

    def _counts(self, rows: np.ndarray, labels: np.ndarray) -> pa.ListArray:
        types = sorted({label.type for label in self._labels})
        type_of = np.array([types.index(label.type) for label in self._labels] or [0], np.int64)
        pairs, numbers = np.unique(rows * max(1, len(types)) + type_of[labels], return_counts=True)
        keys = pa.array(types, pa.string()).take(pa.array(pairs % max(1, len(types))))
        values = pa.array(numbers.astype(np.int32))
        own = pa.StructArray.from_arrays([keys, values], ["key", "value"])
        offsets = _offsets(pairs // max(1, len(types)), len(self._density))
        return pa.ListArray.from_arrays(offsets, own).cast(COUNTS)


def _offsets(rows: np.ndarray, number: int) -> pa.Int32Array:
    """Where each row's entries begin, of entries whose rows ascend."""
    return pa.array(np.searchsorted(rows, np.arange(number + 1)).astype(np.int32))
