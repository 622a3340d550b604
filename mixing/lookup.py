"""Both ways through a plan without a log: step → documents, and document → steps.

A document's tokens lie in known sequences of its store; the keyed order says at which place of each epoch such a
sequence comes, place and epoch give its ordinal over the run, and bisection in the cumulative counts finds the step.
Cost of `steps_of`: microseconds per occurrence, whatever the length of the run.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from corpus.errors import DataError
from corpus.tokens.store import TokenStore
from mixing.order import indices_of
from mixing.sequences import Sequences, Stores

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


def steps_of(plan: "MixturePlan", source: str, document_row: int, store: TokenStore | Sequences) -> list[Occurrence]:
    """Every occurrence of a document in the run, in order; none when it lies in the tail or is never reached.

    `document_row` is the document's row in its token store.
    """
    cut = Sequences.of(store, plan.sequence_length)
    if source not in plan.names or not 0 <= document_row < cut.store.document_count:
        raise DataError("no such document", where=source, found=f"row {document_row} of {cut.store.document_count}")
    index = plan.names.index(source)
    per_epoch = plan.sources[index].sequences
    given = plan.cumulative[index]
    epochs = -(-int(given[-1]) // per_epoch) if per_epoch else 0
    parts = cut.stretches(document_row)

    part, epoch = np.tile(np.arange(len(parts)), epochs), np.repeat(np.arange(epochs), len(parts))
    sequence = np.array([entry.sequence for entry in parts], np.int64)[part]
    ordinal = epoch * per_epoch + indices_of(sequence, epoch, max(per_epoch, 1), plan.keys[index])
    seen = ordinal < int(given[-1])
    part, epoch, ordinal = part[seen], epoch[seen], ordinal[seen]
    steps = np.searchsorted(given, ordinal.astype(given.dtype), side="right") - 1

    found = []
    for k, e, o, step in zip(part.tolist(), epoch.tolist(), ordinal.tolist(), steps.tolist(), strict=True):
        sources, ordinals = plan.arrangement(step)
        row = int(np.flatnonzero((sources == index) & (ordinals == o))[0])
        entry = parts[k]
        found.append(Occurrence(step, row, entry.place, entry.place + entry.size, entry.sequence, e))
    return sorted(found)


def find_document(document_id: str, stores: Stores) -> tuple[str, int]:
    """The source and store row of a document. Raises DataError when no store has it."""
    for source, entry in stores.items():
        store = entry if isinstance(entry, TokenStore) else entry.store
        row = store.row_of(document_id)
        if row is not None:
            return source, row
    raise DataError(
        "no token store has this document",
        where=", ".join(stores),
        found=document_id,
        todo="it may have been dropped (see the ledger) or belong to the validation split",
    )


def where(plan: "MixturePlan", document_id: str, stores: Stores) -> list[Occurrence]:
    """Every occurrence of a document of any source in the run (`provender mix where`)."""
    source, row = find_document(document_id, stores)
    return steps_of(plan, source, row, stores[source])


def show(plan: "MixturePlan", step: int, stores: Stores | None = None) -> pl.DataFrame:
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
        cut = Sequences.of(stores[source], plan.sequence_length)
        held = [piece.document for piece in cut.pieces(sequence)]
        ids = cut.store.documents["id"]
        first.append(ids[held[0]].as_py())
        last.append(ids[held[-1]].as_py())
        counts.append(len(held))
    return frame.with_columns(
        pl.Series("first_document", first), pl.Series("last_document", last), pl.Series("documents", counts)
    )
