"""The order of the sequences inside a source: for every epoch a keyed bijection of [0, n), computed in O(1).

A Feistel network on the rectangle a × b, a = ⌈√n⌉ and b = ⌈n/a⌉, alternately adds a keyed hash of one coordinate to
the other; values outside [0, n), fewer than a of them, walk the cycle until they fall inside (Black and Rogaway 2002).
It needs no table, so a plan for a trillion tokens stays small, and it runs backwards, so that a sequence's place in the
order is found without a log.

Written once and run in two ways: as it stands for the first `FEW` values of a process, which a look-up never exceeds,
and compiled from then on (mixing/order_kernels.py), since loading numba takes as long as some five thousand values.
"""

import hashlib
from typing import Any

import numpy as np

FEW = 2048
_ROUNDS = 8
_asked = 0  # values of this process so far


def source_key(seed: int, source: str) -> np.uint64:
    """The key of a source's order: a function of the plan's seed and the source's name."""
    digest = hashlib.sha256(f"{seed}\0{source}".encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))


def _mix(value):
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): a bijection of 64 bits without structure left."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _round(key, number, half, modulus):
    salt = key + np.uint64(number + 1) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64(_mix(_mix(salt) ^ np.uint64(half)) % np.uint64(modulus))


def _sides(n):
    a = np.int64(np.ceil(np.sqrt(np.float64(n))))
    return a, (n + a - 1) // a


def _epoch_key(key, epoch):
    return _mix(key + np.uint64(epoch + 1) * np.uint64(0xD1342543DE82EF95))


def _forward(index, n, key):
    a, b = _sides(n)
    value = index
    while True:
        x, y = value // b, value % b
        for number in range(0, _ROUNDS, 2):
            x = (x + _round(key, number, y, a)) % a
            y = (y + _round(key, number + 1, x, b)) % b
        value = x * b + y
        if value < n:
            return value


def _backward(sequence, n, key):
    a, b = _sides(n)
    value = sequence
    while True:
        x, y = value // b, value % b
        for number in range(_ROUNDS - 2, -1, -2):
            y = (y - _round(key, number + 1, x, b)) % b
            x = (x - _round(key, number, y, a)) % a
        value = x * b + y
        if value < n:
            return value


def _sequences(ordinals, n, key):
    out = np.empty(len(ordinals), np.int64)
    for i in range(len(ordinals)):
        out[i] = _forward(ordinals[i] % n, n, _epoch_key(key, ordinals[i] // n))
    return out


def _indices(sequences, epochs, n, key):
    out = np.empty(len(sequences), np.int64)
    for i in range(len(sequences)):
        out[i] = _backward(sequences[i], n, _epoch_key(key, epochs[i]))
    return out


def _interleave(quotas):
    total = quotas.sum()
    source, within = np.empty(total, np.int64), np.empty(total, np.int64)
    place = np.empty(total, np.float64)
    row = 0
    for i in range(len(quotas)):
        for j in range(quotas[i]):
            source[row], within[row], place[row] = i, j, (2 * j + 1) / (2 * quotas[i])
            row += 1
    order = np.argsort(place, kind="mergesort")
    return source[order], within[order]


def _rows_of(before, after, per_epoch, keys):
    source, within = _interleave((after - before).astype(np.int64))
    sequence, epoch = np.empty_like(source), np.empty_like(source)
    for row in range(len(source)):
        i = source[row]
        ordinal = before[i] + within[row]
        epoch[row] = ordinal // per_epoch[i]
        sequence[row] = _forward(ordinal % per_epoch[i], per_epoch[i], _epoch_key(keys[i], epoch[row]))
    return source, sequence, epoch


def interleave(quotas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a batch: `source` and, within the batch, the number of its sequence; both int64[Σ quotas].

    The j-th of a source's k sequences lies at (j + ½)/k of the batch, ties by the order of the sources.
    """
    return _run("_interleave", int(quotas.sum()), quotas)


def rows_of(
    before: np.ndarray, after: np.ndarray, per_epoch: np.ndarray, keys: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """source, sequence and epoch of each row of a batch, int64[rows]: from the sequences that every source has given
    before and after it, int[sources], its sequences per epoch and its key."""
    return _run("_rows_of", int(after.sum()) - int(before.sum()), before, after, per_epoch, keys)


def permute(index: int, n: int, key: np.uint64, epoch: int = 0) -> int:
    """The sequence at place `index` of the order of one epoch over n sequences."""
    return int(sequences_at(np.array([epoch * n + index]), n, key)[0])


def invert(sequence: int, n: int, key: np.uint64, epoch: int = 0) -> int:
    """The place of `sequence` in the order of one epoch over n sequences."""
    return int(indices_of(np.array([sequence]), np.array([epoch]), n, key)[0])


def sequences_at(ordinals: np.ndarray, n: int, key: np.uint64) -> np.ndarray:
    """int64[k]: the sequences given by a source as its o-th, counted from 0 over all epochs, o int64[k]."""
    return _run("_sequences", len(ordinals), np.ascontiguousarray(ordinals, np.int64), n, key)


def indices_of(sequences: np.ndarray, epochs: np.ndarray, n: int, key: np.uint64) -> np.ndarray:
    """int64[k]: the places of sequences int64[k] in the orders of epochs int64[k]."""
    wanted = np.ascontiguousarray(sequences, np.int64), np.ascontiguousarray(epochs, np.int64)
    return _run("_indices", len(sequences), *wanted, n, key)


def _run(name: str, values: int, *arguments: Any) -> Any:
    """The answer of a function of this module that computes so many values, compiled where that pays."""
    global _asked
    _asked += values
    if _asked > FEW:
        from mixing import order_kernels

        return order_kernels.COMPILED[name](*arguments)
    with np.errstate(over="ignore"):  # hashes are meant to wrap
        return globals()[name](*arguments)
