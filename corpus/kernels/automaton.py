"""Running an automaton (corpus/deidentify/automaton.py) from every place of a text where a token begins.

A token begins where a letter, digit or underscore follows none, and at every other sign. From there the automaton runs
until it is dead, for a fixed number of bytes at most; the patterns it accepted are reported with the longest match
first. What a pattern asks of its neighbours, of its digits and of the words near it is looked at here too, so that few
candidates leave the loop. Several documents lie in one buffer, with a byte between them that no UTF-8 text has. Most
tokens of prose are words of letters alone, and most patterns want a digit in theirs: from a word only the others start,
and it is dead after a byte or two.
"""

import numba
import numpy as np

from corpus.kernels.spans import with_room

_WORD = np.zeros(256, np.bool_)
_WORD[[*range(48, 58), *range(65, 91), 95, *range(97, 123)]] = True
_LETTER = np.zeros(256, np.bool_)
_LETTER[[*range(65, 91), *range(97, 123)]] = True
_OPEN = np.zeros(256, np.bool_)  # what continues a number or a name to the right of it
_OPEN[np.frombuffer(b".$#+/@-", np.uint8)] = True
_MEASURE = np.zeros(256, np.bool_)  # what makes a number to the right of it a part of an expression
_MEASURE[np.frombuffer(b".+/@#$%*=^-", np.uint8)] = True
# What a pattern asks for, as bits.
EVERY, INSIDE, BEFORE, AFTER, COLONS, LUHN, HYPHEN, MEASURED, LETTERED = 1, 2, 4, 8, 16, 32, 64, 128, 256
# What stands before a start, and by it the flags that forbid a pattern there: each kind has a start state of its own.
FORBIDDEN = (
    0,
    BEFORE | HYPHEN | MEASURED,
    BEFORE | MEASURED,
    COLONS,
    BEFORE | MEASURED,
)  # nothing, - or ., another sign of _OPEN, a colon, a letter
AFTER_WORD = 4  # there only patterns with INSIDE begin
KINDS = len(FORBIDDEN)  # as many more start states are for words of letters alone
_AFTER_SIGN = 2
_KIND = np.zeros(256, np.uint8)
_KIND[_OPEN], _KIND[_WORD] = _AFTER_SIGN, AFTER_WORD
_KIND[[45, 46]], _KIND[58] = 1, 3
_LONGEST, _LONGEST_WORD = 320, 64  # bytes that are looked at from one start
_STOPS = 64  # of the places where patterns may end, from one start; the first are kept


@numba.njit(cache=True, nogil=True)
def find_words(data, windows, classes, table, first, accepted):
    """(starts, ends, kinds) int32[3, words] of the words accepted that begin in one of the windows, int64[2, n] of
    ascending and disjoint [low, high), in order of start."""
    size = len(data)
    found = np.empty((3, 64), np.int32)
    count = 0
    for window in range(windows.shape[1]):
        previous = 0 if windows[0, window] == 0 else data[windows[0, window] - 1]
        for at in range(windows[0, window], windows[1, window]):
            before, previous = previous, data[at]
            if _WORD[before] and _WORD[previous]:
                continue
            state = table[1, classes[previous]]
            if state == 0:
                continue
            end = at + 1
            while True:
                if first[state + 1] > first[state] and (end == size or not (_WORD[data[end - 1]] and _WORD[data[end]])):
                    for index in range(first[state], first[state + 1]):
                        found = with_room(found, count)
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
def windows_around(candidates, needs, begins, stops, reach):
    """int64[2, n], disjoint and ascending: where a word may stand that one of the candidates needs."""
    windows = np.empty((2, candidates.shape[1]), np.int64)
    count = 0
    for index in range(candidates.shape[1]):
        start, end, pattern, document = candidates[:, index]
        if needs[pattern] < 0:
            continue
        low = max(begins[document], start - reach[0] - _LONGEST_WORD)
        high = min(stops[document], end + reach[1] + 1)
        if count and low <= windows[1, count - 1]:
            windows[1, count - 1] = max(high, windows[1, count - 1])
        else:
            windows[0, count], windows[1, count] = low, high
            count += 1
    return windows[:, :count]


@numba.njit(cache=True, nogil=True)
def _stripped(data, low, high):
    """[low, high) without the white space at its ends."""
    while low < high and data[low] <= 32:
        low += 1
    while high > low and data[high - 1] <= 32:
        high -= 1
    return low, high


