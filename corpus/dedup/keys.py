"""The first stage of duplicates: what the join needs of each document, in files that map into memory.

    group of units ─ ids, exact hashes, sketches ─► ids.npy  exact.npy  state.npy  bands.npy

A group is a run of one source's units, so adding a source leaves the groups of the others as they were. Row i of every
file is row i of the group's units one after another, unreadable records included: a document is found again by its
place. 33 bytes a document, and 8 for each band.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datatrove.pipeline.base import PipelineStep
from numpy.lib.format import open_memmap

from corpus.arrays import mapped
from corpus.artifact import Manifest, RunLock, code_version, publish, scan_parquet
from corpus.dedup.signature import SignatureSettings
from corpus.document import DOCUMENTS
from corpus.engine import Unit
from corpus.errors import DataError

GROUP = 1 << 18  # documents of a group, about
UNREADABLE, UNSKETCHED, SKETCHED = 0, 1, 2  # states of a record


@dataclass(frozen=True)
class Group:
    """Consecutive units of one source: their folders, and where each begins among the rows of the group."""

    source: str
    units: tuple[Path, ...]
    starts: np.ndarray  # int64[units + 1]

    @property
    def rows(self) -> int:
        return int(self.starts[-1])


def group_units(sources: Mapping[str, Sequence[Path]]) -> list[Group]:
    """The units of each source in groups of GROUP records or more; units without a record are left out."""
    groups = []
    for source, units in sources.items():
        held: list[Path] = []
        sizes: list[int] = []
        for unit in units:
            if rows := pq.read_metadata(unit / DOCUMENTS).num_rows:
                held.append(unit)
                sizes.append(rows)
            if sum(sizes) >= GROUP:
                groups.append(Group(source, tuple(held), np.cumsum([0, *sizes])))
                held, sizes = [], []
        if held:
            groups.append(Group(source, tuple(held), np.cumsum([0, *sizes])))
    return groups


def key_units(groups: Sequence[Group], settings: SignatureSettings, root: Path) -> list[Unit]:
    """One unit of work per group, named by the fingerprints of the annotated units in it."""
    counts: dict[str, int] = {}
    units = []
    for group in groups:
        index = counts.setdefault(group.source, 0)
        counts[group.source] += 1
        function = {
            "kind": "dedup.keys",
            "units": [Manifest.read(unit).fingerprint for unit in group.units],
            "signature": settings.identity(),
            "bands": settings.bands,
            "code": code_version("corpus"),
        }
        folder = root / group.source / f"{index:05d}"
        units.append(Unit(folder, function, weight=4 * settings.hashes * group.rows, work=group))
    return units


class KeyUnit(PipelineStep):
    """Writes the keys of this rank's group. Cost: the sketches are read once, texts are not."""

    name = "keys"
    type = "band keys"

    def __init__(self, units: Sequence[Unit], settings: SignatureSettings, lock: RunLock | None):
        super().__init__()
        self.units, self.settings, self.lock = units, settings, lock

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        from corpus.kernels.minhash import band_keys

        unit = self.units[rank]
        group: Group = unit.work
        with publish(unit.folder, kind="dedup.keys", function=unit.function, lock=self.lock) as draft:
            ids = open_memmap(draft.path / "ids.npy", "w+", np.uint64, (group.rows, 2))
            exact = open_memmap(draft.path / "exact.npy", "w+", np.uint64, (group.rows, 2))
            state = open_memmap(draft.path / "state.npy", "w+", np.uint8, (group.rows,))
            bands = open_memmap(draft.path / "bands.npy", "w+", np.uint64, (self.settings.bands, group.rows))
            for start, batch in self._batches(group):
                stop = start + batch.num_rows
                ids[start:stop] = id_numbers(batch.column("id"))
                exact[start:stop] = fixed_rows(batch.column("dedup.exact"), "<u8")
                readable = np.asarray(pc.is_null(batch.column("step")))
                sketched = np.asarray(pc.is_valid(batch.column("dedup.minhash")))
                state[start:stop] = np.where(readable, np.where(sketched, SKETCHED, UNSKETCHED), UNREADABLE)
                sketches = fixed_rows(batch.column("dedup.minhash"), "<u4")
                bands[:, start:stop] = band_keys(sketches, self.settings.bands)
            for file in (ids, exact, state, bands):
                file.flush()
            draft.totals["documents"] = int((state != UNREADABLE).sum())

    def _batches(self, group: Group) -> Iterator[tuple[int, pa.RecordBatch]]:
        for unit, start in zip(group.units, group.starts, strict=False):
            for batch in scan_parquet(unit / DOCUMENTS, ["id", "step", "dedup.exact", "dedup.minhash"], rows=1 << 14):
                width = batch.column("dedup.minhash").type.byte_width
                if width != 4 * self.settings.hashes:
                    bands, rows = self.settings.bands, self.settings.rows
                    raise DataError(
                        "the signatures have another number of hashes than the settings ask for",
                        where=unit / DOCUMENTS,
                        found=f"{width // 4} hashes, {bands} bands of {rows} asked",
                        todo="run the annotate stage again, so that the signatures are measured with these settings",
                    )
                yield int(start), batch
                start += batch.num_rows


@dataclass(frozen=True)
class Keys:
    """A published group, mapped: ids and exact uint64[records, 2] in the order of their hex digits and bytes, state
    uint8[records], bands uint64[bands, records]."""

    ids: np.ndarray
    exact: np.ndarray
    state: np.ndarray
    bands: np.ndarray

    @classmethod
    def open(cls, folder: Path) -> "Keys":
        return cls(*(mapped(folder / f"{name}.npy") for name in ("ids", "exact", "state", "bands")))


def fixed_rows(column: pa.FixedSizeBinaryArray, dtype: str) -> np.ndarray:
    """A fixed-size binary column as numbers [rows, width / itemsize]; a null is whatever bytes lie there."""
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1] or b"", np.uint8)
    start = column.offset * width
    return data[start : start + len(column) * width].view(dtype).reshape(len(column), width // np.dtype(dtype).itemsize)


_DIGITS = np.zeros(256, np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def id_numbers(ids: pa.StringArray) -> np.ndarray:
    """uint64[rows, 2] of ids, 32 hex digits each (corpus/document.py): numbers compare as the ids do."""
    _, offsets, data = ids.buffers()
    starts = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    digits = np.frombuffer(data or b"", np.uint8)[starts[0] : starts[-1]].reshape(len(ids), 32)
    numbers = _DIGITS[digits[:, 0::2]] << 4 | _DIGITS[digits[:, 1::2]]
    return np.ascontiguousarray(numbers).view(">u8").astype(np.uint64)


def id_strings(numbers: np.ndarray) -> pa.StringArray:
    """The ids of uint64[rows, 2]."""
    data = np.ascontiguousarray(numbers.astype(">u8")).view(np.uint8).reshape(len(numbers), 16)
    digits = np.empty((len(numbers), 32), np.uint8)
    digits[:, 0::2], digits[:, 1::2] = _HEX[data >> 4], _HEX[data & 15]
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(digits))
