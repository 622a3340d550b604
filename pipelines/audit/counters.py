"""What one pass over a ledger counts: edits, removed values, rows that cannot be, and ids.

Each counter takes row groups (pipelines/audit/row_groups.py) of one file and adds up; `merge` puts files together.
"""

import hashlib
from collections import Counter as Sums
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipelines.audit.row_groups import Codes, RowGroup, id_words, row_groups

KEPT = "kept"
FATES = (KEPT, "dropped", "quarantined")
SPLITS = ("train", "validation")


@dataclass
class Edits:
    """By kind of edit, over kept documents: `documents` it changed, bytes `removed` and `added`."""

    columns: ClassVar = ("fate", "edits")
    documents: Sums[str] = field(default_factory=Sums)
    removed: Sums[str] = field(default_factory=Sums)
    added: Sums[str] = field(default_factory=Sums)

    def count(self, rows: RowGroup) -> None:
        edits, kept = rows.entries("edits"), rows.codes("fate").are(KEPT)
        values = edits.values * np.repeat(kept, np.diff(edits.bounds))
        _add(self.documents, edits.keys, values != 0)
        _add(self.removed, edits.keys, np.maximum(-values, 0))
        _add(self.added, edits.keys, np.maximum(values, 0))


@dataclass
class RemovedValues:
    """By type, over all documents whatever became of them: `documents` with at least one, `values` removed."""

    columns: ClassVar = ("pii",)
    documents: Sums[str] = field(default_factory=Sums)
    values: Sums[str] = field(default_factory=Sums)

    def count(self, rows: RowGroup) -> None:
        found = rows.entries("pii")
        _add(self.documents, found.keys, found.values > 0)
        _add(self.values, found.keys, np.maximum(found.values, 0))


# What no row of a ledger may be, in the order in which it is said.
UNEXPLAINED = "kept documents whose change of bytes no edit explains"
OUTPUT = "documents that were not kept and have output"
REASONLESS = "documents that were dropped without a reason"
UNEVEN = "kept documents whose tokens in and out differ"
FATELESS = "documents of no known fate"
FAULTS = (UNEXPLAINED, OUTPUT, REASONLESS, UNEVEN, FATELESS)


@dataclass
class Conservation:
    """Documents by fate, bytes and tokens that were kept, and rows by fault."""

    columns: ClassVar = ("fate", "reason", "bytes_in", "bytes_out", "tokens_in", "tokens_out", "edits")
    sums: Sums[str] = field(default_factory=Sums)

    def count(self, rows: RowGroup) -> None:
        fates, edits = rows.codes("fate"), rows.entries("edits")
        bytes_in, bytes_out, tokens_in, tokens_out = (
            rows.integers(name) for name in ("bytes_in", "bytes_out", "tokens_in", "tokens_out")
        )
        kept = fates.are(KEPT)
        running = np.concatenate([[0], np.cumsum(edits.values)])
        net = running[edits.bounds[1:]] - running[edits.bounds[:-1]]
        known = np.logical_or.reduce([fates.are(fate) for fate in FATES])
        for fate in FATES:
            self.sums[fate] += int(fates.are(fate).sum())
        self.sums["bytes"] += int(bytes_out.sum())
        self.sums["tokens"] += int(tokens_out.sum())
        self.sums[UNEXPLAINED] += int((kept & (bytes_out != bytes_in + net)).sum())
        self.sums[OUTPUT] += int((~kept & ((bytes_out != 0) | (tokens_out != 0))).sum())
        self.sums[REASONLESS] += int((~kept & (rows.codes("reason").of < 0)).sum())
        self.sums[UNEVEN] += int((kept & (tokens_out != tokens_in)).sum())
        self.sums[FATELESS] += int((~known).sum())


@dataclass
class Ids:
    """`hashes` uint64 of every id, in order; by split, how many ids were kept and the digest of them in order."""

    columns: ClassVar = ("id", "fate", "split")
    hashes: list[np.ndarray] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    digests: dict[str, "hashlib._Hash"] = field(default_factory=lambda: {name: hashlib.sha256() for name in SPLITS})

    def count(self, rows: RowGroup) -> None:
        words = id_words(rows.ids(), rows.path)
        self.hashes.append(hashes_of(words))
        kept, splits = rows.codes("fate").are(KEPT), rows.codes("split")
        for name in SPLITS:
            own = kept & splits.are(name)
            self.kept[name] += int(own.sum())
            self.digests[name].update(np.ascontiguousarray(words[own]))


def digest_of_ids(path: Path) -> tuple[int, bytes]:
    """How many ids a parquet file has, and the digest of them in order, as `Ids` has it of the ledger."""
    count, digest = 0, hashlib.sha256()
    for table in row_groups(path, ["id"]):
        words = id_words(RowGroup(table, path).ids(), path)
        count += len(words)
        digest.update(np.ascontiguousarray(words))
    return count, digest.digest()


def hashes_of(words: np.ndarray) -> np.ndarray:
    """uint64[rows] of ids as uint64[rows, 4]: equal for equal ids, and hardly ever for others."""
    mixed = np.zeros(len(words), np.uint64)
    for column in range(words.shape[1]):
        mixed = (mixed ^ words[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def total(counted: Iterable[Sums[str]]) -> Sums[str]:
    """The sums of several files."""
    return sum(counted, Sums())


def _add(sums: Sums[str], keys: Codes, values: np.ndarray) -> None:
    """Add up integers by key; exact below 2⁵³."""
    sum_of = np.bincount(keys.of + 1, values, len(keys.names) + 1)
    for name, value in zip(keys.names, sum_of[1:], strict=True):
        if value:
            sums[name] += int(value)
