"""Nats, tokens and bytes per evaluation set, hence perplexity and bits per byte that can be added up.

Whole documents are cut into consecutive windows of the sequence length: a window's inputs are tokens [i, i+S), its
labels the tokens after them, so every token but a document's first is predicted exactly once and a document's bytes
are exactly its own. Windows are packed into rows, next-fit, under the same no-leak rule as in training.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from corpus.errors import TrainingError
from corpus.tokens.store import TokenStore
from mixing.batch import IGNORE

BITS = 1 / math.log(2)  # bits per nat

Window = np.ndarray  # int64 [4, tokens]: inputs, labels, positions, document of each token


@dataclass(frozen=True)
class EvaluationRows:
    """One set, packed: int64 [rows, S] arrays; `documents` is the document of each token, -1 for padding;
    `document_bytes` int64 [documents]."""

    input_ids: np.ndarray
    labels: np.ndarray
    position_ids: np.ndarray
    documents: np.ndarray
    document_bytes: np.ndarray

    @property
    def tokens(self) -> int:
        return int((self.labels != IGNORE).sum())


@dataclass(frozen=True)
class SetScore:
    """`nats` float64 [documents], `document_bytes` int64 [documents]; `tokens` predicted in all."""

    nats: np.ndarray
    tokens: int
    document_bytes: np.ndarray

    @property
    def bytes(self) -> int:
        return int(self.document_bytes.sum())

    @property
    def bits_per_byte(self) -> float:
        return float(self.nats.sum()) * BITS / self.bytes

    @property
    def perplexity(self) -> float:
        return math.exp(min(float(self.nats.sum()) / self.tokens, 700.0))

    def against(self, baseline: np.ndarray) -> dict[str, Any]:
        """The figures of an evaluation, with the change against step 0's nats [documents]."""
        delta, error = paired_delta(self.nats, baseline, self.document_bytes)
        return {
            "nats": float(self.nats.sum()),
            "tokens": self.tokens,
            "bytes": self.bytes,
            "documents": len(self.nats),
            "perplexity": self.perplexity,
            "bits_per_byte": self.bits_per_byte,
            "delta": delta,
            "delta_se": error,
        }


def pack_evaluation(name: str, store: TokenStore, budget: int, length: int) -> EvaluationRows:
    """The store's first whole documents, up to `budget` tokens and at least one, in rows of `length` tokens.

    Documents of one token predict nothing and are left out. Raises TrainingError when none is left.
    """
    ends = store.ends
    starts = np.concatenate([[0], ends[:-1]])
    take = max(int(np.searchsorted(ends, budget, side="right")), 1)
    chosen = np.flatnonzero(ends[:take] - starts[:take] > 1)
    if not len(chosen):
        raise TrainingError(
            "an evaluation set has no document to predict",
            where=store.folder,
            found=f"{len(ends)} documents in set {name!r}",
            todo="raise the source's validation share or train.evaluation_tokens",
        )
    documents = []
    for document, index in enumerate(chosen):
        tokens = store.read(int(starts[index]), int(ends[index]))
        windows = []
        for first in range(0, len(tokens) - 1, length):
            following = tokens[first + 1 : first + 1 + length]
            size = len(following)
            windows.append(
                np.stack([tokens[first : first + size], following, np.arange(size), np.full(size, document)])
            )
        documents.append(windows)
    return pack_windows(documents, length, store.documents["bytes"].to_numpy()[chosen])


def pack_windows(documents: Iterable[Iterable[Window]], length: int, document_bytes: np.ndarray) -> EvaluationRows:
    """Windows of at most `length` tokens in rows, next-fit: inputs, labels, positions and document of each token."""
    rows: list[list[Window]] = []
    room = 0
    for window in (window for windows in documents for window in windows):
        size = window.shape[1]
        if size > room:
            rows.append([])
            room = length
        rows[-1].append(window)
        room -= size
    inputs, labels, positions, owners = np.stack([_padded(row, length) for row in rows], axis=1)
    return EvaluationRows(inputs, labels, positions, owners, document_bytes)


def _padded(windows: list[Window], length: int) -> np.ndarray:
    """[4, length]; the padding is a document of its own that predicts nothing."""
    size = length - sum(window.shape[1] for window in windows)
    padding = np.stack([np.zeros(size), np.full(size, IGNORE), np.arange(size), np.full(size, -1)]).astype(np.int64)
    return np.concatenate([*windows, padding], axis=1)


def batches(
    rows: EvaluationRows, size: int, device: torch.device, rank: int = 0, world_size: int = 1
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """This rank's rows in batches: where they are, then input_ids, position_ids and labels [rows, S].

    Every rank gets as many batches, for the shards of a model are gathered by all together: a rank whose rows are used
    up gets a last row again, of which nothing is predicted.
    """
    for start in range(0, len(rows.input_ids), size * world_size):
        first = start + rank * size
        where = slice(first, first + size)
        if first >= len(rows.input_ids):
            nothing = torch.full((1, rows.labels.shape[1]), IGNORE, device=device)
            again = (torch.from_numpy(array[-1:]).to(device) for array in (rows.input_ids, rows.position_ids))
            yield (slice(first, first), *again, nothing)  # type: ignore[misc]
            continue
        yield (
            where,
            torch.from_numpy(rows.input_ids[where]).to(device),
            torch.from_numpy(rows.position_ids[where]).to(device),
            torch.from_numpy(rows.labels[where]).to(device),
        )


@torch.no_grad()
def score(
    model: torch.nn.Module,
    rows: EvaluationRows,
    *,
    batch: int,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
    add: Callable[[torch.Tensor], torch.Tensor] = lambda sums: sums,
    on_batch: Callable[[int], None] = lambda tokens: None,
) -> SetScore:
    """Nats of each document. `add` sums a tensor over the ranks; `on_batch` hears of the tokens done."""
    nats = np.zeros(len(rows.document_bytes))
    for where, input_ids, position_ids, labels in batches(rows, batch, device, rank, world_size):
        ce = model(input_ids, position_ids, labels, torch.zeros(labels.shape, device=device)).ce
        if where.start == where.stop:
            continue
        documents = rows.documents[where].ravel()
        known = documents >= 0
        weights = ce.double().cpu().numpy()[known]
        nats += np.bincount(documents[known], weights=weights, minlength=len(nats))
        on_batch(int(known.sum()))
    summed = add(torch.from_numpy(nats).to(device)).cpu().numpy()
    return SetScore(summed, rows.tokens, rows.document_bytes)


def paired_delta(now: np.ndarray, before: np.ndarray, nbytes: np.ndarray) -> tuple[float, float | None]:
    """Change in bits per byte, and its standard error over documents.

    The change is the ratio Σ d / Σ b of documents' bits and bytes; its standard error by linearisation is
    √(n/(n−1) Σ (d_i − Δ b_i)²) / Σ b (Cochran 1977, §6). None for a single document, which says nothing about others.
    """
    difference = (now - before) * BITS
    total = float(nbytes.sum())
    delta = float(difference.sum()) / total
    count = len(difference)
    if count < 2:
        return delta, None
    spread = float(np.square(difference - delta * nbytes).sum())
    return delta, math.sqrt(count / (count - 1) * spread) / total


def pooled_bits_per_byte(scores: Iterable[SetScore]) -> float:
    """Bits per byte of several sets together, each weighing by its bytes."""
    kept = list(scores)
    return sum(float(each.nats.sum()) for each in kept) * BITS / sum(each.bytes for each in kept)