@numba.njit(cache=True, nogil=True)
def spoken_for(data, candidates, needs, kinds, words, begins, stops, reach):
    """bool[candidates]: the word that the pattern needs stands near, in the same document; or it needs none, or the
    candidate is all there is in the document.

    needs   int32[patterns]: the kind of word, of `kinds`, that must stand near, or -1
    words   what `find_words` found
    reach   how far off a word may end before the candidate and begin after it, in bytes
    """
    kept = np.zeros(candidates.shape[1], np.bool_)
    last = np.full(kinds, -(1 << 40), np.int64)  # where the last word of each kind ended
    next_word, inside = 0, -1
    low = high = 0
    for index in range(candidates.shape[1]):
        start, end, pattern, document = candidates[:, index]
        need = needs[pattern]
        if need < 0:
            kept[index] = True
            continue
        if document != inside:
            inside = document
            last[:] = -(1 << 40)
            low, high = _stripped(data, begins[document], stops[document])
        while next_word < words.shape[1] and words[0, next_word] < start:
            if words[0, next_word] >= begins[document]:
                kind = words[2, next_word]
                last[kind] = max(last[kind], words[1, next_word])
            next_word += 1
        near = (start <= low and end >= high) or start - last[need] <= reach[0]
        word = next_word
        while not near and word < words.shape[1] and words[0, word] <= min(end + reach[1], stops[document] - 1):
            near = words[2, word] == need and words[0, word] >= end
            word += 1
        kept[index] = near
    return kept


@numba.njit(cache=True, nogil=True)
def _continued(data, begin, size, at, end, flag):
    """Something in data[begin:size] that would continue data[at:end] touches it. BEFORE: a letter, a digit or a sign
    such as a hyphen. AFTER: a hyphen, slash or @ and a letter or digit, or a point and a digit. COLONS: a colon on
    either side. HYPHEN: a hyphen or a point before it."""
    if at > begin:
        sign = data[at - 1]
        if flag & BEFORE and (_OPEN[sign] or _WORD[sign]):
            return True
        if (flag & COLONS and sign == 58) or (flag & HYPHEN and (sign == 45 or sign == 46)):
            return True
    if flag & COLONS and end < size and data[end] == 58:
        return True
    if flag & AFTER and end + 1 < size:
        sign, after = data[end], data[end + 1]
        if sign == 45 or sign == 47 or sign == 64:
            return _WORD[after]
        if sign == 46:
            return 48 <= after <= 57
    return False


