"""Documents numbered by ascending id, and exact groups: what makes the join independent of files and their order.

    ids of all groups ─ one range of ids at a time ─► ranks, repeated ids refused
    exact hashes ─ one range of hashes at a time ─► (smallest rank, rank) of every further copy

Ids and exact hashes are hashes themselves, so ranges of equal width hold about equally many. Memory: 4 bytes a
document, and about 50 a document of one range.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from corpus.artifact import Draft
from corpus.dedup.keys import SKETCHED, UNREADABLE, Keys
from corpus.errors import DataError

NOBODY = np.uint32(0xFFFFFFFF)  # the rank of a record that is no document


def range_bits(amount: int, largest: int) -> int:
    """How many leading bits of a hash cut `amount` rows into ranges of about `largest`."""
    return max(0, int(amount - 1) // largest).bit_length()


def in_range(hashes: np.ndarray, part: int, bits: int) -> np.ndarray:
    """bool: the hashes whose leading `bits` are `part`."""
    if not bits:
        return np.ones(len(hashes), bool)
    return hashes >> np.uint64(64 - bits) == np.uint64(part)


def number_documents(groups: Sequence[Keys], largest: int, draft: Draft) -> None:
    """Write rank.npy uint32[records] (NOBODY for an unreadable one), copies.npy uint32[copies, 2] (first, copy),
    ascending, and joined.npy bool[records]: the documents that take part in the join, one of each exact group.

    `largest` bounds the documents in memory at a time. Raises DataError when two documents have one id.
    """
    records = sum(len(keys.state) for keys in groups)
    bits = range_bits(records, largest)
    rank = np.full(records, NOBODY, np.uint32)
    count = 0
    for part in range(1 << bits):
        high, low, place = _select(groups, lambda keys: keys.ids, part, bits)
        order = _ascending(high, low, place)
        high, low = high[order], low[order]
        if repeated := int(((high[1:] == high[:-1]) & (low[1:] == low[:-1])).sum()):
            raise DataError(
                "two documents have the same id",
                where=f"{len(groups)} groups of units",
                found=f"{repeated} repeated ids",
                todo="a unit is given twice, or two sources have the same name",
            )
        rank[place[order]] = np.arange(count, count + len(order), dtype=np.uint32)
        count += len(order)
    joined = np.concatenate([np.asarray(keys.state) == SKETCHED for keys in groups] or [np.zeros(0, bool)])
    copies = [np.zeros((0, 2), np.uint32)]
    for part in range(1 << bits):
        first, copy, place = _copies(groups, rank, part, bits)
        joined[place] = False
        copies.append(np.stack([first, copy], axis=1))
    pairs = np.concatenate(copies)
    for name, values in (("rank", rank), ("joined", joined), ("copies", pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))])):
        np.save(draft.path / f"{name}.npy", values)
    draft.totals |= {"documents": count, "copies": len(pairs)}


def _select(
    groups: Sequence[Keys], column: Callable[[Keys], np.ndarray], part: int, bits: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(high, low, place) of the readable documents whose 128-bit `column` lies in range `part`."""
    found = []
    for start, keys in _with_starts(groups):
        values = column(keys)
        rows = np.flatnonzero(in_range(values[:, 0], part, bits) & (keys.state != UNREADABLE))
        found.append((values[rows, 0], values[rows, 1], rows + start))
    high, low, place = zip(*found, strict=True) if found else ((np.zeros(0, np.uint64),),) * 3
    return np.concatenate(high), np.concatenate(low), np.concatenate(place).astype(np.int64)


def _with_starts(groups: Sequence[Keys]) -> Iterator[tuple[int, Keys]]:
    start = 0
    for keys in groups:
        yield start, keys
        start += len(keys.state)


def _ascending(high: np.ndarray, low: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The order by (high, low, last): one sort of `high`, as good as free of ties, and a second one of the ties."""
    order = np.argsort(high)
    tied = _in_runs(high[order])
    some = order[tied]
    order[tied] = some[np.lexsort((last[some], low[some], high[some]))]
    return order


def _in_runs(ascending: np.ndarray) -> np.ndarray:
    """bool: values equal to a neighbour."""
    same = ascending[1:] == ascending[:-1]
    return np.concatenate([same, [False]]) | np.concatenate([[False], same]) if len(ascending) else np.zeros(0, bool)


def _copies(
    groups: Sequence[Keys], rank: np.ndarray, part: int, bits: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first, copy, place of the copy): ranks in the exact groups of one range of hashes."""
    high, low, place = _select(groups, lambda keys: keys.exact, part, bits)
    ranks = rank[place]
    order = _ascending(high, low, ranks)
    high, low, place, ranks = high[order], low[order], place[order], ranks[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    first = ranks[fresh][np.cumsum(fresh) - 1]
    return first[~fresh], ranks[~fresh], place[~fresh]
