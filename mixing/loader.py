"""The loader: step of the plan → token batch, for any rank of any world size.

    plan.batch(step) ─► this rank's rows ─► token spans of memory-mapped shards ─► TokenBatch

The global batch is the plan's; rank r of w has rows [r·B/w, (r+1)·B/w), so the ranks' batches one after another are
the global batch whatever w is. There is no state but (plan fingerprint, step): resuming is `iterate(step)`.
"""

import queue
import threading
from bisect import bisect_right
from collections.abc import Generator, Mapping

import numpy as np
from numba import njit

from corpus.errors import ConfigError
from corpus.tokens import TokenStore
from mixing.batch import IGNORE, TokenBatch
from mixing.packing import Packing
from mixing.plan import MixturePlan


@njit(cache=True, nogil=True)
def _fill(rows, raw, starts, ends, tokens, labels, positions, documents):
    """Write the rows `rows` of the four arrays from `raw`, their tokens; `starts` are the rows' first tokens in the
    store and `ends` int64[documents] the store's document ends."""
    length = raw.shape[1]
    for k in range(len(rows)):
        row, start = rows[k], starts[k]
        document = np.searchsorted(ends, start, side="right")
        # One plain loop over one-dimensional views for each array: the compiler vectorises those.
        source, target, label = raw[row], tokens[row], labels[row]
        for j in range(length):
            target[j] = source[j]
        done = 0
        while done < length:
            stop = min(length, ends[document] - start)
            span = stop - done
            label_span, next_span = label[done:stop], source[done + 1 : stop]
            for j in range(span - 1):
                label_span[j] = next_span[j]
            label_span[span - 1] = IGNORE
            position, owner = positions[row, done:stop], documents[row, done:stop]
            for j in range(span):
                position[j] = j
            for j in range(span):
                owner[j] = document
            done = stop
            document += 1


class _Sequences:
    """One store cut into training sequences."""

    def __init__(self, store: TokenStore, sequence_length: int) -> None:
        # Base arrays: slicing a memmap object costs more than copying the slice.
        self.shards = [np.asarray(shard) for shard in store.shards]
        self.offsets = np.cumsum([0] + [len(shard) for shard in self.shards]).tolist()
        self.ends = store.ends
        self.packing = Packing(store.tokens, sequence_length)

    def read(self, sequence: int, out: np.ndarray) -> int:
        """Copy the tokens of a sequence to `out`, shard by shard; returns its first token's place in the store."""
        start, stop = self.packing.span(sequence)
        shard = bisect_right(self.offsets, start) - 1
        at = start
        while at < stop:
            offset, tokens = self.offsets[shard], self.shards[shard]
            upto = min(stop, offset + len(tokens))
            out[at - start : upto - start] = tokens[at - offset : upto - offset]
            at = upto
            shard += 1
        return start


class Loader:
    """The batches of one rank. Raises ArtifactError when a store is not the one the plan was compiled for."""

    def __init__(self, plan: MixturePlan, stores: Mapping[str, TokenStore], rank: int = 0, world_size: int = 1) -> None:
        if not 0 <= rank < world_size:
            raise ConfigError("no such rank", found=f"rank {rank} of {world_size}")
        self.plan, self.rank, self.world_size = plan, rank, world_size
        ordered = plan.check_stores(stores)
        self._sources = [_Sequences(store, plan.sequence_length) for store in ordered]
        self._dtype = ordered[0].tokenizer.dtype

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
        raw = np.empty(shape, self._dtype)
        for index in np.unique(source).tolist():
            store, rows = self._sources[index], np.flatnonzero(source == index)
            wanted = zip(rows.tolist(), sequence[rows].tolist(), strict=True)
            starts = np.array([store.read(q, raw[row]) for row, q in wanted], np.int64)
            _fill(rows, raw, starts, store.ends, tokens, labels, positions, documents)
        return TokenBatch(tokens, labels, positions, documents, source, step)

    def iterate(
        self, start_step: int = 0, stop_step: int | None = None, prefetch: int = 2
    ) -> Generator[TokenBatch, None, None]:
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
