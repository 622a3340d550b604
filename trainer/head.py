"""The vocabulary head and the losses in one autograd function, gradients formed in the forward pass.

    hidden [tokens, D] ── chunk by chunk ──► logits [chunk, V] ─► CE, KL ─► dlogits ─► dhidden, dweight

The logits of a chunk live only until its gradients are formed, so the peak is O(chunk · V) where the usual two-step
form holds O(tokens · V) logits and as many gradients; nothing is computed twice. With V = 49,152 and D = 384 this is
8 to 10% faster than the plain form at 0.8 of its memory, and KL plus CE 1.3 times faster at 0.6.

Forward KL(ref‖θ) = Σ q (log q − log p) has dlogits = p − q; reverse KL(θ‖ref) = Σ p (log p − log q) has
dlogits = p (log p − log q − KL), with p the model's and q the reference's distribution.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mixing.batch import IGNORE
from trainer.settings import Direction


@dataclass(frozen=True)
class KlTerm:
    """A penalty on some tokens: `tokens` int64 [K] indexes the head's tokens without repetition, `hidden` [K, D] and
    `weight` [V, D] are the reference's, `weights` float [K] multiply each token's KL."""

    tokens: Tensor
    hidden: Tensor
    weight: Tensor
    weights: Tensor
    direction: Direction


class HeadLoss(NamedTuple):
    """`loss` is the weighted sum (the only differentiable part); `ce` and `kl` are nats per token, float [tokens],
    unweighted and 0 where not computed."""

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
    chunk: int = 1024,
) -> HeadLoss:
    """Σ ce_weights · CE(hidden weightᵀ, labels) + Σ kl.weights · KL, for hidden [tokens, D] and labels [tokens].

    Tokens whose label is IGNORE and that carry no KL are skipped. The products run in autocast's dtype when autocast is
    on and in `weight`'s otherwise; the softmax in float32 (float64 for float64 inputs). Gradients go to `hidden` and
    `weight`; a tied embedding's gradient adds up as usual. Backward can run once.
    """
    predicted = labels != IGNORE
    if kl is None:
        order = predicted.nonzero().squeeze(1)
    else:
        plain = predicted.clone()
        plain[kl.tokens] = False
        order = torch.cat([kl.tokens, plain.nonzero().squeeze(1)])
    loss, ce, divergence = _FusedHead.apply(
        hidden[order],
        weight,
        labels[order].clamp(min=0),
        torch.where(predicted, ce_weights, 0)[order],
        kl,
        chunk,
        torch.is_grad_enabled(),
    )
    everywhere = ce.new_zeros(2, len(labels))
    everywhere[0, order] = torch.where(predicted[order], ce, 0)
    if kl is not None:
        everywhere[1, kl.tokens] = divergence
    return HeadLoss(loss, everywhere[0], everywhere[1])


class _FusedHead(torch.autograd.Function):
    """Tokens [0, K) carry the KL of `kl`, in its order; all tokens carry CE."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        labels: Tensor,
        ce_weights: Tensor,
        kl: KlTerm | None,
        chunk: int,
        differentiate: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        softmax_dtype = torch.promote_types(dtype, torch.float32)
        with_kl = 0 if kl is None else len(kl.tokens)
        operand, inputs = weight.to(dtype), hidden.to(dtype)
        reference = kl.weight.to(dtype) if kl is not None else None
        ce = torch.empty(len(hidden), dtype=softmax_dtype, device=hidden.device)
        divergence = torch.empty(with_kl, dtype=softmax_dtype, device=hidden.device)
        d_hidden = torch.empty_like(hidden) if differentiate else None
        d_weight = torch.zeros_like(weight) if differentiate and ctx.needs_input_grad[1] else None

        for start, stop in _spans(with_kl, len(hidden), chunk):
            rows = slice(start, stop)
            # [chunk, V]: logits, then in place log-probabilities, probabilities and at last d loss / d logits.
            scores = (inputs[rows] @ operand.T).to(softmax_dtype)
            scores -= scores.logsumexp(1, keepdim=True)
            ce[rows] = -scores.gather(1, labels[rows, None]).squeeze(1)
            slope = None
            if kl is not None and reference is not None and start < with_kl:
                log_q = (kl.hidden[rows].to(dtype) @ reference.T).to(softmax_dtype).log_softmax(1)
                divergence[rows], slope = _divergence(scores, log_q, kl.direction)
                slope *= kl.weights[rows, None]
            if d_hidden is None:
                continue
            scores.exp_().mul_(ce_weights[rows, None])
            scores.scatter_add_(1, labels[rows, None], -ce_weights[rows, None].to(softmax_dtype))
            if slope is not None:
                scores += slope
            d_scores = scores.to(dtype)
            d_hidden[rows] = d_scores @ operand
            if d_weight is None:
                continue
            if dtype == d_weight.dtype:
                d_weight.addmm_(d_scores.T, inputs[rows])
            else:
                d_weight += d_scores.T @ inputs[rows]

        loss = (ce * ce_weights).sum()
        if kl is not None:
            loss = loss + (divergence * kl.weights).sum()
        ctx.gradients = d_hidden, d_weight
        ctx.mark_non_differentiable(ce, divergence)
        return loss, ce, divergence

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_weight = ctx.gradients
        ctx.gradients = None  # scaled in place below, so they serve once
        d_hidden *= upstream[0]
        if d_weight is not None:
            d_weight *= upstream[0]
        return d_hidden, d_weight, None, None, None, None, None


def _divergence(log_p: Tensor, log_q: Tensor, direction: Direction) -> tuple[Tensor, Tensor]:
    """KL per token [chunk] and its gradient with respect to the model's logits [chunk, V]; `log_q` is overwritten."""
    if direction == "forward":
        q = log_q.exp()
        kl = (q * (log_q - log_p)).sum(1)
        return kl, log_p.exp().sub_(q)
    p = log_p.exp()
    ratio = log_q.neg_().add_(log_p)
    kl = (p * ratio).sum(1)
    return kl, ratio.sub_(kl[:, None]).mul_(p)


def _spans(boundary: int, total: int, chunk: int) -> list[tuple[int, int]]:
    """[0, total) in chunks that do not cross `boundary`: a chunk pays for the reference's logits or it does not."""
    edges = [*range(0, boundary, chunk), *range(boundary, total, chunk), total]
    return list(pairwise(edges))
