"""A plan's rows as a data set is usually seen: a length, an index, columns.

    view = RowView(Loader(plan, stores))
    view[0]["input_ids"]          one row: arrays of sequence_length
    view[10:20], view[[3, 1]]     columns of several rows
    view.to_iterable()            a `datasets.IterableDataset`, from any row on

Row i of the view is row i mod B of step i div B of the loader's rank, B its rows per step, so reading the view in order
is the training order, and no index is made: a row is found by the plan's arithmetic and read from the memory map.
"""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from mixing.loader import Loader

COLUMNS = ("input_ids", "labels", "position_ids", "document_ids", "source_ids", "step")


class RowView(Sequence[dict[str, Any]]):
    """All rows of a loader's run, in the order of training. Raises IndexError outside."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        self.rows_per_step = loader.rows.stop - loader.rows.start

    @property
    def column_names(self) -> list[str]:
        return list(COLUMNS)

    def __len__(self) -> int:
        return self.loader.plan.steps * self.rows_per_step

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Any: ...

    def __getitem__(self, index: Any) -> Any:
        """One row for a number; for a slice or a list of numbers the columns of those rows, [rows, length]."""
        if isinstance(index, int | np.integer):
            columns = self._columns([self._place(int(index))])
            return {name: column[0] for name, column in columns.items()}
        chosen = range(len(self))[index] if isinstance(index, slice) else [self._place(int(i)) for i in index]
        return self._columns(chosen)

    def _place(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return index % len(self)

    def _columns(self, indices: Sequence[int]) -> dict[str, np.ndarray]:
        steps, rows = np.divmod(np.array(indices, np.int64), max(self.rows_per_step, 1))
        source, sequence = np.empty_like(steps), np.empty_like(steps)
        for step in np.unique(steps).tolist():
            here, planned = steps == step, self.loader.plan.batch(step)
            at = self.loader.rows.start + rows[here]
            source[here], sequence[here] = planned.source[at], planned.sequence[at]
        batch = self.loader.read(source, sequence, -1)
        return {name: getattr(batch, name) for name in COLUMNS[:-1]} | {"step": steps}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.rows(0)

    def rows(self, start: int) -> Iterator[dict[str, Any]]:
        """The rows from `start` on, prepared ahead step by step."""
        first, skipped = divmod(start, max(self.rows_per_step, 1))
        for batch in self.loader.iterate(first):
            for row in range(skipped, len(batch)):
                yield {name: getattr(batch, name)[row] for name in COLUMNS[:-1]} | {"step": batch.step}
            skipped = 0

    def to_iterable(self, start: int = 0) -> Any:
        """A `datasets.IterableDataset` over the rows from `start` on."""
        from datasets import IterableDataset

        return IterableDataset.from_generator(self.rows, gen_kwargs={"start": start})
