"""The fused vocabulary head beside the plain one: forward and backward of hidden states to loss, V = 49,152."""

from collections.abc import Iterator

import torch
from torch.nn.functional import cross_entropy, linear

from benchmarks.measure import Row, interleaved
from trainer.head import head_loss

TOKENS, WIDTH, VOCABULARY = 1024, 384, 49_152


def rows() -> Iterator[Row]:
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(VOCABULARY, WIDTH, generator=generator) * 0.02).requires_grad_()
    hidden = torch.randn(TOKENS, WIDTH, generator=generator).requires_grad_()
    labels = torch.randint(0, VOCABULARY, (TOKENS,), generator=generator)

    each = torch.full((TOKENS,), 1 / TOKENS)

    def fused() -> None:
        head_loss(hidden, weight, labels, each, chunk=512).loss.backward()
        hidden.grad = weight.grad = None

    def plain() -> None:
        cross_entropy(linear(hidden, weight), labels).backward()
        hidden.grad = weight.grad = None

    rates = interleaved(TOKENS, fused, plain)
    yield Row(
        "vocabulary head, cross-entropy, fp32", "tokens/s", rates[0], "torch cross_entropy on all logits", rates[1]
    )
