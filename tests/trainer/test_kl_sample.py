"""KL on a sample of the rows: drawn the same however rows are dealt, unbiased, and the base runs on no others."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from mixing.batch import IGNORE  # noqa: E402
from trainer.head.divergence import LogitsReference, Reference  # noqa: E402
from trainer.regularizers.hooks import MicroBatch  # noqa: E402
from trainer.regularizers.kl import KlToBase  # noqa: E402

pytestmark = pytest.mark.slow
LENGTH = 12
HELD = torch.tensor([False, True])


class Asked:
    """A base that remembers which rows it was run on."""

    everywhere = False

    def __init__(self) -> None:
        self.rows: list[torch.Tensor] = []

    def reference(self, micro: MicroBatch, rows: "torch.Tensor", held: "torch.Tensor") -> Reference:
        self.rows.append(rows)
        return LogitsReference(torch.zeros(int(held.sum()), 3))


def rows_of(seed: int, count: int, step: int) -> MicroBatch:
    """Ragged rows of two sources: from a place of its own on, a row predicts nothing."""
    random = np.random.default_rng(seed)
    ids = torch.from_numpy(random.integers(0, 50, (count, LENGTH)))
    predicted = torch.arange(LENGTH) < torch.from_numpy(random.integers(1, LENGTH + 1, count))[:, None]
    positions = torch.arange(LENGTH).expand(count, LENGTH)
    sources = torch.from_numpy(random.integers(0, 2, count))
    return MicroBatch(ids, positions, torch.where(predicted, ids, IGNORE), torch.zeros_like(ids), sources, step)


def part_of(micro: MicroBatch, rows: "torch.Tensor") -> MicroBatch:
    names = ("input_ids", "position_ids", "labels", "document_ids", "source_ids")
    return MicroBatch(*(getattr(micro, name)[rows] for name in names), step=micro.step)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(1, 20), step=st.integers(0, 10**6), share=st.floats(0.05, 1.0))
def test_whole_rows_are_drawn_and_the_same_ones_however_they_are_dealt(
    seed: int, count: int, step: int, share: float
) -> None:
    micro, kl = rows_of(seed, count, step), KlToBase(Asked(), HELD, 0.1, "forward", share, seed)
    held, drawn = kl.held(micro), kl.drawn(micro)
    assert torch.equal(held, (micro.labels != IGNORE) & (micro.source_ids == 1)[:, None])
    assert torch.equal(drawn, held & drawn.any(1)[:, None])
    if share == 1:
        assert torch.equal(drawn, held)
    dealt = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    for rows in dealt.split(3):
        assert torch.equal(kl.drawn(part_of(micro, rows)), drawn[rows])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(1, 9), share=st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_over_the_steps_a_sample_weighs_as_much_as_all_rows(seed: int, count: int, share: float) -> None:
    steps = 1500
    kl = KlToBase(Asked(), HELD, 0.1, "forward", share, seed)
    everything = rows_of(seed, count, 0)
    nats = torch.rand(everything.labels.shape, generator=torch.Generator().manual_seed(seed)).double()
    held = kl.held(everything)
    if not held.any():
        return
    whole = float(nats[held].mean())
    sums = []
    for step in range(steps):
        term = kl.term(rows_of(seed, count, step), 1 / int(held.sum()))
        sums.append(float((nats.flatten()[term.tokens] * term.weights).sum()) if term is not None else 0.0)
    by_row = (nats * held).sum(1) / held.sum()
    error = math.sqrt(float(by_row.square().sum()) * (1 - share) / share / steps)
    assert abs(float(np.mean(sums)) - whole) < 5 * error


def test_the_base_runs_on_the_drawn_rows_alone_and_not_at_all_without_one() -> None:
    base = Asked()
    kl = KlToBase(base, HELD, 0.1, "forward", 0.3)
    taken = 0
    for step in range(50):
        micro = rows_of(3, 4, step)
        drawn = kl.drawn(micro)
        term = kl.term(micro, 1.0)
        assert (term is None) == (not drawn.any())
        if term is not None:
            assert torch.equal(base.rows.pop(), drawn.any(1))
            assert torch.equal(term.tokens, drawn.flatten().nonzero().squeeze(1))
            assert torch.allclose(term.weights, torch.tensor(1 / 0.3))
            taken += 1
        assert not base.rows
    assert 0 < taken < 50
