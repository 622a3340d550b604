"""Both ways through a plan without a log: step → documents, and document → steps.

A document's tokens lie in known sequences of its store; the keyed order says at which place of each epoch such a
sequence comes, place and epoch give its ordinal over the run, and bisection in the cumulative counts finds the step.
Cost of `steps_of`: microseconds per occurrence, whatever the length of the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import DataError
from corpus.tokens import TokenStore
from mixing.order import indices_of
from mixing.packing import Packing

if TYPE_CHECKING:
    from mixing.plan import MixturePlan


@dataclass(frozen=True, order=True)
class Occurrence:
    """A stretch of a document in the run: places [start, stop) of row `row` of the global batch of `step`, part of
    `sequence` of the source in its `epoch`-th pass (from 0)."""

    step: int
    row: int
    start: int
    stop: int
    sequence: int
    epoch: int


def steps_of(plan: "MixturePlan", source: str, document_row: int, store: TokenStore) -> list[Occurrence]:
    """Every occurrence of a document in the run, in order; none when it lies in the tail or is never reached.

    `document_row` is the document's row in its token store.
    """
    if source not in plan.names or not 0 <= document_row < len(store.ends):
        raise DataError("no such document", where=source, found=f"row {document_row} of {len(store.ends)}")
    index = plan.names.index(source)
    per_epoch = plan.sources[index].sequences
    first = int(store.ends[document_row - 1]) if document_row else 0
    last = int(store.ends[document_row])
    packing = Packing(store.tokens, plan.sequence_length)
    within = packing.sequences_of(first, last)
    given = plan.cumulative[index]
    epochs = -(-int(given[-1]) // per_epoch) if per_epoch else 0

    sequence, epoch = np.tile(within, epochs), np.repeat(np.arange(epochs), len(within))
    ordinal = epoch * per_epoch + indices_of(sequence, epoch, max(per_epoch, 1), plan.keys[index])
    seen = ordinal < int(given[-1])
    sequence, epoch, ordinal = sequence[seen], epoch[seen], ordinal[seen]
    steps = np.searchsorted(given, ordinal.astype(given.dtype), side="right") - 1

    found = []
    for q, e, o, step in zip(sequence.tolist(), epoch.tolist(), ordinal.tolist(), steps.tolist(), strict=True):
        sources, ordinals = plan.arrangement(step)
        row = int(np.flatnonzero((sources == index) & (ordinals == o))[0])
        start, stop = packing.span(q)
        found.append(Occurrence(step, row, max(first - start, 0), min(last, stop) - start, q, e))
    return sorted(found)


def find_document(document_id: str, stores: Mapping[str, TokenStore]) -> tuple[str, int]:
    """The source and store row of a document. Raises DataError when no store has it."""
    for source, store in stores.items():
        row = pc.index(store.documents["id"], pa.scalar(document_id)).as_py()
        if row >= 0:
            return source, row
    raise DataError(
        "no token store has this document",
        where=", ".join(stores),
        found=document_id,
        todo="it may have been dropped (see the ledger) or belong to the validation split",
    )


def where(plan: "MixturePlan", document_id: str, stores: Mapping[str, TokenStore]) -> list[Occurrence]:
    """Every occurrence of a document of any source in the run (`provender mix where`)."""
    source, row = find_document(document_id, stores)
    return steps_of(plan, source, row, stores[source])


def show(plan: "MixturePlan", step: int, stores: Mapping[str, TokenStore] | None = None) -> pl.DataFrame:
    """The rows of a step's global batch: row, source, sequence, epoch, and with stores also the ids and number of the
    documents they hold (`first_document` … `last_document`)."""
    rows = plan.batch(step)
    frame = pl.DataFrame(
        {
            "row": np.arange(len(rows)),
            "source": [plan.names[i] for i in rows.source],
            "sequence": rows.sequence,
            "epoch": rows.epoch,
        }
    )
    if stores is None:
        return frame
    first, last, counts = [], [], []
    for source, sequence in zip(frame["source"], rows.sequence.tolist(), strict=True):
        store = stores[source]
        start, stop = Packing(store.tokens, plan.sequence_length).span(sequence)
        low, high = (int(n) for n in np.searchsorted(store.ends, [start, stop - 1], side="right"))
        ids = store.documents["id"]
        first.append(ids[low].as_py())
        last.append(ids[high].as_py())
        counts.append(high - low + 1)
    return frame.with_columns(
        pl.Series("first_document", first), pl.Series("last_document", last), pl.Series("documents", counts)
    )
