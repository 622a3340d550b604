"""The base model's likeliest tokens, written down once: KL without running the base at every step.

    plan ─► rows of the held sources, each once ─► base ─► top k ids and log-probabilities, and the mass of all others

A row is found by a hash of its tokens and positions, so the cache holds for every step, epoch and world size, and a row
that was changed is not found rather than compared with another's reference. Files are read memory-mapped; a token takes
k · (2 or 4) + 2 (k + 1) bytes: 130 for k = 32 and a vocabulary below 65,536.

    keys.u64    [rows, 2]                   xxh3-128 of a row
    ids.u16     [rows, sequence, k]         (u32 for larger vocabularies)
    log_q.f16   [rows, sequence, k + 1]     the last is that of all other tokens together
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from torch import Tensor

from corpus.artifact import Manifest, RunLock, publish
from corpus.errors import TrainingError
from corpus.mapping import map_file
from mixing.batch import TokenBatch
from trainer.head.divergence import Reference, TopReference, top_and_rest
from trainer.model.packed import PackedModel
from trainer.record.progress import Progress, Report
from trainer.regularizers.hooks import MicroBatch

KIND = "trainer.reference"


def row_keys(input_ids: np.ndarray, position_ids: np.ndarray) -> np.ndarray:
    """uint64 [rows, 2] of packed rows int64 [rows, sequence]."""
    rows = np.ascontiguousarray(np.stack([input_ids, position_ids], axis=1), dtype="<i8")
    digests = b"".join(xxhash.xxh3_128_digest(row.tobytes()) for row in rows)
    return np.frombuffer(digests, "<u8").reshape(-1, 2)


def build_reference(
    folder: Path,
    function: dict[str, Any],
    model: PackedModel,
    batches: Iterator[TokenBatch],
    held: Sequence[bool],
    *,
    k: int,
    rows_at_once: int,
    steps: int,
    report: Report,
    lock: RunLock | None = None,
) -> Manifest:
    """Publish the reference of the rows of the sources `held` [sources] in `batches`, `steps` of them. Costs one
    forward pass over each different row. Raises TrainingError when there is none."""
    k = min(k, model.embedding_rows)
    wide = "u4" if model.embedding_rows > 1 << 16 else "u2"
    with publish(folder, kind=KIND, function=function, lock=lock) as draft:
        with (
            open(draft.path / "keys.u64", "wb") as keys,
            open(draft.path / f"ids.u{8 * int(wide[1])}", "wb") as ids,
            open(draft.path / "log_q.f16", "wb") as log_q,
        ):
            rows = length = 0
            for new_keys, input_ids, position_ids in _new_rows(batches, held, rows_at_once, steps, report):
                top, mass = _top(model, input_ids, position_ids, k)
                keys.write(new_keys.tobytes())
                ids.write(top.astype(f"<{wide}").tobytes())
                log_q.write(mass.astype("<f2").tobytes())
                rows, length = rows + len(input_ids), input_ids.shape[1]
        if not rows:
            raise TrainingError("the plan has no row to keep a reference of", todo="check mix.sources and train.kl.on")
        draft.totals |= {"rows": rows, "sequence_length": length, "k": k, "ids": wide}
    return Manifest.read(folder)


def _new_rows(
    batches: Iterator[TokenBatch], held: Sequence[bool], size: int, steps: int, report: Report
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Keys, ids and positions of rows not seen before, up to `size` at a time."""
    seen: set[bytes] = set()
    chosen = np.array(held, bool)
    for step, batch in enumerate(batches):
        mine = np.flatnonzero(chosen[batch.source_ids])
        keys = row_keys(batch.input_ids[mine], batch.position_ids[mine])
        fresh = []
        for place, key in enumerate(map(bytes, keys)):
            if key not in seen:
                seen.add(key)
                fresh.append(place)
        for start in range(0, len(fresh), size):
            part = fresh[start : start + size]
            yield keys[part], batch.input_ids[mine[part]], batch.position_ids[mine[part]]
        report(Progress("reference", step + 1, steps))


