"""The mixture plan: how many sequences of each source every step gets, and which, compiled before the first step.

    plan.json      format, sequence length, global batch, seed, sources, segments (settings, start, asked, caps)
    plan.parquet   step, source, sequences, cumulative (after the step); by source and step, only where there are any

The plan stores counts only. Which sequences they are follows from the counts: the o-th sequence that source i gives is
the sequence at place o mod n of the keyed order of epoch o div n (mixing/order.py), so `plan.batch(step)` needs no
index and mixing/lookup.py runs it backwards. Quotas: mixing/quotas.py. Memory: 4 bytes per step and source.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.artifact import Manifest, RunLock, code_version, fingerprint, publish, read_parquet
from corpus.errors import ArtifactError, ConfigError
from corpus.tokens import TokenStore, same_tokenizer
from mixing import lookup
from mixing.budget import Budget, MixSettings, Role, Supply, solve
from mixing.order import sequences_at, source_key
from mixing.packing import Packing
from mixing.quotas import assign, group_room, whole_total
from mixing.schedule import UNIT, domain_units
from mixing.table import budget_table

KIND = "mixing.plan"
FORMAT = "provender.plan/1"  # of the files, of the order inside a source and of the rows of a batch

PLAN_ROWS = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),
        pa.field("source", pa.int32(), nullable=False),
        pa.field("sequences", pa.int32(), nullable=False),
        pa.field("cumulative", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Source:
    """A source of the plan: `sequences` are one epoch, the last `tail_tokens` of its `tokens` are not trained, `store`
    is the fingerprint of its token store ("" for a plan compiled from numbers alone)."""

    name: str
    role: Role
    tokens: int
    tail_tokens: int
    sequences: int
    store: str


@dataclass(frozen=True)
class Segment:
    """Steps [start, start + steps) under one mixture, solved for `planned_steps` of which a later segment may cut some.

    The tuples have an entry for each source of the plan, in sequences: `asked` (before caps and rounding; when cut,
    what it has given), `caps`, and the solved totals over the planned steps (`planned`).
    """

    start: int
    steps: int
    planned_steps: int
    settings: dict[str, Any]
    schedule: dict[str, Any]
    replay_floor: float
    roles: tuple[Role, ...]
    asked: tuple[float, ...]
    caps: tuple[int, ...]
    planned: tuple[int, ...]

    @classmethod
    def parse(cls, entry: dict[str, Any]) -> "Segment":
        """From JSON, which knows no tuples."""
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in entry.items()}
        return cls(**values)

    def widened(self, roles: tuple[Role, ...]) -> "Segment":
        """For a plan with more sources, which this segment gave nothing of."""
        more = (0,) * (len(roles) - len(self.roles))
        widths = {name: getattr(self, name) + more for name in ("asked", "caps", "planned")}
        return replace(self, roles=self.roles + roles[len(self.roles) :], **widths)


@dataclass(frozen=True)
class Rows:
    """The rows of one global batch in order; all int64[global_batch]: index of the source, sequence in it, epoch."""

    source: np.ndarray
    sequence: np.ndarray
    epoch: np.ndarray

    def __len__(self) -> int:
        return len(self.source)


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
    def keys(self) -> list[np.uint64]:
        """The key of each source's order."""
        return [source_key(self.seed, name) for name in self.names]

    def quotas(self, step: int) -> np.ndarray:
        """int64[sources]: sequences of each source in a step; they sum to the global batch."""
        if not 0 <= step < self.steps:
            raise ConfigError("the plan has no such step", found=step, todo=f"steps run from 0 to {self.steps - 1}")
        return self.cumulative[:, step + 1].astype(np.int64) - self.cumulative[:, step]

    def arrangement(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Row by row, the source and the ordinal (counted over the run) of its sequence; both int64[global_batch].

        The sources are interleaved: the j-th of k sequences lies at (j + ½)/k of the batch, ties by the plan's order.
        """
        quotas = self.quotas(step)
        source = np.repeat(np.arange(len(quotas)), quotas)
        within = np.arange(self.global_batch) - np.repeat(np.cumsum(quotas) - quotas, quotas)
        order = np.argsort((2 * within + 1) / (2 * quotas[source]), kind="stable")
        source, within = source[order], within[order]
        return source, self.cumulative[:, step].astype(np.int64)[source] + within

    def batch(self, step: int) -> Rows:
        """The global batch of a step: the same for any world size. Raises ConfigError outside [0, steps)."""
        source, ordinal = self.arrangement(step)
        per_epoch = np.array([entry.sequences for entry in self.sources])[source]
        sequence = np.empty_like(ordinal)
        for i in np.unique(source):
            rows = source == i
            sequence[rows] = sequences_at(ordinal[rows], self.sources[i].sequences, self.keys[i])
        return Rows(source, sequence, ordinal // per_epoch)

    def steps_of(self, source: str, document_row: int, store: TokenStore) -> list[lookup.Occurrence]:
        """Every occurrence of a document of `store` in the run (`mixing.lookup.steps_of`)."""
        return lookup.steps_of(self, source, document_row, store)

    def where(self, document_id: str, stores: Mapping[str, TokenStore]) -> list[lookup.Occurrence]:
        """Every occurrence in the run of the document with this id (`mixing.lookup.where`)."""
        return lookup.where(self, document_id, stores)

    def show(self, step: int, stores: Mapping[str, TokenStore] | None = None) -> pl.DataFrame:
        """The rows of a step, with stores also their documents (`mixing.lookup.show`)."""
        return lookup.show(self, step, stores)

    def table(self) -> pl.DataFrame:
        """Asked and realised tokens, epochs and the discount of repetition, by source (`budget_table`)."""
        supplies = [Supply(s.name, s.tokens, s.sequences, s.store) for s in self.sources]
        asked = np.sum([segment.asked for segment in self.segments], axis=0)
        given = [int(count) for count in self.cumulative[:, -1]]
        return budget_table(supplies, [s.role for s in self.sources], asked, given, self.sequence_length)

    def append_segment(
        self, start: int, settings: MixSettings, stores: Mapping[str, TokenStore] | Iterable[Supply] | None = None
    ) -> "MixturePlan":
        """A plan that is this one up to `start` and follows `settings` from there; `settings.steps` or `total_tokens`
        are those of the new segment. Counts go on, so nothing is lost or given twice. `stores` may bring new sources
        (default: those of the plan). Raises ConfigError when sequence length, batch or seed differ: they fix the order.
        """
        for name in ("sequence_length", "global_batch", "seed"):
            if getattr(settings, name) != getattr(self, name):
                raise ConfigError(
                    f"a new segment cannot change {name}",
                    found=f"{getattr(settings, name)}, the plan has {getattr(self, name)}",
                    todo="keep it, or compile a new plan",
                )
        if not 0 < start <= self.steps:
            raise ConfigError("a segment must start within the plan", found=start, todo=f"start it in 1 … {self.steps}")
        known = {s.name: Supply(s.name, s.tokens, s.sequences, s.store) for s in self.sources}
        offered = {} if stores is None else {s.name: s for s in _supplies(stores, self.sequence_length)}
        for name, supply in offered.items():
            if known.setdefault(name, supply) != supply:
                raise _changed_store(name, known[name].store, supply.store)
        used = [int(count) for count in self.cumulative[:, start]] + [0] * (len(known) - len(self.sources))
        supplies = [replace(s, used=count) for s, count in zip(known.values(), used, strict=True)]
        budget = solve(supplies, settings)
        counts = np.array(used, np.int64)[:, None] + _cumulative(budget, self.global_batch)
        before = np.zeros((len(supplies), start), np.int64)
        before[: len(self.sources)] = self.cumulative[:, :start]
        segments = [_cut(segment, start, self.cumulative) for segment in self.segments if segment.start < start]
        return _plan(supplies, settings, budget, np.concatenate([before, counts], axis=1), segments, start)

    @property
    def body(self) -> dict[str, Any]:
        """The content of plan.json without its fingerprint: everything the batches depend on."""
        counts = np.ascontiguousarray(self.cumulative, dtype="<i8")
        return {
            "format": FORMAT,
            "sequence_length": self.sequence_length,
            "global_batch": self.global_batch,
            "seed": self.seed,
            "steps": self.steps,
            "tokens": self.tokens,
            "sources": [asdict(source) for source in self.sources],
            "segments": [json.loads(json.dumps(asdict(segment))) for segment in self.segments],
            "budget": self.table().to_dicts(),
            "cumulative_sha256": hashlib.sha256(counts.tobytes()).hexdigest(),
        }

    @cached_property
    def fingerprint(self) -> str:
        """Of the plan's content, stores included: what a checkpoint records and a resume compares."""
        return fingerprint(self.body)

    def save(self, folder: Path, lock: RunLock | None = None, function: dict[str, Any] | None = None) -> None:
        """Publish the plan. `function` (default: the plan's content) is what the manifest says it is a function of;
        pass `plan_function(stores, settings)` so that a stage can skip it by `corpus.artifact.current`."""
        with publish(folder, kind=KIND, function=function or {"plan": self.fingerprint}, lock=lock) as draft:
            body = {"fingerprint": self.fingerprint} | self.body
            text = json.dumps(body, indent=1, ensure_ascii=False) + "\n"
            (draft.path / "plan.json").write_text(text, encoding="utf-8")
            draft.rows["plan.parquet"] = self._write_rows(draft.path / "plan.parquet")
            draft.totals |= {"steps": self.steps, "tokens": self.tokens, "plan": self.fingerprint}

    def _write_rows(self, path: Path) -> int:
        # Sorted by source, a column is a slow ramp: its differences pack into a few bits.
        delta = dict.fromkeys(PLAN_ROWS.names, "DELTA_BINARY_PACKED")
        rows = 0
        with pq.ParquetWriter(
            path, PLAN_ROWS, compression="zstd", use_dictionary=False, column_encoding=delta, write_page_checksum=True
        ) as writer:
            for i, counts in enumerate(self.cumulative):
                sequences = np.diff(counts.astype(np.int64))
                steps = np.flatnonzero(sequences)
                columns = [steps, np.full(len(steps), i), sequences[steps], counts[1:][steps]]
                arrays = [pa.array(c, field.type) for c, field in zip(columns, PLAN_ROWS, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=PLAN_ROWS))
                rows += len(steps)
        return rows

    @classmethod
    def load(cls, folder: Path) -> "MixturePlan":
        """A published plan. Raises ArtifactError when it is absent, damaged, or of another format."""
        folder = Path(folder)
        Manifest.read(folder)
        try:
            body = json.loads((folder / "plan.json").read_bytes())
            known = body["format"] == FORMAT
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(folder, error) from None
        if not known:
            raise ArtifactError(
                "a plan of another format", where=folder, found=body["format"], todo="compile it again: `provender mix`"
            )
        rows = read_parquet(folder / "plan.parquet")
        sequences = np.zeros((len(body["sources"]), body["steps"] + 1), np.int64)
        sequences[rows["source"].to_numpy(), rows["step"].to_numpy() + 1] = rows["sequences"].to_numpy()
        segments = [Segment.parse(entry) for entry in body["segments"]]
        plan = cls(
            body["sequence_length"],
            body["global_batch"],
            body["seed"],
            tuple(Source(**entry) for entry in body["sources"]),
            tuple(segments),
            _compact(np.cumsum(sequences, axis=1)),
        )
        if plan.fingerprint != body["fingerprint"]:
            raise _damaged(folder, f"fingerprint {body['fingerprint'][:12]}, its content has {plan.fingerprint[:12]}")
        return plan

    def check_stores(self, stores: Mapping[str, TokenStore]) -> list[TokenStore]:
        """The stores in the plan's order. Raises ArtifactError naming the source whose store is missing or another."""
        for source in self.sources:
            if source.name not in stores:
                raise ArtifactError(
                    f"the plan needs a token store that is not there: {source.name}",
                    found=", ".join(stores) or "no store",
                    todo="prepare this source: `provender corpus`",
                )
            found = stores[source.name].manifest.fingerprint
            if found != source.store:
                raise _changed_store(source.name, source.store, found, stores[source.name].folder)
        ordered = [stores[source.name] for source in self.sources]
        same_tokenizer(ordered)
        return ordered


def compile_plan(stores: Mapping[str, TokenStore] | Iterable[Supply], settings: MixSettings) -> MixturePlan:
    """Compile a plan from token stores by source name, or from numbers alone. Sources are sorted by name.

    Raises ConfigError when the budget cannot be met, ArtifactError when the stores' tokenizers differ.
    """
    supplies = _supplies(stores, settings.sequence_length)
    budget = solve(supplies, settings)
    return _plan(supplies, settings, budget, _cumulative(budget, settings.global_batch), [], 0)


def plan_function(stores: Mapping[str, TokenStore], settings: MixSettings) -> dict[str, Any]:
    """What a plan is a function of: stores, settings and code; for skipping the stage when none has changed."""
    prints = {name: store.manifest.fingerprint for name, store in sorted(stores.items())}
    return {"stores": prints, "settings": settings.identity(), "code": code_version("mixing")}


def _supplies(stores: Mapping[str, TokenStore] | Iterable[Supply], length: int) -> list[Supply]:
    if not isinstance(stores, Mapping):
        return sorted(stores, key=lambda supply: supply.name)
    if stores:
        same_tokenizer(stores.values())
    return [
        Supply(name, store.tokens, Packing(store.tokens, length).sequences, store.manifest.fingerprint)
        for name, store in sorted(stores.items())
    ]


def _cumulative(budget: Budget, global_batch: int) -> np.ndarray:
    """int64[sources, steps + 1] of one segment, from 0."""
    totals = np.array([allocation.sequences for allocation in budget.allocations], np.int64)
    domain = whole_total(domain_units(budget.schedule, budget.steps, global_batch, budget.replay_floor))
    batches = np.arange(budget.steps + 1, dtype=np.int64) * global_batch
    room = group_room(domain)
    clocks = {"domain": (domain, room), "replay": (batches * UNIT - domain, batches - room)}
    given = np.zeros((len(totals), budget.steps + 1), np.int64)
    for role, (clock, places) in clocks.items():
        members = np.flatnonzero([entry == role for entry in budget.roles])
        given[members] = assign(clock, places, totals[members])
    return given


def _plan(
    supplies: Sequence[Supply],
    settings: MixSettings,
    budget: Budget,
    cumulative: np.ndarray,
    segments: list[Segment],
    start: int,
) -> MixturePlan:
    length = settings.sequence_length
    sources = tuple(
        Source(s.name, role, s.tokens, s.tokens - s.sequences * length, s.sequences, s.store)
        for s, role in zip(supplies, budget.roles, strict=True)
    )
    last = Segment(
        start,
        budget.steps,
        budget.steps,
        settings.identity(),
        budget.schedule.identity(),
        budget.replay_floor,
        budget.roles,
        tuple(allocation.asked for allocation in budget.allocations),
        tuple(allocation.cap for allocation in budget.allocations),
        tuple(allocation.sequences for allocation in budget.allocations),
    )
    earlier = [segment.widened(budget.roles) for segment in segments]
    return MixturePlan(length, settings.global_batch, settings.seed, sources, (*earlier, last), _compact(cumulative))


def _cut(segment: Segment, stop: int, cumulative: np.ndarray) -> Segment:
    """The segment up to step `stop`: what it asked shrinks to what it has given."""
    if segment.start + segment.steps <= stop:
        return segment
    given = cumulative[:, stop].astype(np.int64) - cumulative[:, segment.start]
    return replace(segment, steps=stop - segment.start, asked=tuple(float(count) for count in given))


def _compact(cumulative: np.ndarray) -> np.ndarray:
    """Four bytes a count where they suffice: a plan of a trillion tokens is held in tens of megabytes."""
    small = cumulative.size == 0 or int(cumulative[:, -1].max()) < 1 << 31
    return np.ascontiguousarray(cumulative, dtype=np.int32 if small else np.int64)


def _damaged(folder: Path, found: object) -> ArtifactError:
    return ArtifactError(
        "the plan is damaged", where=folder, found=found, todo="delete the folder and run `provender mix` again"
    )


def _changed_store(name: str, planned: str, found: str, folder: Path | None = None) -> ArtifactError:
    return ArtifactError(
        f"the token store of {name} is not the one the plan was compiled for",
        where=folder,
        found=f"store {found[:12]}, plan has {planned[:12]}",
        todo="compile the plan again (`provender mix`), or put the former store back",
    )
