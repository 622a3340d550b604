"""The loader: step of the plan → token batch, for any rank of any world size.

    plan.batch(step) ─► this rank's rows ─► token spans of memory-mapped shards ─► TokenBatch

The global batch is the plan's; rank r of w has rows [r·B/w, (r+1)·B/w), so the ranks' batches one after another are
the global batch whatever w is. There is no state but (plan fingerprint, step): resuming is `iterate(step)`.
"""

import queue
import sys
import threading
from collections.abc import Generator
from typing import Any

import numpy as np

from corpus.errors import ArtifactError, ConfigError
from mixing.batch import TokenBatch
from mixing.gather import Tables, gather, gather_ids
from mixing.plan import MixturePlan
from mixing.sequences import Stores

ARRAYS = 4  # of a batch: ids, labels, positions, documents
REFERENCES = 2  # to a block that nobody uses: the list's, and getrefcount's own argument


class Buffers:
    """Memory of batches, used again when the last view of it is gone.

    Fresh memory of this size comes page by page from the kernel, which costs more than filling it. A block is free when
    nothing refers to it: arrays and tensors made from a batch do, so a batch that is kept stays as it is.
    """

    def __init__(self, kept: int = 8) -> None:
        self._kept, self._lock = kept, threading.Lock()
        self._blocks: list[np.ndarray] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """A block nobody else holds; at most `kept` are remembered, further ones are the caller's alone."""
        with self._lock:
            for index in range(len(self._blocks)):
                block = self._blocks[index]
                held = sys.getrefcount(block) - 1  # by the name `block`
                if block.shape == shape and block.dtype == dtype and held == REFERENCES:
                    return block
            block = np.empty(shape, dtype)
            if len(self._blocks) < self._kept:
                self._blocks.append(block)
            return block


class Loader:
    """The batches of one rank. Raises ArtifactError when a store is not the one the plan was compiled for."""

    def __init__(self, plan: MixturePlan, stores: Stores, rank: int = 0, world_size: int = 1) -> None:
        if not 0 <= rank < world_size:
            raise ConfigError("no such rank", found=f"rank {rank} of {world_size}")
        self.plan, self.rank, self.world_size = plan, rank, world_size
        self._sequences = plan.check_stores(stores)
        self._open()

    def _open(self) -> None:
        self._tables, self._buffers = Tables.of(self._sequences), Buffers()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_tables", "_buffers")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()  # addresses hold in one process only

    def __len__(self) -> int:
        return self.plan.steps

    @property
    def rows(self) -> slice:
        """This rank's rows of the global batch."""
        batch = self.plan.global_batch
        return slice(self.rank * batch // self.world_size, (self.rank + 1) * batch // self.world_size)

    def state(self, step: int) -> dict[str, Any]:
        """All there is to remember before step `step`."""
        return {"plan": self.plan.fingerprint, "step": step}

    def step_of(self, state: dict[str, Any]) -> int:
        """The step to go on from. Raises ArtifactError when the state is of another plan."""
        if state["plan"] != self.plan.fingerprint:
            raise ArtifactError(
                "the loader's state is of another plan",
                found=f"plan {state['plan'][:12]}, this one is {self.plan.fingerprint[:12]}",
                todo="load the plan of the checkpoint, or start the run again",
            )
        return int(state["step"])

    def batch(self, step: int) -> TokenBatch:
        """This rank's rows of a step, in memory that is the caller's as long as he holds any of it. Raises ConfigError
        when the plan has no such step."""
        planned = self.plan.batch(step)
        return self.read(planned.source[self.rows], planned.sequence[self.rows], step)

    def read(self, source: np.ndarray, sequence: np.ndarray, step: int) -> TokenBatch:
        """The rows sequence[k] of source[k], int64[rows], as a batch of `step`."""
        tables, shape = self._tables, (ARRAYS, len(source), self.plan.sequence_length)
        tokens, labels, positions, documents = self._buffers.take(shape, np.dtype(np.int64))
        gather(source, sequence, tables.sources, tables.shards, tokens, labels, positions, documents)
        return TokenBatch(tokens, labels, positions, documents, source, step)

    def ids(self, step: int, dtype: Any = np.int64) -> np.ndarray:
        """The token ids of this rank's rows alone, [rows, sequence_length] of an integer type, for a trainer that
        makes its own labels: several times as fast as the whole batch. Raises ConfigError when the type cannot hold a
        source's vocabulary."""
        kind = np.dtype(dtype)
        vocabulary = max(entry.store.tokenizer.vocab_size for entry in self._sequences)
        if kind.kind not in "iu" or np.iinfo(kind).max < vocabulary - 1:
            raise ConfigError("a type that cannot hold the token ids", found=f"{kind}, a vocabulary of {vocabulary:,}")
        planned, tables = self.plan.batch(step), self._tables
        ids = self._buffers.take((self.rows.stop - self.rows.start, self.plan.sequence_length), kind)
        gather_ids(planned.source[self.rows], planned.sequence[self.rows], tables.sources, tables.shards, ids)
        return ids

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
            while not ready.empty():  # the thread may be waiting for room
                ready.get_nowait()
            thread.join()
