"""The keyed order is a bijection, differs by epoch, source and seed, and runs backwards."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mixing import order as keyed
from mixing import order_kernels
from mixing.order import indices_of, invert, permute, sequences_at, source_key


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 3000), seed=st.integers(0, 1 << 40), epoch=st.integers(0, 1000))
def test_an_epoch_gives_every_sequence_once_and_inverts(n: int, seed: int, epoch: int) -> None:
    key = source_key(seed, "notes")
    order = sequences_at(epoch * n + np.arange(n), n, key)
    assert sorted(order.tolist()) == list(range(n))
    assert (indices_of(order, np.full(n, epoch), n, key) == np.arange(n)).all()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n=st.integers(1, 1 << 40))
def test_a_single_place_inverts_in_a_source_of_any_size(data: st.DataObject, n: int) -> None:
    index = data.draw(st.integers(0, n - 1))
    key = source_key(3, "web")
    sequence = permute(index, n, key, epoch=2)
    assert 0 <= sequence < n
    assert invert(sequence, n, key, epoch=2) == index


def test_orders_look_random_and_unrelated() -> None:
    n = 20_000
    orders = [
        sequences_at(epoch * n + np.arange(n), n, source_key(seed, name))
        for seed, name, epoch in [(0, "a", 0), (0, "a", 1), (0, "b", 0), (1, "a", 0)]
    ]
    ranks = np.array([np.arange(n), *orders])
    correlation = np.corrcoef(ranks)[np.triu_indices(len(ranks), 1)]
    # Independent permutations correlate with standard deviation 1/√n; five of those is a generous bound.
    assert np.abs(correlation).max() < 5 / np.sqrt(n)
    # Successive places, in a 10 × 10 grid: chi-square with 99 degrees of freedom stays below 180 (p = 1e-6).
    for order in orders:
        cells = np.bincount(order[:-1] * 10 // n * 10 + order[1:] * 10 // n, minlength=100)
        assert ((cells - n / 100) ** 2 / (n / 100)).sum() < 180


@settings(max_examples=40, deadline=None)
@given(data=st.data(), n=st.integers(1, 1 << 40), seed=st.integers(0, 1 << 40))
def test_what_is_compiled_computes_what_stands_there(data: st.DataObject, n: int, seed: int) -> None:
    key, count = source_key(seed, "notes"), data.draw(st.integers(1, 20))
    ordinals = np.array([data.draw(st.integers(0, 5 * n - 1)) for _ in range(count)], np.int64)
    quotas = np.array([data.draw(st.integers(0, 9)) for _ in range(3)])
    before = np.array([data.draw(st.integers(0, 1 << 30)) for _ in range(3)], np.int32)
    many, keys = np.array([n, 7, 1]), np.array([key, key, source_key(seed, "web")])
    asked = {
        "_sequences": (ordinals, n, key),
        "_indices": (ordinals % n, ordinals // n, n, key),
        "_interleave": (quotas,),
        "_rows_of": (before, (before + quotas).astype(np.int32), many, keys),
    }
    for name, arguments in asked.items():
        with np.errstate(over="ignore"):
            plain = getattr(keyed, name)(*arguments)
        assert np.array_equal(plain, order_kernels.COMPILED[name](*arguments))
