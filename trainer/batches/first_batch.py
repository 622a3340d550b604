"""What is looked at once, on the first real batch: do packed documents stay apart, in the rows and in the model?"""

import numpy as np
import torch

from corpus.errors import TrainingError
from mixing.batch import IGNORE, TokenBatch
from trainer.model.packed import PackedModel


def check_rows(batch: TokenBatch) -> None:
    """Raises TrainingError when a label is not the next token of its own document, or positions do not restart."""
    documents, inner = batch.document_ids, batch.document_ids[:, 1:] == batch.document_ids[:, :-1]
    # Two copies of one document may lie side by side (epochs of a tiny source): positions tell them apart.
    inner = inner & (batch.position_ids[:, 1:] == batch.position_ids[:, :-1] + 1)
    predicted = batch.labels[:, :-1] != IGNORE
    wrong = {
        "a label is not the next token": predicted & (batch.labels[:, :-1] != batch.input_ids[:, 1:]),
        "a label belongs to another document": predicted & ~inner,
        "positions go on from one document to the next": (documents[:, 1:] != documents[:, :-1])
        & (documents[:, 1:] >= 0)
        & (batch.position_ids[:, 1:] != 0),
    }
    for found, where in wrong.items():
        if where.any():
            row, column = map(int, np.argwhere(where)[0])
            raise TrainingError(
                "packed documents leak into each other",
                where=f"step {batch.step}, row {row}, token {column}",
                found=found,
                todo="this is a fault of the loader: use mixing.loader.Loader, or mend yours",
            )


@torch.no_grad()
def check_leak(model: PackedModel, batch: TokenBatch, device: torch.device) -> float | None:
    """Largest change of a later document's hidden states when the first document of its row changes, over the largest
    state; 0 where attention keeps documents apart. None when no row of the batch holds two documents.

    Raises TrainingError when it is not 0. Costs two forward passes of one row.
    """
    starts = (batch.position_ids[:, 1:] == 0) & (batch.document_ids[:, 1:] >= 0)
    rows = np.flatnonzero(starts.any(axis=1))
    if not len(rows):
        return None
    row = int(rows[0])
    second = int(np.argmax(starts[row])) + 1
    ids = torch.from_numpy(batch.input_ids[row : row + 1]).to(device)
    positions = torch.from_numpy(batch.position_ids[row : row + 1]).to(device)
    other = ids.clone()
    other[:, :second] = (ids[:, :second] + 1) % model.embedding_rows
    plain, changed = (model.decode(each, positions)[:, second:].float() for each in (ids, other))
    change = float((plain - changed).abs().max() / plain.abs().max())
    if not change <= 1e-5:
        raise TrainingError(
            "packed documents see each other",
            where=f"step {batch.step}, row {row}, the document at token {second}",
            found=f"its hidden states change by {change:.3g} of the largest when the document before it does",
            todo="set train.attention to another implementation (sdpa is known to keep documents apart)",
        )
    return change
