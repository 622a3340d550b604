"""The token store: documents as token ids, in datatrove's on-disk form.

    <folder>/
      00000.ds          token ids one after another, little-endian uint16 (vocabulary ≤ 65,536) or uint32
      00000.ds.index    uint64 end of each document, in tokens from the start of the shard
      documents.parquet row → id, source, tokens (with the EOS), bytes; rows in the order of the shards
      manifest.json     tokenizer's SHA-256, EOS id and policy, vocabulary size, totals

Every document ends with exactly one EOS token and nothing is put before it, so
`store tokens = Σ token_count + documents`. nanotron and datatrove read the shards as they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from corpus.artifact import Draft, Manifest, read_parquet, write_parquet
from corpus.errors import ArtifactError, DataError

STORE_DOCUMENTS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class TokenizerIdentity:
    """What a store's ids mean: SHA-256 of tokenizer.json, vocabulary size, EOS id."""

    sha256: str
    vocab_size: int
    eos_id: int

    @property
    def dtype(self) -> np.dtype:
        return np.dtype("<u2") if self.vocab_size <= 1 << 16 else np.dtype("<u4")


class TokenStoreWriter:
    """Writes the shards of a store into a draft; `add` takes a batch of documents, `close` writes the index."""

    def __init__(self, draft: Draft, tokenizer: TokenizerIdentity) -> None:
        self.draft, self.tokenizer = draft, tokenizer
        self._shard = -1
        self._ends: list[np.ndarray] = []
        self._documents: list[pa.RecordBatch] = []
        self._length = 0
        self._handle: Any = None

    def start_shard(self) -> None:
        self._finish_shard()
        self._shard += 1
        self._handle = open(self.draft.path / f"{self._shard:05d}.ds", "wb")

    def add(self, ids: pa.Array, source: str, lengths: np.ndarray, tokens: np.ndarray, nbytes: np.ndarray) -> None:
        """Append documents: `tokens` int[Σ lengths] without EOS, `lengths` int[documents]; an EOS is put after each."""
        if self._handle is None:
            self.start_shard()
        if len(tokens) and int(tokens.max()) >= self.tokenizer.vocab_size:
            raise DataError(
                "a token id is outside the vocabulary",
                where=self.draft.path,
                found=f"id {int(tokens.max())}, vocabulary of {self.tokenizer.vocab_size}",
                todo="the tokenizer and its vocabulary size disagree: check the model folder",
            )
        ends = np.cumsum(lengths + 1).astype(np.int64)
        flat = np.empty(int(ends[-1]) if len(ends) else 0, dtype=self.tokenizer.dtype)
        eos = np.zeros(len(flat), dtype=bool)
        eos[ends - 1] = True
        flat[eos] = self.tokenizer.eos_id
        flat[~eos] = tokens
        self._handle.write(flat.tobytes())
        self._ends.append((ends + self._length).astype("<u8"))
        self._length += len(flat)
        columns = [ids, pa.array([source] * len(ids)), pa.array(lengths + 1, pa.int64()), pa.array(nbytes, pa.int64())]
        self._documents.append(pa.RecordBatch.from_arrays(columns, schema=STORE_DOCUMENTS))

    def _finish_shard(self) -> None:
        if self._handle is None:
            return
        self._handle.close()
        self._handle = None
        ends = np.concatenate(self._ends) if self._ends else np.empty(0, "<u8")
        (self.draft.path / f"{self._shard:05d}.ds.index").write_bytes(ends.tobytes())
        self._ends, self._length = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif self._handle is not None:
            self._handle.close()

    def close(self) -> None:
        """Finish the store: index, document table and totals."""
        if self._shard < 0:
            self.start_shard()
        self._finish_shard()
        table = pa.Table.from_batches(self._documents, schema=STORE_DOCUMENTS)
        rows = write_parquet(self.draft.path / "documents.parquet", table)
        self.draft.rows["documents.parquet"] = rows
        self.draft.totals |= {
            "documents": rows,
            "tokens": int(np.sum(table["tokens"].to_numpy())) if rows else 0,
            "bytes": int(np.sum(table["bytes"].to_numpy())) if rows else 0,
            "shards": self._shard + 1,
            "tokenizer": {
                "sha256": self.tokenizer.sha256,
                "vocab_size": self.tokenizer.vocab_size,
                "eos_id": self.tokenizer.eos_id,
                "policy": "one EOS after each document, no BOS",
            },
        }


@dataclass(frozen=True)
class TokenStore:
    """A published store, opened by its manifest; tokens are memory-mapped."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path) -> "TokenStore":
        """Raises ArtifactError when there is no valid store or a shard is shorter than its index says."""
        store = cls(Path(folder), Manifest.read(folder))
        for shard, ends in zip(store.shards, store.shard_ends, strict=True):
            if len(shard) != (int(ends[-1]) if len(ends) else 0):
                raise ArtifactError(
                    "a token shard and its index disagree",
                    where=folder,
                    found=f"{len(shard)} tokens, index ends at {int(ends[-1]) if len(ends) else 0}",
                    todo="delete the folder and run `provender corpus` again",
                )
        return store

    @property
    def tokenizer(self) -> TokenizerIdentity:
        entry = self.manifest.totals["tokenizer"]
        return TokenizerIdentity(entry["sha256"], entry["vocab_size"], entry["eos_id"])

    @cached_property
    def shards(self) -> list[np.ndarray]:
        """One memory map per shard, dtype of the tokenizer."""
        paths = [self.folder / f"{index:05d}.ds" for index in range(self.manifest.totals["shards"])]
        empty = np.empty(0, self.tokenizer.dtype)
        return [np.memmap(p, self.tokenizer.dtype, "r") if p.stat().st_size else empty for p in paths]

    @cached_property
    def shard_ends(self) -> list[np.ndarray]:
        """uint64 document ends of each shard, in tokens from the shard's start."""
        count = self.manifest.totals["shards"]
        return [np.fromfile(self.folder / f"{index:05d}.ds.index", "<u8") for index in range(count)]

    @cached_property
    def ends(self) -> np.ndarray:
        """int64[documents]: document ends in tokens from the start of the store (shards one after another)."""
        starts = np.cumsum([0] + [len(shard) for shard in self.shards])
        parts = [ends.astype(np.int64) + start for ends, start in zip(self.shard_ends, starts, strict=False)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    @cached_property
    def documents(self) -> pa.Table:
        """id, source, tokens, bytes of each document, in the order of the tokens."""
        return read_parquet(self.folder / "documents.parquet")

    @property
    def tokens(self) -> int:
        return int(self.manifest.totals["tokens"])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens [start, stop) of the store, across shards; a copy of int64."""
        starts = np.cumsum([0] + [len(shard) for shard in self.shards])
        parts: list[np.ndarray] = []
        for shard, first in zip(self.shards, starts, strict=False):
            low, high = max(start - first, 0), min(stop - first, len(shard))
            if low < high:
                parts.append(np.asarray(shard[low:high], dtype=np.int64))
        return np.concatenate(parts) if parts else np.empty(0, np.int64)


def same_tokenizer(stores: Iterable[TokenStore]) -> TokenizerIdentity:
    """The one tokenizer of all stores. Raises ArtifactError when they differ."""
    identities = {store.tokenizer: store.folder for store in stores}
    if len(identities) != 1:
        raise ArtifactError(
            "token stores were made with different tokenizers",
            where=", ".join(str(folder) for folder in identities.values()),
            found=", ".join(f"{i.sha256[:12]} of {i.vocab_size}" for i in identities),
            todo="tokenize all sources with the model you train: run `provender corpus` with one tokenizer",
        )
    return next(iter(identities))
