"""Telling equal pieces of a text apart from new ones, so that what is costly is asked once for each.

Tables, logs and hostile texts repeat themselves: of a hundred thousand candidates in a megabyte few have surroundings
of their own. A hash table over the bytes themselves: equal means equal, byte by byte.
"""

import numba
import numpy as np

from corpus.kernels.hashing import BASIS, PRIME, avalanche, slots_for


@numba.njit(cache=True, nogil=True)
def _same(data, low, other, size):
    same = True
    for place in range(size):
        same &= data[low + place] == data[other + place]
    return same


@numba.njit(cache=True, nogil=True)
def distinct(data, lows, starts, ends, highs, kinds):
    """(which int32[pieces], firsts int32[different]): the number of each piece among the different ones, and where each
    of those occurs first. Pieces are the same where data[low:high], the place of [start, end) in it and the kind are.
    """
    number = len(starts)
    table = np.full(slots_for(number), -1, np.int32)
    mask = len(table) - 1
    which, firsts = np.empty(number, np.int32), np.empty(number, np.int32)
    different = 0
    for index in range(number):
        low, high = lows[index], highs[index]
        value = (BASIS ^ np.uint64(kinds[index])) * PRIME
        value = (value ^ np.uint64(starts[index] - low)) * PRIME
        value = (value ^ np.uint64(ends[index] - low)) * PRIME
        for place in range(low, high):
            value = (value ^ np.uint64(data[place])) * PRIME
        slot = np.int64(avalanche(value) & np.uint64(mask))
        while table[slot] >= 0:
            other = firsts[table[slot]]
            if (
                kinds[other] == kinds[index]
                and starts[other] - lows[other] == starts[index] - low
                and ends[other] - lows[other] == ends[index] - low
                and highs[other] - lows[other] == high - low
                and _same(data, low, lows[other], high - low)
            ):
                break
            slot = (slot + 1) & mask
        if table[slot] < 0:
            table[slot] = different
            firsts[different] = index
            different += 1
        which[index] = table[slot]
    return which, firsts[:different].copy()


@numba.njit(cache=True, nogil=True)
def windows_of(starts, ends, begins, stops, documents, reach):
    """(lows, highs) int64[spans]: [start, end) and `reach` bytes on either side of it, within its document."""
    lows, highs = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    for index in range(len(starts)):
        lows[index] = max(begins[documents[index]], starts[index] - reach)
        highs[index] = min(stops[documents[index]], ends[index] + reach)
    return lows, highs
