"""The token store: documents as token ids, in datatrove's on-disk form.

    <folder>/
      00000.ds          token ids one after another, little-endian uint16 (vocabulary ≤ 65,536) or uint32
      00000.ds.index    uint64 end of each document, in tokens from the start of the shard
      documents.parquet row → id, source, tokens (with the EOS), bytes; rows in the order of the shards
      ids.arrow         id → row, by hash (corpus/id_index.py)
      manifest.json     tokenizer's SHA-256, EOS id and policy, vocabulary size, totals

Every document ends with exactly one EOS token and nothing is put before it, so
`store tokens = Σ token_count + documents`. nanotron and datatrove read the shards as they are, and what datatrove's
DocumentTokenizer writes is opened as it is (corpus/tokens/files.py).
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus import id_index
from corpus.artifact import Draft, Manifest, RunLock, link, publish, read_parquet, write_parquet
from corpus.errors import ArtifactError, DataError
from corpus.mapping import map_file
from corpus.tokens.files import open_files

STORE = "corpus.tokens"  # its kind of artefact
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
        _describe(self.draft, table.combine_chunks(), self._shard + 1, self.tokenizer)


def _describe(draft: Draft, documents: pa.Table, shards: int, tokenizer: TokenizerIdentity) -> None:
    """Write what a store has beside its shards: documents, index and totals."""
    rows = write_parquet(draft.path / "documents.parquet", documents)
    draft.rows["documents.parquet"] = rows
    id_index.write_index(draft.path / id_index.NAME, documents["id"].chunks)
    draft.totals |= {
        "documents": rows,
        "tokens": int(np.sum(documents["tokens"].to_numpy())) if rows else 0,
        "bytes": int(np.sum(documents["bytes"].to_numpy())) if rows else 0,
        "shards": shards,
        "tokenizer": asdict(tokenizer) | {"policy": "one EOS after each document, no BOS"},
    }


def join_stores(parts: Sequence[Path], folder: Path, function: dict[str, Any], lock: RunLock | None = None) -> None:
    """Publish the store that has the shards of several stores of one tokenizer, in order. Their files are linked, not
    copied, where the file system allows it."""
    stores = [TokenStore.open(part) for part in parts]
    with publish(folder, kind=STORE, function=function, lock=lock) as draft:
        count = 0
        for part, store in zip(parts, stores, strict=True):
            hashes = {entry.path: entry.sha256 for entry in store.manifest.files}
            for shard in range(len(store.shards)):
                for suffix in (".ds", ".ds.index"):
                    name = f"{count:05d}{suffix}"
                    if link(part / f"{shard:05d}{suffix}", draft.path / name):
                        draft.hashes[name] = hashes[f"{shard:05d}{suffix}"]
                count += 1
        documents = pa.concat_tables(store.documents for store in stores)
        _describe(draft, documents.combine_chunks(), count, stores[0].tokenizer)


@dataclass(frozen=True)
class TokenStore:
    """A published store, opened by its manifest; tokens and document ends are memory-mapped.

    `folder` names it in errors; `locate` gives the local path of a file of it, by default that in the folder.
    """

    folder: Path | str
    manifest: Manifest
    locate: Callable[[str], Path] | None = field(default=None, compare=False)

    @classmethod
    def open(cls, folder: Path | str, tokenizer: TokenizerIdentity | None = None) -> "TokenStore":
        """A store in a local folder or on any fsspec path (`s3://…`), whose files are then cached and checked.

        A folder of `.ds` files without a manifest, as datatrove's DocumentTokenizer leaves it, is taken as it is when
        `tokenizer` says what its ids mean. Raises ArtifactError when there is no valid store or a shard is shorter
        than its index says.
        """
        manifest, locate = open_files(folder, None if tokenizer is None else asdict(tokenizer))
        store = cls(folder, manifest, locate)
        store._check_totals()
        if len(store.shards) != len(store.shard_ends):
            raise store._damaged(f"{len(store.shards)} shards, {len(store.shard_ends)} indexes")
        for shard, ends in zip(store.shards, store.shard_ends, strict=True):
            if len(shard) != (int(ends[-1]) if len(ends) else 0):
                raise ArtifactError(
                    "a token shard and its index disagree",
                    where=folder,
                    found=f"{len(shard)} tokens, index ends at {int(ends[-1]) if len(ends) else 0}",
                    todo="delete the folder and run `provender corpus` again",
                )
        return store

    def _check_totals(self) -> None:
        """Raises ArtifactError unless the manifest says what a store's does."""
        try:
            sound = self.tokenizer.vocab_size > 0 and self.tokens >= 0 and self.dtype.itemsize in (2, 4)
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(f"{type(error).__name__} in its manifest's totals") from None
        if not sound:
            raise self._damaged("impossible totals in its manifest")

    def _damaged(self, found: str) -> ArtifactError:
        return ArtifactError(
            "this is no token store, or a damaged one",
            where=self.folder,
            found=found,
            todo="delete the folder and run `provender corpus` again",
        )

    def verify(self) -> None:
        """Hash every file of the store: one reading of it. Raises ArtifactError at the first that is missing or is not
        what was published."""
        self.manifest.verify(Path(self.folder), self.locate)
        for ends in self.shard_ends:  # of a store that another program wrote, and whose manifest has its hashes
            if len(ends) and (int(ends[0]) < 0 or (np.diff(ends) < 0).any()):
                raise self._damaged("document ends that go back")

    def __getstate__(self) -> dict[str, Any]:
        """The fields without the maps, which another process opens anew."""
        return {"folder": self.folder, "manifest": self.manifest, "locate": self.locate}

    @property
    def tokenizer(self) -> TokenizerIdentity:
        entry = self.manifest.totals["tokenizer"]
        return TokenizerIdentity(entry["sha256"], entry["vocab_size"], entry["eos_id"])

    @property
    def dtype(self) -> np.dtype:
        """Of the shards: what the vocabulary asks for, or the width that another writer chose."""
        width = self.manifest.totals.get("token_bytes")
        return self.tokenizer.dtype if width is None else np.dtype(f"<u{width}")

    @property
    def tokens(self) -> int:
        return int(self.manifest.totals["tokens"])

    @cached_property
    def shards(self) -> list[np.ndarray]:
        """One memory map per shard, of `dtype`."""
        return self._maps(".ds", self.dtype)

    @cached_property
    def shard_ends(self) -> list[np.ndarray]:
        """One memory map per shard, int64 document ends in tokens from the shard's start."""
        return self._maps(".ds.index", np.dtype("<i8"))

    def _maps(self, suffix: str, dtype: np.dtype) -> list[np.ndarray]:
        names = sorted(entry.path for entry in self.manifest.files if entry.path.endswith(suffix))
        with ThreadPoolExecutor(max_workers=8) as pool:  # a remote store is fetched here, several shards at a time
            paths = list(pool.map(self._place, names))
        for path in paths:
            if not path.is_file() or path.stat().st_size % dtype.itemsize:
                raise self._damaged(f"{path.name} is missing or cut off")
        return [map_file(path, dtype) for path in paths]

    @cached_property
    def shard_starts(self) -> np.ndarray:
        """int64[shards + 1]: each shard's first token in the store, then the store's tokens."""
        return np.cumsum([0] + [len(shard) for shard in self.shards], dtype=np.int64)

    @cached_property
    def shard_documents(self) -> np.ndarray:
        """int64[shards + 1]: each shard's first document in the store, then the store's documents."""
        return np.cumsum([0] + [len(ends) for ends in self.shard_ends], dtype=np.int64)

    @property
    def document_count(self) -> int:
        return int(self.shard_documents[-1])

    @property
    def ends(self) -> np.ndarray:
        """int64[documents]: document ends in tokens from the start of the store (shards one after another).

        A copy of 8 bytes a document when there are several shards; `span_of` and `documents_at` need none.
        """
        if len(self.shard_ends) == 1:
            return self.shard_ends[0]
        parts = [ends + start for ends, start in zip(self.shard_ends, self.shard_starts, strict=False)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def span_of(self, document: int) -> tuple[int, int]:
        """Token span [start, stop) of a document in the store."""
        shard = int(np.searchsorted(self.shard_documents, document, side="right")) - 1
        row, first = document - int(self.shard_documents[shard]), int(self.shard_starts[shard])
        ends = self.shard_ends[shard]
        return first + (int(ends[row - 1]) if row else 0), first + int(ends[row])

    def documents_at(self, places: np.ndarray) -> np.ndarray:
        """int64: the documents that hold the tokens at places int64 of the store."""
        shards = np.searchsorted(self.shard_starts, places, side="right") - 1
        out = np.empty(len(places), np.int64)
        for shard in np.unique(shards):
            here = shards == shard
            inside = places[here] - self.shard_starts[shard]
            out[here] = self.shard_documents[shard] + np.searchsorted(self.shard_ends[shard], inside, side="right")
        return out

    @cached_property
    def documents(self) -> pa.Table:
        """id, source, tokens, bytes of each document, in the order of the tokens. In a store of datatrove's the id is
        `shard.ds:row`, and the bytes are not known (null)."""
        if self._has("documents.parquet"):
            return read_parquet(self._place("documents.parquet"))
        names = sorted(entry.path for entry in self.manifest.files if entry.path.endswith(".ds"))
        ids = [f"{name}:{row}" for name, ends in zip(names, self.shard_ends, strict=True) for row in range(len(ends))]
        lengths = [np.diff(ends, prepend=0) for ends in self.shard_ends]
        return pa.table(
            {
                "id": pa.array(ids, pa.string()),
                "source": pa.array([str(self.folder)] * len(ids), pa.string()),
                "tokens": pa.array(np.concatenate(lengths) if lengths else [], pa.int64()),
                "bytes": pa.nulls(len(ids), pa.int64()),
            }
        )

    def row_of(self, document_id: str) -> int | None:
        """The row of a document, or None. Microseconds by the index of ids; a store from before there was one is
        searched."""
        if self._has(id_index.NAME):
            return self._ids.find(document_id)
        if not self._has("documents.parquet"):
            return self._row_named(document_id)
        row = pc.index(self.documents["id"], pa.scalar(document_id)).as_py()
        return None if row < 0 else int(row)

    def _row_named(self, document_id: str) -> int | None:
        """The row of `shard.ds:row`, as documents of a store of datatrove's are called."""
        name, _, row = document_id.rpartition(":")
        shards = sorted(entry.path for entry in self.manifest.files if entry.path.endswith(".ds"))
        if name not in shards or not row.isascii() or not row.isdigit():
            return None
        shard = shards.index(name)
        return int(self.shard_documents[shard]) + int(row) if int(row) < len(self.shard_ends[shard]) else None

    @cached_property
    def _ids(self) -> id_index.IdIndex:
        return id_index.IdIndex(self._place(id_index.NAME))

    def _has(self, name: str) -> bool:
        return any(entry.path == name for entry in self.manifest.files)

    def _place(self, name: str) -> Path:
        return Path(self.folder) / name if self.locate is None else self.locate(name)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens [start, stop) of the store, across shards; a copy of int64."""
        parts: list[np.ndarray] = []
        for shard, first in zip(self.shards, self.shard_starts.tolist(), strict=False):
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
