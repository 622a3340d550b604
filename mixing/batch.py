"""TokenBatch: what the loader hands to the trainer."""

from dataclasses import dataclass

import numpy as np

IGNORE = -100  # a label that is not predicted: torch's cross-entropy ignore_index


@dataclass(frozen=True)
class TokenBatch:
    """The rows of one step that belong to one rank; all arrays are int64 [rows, sequence_length].

    `labels[r, t]` is the token after `input_ids[r, t]` in the same document, IGNORE where there is none in this row
    (the last token of a document, the last of the row, padding). `position_ids` restart at 0 with each document, and
    attention must not cross documents. `document_ids` is the row of the document in its source's token store, -1 for
    padding. `source_ids` int64 [rows] indexes the plan's list of sources. `step` is the 0-based step of the plan.
    """

    input_ids: np.ndarray
    labels: np.ndarray
    position_ids: np.ndarray
    document_ids: np.ndarray
    source_ids: np.ndarray
    step: int

    def __len__(self) -> int:
        return len(self.input_ids)
