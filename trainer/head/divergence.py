"""KL between a reference's and the model's distribution over the vocabulary, with its gradient by the model's logits.

A reference is a frozen model's hidden states and head (`HiddenReference`), its logits (`LogitsReference`, for heads
that are not a plain product), or its k likeliest tokens and the mass of all others (`TopReference`, from a cache).
The head asks for a chunk of tokens at a time and then works through it slab by slab, a slab being as many rows of
[tokens, V] as stay in the processor's cache.

With p the model's and q the reference's distribution:

    forward  KL(q‖p) = Σ q (log q − log p)      d/dlogits = p − q
    reverse  KL(p‖q) = Σ p (log p − log q)      d/dlogits = p (log p − log q − KL)

Over the top k and the rest, V is coarsened to k + 1 cells, P_c and Q_c being the cells' mass. The chain rule gives
every token outside the top k the same factor on its p, so the gradient is a number per row and k entries, not a second
[tokens, V]: forward p_j (1 − Q_rest/P_rest) outside and p_j − q_j inside; reverse p_j (log P_c/Q_c − KL). Coarsening
can only lower a divergence (data processing inequality), so what is held is a lower bound of the full one.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from trainer.regularizers.settings import Direction

VOCABULARY_BLOCK = 512  # rows of the head multiplied at a time on a CPU: they and their logits stay in its last cache


def logits_of(hidden: Tensor, weight: Tensor, buffer: Tensor) -> Tensor:
    """hidden · weightᵀ [n, V] of one dtype for n tokens, in the first n rows of `buffer`. In one product of this shape,
    narrow within and wide without, a CPU makes three quarters of the speed that it makes in blocks."""
    out = buffer[: len(hidden)]
    block = VOCABULARY_BLOCK if hidden.device.type == "cpu" else len(weight)
    for start in range(0, len(weight), block):
        part = slice(start, start + block)
        torch.mm(hidden, weight[part].T, out=out[:, part])
    return out


class Softmax(NamedTuple):
    """A slab of the model's distribution: `scores` [n, V] logits less their row's maximum, `exps` [n, V] their
    exponentials, `log_sum` [n, 1] the logarithm of a row's sum of exponentials."""

    scores: Tensor
    exps: Tensor
    log_sum: Tensor


class Slope(NamedTuple):
    """`kl` [n, 1] in nats and its gradient by the logits: factor · p + dense, and `values` [n, k] added at `ids`."""

    kl: Tensor
    factor: Tensor | float
    dense: Tensor | None = None
    ids: Tensor | None = None
    values: Tensor | None = None


class Chunk(Protocol):
    """The reference of a chunk of tokens."""

    def slope(self, slab: slice, model: Softmax, direction: Direction) -> Slope: ...


class Reference(Protocol):
    """What the model is compared with, token by token."""

    def chunk(self, rows: slice, weight: Tensor | None, dtype: torch.dtype) -> Chunk:
        """The reference of tokens `rows`; `weight` is the model's own head, products run in `dtype`."""
        ...


class HiddenReference:
    """`hidden` [K, D] of a frozen decoder and `weight` [V, D] of its head; None says that it shares the model's, whose
    head is then frozen too (LoRA)."""

    def __init__(self, hidden: Tensor, weight: Tensor | None) -> None:
        self.hidden, self.weight = hidden, weight
        self._logits: Tensor | None = None

    def chunk(self, rows: slice, weight: Tensor | None, dtype: torch.dtype) -> Chunk:
        own = self.weight if self.weight is not None else weight
        assert own is not None
        hidden, own = self.hidden[rows].to(dtype), own.detach().to(dtype)
        # One buffer for all chunks: fresh memory of this size costs a fifth of the product that fills it.
        if self._logits is None or len(self._logits) < len(hidden):
            self._logits = hidden.new_empty(len(hidden), len(own))
        return _Dense(logits_of(hidden, own, self._logits))


@dataclass(frozen=True)
class LogitsReference:
    """`logits` [K, V] of a frozen model; they are overwritten."""

    logits: Tensor

    def chunk(self, rows: slice, weight: Tensor | None, dtype: torch.dtype) -> Chunk:
        return _Dense(self.logits[rows])


@dataclass(frozen=True)
class TopReference:
    """`ids` int64 [K, k] without repetition in a row, and `log_q` [K, k + 1]: log-probabilities of these tokens and, in
    the last place, of all others together."""

    ids: Tensor
    log_q: Tensor

    def chunk(self, rows: slice, weight: Tensor | None, dtype: torch.dtype) -> Chunk:
        return TopReference(self.ids[rows], self.log_q[rows])

    def slope(self, slab: slice, model: Softmax, direction: Direction) -> Slope:
        ids, log_q = self.ids[slab], self.log_q[slab].to(model.scores.dtype)
        log_top = model.scores.gather(1, ids) - model.log_sum
        top = log_top.exp()
        rest = (1 - top.sum(1, keepdim=True)).clamp(min=torch.finfo(top.dtype).eps)
        ratio = torch.cat([log_top, rest.log()], 1) - log_q  # log P_c/Q_c, the rest last
        last = ratio[:, -1:]
        if direction == "forward":
            kl = -(log_q.exp() * ratio).sum(1, keepdim=True)
            share = (-last).exp()  # Q_rest / P_rest
            return Slope(kl, 1 - share, ids=ids, values=share * top - log_q[:, :-1].exp())
        kl = (torch.cat([top, rest], 1) * ratio).sum(1, keepdim=True)
        return Slope(kl, last - kl, ids=ids, values=top * (ratio[:, :-1] - last))


@dataclass(frozen=True)
class _Dense:
    """A chunk of the reference's logits [n, V]; a slab of them is overwritten when it is asked for."""

    logits: Tensor

    def slope(self, slab: slice, model: Softmax, direction: Direction) -> Slope:
        other = self.logits[slab].to(model.scores.dtype)
        other -= other.amax(1, keepdim=True)
        if direction == "forward":
            difference = other - model.scores
            other.exp_()
            total = other.sum(1, keepdim=True)
            q = other.div_(total)
            kl = (difference.mul_(q)).sum(1, keepdim=True) - total.log() + model.log_sum
            return Slope(kl, 1.0, dense=q.neg_())
        log_sum = other.logsumexp(1, keepdim=True)
        ratio = torch.sub(model.scores, other, out=other).add_(log_sum - model.log_sum)
        p = model.exps * (-model.log_sum).exp()
        kl = (p * ratio).sum(1, keepdim=True)
        return Slope(kl, 0.0, dense=ratio.sub_(kl).mul_(p))


def top_and_rest(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k likeliest tokens of each row and the log-probabilities of these and of all others: int64 [n, k], ids
    ascending, and [n, k + 1], as `TopReference` wants them. The rest is summed, not taken from 1, so it is exact
    however small; the result adds up to one."""
    log_p = logits.log_softmax(1)
    ids = log_p.topk(k, dim=1).indices.sort(1).values
    top = log_p.gather(1, ids)
    rest = log_p.scatter(1, ids, float("-inf")).logsumexp(1, keepdim=True)
    return ids, torch.cat([top, rest], 1)
