"""The vocabulary head and the losses in one autograd function, gradients formed in the forward pass.

    hidden [tokens, D] ── chunk by chunk ──► logits [chunk, V] ─► CE, KL, z ─► dlogits ─► dhidden, dweight

The logits of a chunk live only until its gradients are formed, in one buffer that all chunks share, so the peak is
O(chunk · V) where the usual two-step form holds O(tokens · V) logits and as many gradients; nothing is computed twice.
Between the two products a chunk is worked through in slabs that stay in the processor's cache: what is done per logit
costs a tenth of the products instead of a half. `benchmarks/trainer.py` says what that gives.

Per token t, with p the softmax of its logits and z = log Σ exp(logits):

    loss  = w_t (−log p_label + ζ z²) + v_t KL_t
    slope = w_t (p − onehot + 2 ζ z p) + v_t dKL_t       (trainer/head/divergence.py has dKL)

Heads that are not hidden · weightᵀ (a softcap, a scale, a bias) go through `logits_loss`, the same arithmetic on logits
that the model made itself.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mixing.batch import IGNORE
from trainer.head.divergence import Chunk, Reference, Softmax, logits_of
from trainer.regularizers.settings import Direction

SLAB_BYTES = 4 << 20  # of logits worked on at a time on a CPU: two such blocks stay in its last cache


@dataclass(frozen=True)
class KlTerm:
    """A penalty on some tokens: `tokens` int64 [K] indexes the head's tokens without repetition, `reference` says what
    each is compared with, `weights` float [K] multiply each token's KL."""

    tokens: Tensor
    reference: Reference
    weights: Tensor
    direction: Direction


class HeadLoss(NamedTuple):
    """`loss` is the weighted sum (the only differentiable part); `ce` and `kl` are nats per token, float [tokens],
    unweighted, without the z-loss, and 0 where not computed."""

    loss: Tensor
    ce: Tensor
    kl: Tensor


def head_loss(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    ce_weights: Tensor,
    kl: KlTerm | None = None,
    *,
    chunk: int = 256,
    z_loss: float = 0.0,
) -> HeadLoss:
    """Σ ce_weights · (CE + z_loss · z²) + Σ kl.weights · KL, for hidden [tokens, D], weight [V, D], labels [tokens].

    Tokens whose label is IGNORE and that carry no KL are skipped. The products run in autocast's dtype when autocast is
    on and in `weight`'s otherwise; the softmax in float32 (float64 for float64 inputs). Gradients go to `hidden` and
    `weight`; a tied embedding's gradient adds up as usual. Backward can run once.
    """
    tokens = _Tokens.of(labels, ce_weights, kl)
    loss, ce, divergence = _FusedHead.apply(
        hidden.index_select(0, tokens.order), weight, tokens, chunk, z_loss, torch.is_grad_enabled()
    )
    return tokens.spread(loss, ce, divergence)


def logits_loss(
    logits: Tensor, labels: Tensor, ce_weights: Tensor, kl: KlTerm | None = None, *, z_loss: float = 0.0
) -> HeadLoss:
    """`head_loss` of logits [tokens, V] that some other head made; it holds them and as many gradients."""
    tokens = _Tokens.of(labels, ce_weights, kl)
    loss, ce, divergence = _LogitsLoss.apply(
        logits.index_select(0, tokens.order), tokens, z_loss, torch.is_grad_enabled()
    )
    return tokens.spread(loss, ce, divergence)


@dataclass(frozen=True)
class _Tokens:
    """The tokens that have a loss, those with KL first and in its order: their places, labels and CE weights."""

    order: Tensor
    labels: Tensor
    ce_weights: Tensor
    kl: KlTerm | None
    total: int
    predicted: Tensor

    @classmethod
    def of(cls, labels: Tensor, ce_weights: Tensor, kl: KlTerm | None) -> "_Tokens":
        predicted = labels != IGNORE
        plain = predicted
        if kl is not None:
            plain = predicted.clone()
            plain[kl.tokens] = False
        order = plain.nonzero().squeeze(1)
        if kl is not None:
            order = torch.cat([kl.tokens, order])
        weights = torch.where(predicted, ce_weights, 0)[order]
        return cls(order, labels[order].clamp(min=0), weights, kl, len(labels), predicted[order])

    @property
    def with_kl(self) -> int:
        return len(self.kl.tokens) if self.kl is not None else 0

    def spans(self, chunk: int) -> list[tuple[int, int]]:
        """All tokens in chunks that do not cross the end of the KL: a chunk pays for the reference or it does not."""
        edges = [*range(0, self.with_kl, chunk), *range(self.with_kl, len(self.order), chunk), len(self.order)]
        return list(pairwise(edges))

    def reference(self, rows: slice, weight: Tensor | None, dtype: torch.dtype) -> Chunk | None:
        if self.kl is None or rows.start >= self.with_kl:
            return None
        return self.kl.reference.chunk(rows, weight, dtype)

    def spread(self, loss: Tensor, ce: Tensor, divergence: Tensor) -> HeadLoss:
        """Values of the ordered tokens at their places among all."""
        everywhere = ce.new_zeros(2, self.total)
        everywhere[0, self.order] = torch.where(self.predicted, ce, 0)
        if self.kl is not None:
            everywhere[1, self.kl.tokens] = divergence
        return HeadLoss(loss, everywhere[0], everywhere[1])


