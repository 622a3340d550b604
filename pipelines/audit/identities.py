"""From a document's id to its row in the ledger, in microseconds: the id index.

    index/prefixes.u64   the first 64 bits of every id, ascending
    index/places.u64     beside each: ledger file (upper 24 bits) and row in it (lower 40)
    index/files.json     the ledger files, relative to the workspace

An id is 32 hex digits of a hash (corpus/document.py), so its first half tells documents apart but for one pair in 10¹⁹;
whoever looks up compares the whole id at the place. 16 bytes a document, memory-mapped. It is published after a
preparation and belongs to one corpus, by fingerprint.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.artifact import Manifest, RunLock, current, publish, read_parquet
from corpus.errors import ArtifactError, DataError
from corpus.mapping import map_file
from pipelines.audit.counters import Ids
from pipelines.audit.row_groups import count_file
from pipelines.audit.workspace import ledger_files, ledger_row

FOLDER = "index"
HEX, SHORTEST = 32, 6  # digits of an id, and the fewest that are looked up
AMBIGUOUS = 100  # candidates that are looked at
_ROW_BITS = np.uint64(40)
_ROWS = np.uint64((1 << 40) - 1)


@dataclass(frozen=True)
class Place:
    """Where a document stands in the ledger: the file, relative to the workspace, and the row in it."""

    file: str
    row: int


class IdIndex:
    """The published index of a workspace, opened by memory map."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = Path(workspace)
        folder = self.workspace / FOLDER
        self.files: list[str] = json.loads((folder / "files.json").read_bytes())
        self._folder = folder

    @classmethod
    def open(cls, workspace: Path, lock: RunLock | None = None) -> "IdIndex":
        """The index of the corpus that is there, built when it is of another one."""
        publish_index(workspace, lock)
        return cls(workspace)

    @cached_property
    def _prefixes(self) -> np.ndarray:
        return map_file(self._folder / "prefixes.u64", np.uint64)

    @cached_property
    def _places(self) -> np.ndarray:
        return map_file(self._folder / "places.u64", np.uint64)

    def find(self, id: str) -> Place:
        """The place of the document with this id, or the only one whose id begins so.

        Raises DataError when there is none or more than one.
        """
        found = [place for place in self._candidates(id) if self._is(place, id)]
        if len(found) != 1:
            raise DataError(
                "no document has this id" if not found else "more than one document has an id that begins so",
                where=self.workspace,
                found=id,
                todo="give the whole id, as ledger, shards and answers have it"
                if found
                else "look it up in the ledger",
            )
        return found[0]

    def place_of(self, id: str) -> Place | None:
        """Where the ledger has an id that is known to be one of this corpus, without reading the row; or None."""
        found = self._candidates(id)
        return found[0] if len(found) == 1 else next((place for place in found if self._is(place, id)), None)

    def _candidates(self, id: str) -> list[Place]:
        low, high = _bounds(id)
        first = int(np.searchsorted(self._prefixes, low, side="left"))
        last = int(np.searchsorted(self._prefixes, high, side="right"))
        return [self._place(at) for at in range(first, min(last, first + AMBIGUOUS))]

    def _place(self, at: int) -> Place:
        place = self._places[at]
        return Place(self.files[int(place >> _ROW_BITS)], int(place & _ROWS))

    def _is(self, place: Place, id: str) -> bool:
        return ledger_row(self.workspace / place.file, place.row, ["id"])["id"].startswith(id)


def publish_index(workspace: Path, lock: RunLock | None = None) -> None:
    """Write the index of the workspace's corpus unless it is there. Raises ArtifactError without a corpus.

    Cost: one read of the ids and one sort, about a second per three million documents; 32 bytes of memory a document.
    """
    workspace = Path(workspace)
    function = {"kind": "audit.index", "corpus": Manifest.read(workspace / "corpus").fingerprint, "form": 1}
    if current(workspace / FOLDER, function) is not None:
        return
    paths = [path for own in ledger_files(workspace).values() for path in own]
    prefixes, places = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for number, path in enumerate(paths):
        own = _prefixes_of(path)
        prefixes.append(own)
        places.append((np.uint64(number) << _ROW_BITS) | np.arange(len(own), dtype=np.uint64))
    sorted_prefixes = np.concatenate(prefixes)
    order = np.argsort(sorted_prefixes, kind="stable")
    with publish(workspace / FOLDER, kind="audit.index", function=function, lock=lock) as draft:
        sorted_prefixes[order].tofile(draft.path / "prefixes.u64")
        np.concatenate(places)[order].tofile(draft.path / "places.u64")
        names = [path.relative_to(workspace).as_posix() for path in paths]
        (draft.path / "files.json").write_text(json.dumps(names))
        draft.totals["documents"] = len(order)


def repeated_ids(paths: Sequence[Path]) -> int:
    """How many rows of these ledger files repeat the id of another one; exact."""
    counters = [Ids() for _ in paths]
    for path, counter in zip(paths, counters, strict=True):
        count_file(path, [counter])
    return repeated_among([counter.hashes for counter in counters], paths)


def repeated_among(hashes: Sequence[Sequence[np.ndarray]], paths: Sequence[Path]) -> int:
    """The same, with the hashes of the ids of every file (`counters.Ids`) known."""
    of_file = [np.concatenate([np.empty(0, np.uint64), *own]) for own in hashes]
    every = np.sort(np.concatenate([np.empty(0, np.uint64), *of_file]))
    suspects = np.unique(every[1:][every[1:] == every[:-1]])
    if not len(suspects):
        return 0
    texts: list[str] = []
    for path, own in zip(paths, of_file, strict=True):
        rows = np.flatnonzero(np.isin(own, suspects))
        texts += read_parquet(path, ["id"])["id"].take(pa.array(rows)).to_pylist()
    return len(texts) - len(set(texts))


def _prefixes_of(path: Path) -> np.ndarray:
    """uint64[rows]: the first 16 hex digits of every id, as numbers that order as the ids do."""
    parts = [np.empty(0, np.uint64)]
    for chunk in read_parquet(path, ["id"])["id"].chunks:
        if pc.any(pc.not_equal(pc.binary_length(chunk), HEX)).as_py():
            raise ArtifactError("an id is not 32 hex digits", where=path, todo="run `provender corpus` again")
        _, offsets, data = chunk.buffers()
        start = int(np.frombuffer(offsets, np.int32)[chunk.offset])
        digits = memoryview(data)[start : start + HEX * len(chunk)]
        try:
            raw = bytes.fromhex(str(digits, "ascii"))
        except ValueError:
            raise ArtifactError("an id is not 32 hex digits", where=path, todo="run `provender corpus` again") from None
        parts.append(np.frombuffer(raw, ">u8")[::2].astype(np.uint64))
    return np.concatenate(parts)


def _bounds(id: str) -> tuple[np.uint64, np.uint64]:
    try:
        head = id[:16]
        low, high = int(head.ljust(16, "0"), 16), int(head.ljust(16, "f"), 16)
    except ValueError:
        low, high = 1, 0
    if low > high or not SHORTEST <= len(id) <= HEX:
        raise DataError(
            "not an id", found=id, todo=f"an id is {HEX} hex digits; {SHORTEST} or more of its first will do"
        )
    return np.uint64(low), np.uint64(high)
