"""Running an automaton (corpus/deidentify/automaton.py) from every place of a text where a token begins.

A token begins where a letter, digit or underscore follows none, and at every other sign. From there the automaton runs
until it is dead, for LONGEST bytes at most; the patterns it accepted are reported with the longest match
first. About 300 MB/s on prose, where most tokens are dead after a byte or two.
"""

import numba
import numpy as np

_WORD = np.zeros(256, np.bool_)
_WORD[[*range(48, 58), *range(65, 91), 95, *range(97, 123)]] = True
LONGEST = 320  # bytes that are looked at from one start
_STOPS = 320  # accepting places from one start; more are not possible with the patterns that are in use


@numba.njit(cache=True, nogil=True)
def find_words(data, classes, table, first, accepted):
    """(starts, ends, kinds) int32 of the words accepted, in order of start."""
    size = len(data)
    capacity = 64
    found = np.empty((3, capacity), np.int32)
    count = 0
    for at in range(size):
        state = table[1, classes[data[at]]]
        if state == 0 or (at > 0 and _WORD[data[at - 1]] and _WORD[data[at]]):
            continue
        end = at + 1
        while True:
            if first[state + 1] > first[state] and (end == size or not (_WORD[data[end - 1]] and _WORD[data[end]])):
                for index in range(first[state], first[state + 1]):
                    if count == capacity:
                        capacity *= 2
                        grown = np.empty((3, capacity), np.int32)
                        grown[:, :count] = found
                        found = grown
                    found[0, count], found[1, count], found[2, count] = at, end, accepted[index]
                    count += 1
            if end == size or end - at == LONGEST:
                break
            state = table[state, classes[data[end]]]
            if state == 0:
                break
            end += 1
    return found[:, :count]


@numba.njit(cache=True, nogil=True)
def find_candidates(data, begin, classes, table, first, accepted, needs, every, inside, words, before, after, last):
    """(starts, ends, patterns) int32[3, candidates], in order of start, the longest first; and (at, state) where the
    table does not say where `state` leads, to go on from `at` when it does, or (size, -1) at the end.

    needs   int32[patterns]: the kind of word that must stand near, or -1
    every   bool[patterns]: each end is reported and not the longest only
    inside  bool[patterns]: may begin where a digit follows a letter
    words   what `find_words` found
    last    int64[kinds]: where the last word of each kind ended, kept from call to call
    before, after   how far off a word may end or begin, in bytes
    """
    size = len(data)
    low, high = 0, size
    while low < size and data[low] <= 32:
        low += 1
    while high > low and data[high - 1] <= 32:
        high -= 1
    reported = np.full(len(needs), -1, np.int64)
    stops, states = np.empty(_STOPS, np.int64), np.empty(_STOPS, np.int64)
    capacity = 64
    found = np.empty((3, capacity), np.int32)
    count = next_word = 0
    anywhere = inside.any()
    while next_word < words.shape[1] and words[0, next_word] < begin:
        last[words[2, next_word]] = max(last[words[2, next_word]], words[1, next_word])
        next_word += 1
    for at in range(begin, size):
        state = table[1, classes[data[at]]]
        if state == 0:
            continue
        begins = at == 0 or not (_WORD[data[at - 1]] and _WORD[data[at]])
        if not begins and not (anywhere and data[at] <= 57 and data[at - 1] > 57):
            continue
        end, stopped, before_it = at + 1, 0, 1
        while True:
            if state < 0:
                return found[:, :count], at, before_it
            ends = end == size or not (_WORD[data[end - 1]] and _WORD[data[end]])
            if ends and first[state + 1] > first[state] and stopped < _STOPS:
                stops[stopped], states[stopped] = end, state
                stopped += 1
            if end == size or end - at == LONGEST:
                break
            before_it = state
            state = table[state, classes[data[end]]]
            if state == 0:
                break
            end += 1
        if stopped == 0:
            continue
        while next_word < words.shape[1] and words[0, next_word] < at:
            kind = words[2, next_word]
            last[kind] = max(last[kind], words[1, next_word])
            next_word += 1
        for stop in range(stopped - 1, -1, -1):
            end, state = stops[stop], states[stop]
            alone = at <= low and end >= high
            for index in range(first[state], first[state + 1]):
                pattern = accepted[index]
                if (reported[pattern] == at and not every[pattern]) or not (begins or inside[pattern]):
                    continue
                need = needs[pattern]
                if need >= 0 and not alone and at - last[need] > before:
                    near = False
                    word = next_word
                    while word < words.shape[1] and words[0, word] <= end + after:
                        if words[2, word] == need and words[0, word] >= end:
                            near = True
                            break
                        word += 1
                    if not near:
                        continue
                reported[pattern] = at
                if count == capacity:
                    capacity *= 2
                    grown = np.empty((3, capacity), np.int32)
                    grown[:, :count] = found
                    found = grown
                found[0, count], found[1, count], found[2, count] = at, end, pattern
                count += 1
    return found[:, :count], size, -1