class _Losses:
    """Sums up the losses of chunk after chunk and turns their logits into gradients."""

    def __init__(self, tokens: _Tokens, z_loss: float, dtype: torch.dtype, differentiate: bool) -> None:
        self.tokens, self.z_loss, self.dtype, self.differentiate = tokens, z_loss, dtype, differentiate
        device = tokens.labels.device
        self.ce = torch.empty(len(tokens.order), dtype=dtype, device=device)
        self.kl = torch.empty(tokens.with_kl, dtype=dtype, device=device)
        self.z_squared = torch.zeros((), dtype=dtype, device=device)
        self.ce_weights = tokens.ce_weights.to(dtype)
        self.kl_weights = tokens.kl.weights.to(dtype) if tokens.kl is not None else None

    def chunk(self, logits: Tensor, rows: slice, reference: Chunk | None) -> None:
        """Overwrite the logits [n, V] of tokens `rows` with their gradients."""
        size = len(logits)
        slab = size if logits.device.type != "cpu" else max(1, SLAB_BYTES // (4 * logits.shape[1]))
        exps = torch.empty(min(slab, size), logits.shape[1], dtype=self.dtype, device=logits.device)
        for start in range(0, size, slab):
            part = slice(start, min(start + slab, size))
            scores = logits[part].to(self.dtype)
            self._slab(scores, exps[: len(scores)], rows.start, part, reference)
            if self.differentiate and logits.dtype != self.dtype:
                logits[part] = scores

    def _slab(self, scores: Tensor, exps: Tensor, offset: int, part: slice, reference: Chunk | None) -> None:
        rows = slice(offset + part.start, offset + part.stop)
        labels, weights = self.tokens.labels[rows, None], self.ce_weights[rows, None]
        highest = scores.amax(1, keepdim=True)
        scores -= highest
        torch.exp(scores, out=exps)
        log_sum = exps.sum(1, keepdim=True).log_()
        self.ce[rows] = (log_sum - scores.gather(1, labels)).squeeze(1)
        factor: Tensor = weights
        if self.z_loss:
            z = log_sum + highest
            self.z_squared += (weights * z.square()).sum()
            factor = weights * (1 + 2 * self.z_loss * z)
        slope = strength = None
        if reference is not None and self.kl_weights is not None and self.tokens.kl is not None:
            slope = reference.slope(part, Softmax(scores, exps, log_sum), self.tokens.kl.direction)
            self.kl[rows] = slope.kl.squeeze(1)
            strength = self.kl_weights[rows, None]
            factor = factor + strength * slope.factor
        if not self.differentiate:
            return
        torch.mul(exps, factor * (-log_sum).exp(), out=scores)
        scores.scatter_add_(1, labels, -weights)
        if slope is not None and strength is not None:
            if slope.dense is not None:
                scores.addcmul_(slope.dense, strength)
            if slope.ids is not None and slope.values is not None:
                scores.scatter_add_(1, slope.ids, strength * slope.values)

    def total(self) -> Tensor:
        loss = (self.ce * self.ce_weights).sum() + self.z_loss * self.z_squared
        return loss if self.kl_weights is None else loss + (self.kl * self.kl_weights).sum()


class _FusedHead(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, tokens: _Tokens, chunk: int, z_loss: float, differentiate: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        losses = _Losses(tokens, z_loss, torch.promote_types(dtype, torch.float32), differentiate)
        operand, inputs = weight.to(dtype), hidden.to(dtype)
        d_hidden = torch.empty_like(hidden) if differentiate else None
        d_weight = torch.zeros_like(weight) if differentiate and ctx.needs_input_grad[1] else None
        buffer = inputs.new_empty(min(chunk, len(hidden)), len(weight))
        for start, stop in tokens.spans(chunk):
            rows = slice(start, stop)
            logits = logits_of(inputs[rows], operand, buffer)
            losses.chunk(logits, rows, tokens.reference(rows, operand, dtype))
            if d_hidden is not None:
                d_hidden[rows] = logits @ operand
            if d_weight is not None and dtype == d_weight.dtype:
                d_weight.addmm_(logits.T, inputs[rows])
            elif d_weight is not None:
                d_weight += logits.T @ inputs[rows]
        ctx.gradients = d_hidden, d_weight
        ctx.mark_non_differentiable(losses.ce, losses.kl)
        return losses.total(), losses.ce, losses.kl

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_weight = ctx.gradients
        ctx.gradients = None  # scaled in place below, so they serve once
        for gradient in (d_hidden, d_weight):
            _scale(gradient, upstream[0])
        return d_hidden, d_weight, None, None, None, None


class _LogitsLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, tokens: _Tokens, z_loss: float, differentiate: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        losses = _Losses(tokens, z_loss, torch.promote_types(logits.dtype, torch.float32), differentiate)
        gradient = logits.detach().clone()
        for start, stop in tokens.spans(len(logits) or 1):
            rows = slice(start, stop)
            losses.chunk(gradient[rows], rows, tokens.reference(rows, None, logits.dtype))
        ctx.gradient = gradient
        ctx.mark_non_differentiable(losses.ce, losses.kl)
        return losses.total(), losses.ce, losses.kl

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradient, ctx.gradient = ctx.gradient, None
        _scale(gradient, upstream[0])
        return gradient, None, None, None


def _scale(gradient: Tensor | None, upstream: Tensor) -> None:
    # A product with 1 is a pass over a tensor as large as the embedding; on a GPU asking would make the host wait.
    if gradient is not None and (upstream.device.type != "cpu" or upstream != 1):
        gradient *= upstream


@torch.no_grad()
def sample_labels(states: Tensor, weight: Tensor | None, generator: torch.Generator, chunk: int) -> Tensor:
    """One label per token drawn from softmax(hidden weightᵀ), or from softmax(states) without a weight: int64 [tokens]
    for states [tokens, D] or [tokens, V]."""
    drawn = []
    for part in states.float().split(chunk):
        logits = part if weight is None else part @ weight.float().T
        drawn.append(torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1))
    return torch.cat(drawn)
