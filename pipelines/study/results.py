"""What cells measured, and differences between them with a standard error.

A difference is a sum of weighted bits per byte of cells on sets. Where all its cells have the same two or more seeds,
it is taken seed by seed and its error is over seeds: noise of training. Else it is taken document by document and its
error is over the documents of the test sets, the ratio estimator of trainer.evaluation.evaluate.paired_delta, which is
noise of the test set only. Every estimate says which.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.stats import t as student

from corpus.artifact import Manifest, canonical_json, publish
from corpus.errors import ArtifactError
from corpus.lock import RunLock
from trainer.evaluation.evaluate import BITS

KIND = "study.cell"
FILE = "result.json"


@dataclass(frozen=True)
class Scores:
    """float64 nats and int64 bytes of the documents of one set."""

    nats: np.ndarray
    nbytes: np.ndarray


@dataclass(frozen=True)
class Run:
    """One run of a cell: what it measured and where its record is."""

    sets: Mapping[str, Scores]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A cell's runs by seed; the base is a row with one run that stands for every seed, and of no domain."""

    name: str
    runs: Mapping[int, Run]
    domain: str = ""
    method: str = "none"
    constant: bool = False

    def bits(self, sets: Sequence[str]) -> float:
        """Bits per byte of the sets together, mean over the seeds."""
        return float(np.mean([pooled(run, sets) for run in self.runs.values()]))


def pooled(run: Run, sets: Sequence[str]) -> float:
    """Bits per byte of the sets together."""
    return (
        float(sum(run.sets[name].nats.sum() for name in sets))
        * BITS
        / sum(int(run.sets[name].nbytes.sum()) for name in sets)
    )


class Term(NamedTuple):
    """`weight` times the bits per byte of `row` on `sets` together."""

    weight: float
    row: Row
    sets: tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error, the degrees of freedom of that error, and what it is over."""

    value: float
    error: float
    freedom: int
    over: Literal["seeds", "documents"]

    def above(self, level: float = 0.05) -> bool:
        """Clearly above 0: a one-sided t test at `level`."""
        return self.value > self._bound(level)

    def below(self, level: float = 0.05) -> bool:
        """Clearly below 0."""
        return -self.value > self._bound(level)

    def _bound(self, level: float) -> float:
        return float(student.ppf(1 - level, self.freedom)) * self.error if self.freedom > 0 else float("inf")


def estimate(terms: Iterable[Term]) -> Estimate:
    """The sum of the terms with its standard error, by seed where that can be, else by document."""
    terms = list(terms)
    varied = [term.row for term in terms if not term.row.constant]
    seeds = set.intersection(*(set(row.runs) for row in varied)) if varied else set()
    if len(seeds) > 1:
        by_seed = [sum(weight * pooled(_of(row, seed), sets) for weight, row, sets in terms) for seed in sorted(seeds)]
        return Estimate(
            float(np.mean(by_seed)), float(np.std(by_seed, ddof=1) / np.sqrt(len(by_seed))), len(by_seed) - 1, "seeds"
        )
    seed = min(seeds) if seeds else 0
    return _by_document(terms, seed)


def _of(row: Row, seed: int) -> Run:
    return next(iter(row.runs.values())) if row.constant else row.runs[seed]


def _by_document(terms: Sequence[Term], seed: int) -> Estimate:
    """Groups of sets are other documents and so independent; within one the terms are paired."""
    value, variance, documents = 0.0, 0.0, 0
    for group in dict.fromkeys(term.sets for term in terms):
        nbytes = np.concatenate([_of(terms[0].row, seed).sets[name].nbytes for name in group] if group else [])
        bits = np.zeros(len(nbytes))
        for weight, row, sets in terms:
            if sets == group:
                bits += weight * BITS * np.concatenate([_of(row, seed).sets[name].nats for name in group])
        ratio, count = bits.sum() / nbytes.sum(), len(bits)
        value, documents = value + float(ratio), documents + count - 1
        if count > 1:
            spread = float(np.square(bits - ratio * nbytes).sum())
            variance += count / (count - 1) * spread / float(nbytes.sum()) ** 2
    return Estimate(value, float(np.sqrt(variance)), documents, "documents")


def write_result(
    folder: Path, function: dict[str, Any], sets: Mapping[str, Scores], facts: Mapping[str, Any], lock: RunLock
) -> None:
    """Publish what a run measured."""
    body = {
        "facts": dict(facts),
        "sets": {name: {"nats": one.nats.tolist(), "bytes": one.nbytes.tolist()} for name, one in sets.items()},
    }
    with publish(folder, kind=KIND, function=function, lock=lock) as draft:
        (draft.path / FILE).write_bytes(canonical_json(body) + b"\n")


def read_result(folder: Path) -> tuple[dict[str, Any], Run] | None:
    """The function of a published result and the run, verified; None where there is none. Raises ArtifactError when it
    is damaged."""
    if not folder.is_dir():
        return None
    manifest = Manifest.read(folder)
    manifest.verify(folder)
    if manifest.kind != KIND:
        raise ArtifactError(
            "this is no result of the study", where=folder, found=manifest.kind, todo="delete the folder"
        )
    body = json.loads((folder / FILE).read_bytes())
    sets = {name: Scores(np.array(one["nats"]), np.array(one["bytes"])) for name, one in body["sets"].items()}
    return manifest.function, Run(sets, body["facts"])
