"""The plan's batches for those who bring their own training loop: a torch IterableDataset for torch's DataLoader.

    batches = TokenBatches(Loader(plan, stores, rank, world_size), start_step=resumed)
    for batch in DataLoader(batches, batch_size=None, num_workers=2):
        loss = model(batch["input_ids"], position_ids=batch["position_ids"], labels=batch["labels"])

With W workers, worker w reads the steps start + w, start + w + W …; the DataLoader asks its workers in turn, so the
order is that of the plan whatever W is. Give `batch_size=None`: the plan has made the batches.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from mixing.batch import TokenBatch
from mixing.loader import Loader


def as_tensors(batch: TokenBatch) -> dict[str, Any]:
    """The arrays of a batch as int64 tensors that share its memory, and its step."""
    names = ("input_ids", "labels", "position_ids", "document_ids", "source_ids")
    return {name: torch.from_numpy(getattr(batch, name)) for name in names} | {"step": batch.step}


class TokenBatches(IterableDataset):
    """The batches of a rank from `start_step` on; the length is in steps."""

    def __init__(self, loader: Loader, start_step: int = 0) -> None:
        self.loader, self.start_step = loader, start_step

    def __len__(self) -> int:
        return self.loader.plan.steps - self.start_step

    def __iter__(self) -> Iterator[dict[str, Tensor | int]]:
        worker = get_worker_info()
        if worker is None:
            yield from map(as_tensors, self.loader.iterate(self.start_step))
            return
        for step in range(self.start_step + worker.id, self.loader.plan.steps, worker.num_workers):
            yield as_tensors(self.loader.batch(step))

    def state_dict(self, steps_done: int) -> dict[str, Any]:
        """What a checkpoint keeps after `steps_done` steps of the plan: its fingerprint and the step to go on from."""
        return self.loader.state(steps_done)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint, on any world size. Raises ArtifactError when it is of another plan."""
        self.start_step = self.loader.step_of(state)