@numba.njit(cache=True, nogil=True)
def _measured(data, begin, size, at, end):
    """What touches data[at:end] in data[begin:size] makes it a part of an expression or of a longer number."""
    if at > begin:
        sign = data[at - 1]
        if _WORD[sign] or _MEASURE[sign]:
            return True
        if (sign == 44 or sign == 58) and at - 1 > begin and 48 <= data[at - 2] <= 57:
            return True
    if end < size:
        sign = data[end]
        if _WORD[sign] or sign == 37 or sign == 47:
            return True
        if end + 1 < size and (sign == 45 or sign == 46 or sign == 44 or sign == 58):
            return 48 <= data[end + 1] <= 57
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
def _has_letter(data, at, end):
    for place in range(at, end):  # noqa: SIM110 (numba knows no generators)
        if _LETTER[data[place]]:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def find_candidates(data, begins, stops, document, at, starts, classes, table, first, accepted, flags, digits):
    """(starts, ends, patterns, documents) int32[4, candidates], in order of start, the longest first; (document, at,
    state) where the table does not say where `state` leads, to go on from there when it does, state -1 at the end; and
    how many bytes the automaton has read.

    begins, stops   int64[documents]: where the documents lie in `data`
    starts  int32[2 * KINDS]: the start state by what stands before (FORBIDDEN), then those from where a word of letters
            stands alone, no digit or underscore behind it
    flags   uint16[patterns], of EVERY (each end is reported and not the longest only), INSIDE (may begin where a digit
            follows a letter), BEFORE, AFTER and COLONS (nothing continues it there), LUHN (its digits check),
            HYPHEN (neither a hyphen nor a point before it), MEASURED (no part of an expression or of a number),
            LETTERED (a letter is in it)
    digits  int16[patterns, 2]: how many digits it has, at least and at most
    """
    reported = np.full(len(flags), -1, np.int64)
    stopped_at, states = np.empty(_STOPS, np.int64), np.empty(_STOPS, np.int64)
    found = np.empty((4, 64), np.int32)
    count = 0
    anywhere = False
    for pattern in range(len(flags)):
        anywhere |= (flags[pattern] & INSIDE) != 0
    opens = np.empty((len(starts), 256), np.int32)
    for kind in range(len(starts)):
        for byte in range(256):
            opens[kind, byte] = table[starts[kind], classes[byte]]
    ends_here = first[1:] > first[:-1]
    steps = 0
    while document < len(begins):
        begin, size = begins[document], stops[document]
        following = max(at, begin)
        before = 0 if following == begin else data[following - 1]
        while following < size:
            at, previous = following, before
            byte = before = data[at]
            following = at + 1
            opening = not (_WORD[byte] and _WORD[previous])
            if not opening and not (anywhere and byte <= 57 and previous > 57):
                continue
            kind = _KIND[previous]
            if opening and kind == AFTER_WORD:
                kind = _AFTER_SIGN  # a sign behind a word
            if _LETTER[byte]:
                while following < size and _LETTER[data[following]]:
                    following += 1
                before = data[following - 1]
                if following == size or not _WORD[data[following]]:
                    kind += KINDS
            state = opens[kind, byte]
            if state == 0:
                continue
            end, stopped, before_it = at + 1, 0, starts[kind]
            while True:
                if state < 0:
                    return found[:, :count], document, at, before_it, steps
                if ends_here[state] and (end == size or not (_WORD[data[end - 1]] and _WORD[data[end]])):
                    place = min(stopped, _STOPS - 1)
                    stopped_at[place], states[place] = end, state
                    stopped = place + 1
                if end == size or end - at == _LONGEST:
                    break
                before_it = state
                state = table[state, classes[data[end]]]
                if state == 0:
                    break
                end += 1
            steps += end - at
            for stop in range(stopped - 1, -1, -1):
                end, state = stopped_at[stop], states[stop]
                for index in range(first[state], first[state + 1]):
                    pattern = accepted[index]
                    flag = flags[pattern]
                    if reported[pattern] == at and not flag & EVERY:
                        continue
                    if not (opening or flag & INSIDE) or _continued(data, begin, size, at, end, flag):
                        continue
                    if flag & MEASURED and _measured(data, begin, size, at, end):
                        continue
                    if flag & LETTERED and not _has_letter(data, at, end):
                        continue
                    if not _digits_fit(data, at, end, digits[pattern, 0], digits[pattern, 1], flag & LUHN):
                        continue
                    reported[pattern] = at
                    found = with_room(found, count)
                    found[0, count], found[1, count] = at, end
                    found[2, count], found[3, count] = pattern, document
                    count += 1
        document += 1
    return found[:, :count], document, at, -1, steps


@numba.njit(cache=True, nogil=True)
def untaken(taken, start, end):
    """Whether no byte of [start, end) is taken."""
    for place in range(start, end):  # noqa: SIM110 (numba knows no generators)
        if taken[place]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def free(taken, starts, ends):
    """int64: which of the spans [start, end) have no byte that is taken."""
    kept = np.empty(len(starts), np.int64)
    count = 0
    for index in range(len(starts)):
        if starts[index] < ends[index] and untaken(taken, starts[index], ends[index]):
            kept[count] = index
            count += 1
    return kept[:count]


@numba.njit(cache=True, nogil=True)
def take(taken, starts, ends):
    """Mark the bytes of the spans as taken."""
    for index in range(len(starts)):
        taken[starts[index] : ends[index]] = True


@numba.njit(cache=True, nogil=True)
def settle(ranks, starts, ends, size):
    """int64[kept]: which of the spans [start, end) no span of an earlier rank overlaps, in order of start. Of two of
    one rank, the one that begins earlier stands."""
    taken = np.zeros(size, np.bool_)
    kept = np.zeros(len(ranks), np.bool_)
    by_start = np.argsort(starts, kind="mergesort")
    for index in by_start[np.argsort(ranks[by_start], kind="mergesort")]:
        start, end = starts[index], ends[index]
        if start < end and untaken(taken, start, end):
            taken[start:end] = True
            kept[index] = True
    return by_start[kept[by_start]]
