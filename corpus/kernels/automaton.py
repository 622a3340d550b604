"""Running an automaton (corpus/deidentify/automaton.py) from every place of a text where a token begins.

A token begins where a letter, digit or underscore follows none, and at every other sign. From there the automaton runs
until it is dead, for a fixed number of bytes at most; the patterns it accepted are reported with the longest match
first. What a pattern asks of its neighbours, of its digits and of the words near it is looked at here too, so that few
candidates leave the loop. About 150 MB/s on prose, where most tokens are dead after a byte or two.
"""

import numba
import numpy as np

_WORD = np.zeros(256, np.bool_)
_WORD[[*range(48, 58), *range(65, 91), 95, *range(97, 123)]] = True
_OPEN = np.zeros(256, np.bool_)  # what continues a number or a name to the right of it
_OPEN[np.frombuffer(b".$#+/@-", np.uint8)] = True
# What a pattern asks for, as bits.
EVERY, INSIDE, BEFORE, AFTER, COLONS, LUHN, HYPHEN = 1, 2, 4, 8, 16, 32, 64
_LONGEST, _LONGEST_WORD = 320, 64  # bytes that are looked at from one start
_STOPS = 64  # of the places where patterns may end, from one start; the first are kept


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
            if end == size or end - at == _LONGEST_WORD:
                break
            state = table[state, classes[data[end]]]
            if state == 0:
                break
            end += 1
    return found[:, :count]


@numba.njit(cache=True, nogil=True)
def _continued(data, at, end, flag):
    """Something that would continue data[at:end] touches it. BEFORE: a letter, a digit or a sign such as a hyphen.
    AFTER: a hyphen, slash or @ and a letter or digit, or a point and a digit. COLONS: a colon on either side."""
    if at > 0:
        sign = data[at - 1]
        if flag & BEFORE and (_OPEN[sign] or _WORD[sign]):
            return True
        if (flag & COLONS and sign == 58) or (flag & HYPHEN and (sign == 45 or sign == 46)):
            return True
    if flag & COLONS and end < len(data) and data[end] == 58:
        return True
    if flag & AFTER and end + 1 < len(data):
        sign, after = data[end], data[end + 1]
        if sign == 45 or sign == 47 or sign == 64:
            return _WORD[after]
        if sign == 46:
            return 48 <= after <= 57
    return False


@numba.njit(cache=True, nogil=True)
def _digits_fit(data, at, end, least, most, luhn):
    """data[at:end] has `least` to `most` digits; with `luhn`, they pass the check of ISO/IEC 7812-1."""
    count, total = 0, 0
    for place in range(end - 1, at - 1, -1):
        if 48 <= data[place] <= 57:
            digit = data[place] - 48
            if count % 2 == 1:
                digit = digit * 2 - 9 * (digit > 4)
            total += digit
            count += 1
    return least <= count <= most and not (luhn and total % 10)


@numba.njit(cache=True, nogil=True)
def find_candidates(data, begin, classes, table, first, accepted, flags, digits, needs, words, reach, last):
    """(starts, ends, patterns) int32[3, candidates], in order of start, the longest first; and (at, state) where the
    table does not say where `state` leads, to go on from `at` when it does, or (size, -1) at the end.

    flags   uint8[patterns], of EVERY (each end is reported and not the longest only), INSIDE (may begin where a digit
            follows a letter), BEFORE, AFTER and COLONS (nothing continues it there), LUHN (its digits check),
            HYPHEN (neither a hyphen nor a point before it)
    digits  int16[patterns, 2]: how many digits it has, at least and at most
    needs   int32[patterns]: the kind of word that must stand near, or -1; none need where the candidate is all the text
    words   what `find_words` found
    reach   how far off a word may end before it and begin after it, in bytes
    last    int64[kinds]: where the last word of each kind ended, kept from call to call
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
    anywhere = False
    for pattern in range(len(flags)):
        anywhere |= (flags[pattern] & INSIDE) != 0
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
            if first[state + 1] > first[state] and (end == size or not (_WORD[data[end - 1]] and _WORD[data[end]])):
                place = min(stopped, _STOPS - 1)
                stops[place], states[place] = end, state
                stopped = place + 1
            if end == size or end - at == _LONGEST:
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
            for index in range(first[state], first[state + 1]):
                pattern = accepted[index]
                flag = flags[pattern]
                if reported[pattern] == at and not flag & EVERY:
                    continue
                if not (begins or flag & INSIDE):
                    continue
                if _continued(data, at, end, flag):
                    continue
                if not _digits_fit(data, at, end, digits[pattern, 0], digits[pattern, 1], flag & LUHN):
                    continue
                need = needs[pattern]
                if need >= 0 and not (at <= low and end >= high) and at - last[need] > reach[0]:
                    near = False
                    word = next_word
                    while word < words.shape[1] and words[0, word] <= end + reach[1]:
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


@numba.njit(cache=True, nogil=True)
def settle(ranks, starts, ends, size):
    """int64[kept]: which of the spans [start, end) no span of an earlier rank overlaps, in order of start. Of two of
    one rank, the one that begins earlier stands."""
    taken = np.zeros(size, np.bool_)
    kept = np.zeros(len(ranks), np.bool_)
    by_start = np.argsort(starts, kind="mergesort")
    for index in by_start[np.argsort(ranks[by_start], kind="mergesort")]:
        start, end = starts[index], ends[index]
        free = start < end
        for place in range(start, end):
            if taken[place]:
                free = False
                break
        if free:
            taken[start:end] = True
            kept[index] = True
    return by_start[kept[by_start]]
