"""Duplicate clusters over all sources: exact groups, LSH candidates, measured pairs, connected components.

    keys        per group of units      ids, exact hashes, band keys            corpus/dedup/keys.py
    numbers                             ranks by id, exact groups               corpus/dedup/numbers.py
    bands       per bands and range     buckets of equal keys                   corpus/dedup/join.py
    candidates                          pairs, each once
    sets        per group of units      shingle sets of the candidates          corpus/dedup/verify.py
    verify      per part of the pairs   true Jaccard, those at the threshold
    clusters                            connected components

Stages with a "per" are units of the engine: any number of workers, here or elsewhere, a killed run goes on with what
is not published yet, and the keys of a group stand until its units change. A sketch only proposes: with `verify` a near
pair is one whose Jaccard similarity, measured on the sets of 64-bit shingles, reaches `threshold`, so precision does
not rest on the sketch. Documents are numbered by ascending id, so nothing depends on the order or the cut of the units.

Memory: about 10 bytes a document, and 60 for each of the `rows_in_memory` rows of a part.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from corpus.arrays import load, mapped
from corpus.artifact import Manifest, code_version
from corpus.artifact import fingerprint as hashed
from corpus.dedup.join import BandUnit, BandWork, decode, merge_candidates
from corpus.dedup.keys import Group, Keys, KeyUnit, group_units, id_strings, key_units
from corpus.dedup.numbers import number_documents, range_bits
from corpus.dedup.signature import SignatureSettings
from corpus.dedup.verify import SetUnit, SetWork, VerifyUnit, VerifyWork
from corpus.document import DOCUMENTS
from corpus.engine import Unit, Workplace
from corpus.settings import Settings

CLUSTERS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),  # smallest id of the component
        pa.field("size", pa.int64(), nullable=False),
    ]
)
PAIRS = pa.schema(
    [
        pa.field("id_a", pa.string(), nullable=False),  # id_a < id_b
        pa.field("id_b", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # "exact" or "near"
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)


class DedupSettings(Settings):
    """Which pairs count as duplicates."""

    signature: SignatureSettings = Field(
        SignatureSettings(), description="the sketch that proposes pairs: n-grams, bands, rows"
    )
    threshold: float = Field(default=0.8, gt=0, le=1, description="least Jaccard similarity of a near-duplicate pair")
    verify: bool = Field(
        default=True, description="measure candidates on their texts; false takes the sketch's estimate"
    )
    rows_in_memory: int = Field(
        default=1 << 22, ge=1, description="documents of a band, or pairs, sorted at a time: 60 bytes each"
    )

    def identity(self) -> dict[str, Any]:
        """What decides the clusters: bands and rows too, but neither how they were chosen nor the memory."""
        layout = {"bands": self.signature.bands, "rows": self.signature.rows}
        chosen = {"threshold": self.threshold, "verify": self.verify}
        return {"signature": self.signature.identity() | layout} | chosen


@dataclass(frozen=True)
class Clusters:
    """`clusters` (schema CLUSTERS, by id) holds documents that are not alone; `pairs` (schema PAIRS, by id_a, id_b)
    the measured edges. Members of an exact group have an edge to its smallest id only."""

    clusters: pa.Table
    pairs: pa.Table
    documents: int
    candidates: int


def find_clusters(sources: Mapping[str, Sequence[Path]], settings: DedupSettings, place: Workplace) -> Clusters:
    """Duplicate clusters of the documents in the units of `sources`: published folders with a documents.parquet of at
    least id, step, text, dedup.exact and dedup.minhash.

    The keys of the groups stay in `place.folder`/keys for the next time; the rest is removed. Raises DataError when
    two documents have one id, or when the signatures are of other settings.
    """
    signature = settings.signature
    groups = group_units(sources)
    keys = place.run(
        "keys", key_units(groups, signature, place.folder / "keys"), lambda some: KeyUnit(some, signature, place.lock)
    )
    origin: dict[str, Any] = {"keys": hashed({"keys": _fingerprints(keys)}), "code": code_version("corpus")}
    numbers = place.one(
        "numbers",
        {"kind": "dedup.numbers", **origin},
        lambda draft: number_documents([Keys.open(folder) for folder in keys], settings.rows_in_memory, draft),
    )
    documents = Manifest.read(numbers).totals["documents"]
    bands = place.run(
        "bands", _band_units(keys, numbers, settings, origin, place.folder), lambda some: BandUnit(some, place.lock)
    )
    candidates = place.one(
        "candidates",
        {"kind": "dedup.candidates", "rows": settings.rows_in_memory, "bands": _fingerprints(bands)},
        lambda draft: merge_candidates(bands, documents, settings.rows_in_memory, draft),
    )
    origin = {"candidates": Manifest.read(candidates).fingerprint, "verify": settings.verify, **origin}
    sets = place.run(
        "sets",
        _set_units(groups, keys, numbers, candidates, settings, origin, place.folder),
        lambda some: SetUnit(some, place.lock),
    )
    measured = place.run(
        "verify",
        _verify_units(candidates, sets, documents, settings, origin, place.folder),
        lambda some: VerifyUnit(some, place.lock),
    )
    clusters = _clusters(keys, numbers, measured, documents, Manifest.read(candidates).totals["pairs"])
    for stage in ("numbers", "bands", "candidates", "sets", "verify", "logs"):
        shutil.rmtree(place.folder / stage, ignore_errors=True)
    return clusters


def _fingerprints(folders: Sequence[Path]) -> list[str]:
    return [Manifest.read(folder).fingerprint for folder in folders]


def _band_units(
    keys: list[Path], numbers: Path, settings: DedupSettings, origin: dict[str, Any], root: Path
) -> list[Unit]:
    """Units of one range of one band, or of several bands when there are few documents."""
    records = len(mapped(numbers / "rank.npy"))
    bits = range_bits(records, settings.rows_in_memory)
    together = max(1, settings.rows_in_memory // max(1, records))
    every = range(settings.signature.bands)
    return [
        Unit(
            folder=root / "bands" / f"{bands[0]:03d}-{part:05d}",
            function={"kind": "dedup.bands", "bands": list(bands), "part": part, "bits": bits, **origin},
            weight=12 * len(bands) * records >> bits,
            work=BandWork(tuple(keys), numbers, tuple(bands), part, bits),
        )
        for bands in (every[first : first + together] for first in range(0, len(every), together))
        for part in range(1 << bits)
    ]


def _set_units(
    groups: list[Group],
    keys: list[Path],
    numbers: Path,
    candidates: Path,
    settings: DedupSettings,
    origin: dict[str, Any],
    root: Path,
) -> list[Unit]:
    starts = np.cumsum([0, *(group.rows for group in groups)])
    return [
        Unit(
            folder=root / "sets" / folder.parent.name / folder.name,
            function={"kind": "dedup.sets", "first": int(start), "ngram": settings.signature.ngram, **origin},
            weight=sum((unit / DOCUMENTS).stat().st_size for unit in group.units),
            work=SetWork(group, int(start), numbers, candidates, settings.signature.ngram if settings.verify else None),
        )
        for folder, group, start in zip(keys, groups, starts, strict=False)
    ]


def _verify_units(
    candidates: Path, sets: list[Path], documents: int, settings: DedupSettings, origin: dict[str, Any], root: Path
) -> list[Unit]:
    return [
        Unit(
            folder=root / "verify" / part.name,
            function={"kind": "dedup.verify", "part": part.name, "threshold": settings.threshold, **origin},
            weight=1024 * len(mapped(part / "pairs.npy")),  # a comparison reads about so much
            work=VerifyWork(part, tuple(sets), documents, settings.threshold, not settings.verify),
        )
        for part in sorted(candidates.glob("part-*"))
    ]


def _clusters(keys: list[Path], numbers: Path, measured: list[Path], documents: int, candidates: int) -> Clusters:
    copies = load(numbers / "copies.npy").astype(np.int64)
    near = [decode(load(folder / "pairs.npy")) for folder in measured]
    similarity = [load(folder / "similarity.npy") for folder in measured]
    first = np.concatenate([copies[:, 0], *(pair[0] for pair in near)])
    second = np.concatenate([copies[:, 1], *(pair[1] for pair in near)])
    value = np.concatenate([np.ones(len(copies)), *similarity]).astype(np.float32)
    kind = np.repeat(["exact", "near"], [len(copies), len(first) - len(copies)])
    order = np.lexsort((second, first))
    ranks = np.union1d(first, second)  # documents that are not alone
    ids = _ids(keys, numbers, ranks, documents)
    first, second = np.searchsorted(ranks, first[order]), np.searchsorted(ranks, second[order])
    pairs = pa.table([ids.take(pa.array(first)), ids.take(pa.array(second)), kind[order], value[order]], schema=PAIRS)
    return Clusters(_components(ids, first, second), pairs, documents, candidates)


def _ids(keys: list[Path], numbers: Path, ranks: np.ndarray, documents: int) -> pa.StringArray:
    """The ids of ascending ranks."""
    wanted = np.zeros(documents, bool)
    wanted[ranks] = True
    rank = mapped(numbers / "rank.npy")
    found = np.zeros((len(ranks), 2), np.uint64)
    start = 0
    for folder in keys:
        ids = Keys.open(folder).ids
        own = rank[start : start + len(ids)]
        rows = np.flatnonzero(own < documents)
        rows = rows[wanted[own[rows]]]
        found[np.searchsorted(ranks, own[rows])] = ids[rows]
        start += len(ids)
    return id_strings(found)


def _components(ids: pa.StringArray, first: np.ndarray, second: np.ndarray) -> pa.Table:
    """The component of each of `ids` (ascending, none alone), by edges between their numbers."""
    edges = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(ids), len(ids)))
    _, label = connected_components(edges, False)
    _, smallest, member, sizes = np.unique(label, return_index=True, return_inverse=True, return_counts=True)
    return pa.table([ids, ids.take(pa.array(smallest[member])), pa.array(sizes[member], pa.int64())], schema=CLUSTERS)
