"""From a document's id to its row in a token store, without reading the ids: `ids.arrow` beside the shards.

    hash  uint64  xxh3 of the id, ascending
    row   int64   of documents.parquet
    id    string  the id itself, for two ids may share a hash

The file is mapped into memory and bisected, so a look-up touches a few pages however many documents there are. It takes
16 bytes and the id a document, and is written with the store.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpus.errors import ArtifactError
from corpus.mapping import map_file

NAME = "ids.arrow"
SCHEMA = pa.schema([("hash", pa.uint64()), ("row", pa.int64()), ("id", pa.string())])
ROWS = 1 << 16  # of one record batch


def hash_of(document_id: str) -> int:
    return xxhash.xxh3_64_intdigest(document_id.encode())


def write_index(path: Path, ids: Iterable[pa.Array]) -> None:
    """The index of ids that come in the order of their rows. Memory: the ids, and 16 bytes for each."""
    parts = list(ids)
    column = pa.chunked_array(parts, pa.string()).cast(pa.large_string()).combine_chunks()
    hashes = np.fromiter((hash_of(entry) for part in parts for entry in part.to_pylist()), np.uint64, len(column))
    order = np.argsort(hashes, kind="stable")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        for start in range(0, len(order), ROWS):
            rows = order[start : start + ROWS]
            columns = [hashes[rows], rows, pc.take(column, pa.array(rows)).cast(pa.string())]
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))


class IdIndex:
    """A written index, mapped. Raises ArtifactError when it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _batches(self) -> list[pa.RecordBatch]:
        try:
            reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(map_file(self.path, np.uint8))))
            batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
            for batch in batches:
                batch.validate()
                if not batch.schema.equals(SCHEMA) or not len(batch):
                    raise pa.ArrowInvalid("it is no index of ids")
            return batches
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(error) from None

    def _damaged(self, found: object) -> ArtifactError:
        return ArtifactError(
            "the index of document ids is damaged",
            where=self.path,
            found=found,
            todo="delete the token store and run `provender corpus` again",
        )

    @cached_property
    def _first(self) -> np.ndarray:
        return np.array([batch.column("hash")[0].as_py() for batch in self._batches], np.uint64)

    def find(self, document_id: str) -> int | None:
        """The row of the first document with this id, or None."""
        wanted = np.uint64(hash_of(document_id))
        found = []
        # Equal hashes may lie across a border of batches: begin with the last batch that starts below.
        for batch in self._batches[max(0, int(np.searchsorted(self._first, wanted)) - 1) :]:
            try:
                batch.validate(full=True)  # of the one or two that are looked into: offsets that lead out of it
            except pa.ArrowException as error:
                raise self._damaged(error) from None
            hashes = np.from_dlpack(batch.column("hash"))  # `to_numpy` would import pandas
            low, high = np.searchsorted(hashes, wanted), np.searchsorted(hashes, wanted, side="right")
            same = range(int(low), int(high))
            found += [batch.column("row")[i].as_py() for i in same if batch.column("id")[i].as_py() == document_id]
            if high < len(hashes):
                break
        return min(found, default=None)
