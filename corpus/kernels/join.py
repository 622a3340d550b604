"""The inner loop of the LSH join: runs of equal keys to pairs of documents.

Keys are sorted packed, the upper bits of a key over the index of its document, so that one sort of plain integers
orders both. Equal upper bits only propose: the loop compares the whole keys.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def count_pairs(packed, low, largest):
    """(pairs at most, runs of more than `largest`) of ascending `packed`, whose lowest bits `low` hold indices."""
    pairs, large = 0, 0
    start, total = 0, len(packed)
    while start < total:
        stop = start + 1
        while stop < total and (packed[start] ^ packed[stop]) <= low:
            stop += 1
        size = stop - start
        if size > largest:
            large += 1
        else:
            pairs += size * (size - 1) // 2
        start = stop
    return pairs, large


@njit(cache=True, nogil=True)
def fill_pairs(packed, low, largest, keys, ranks, codes, runs):
    """Write smaller rank << 32 | larger rank of each two documents with one key to `codes`; returns how many.

    keys uint64 and ranks uint32 by index. Runs of more than `largest` are left to the caller: runs[i] = (start, stop).
    """
    count, large = 0, 0
    start, total = 0, len(packed)
    while start < total:
        stop = start + 1
        while stop < total and (packed[start] ^ packed[stop]) <= low:
            stop += 1
        if stop - start > largest:
            runs[large, 0], runs[large, 1] = start, stop
            large += 1
        else:
            for one in range(start, stop - 1):
                a = np.int64(packed[one] & low)
                for other in range(one + 1, stop):
                    b = np.int64(packed[other] & low)
                    if keys[a] == keys[b]:
                        x, y = np.uint64(ranks[a]), np.uint64(ranks[b])
                        codes[count] = min(x, y) << np.uint64(32) | max(x, y)
                        count += 1
        start = stop
    return count


@njit(cache=True, nogil=True)
def greedy_cover(neighbours, bounds, order, keeper):
    """Fill int64 `keeper`[i], −1 at first, with the document that stays for i, itself if i stays.

    Documents are visited by `order`; one without a keeper stays and takes its neighbours that have none:
    neighbours[bounds[i] : bounds[i + 1]] of document i. Cost: documents + edges.
    """
    for document in order:
        if keeper[document] < 0:
            keeper[document] = document
            for at in range(bounds[document], bounds[document + 1]):
                if keeper[neighbours[at]] < 0:
                    keeper[neighbours[at]] = document
