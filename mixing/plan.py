"""The mixture plan: how many sequences of each source every step gets, and which, compiled before the first step.

The plan stores counts only. Which sequences they are follows from the counts: the o-th sequence that source i gives is
the sequence at place o mod n of the keyed order of epoch o div n (mixing/order.py), so `plan.batch(step)` needs no
index and mixing/lookup.py runs it backwards. Quotas: mixing/quotas.py. Memory: 4 bytes per step and source.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus.artifact import RunLock, fingerprint
from corpus.errors import ArtifactError, ConfigError
from corpus.tokens.store import TokenStore
from mixing import lookup, plan_files
from mixing.order import interleave, rows_of, source_key
from mixing.segments import Rows, Segment, Source
from mixing.sequences import Sequences, Stores, of_one_tokenizer
from mixing.table import budget_table


@dataclass(frozen=True)
class MixturePlan:
    """`cumulative` [sources, steps + 1]: sequences each source has given before each step."""

    sequence_length: int
    global_batch: int
    seed: int
    sources: tuple[Source, ...]
    segments: tuple[Segment, ...]
    cumulative: np.ndarray

    @property
    def steps(self) -> int:
        return self.cumulative.shape[1] - 1

    @property
    def names(self) -> list[str]:
        return [source.name for source in self.sources]

    @property
    def tokens(self) -> int:
        """Input tokens of the whole run."""
        return self.steps * self.global_batch * self.sequence_length

    @cached_property
    def keys(self) -> np.ndarray:
        """uint64[sources]: the key of each source's order."""
        return np.array([source_key(self.seed, name) for name in self.names], np.uint64)

    @cached_property
    def _per_epoch(self) -> np.ndarray:
        return np.array([source.sequences for source in self.sources], np.int64)

    def quotas(self, step: int) -> np.ndarray:
        """int64[sources]: sequences of each source in a step; they sum to the global batch."""
        self._check(step)
        return self.cumulative[:, step + 1].astype(np.int64) - self.cumulative[:, step]

    def _check(self, step: int) -> None:
        if not 0 <= step < self.steps:
            raise ConfigError("the plan has no such step", found=step, todo=f"steps run from 0 to {self.steps - 1}")

    def arrangement(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Row by row, the source and the ordinal (counted over the run) of its sequence; both int64[global_batch].

        The sources are interleaved: the j-th of k sequences lies at (j + ½)/k of the batch, ties by the plan's order.
        """
        source, within = interleave(self.quotas(step))
        return source, self.cumulative[:, step].astype(np.int64)[source] + within

    def batch(self, step: int) -> Rows:
        """The global batch of a step: the same for any world size. Raises ConfigError outside [0, steps)."""
        self._check(step)
        return Rows(*rows_of(self.cumulative[:, step], self.cumulative[:, step + 1], self._per_epoch, self.keys))

    def steps_of(self, source: str, document_row: int, store: TokenStore | Sequences) -> list[lookup.Occurrence]:
        """Every occurrence of a document of `store` in the run (`mixing.lookup.steps_of`)."""
        return lookup.steps_of(self, source, document_row, store)

    def where(self, document_id: str, stores: Stores) -> list[lookup.Occurrence]:
        """Every occurrence in the run of the document with this id (`mixing.lookup.where`)."""
        return lookup.where(self, document_id, stores)

    def show(self, step: int, stores: Stores | None = None) -> pl.DataFrame:
        """The rows of a step, with stores also their documents (`mixing.lookup.show`)."""
        return lookup.show(self, step, stores)

    def table(self) -> pl.DataFrame:
        """Asked and realised tokens, epochs and the discount of repetition, by source (`budget_table`)."""
        supplies = [source.supply() for source in self.sources]
        asked = np.sum([segment.asked for segment in self.segments], axis=0)
        given = [int(count) for count in self.cumulative[:, -1]]
        roles, groups = [source.role for source in self.sources], self.segments[-1].groups
        return budget_table(supplies, roles, asked, given, self.sequence_length, groups)

    @property
    def body(self) -> dict[str, Any]:
        """The content of plan.json without its fingerprint: everything the batches depend on."""
        counts = hashlib.sha256()
        for row in self.cumulative:  # one source at a time: the plan of a trillion tokens is not copied
            counts.update(row.astype("<i8").tobytes())
        return {
            "format": plan_files.FORMAT,
            "sequence_length": self.sequence_length,
            "global_batch": self.global_batch,
            "seed": self.seed,
            "steps": self.steps,
            "tokens": self.tokens,
            "sources": [asdict(source) for source in self.sources],
            "segments": [json.loads(json.dumps(asdict(segment))) for segment in self.segments],
            "budget": self.table().to_dicts(),
            "cumulative_sha256": counts.hexdigest(),
        }

    @cached_property
    def fingerprint(self) -> str:
        """Of the plan's content, stores included: what a checkpoint records and a resume compares."""
        return fingerprint(self.body)

    def save(self, folder: Path, lock: RunLock | None = None, function: dict[str, Any] | None = None) -> None:
        """Publish the plan. `function` (default: the plan's content) is what the manifest says it is a function of;
        pass `plan_function(stores, settings)` so that a stage can skip it by `corpus.artifact.current`."""
        content = {"fingerprint": self.fingerprint} | self.body
        plan_files.write(folder, content, self.cumulative, function or {"plan": self.fingerprint}, lock)

    @classmethod
    def load(cls, folder: Path) -> "MixturePlan":
        """A published plan. Raises ArtifactError when it is absent, damaged, or of another format."""
        body, cumulative = plan_files.read(folder)
        try:
            sources = tuple(Source(**entry) for entry in body["sources"])
            segments = tuple(Segment.parse(entry) for entry in body["segments"])
            plan = cls(body["sequence_length"], body["global_batch"], body["seed"], sources, segments, cumulative)
            has, says = plan.fingerprint, body["fingerprint"]
        except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise plan_files.damaged(folder, f"{type(error).__name__} in plan.json") from None
        if has != says:
            raise plan_files.damaged(folder, f"fingerprint {str(says)[:12]}, its content has {has[:12]}")
        return plan

    def check_stores(self, stores: Stores) -> list[Sequences]:
        """The stores in the plan's order. Raises ArtifactError naming the source whose store is missing or another."""
        ordered = []
        for source in self.sources:
            if source.name not in stores:
                raise ArtifactError(
                    f"the plan needs a token store that is not there: {source.name}",
                    found=", ".join(stores) or "no store",
                    todo="prepare this source: `provender corpus`",
                )
            found = Sequences.of(stores[source.name], self.sequence_length)
            if found.fingerprint != source.store:
                raise changed_store(source.name, source.store, found.fingerprint, found.store.folder)
            ordered.append(found)
        of_one_tokenizer(ordered)
        return ordered


def changed_store(name: str, planned: str, found: str, folder: Path | str | None = None) -> ArtifactError:
    return ArtifactError(
        f"the token store of {name} is not the one the plan was compiled for",
        where=folder,
        found=f"store {found[:12]}, plan has {planned[:12]}",
        todo="compile the plan again (`provender mix`), or put the former store back",
    )