@torch.no_grad()
def _top(model: PackedModel, input_ids: np.ndarray, position_ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """ids [rows, sequence, k] and log-probabilities [rows, sequence, k + 1] of the base."""
    device = model.head_weight.device
    states = model.states(torch.from_numpy(input_ids).to(device), torch.from_numpy(position_ids).to(device))
    with model.autocast(device):
        parts = [
            top_and_rest((part @ model.head_weight.T if model.linear_head else part).float(), k)
            for part in states.flatten(0, 1).split(model.chunk)
        ]
    ids, log_q = (torch.cat(each).view(*input_ids.shape, -1).cpu().numpy() for each in zip(*parts, strict=True))
    return ids, log_q


@dataclass(frozen=True)
class CachedBase:
    """A published reference, memory-mapped. `order` sorts `keys` by their first half."""

    folder: Path
    keys: np.ndarray
    order: np.ndarray
    ids: np.ndarray
    log_q: np.ndarray
    everywhere = False

    @classmethod
    def open(cls, folder: Path, expected: Mapping[str, Any]) -> "CachedBase":
        """Raises TrainingError when it is of another model, tokenizer, plan or k than `expected` says, ArtifactError
        when there is none."""
        manifest = Manifest.read(folder)
        differing = [key for key in expected if manifest.function.get(key) != expected[key]]
        if differing:
            raise TrainingError(
                f"this reference is of another {' and '.join(differing)}",
                where=folder,
                found=", ".join(
                    f"{key} {str(manifest.function.get(key))[:12]}, the run has {str(expected[key])[:12]}"
                    for key in differing
                ),
                todo="make it again with `provender train cache-reference`",
            )
        totals = manifest.totals
        shape = totals["rows"], totals["sequence_length"], totals["k"]
        keys = np.fromfile(folder / "keys.u64", "<u8").reshape(-1, 2)
        ids = map_file(folder / f"ids.u{8 * int(totals['ids'][1])}", f"<{totals['ids']}").reshape(shape)
        log_q = map_file(folder / "log_q.f16", "<f2").reshape(*shape[:2], shape[2] + 1)
        return cls(folder, keys, np.argsort(keys[:, 0], kind="stable"), ids, log_q)

    def places(self, input_ids: np.ndarray, position_ids: np.ndarray) -> np.ndarray:
        """Where rows int64 [rows, sequence] are kept. Raises TrainingError for a row that is not."""
        wanted = row_keys(input_ids, position_ids)
        found = np.searchsorted(self.keys[:, 0], wanted[:, 0], sorter=self.order)
        places = self.order[np.minimum(found, len(self.order) - 1)]
        if missing := int((self.keys[places] != wanted).any(1).sum()):
            raise TrainingError(
                "rows of this step are not in the cached reference",
                where=self.folder,
                found=f"{missing} of {len(wanted)} rows",
                todo="make it again with `provender train cache-reference`: the mixture was changed since",
            )
        return places

    def reference(self, micro: MicroBatch, rows: Tensor, held: Tensor) -> Reference:
        """That of the tokens `held` bool [rows, sequence], in their order; see trainer/regularizers/kl.py."""
        device = held.device
        chosen = micro.input_ids[rows].cpu().numpy(), micro.position_ids[rows].cpu().numpy()
        places, tokens = self.places(*chosen), held[rows].cpu().numpy()
        ids = np.concatenate([self.ids[place][mine] for place, mine in zip(places, tokens, strict=True)])
        log_q = np.concatenate([self.log_q[place][mine] for place, mine in zip(places, tokens, strict=True)])
        # Rounded to half precision the masses add up to 1 ± 0.001; the gradient assumes 1.
        mass = torch.from_numpy(log_q.astype(np.float32)).to(device).log_softmax(1)
        return TopReference(torch.from_numpy(ids.astype(np.int64)).to(device), mass)
