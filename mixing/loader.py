"""The loader: step of the plan → token batch, for any rank of any world size.

    plan.batch(step) ─► this rank's rows ─► token spans of memory-mapped shards ─► TokenBatch

The global batch is the plan's; rank r of w has rows [r·B/w, (r+1)·B/w), so the ranks' batches one after another are
the global batch whatever w is. There is no state but (plan fingerprint, step): resuming is `iterate(step)`. One pass
over the rows fills all four arrays.
"""

import queue
import threading
from collections.abc import Iterator, Mapping

import numpy as np
from numba import njit

from corpus.errors import ConfigError
from corpus.tokens import TokenStore
from mixing.batch import IGNORE, TokenBatch
from mixing.packing import Packing
from mixing.plan import MixturePlan


@njit(cache=True, nogil=True)
def _fill_row(tokens, offset, ends, start, at, tokens_out, labels, positions, documents):
    """Write tokens [start, start + n) of a store to places [at, at + n) of a row, n as far as shard (`tokens`, whose
    first token is token `offset` of the store) and row reach; returns n. `ends` are the store's document ends."""
    n = min(len(tokens_out) - at, offset + len(tokens) - start)
    document = np.searchsorted(ends, start, side="right")
    done = 0
    while done < n:
        stop = min(n, ends[document] - start)
        for j in range(done, stop):
            token = np.int64(tokens[start - offset + j])
            tokens_out[at + j] = token
            positions[at + j] = j - done
            documents[at + j] = document
            if j > done:
                labels[at + j - 1] = token
        labels[at + stop - 1] = IGNORE
        done = stop
        document += 1
    return n


class _Rows:
    """One store as rows of training sequences."""

    def __init__(self, store: TokenStore, sequence_length: int) -> None:
        # Base arrays, not memmap objects: numba types them as plain read-only arrays.
        self.shards = [np.asarray(shard) for shard in store.shards]
        self.offsets = np.cumsum([0] + [len(shard) for shard in self.shards])
        self.ends = store.ends
        self.packing = Packing(store.tokens, sequence_length)

    def fill(self, sequence: int, row: int, batch: TokenBatch) -> None:
        """Write a sequence into a row of the batch. No document crosses a shard, so a row is filled shard by shard."""
        start, stop = self.packing.span(sequence)
        out = (batch.input_ids[row], batch.labels[row], batch.position_ids[row], batch.document_ids[row])
        shard = int(np.searchsorted(self.offsets, start, side="right")) - 1
        at = 0
        while start + at < stop:
            at += _fill_row(self.shards[shard], self.offsets[shard], self.ends, start + at, at, *out)
            shard += 1


class Loader:
    """The batches of one rank. Raises ArtifactError when a store is not the one the plan was compiled for."""

    def __init__(self, plan: MixturePlan, stores: Mapping[str, TokenStore], rank: int = 0, world_size: int = 1) -> None:
        if not 0 <= rank < world_size:
            raise ConfigError("no such rank", found=f"rank {rank} of {world_size}")
        self.plan, self.rank, self.world_size = plan, rank, world_size
        self._rows = [_Rows(store, plan.sequence_length) for store in plan.check_stores(stores)]

    def __len__(self) -> int:
        return self.plan.steps

    @property
    def rows(self) -> slice:
        """This rank's rows of the global batch."""
        batch = self.plan.global_batch
        return slice(self.rank * batch // self.world_size, (self.rank + 1) * batch // self.world_size)

    def batch(self, step: int) -> TokenBatch:
        """This rank's rows of a step, in new arrays. Raises ConfigError when the plan has no such step."""
        planned = self.plan.batch(step)
        source, sequence = planned.source[self.rows], planned.sequence[self.rows]
        shape = (len(source), self.plan.sequence_length)
        tokens, labels, positions, documents = (np.empty(shape, np.int64) for _ in range(4))
        batch = TokenBatch(tokens, labels, positions, documents, source, step)
        for row in range(len(source)):
            self._rows[source[row]].fill(int(sequence[row]), row, batch)
        return batch

    def iterate(self, start_step: int = 0, stop_step: int | None = None, prefetch: int = 2) -> Iterator[TokenBatch]:
        """The batches of [start_step, stop_step), up to `prefetch` of them prepared by a thread while the caller works.

        An error in the thread is raised at the batch it belongs to; closing the iterator ends the thread.
        """
        stop = self.plan.steps if stop_step is None else stop_step
        ready: queue.Queue[TokenBatch | Exception | None] = queue.Queue(max(1, prefetch))
        closed = threading.Event()

        def put(entry: TokenBatch | Exception | None) -> None:
            while not closed.is_set():
                try:
                    ready.put(entry, timeout=0.05)
                    return
                except queue.Full:
                    continue

        def prepare() -> None:
            try:
                for step in range(start_step, stop):
                    if closed.is_set():
                        return
                    put(self.batch(step))
                put(None)
            except Exception as error:
                put(error)

        thread = threading.Thread(target=prepare, name="provender-loader", daemon=True)
        thread.start()
        try:
            while (entry := ready.get()) is not None:
                if isinstance(entry, Exception):
                    raise entry
                yield entry
        finally:
            closed.set()
            thread.join()
