"""Quotas: how many sequences each source of a group gives to each step, whole numbers within one of the asked curve.

The group's cumulative target is a clock q(t) that runs from 0 to U·2^20 (U its sequences in all); source i, which has
u_i of the U, is due its k-th sequence when the clock has gone k/u_i of the way. So the k-th sequence of i may be given
from the step where its target passes k − 1 and must be given by the step where it reaches k: a unit job with a release
and a deadline. The group's room in each step is its own target rounded with a fixed phase, and such a rounding leaves
in any interval at least the whole part of what the target grows by, which is at least the number of jobs that must lie
in the interval. By Hall's theorem the jobs fit, and earliest deadline first finds a way (Steiner and Yeomans 1993 for
constant rates; the chairman assignment of Tijdeman 1980). Hence for every source and every prefix

    |given − target| < 1,   row sums exact,   final totals exact.

All comparisons are of integers. Cost: O(steps · sources · log sources).
"""

import numpy as np
from numba import njit

from mixing.schedule import UNIT_BITS


@njit(cache=True, nogil=True, inline="always")
def _ratio(a, b, c):
    """floor(a·b/c) and the remainder, exact for 0 ≤ a·b/c < 2^50 and c < 2^61, though a·b may overflow: the estimate
    is off by at most one or two, so the true remainder is small and survives the wrap-around of int64."""
    quotient = np.int64(np.float64(a) * np.float64(b) / np.float64(c))
    remainder = a * b - quotient * c
    while remainder < 0:
        quotient -= 1
        remainder += c
    while remainder >= c:
        quotient += 1
        remainder -= c
    return quotient, remainder


@njit(cache=True, nogil=True)
def _assign(clock, room, totals, given):
    steps, sources = len(clock) - 1, len(totals)
    end = clock[steps]
    due = np.empty(sources, np.int64)  # clock reading at which the next sequence of the source is due
    count = np.zeros(sources, np.int64)
    for i in range(sources):
        due[i] = -1
    keys = np.empty(sources, np.int64)
    candidates = np.empty(sources, np.int64)
    late = 0
    for t in range(1, steps + 1):
        free = room[t] - room[t - 1]
        found = 0
        for i in range(sources):
            if totals[i] == 0:
                continue
            whole, rest = _ratio(totals[i], clock[t], end)
            if whole > count[i]:
                free -= whole - count[i]
                count[i] = whole
                due[i] = -1
            if rest > 0 and count[i] == whole:
                if due[i] < 0:
                    ticks, over = _ratio(count[i] + 1, end, totals[i])
                    due[i] = ticks + (1 if over > 0 else 0)
                keys[found] = due[i]
                candidates[found] = i
                found += 1
        if free < 0 or free > found:
            late += 1
        if free > 0:
            order = np.argsort(keys[:found], kind="mergesort")
            for j in range(min(free, found)):
                i = candidates[order[j]]
                count[i] += 1
                due[i] = -1
        for i in range(sources):
            given[i, t] = count[i]
    return late


@njit(cache=True, nogil=True)
def _scale(units, total, out):
    for t in range(len(units)):
        out[t] = _ratio(units[t], total, units[-1])[0]


def whole_total(units: np.ndarray) -> np.ndarray:
    """int64[steps + 1]: a cumulative target scaled by less than one sequence in total, so that it ends at a whole one.

    Rounded down, so that the other group never falls below its floor: no step grows by more than it did.
    """
    whole = (int(units[-1]) >> UNIT_BITS) << UNIT_BITS
    scaled = np.zeros_like(units)
    if whole:
        _scale(units, whole, scaled)
    return scaled


def group_room(units: np.ndarray) -> np.ndarray:
    """int64[steps + 1]: a cumulative target in units of 2^-20 sequences, rounded to the nearest whole sequence."""
    return (units + (1 << (UNIT_BITS - 1))) >> UNIT_BITS


def assign(clock: np.ndarray, room: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """int64[sources, steps + 1]: sequences given before each step.

    `clock` int64[steps + 1] is the group's cumulative target in units of 2^-20 sequences, `room` int64[steps + 1] its
    rounding (`group_room`, or the batch minus another group's), `totals` int64[sources] sums to `room[-1]`.
    """
    given = np.zeros((len(totals), len(clock)), np.int64)
    if int(totals.sum()) != int(room[-1]) or int(room[-1]) << UNIT_BITS != int(clock[-1]):
        raise ValueError(f"{int(totals.sum())} sequences to give in a room of {int(room[-1])}")
    if room[-1] and _assign(np.ascontiguousarray(clock), np.ascontiguousarray(room), totals, given):
        raise AssertionError("the rounding of the group's target left too little room")
    return given
