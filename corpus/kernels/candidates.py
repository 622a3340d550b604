"""What validators ask of many candidates at once: their digits, what touches them, which of them stand."""

import numba
import numpy as np

from corpus.kernels.automaton import untaken

NO, ASK, YES = 0, 1, 2  # verdicts: rejected, for the validator to say, accepted


@numba.njit(cache=True, nogil=True)
def digits_of(data, starts, ends, width):
    """(digits int8[candidates, width], counts int32[candidates], different int32[candidates]): the digits of
    data[start:end] in their order, zeros behind them; those beyond `width` are counted only. How many different."""
    digits = np.zeros((len(starts), width), np.int8)
    counts, different = np.zeros(len(starts), np.int32), np.zeros(len(starts), np.int32)
    for index in range(len(starts)):
        count, seen = 0, 0
        for place in range(starts[index], ends[index]):
            byte = data[place]
            if 48 <= byte <= 57:
                if count < width:
                    digits[index, count] = byte - 48
                count += 1
                different[index] += not seen >> (byte - 48) & 1
                seen |= 1 << (byte - 48)
        counts[index] = count
    return digits, counts, different


@numba.njit(cache=True, nogil=True)
def numbers_of(data, starts, ends):
    """(values int64[candidates, 3], sizes int32[candidates, 3]): the first three numbers of data[start:end], and how
    many digits each has, 0 where there is none."""
    values, sizes = np.zeros((len(starts), 3), np.int64), np.zeros((len(starts), 3), np.int32)
    for index in range(len(starts)):
        number, inside = -1, False
        for place in range(starts[index], ends[index]):
            digit = np.int64(data[place]) - 48
            if not 0 <= digit <= 9:
                inside = False
                continue
            if not inside:
                number += 1
                if number == 3:
                    break
            inside = True
            values[index, number] = values[index, number] * 10 + digit
            sizes[index, number] += 1
    return values, sizes


@numba.njit(cache=True, nogil=True)
def before_first(data, starts, ends, table):
    """int64[candidates]: where the first byte of data[start:end] stands that is in the table, bool[256], or `end`."""
    found = ends.copy()
    for index in range(len(starts)):
        for place in range(starts[index], ends[index]):
            if table[data[place]]:
                found[index] = place
                break
    return found


@numba.njit(cache=True, nogil=True)
def counted(data, starts, ends, table):
    """int32[candidates]: how many bytes of data[start:end] are in the table, bool[256]."""
    counts = np.zeros(len(starts), np.int32)
    for index in range(len(starts)):
        for place in range(starts[index], ends[index]):
            counts[index] += table[data[place]]
    return counts


@numba.njit(cache=True, nogil=True)
def run_from(data, starts, ends, classes, table, first, edge):
    """int64[candidates]: where the longest match of an automaton ends that begins at `start` and does not go beyond
    `end`, and with `edge` where no word goes on; -1 where there is none."""
    reached = np.full(len(starts), -1, np.int64)
    for index in range(len(starts)):
        state = 1
        for place in range(starts[index], ends[index]):
            state = table[state, classes[data[place]]]
            if state == 0:
                break
            if first[state + 1] > first[state] and not (
                edge and place + 1 < ends[index] and _within_word(data, place + 1)
            ):
                reached[index] = place + 1
    return reached


@numba.njit(cache=True, nogil=True)
def run_back(data, starts, lows, classes, table, first, edge):
    """bool[candidates]: an automaton that reads backwards from before `start` matches what ends there and does not
    begin before `low`, and with `edge` begins where a word does."""
    found = np.zeros(len(starts), np.bool_)
    for index in range(len(starts)):
        state, place = 1, starts[index]
        while place > lows[index]:
            place -= 1
            state = table[state, classes[data[place]]]
            if state == 0:
                break
            if first[state + 1] > first[state] and not (edge and place > lows[index] and _within_word(data, place)):
                found[index] = True
                break
    return found


@numba.njit(cache=True, nogil=True)
def _within_word(data, place):
    """A word goes on from data[place - 1] to data[place]."""
    return _is_word(data[place - 1]) and _is_word(data[place])


@numba.njit(cache=True, nogil=True)
def _is_word(byte):
    return 48 <= byte <= 57 or 65 <= byte <= 90 or byte == 95 or 97 <= byte <= 122


@numba.njit(cache=True, nogil=True)
def first_to_end(data, starts, ends, classes, table, first):
    """int64[candidates]: the first place in data[start:end], where no letter or digit goes on, from which an automaton
    matches all up to `end`; -1 where there is none."""
    found = np.full(len(starts), -1, np.int64)
    for index in range(len(starts)):
        end = ends[index]
        for begin in range(starts[index], end):
            if begin > starts[index] and _within_word(data, begin) and not 48 <= data[begin] <= 57:
                continue
            state, place = 1, begin
            while place < end:
                state = table[state, classes[data[place]]]
                if state == 0:
                    break
                place += 1
            if state and place == end and first[state + 1] > first[state]:
                found[index] = begin
                break
    return found


@numba.njit(cache=True, nogil=True)
def named_before(data, starts, lows):
    """uint8[candidates]: YES where a word with a capital and white space stand before a bracket that ends at `start`,
    ASK where letters beyond ASCII are in it, else NO."""
    said = np.zeros(len(starts), np.uint8)
    for index in range(len(starts)):
        place = starts[index] - 3
        if place < lows[index] or data[place + 2] != 40:
            continue
        if data[place + 1] >= 0x80:
            said[index] = ASK
            continue
        if data[place + 1] != 32 and not 9 <= data[place + 1] <= 13 and not 28 <= data[place + 1] <= 31:
            continue
        while place >= lows[index] and place >= starts[index] - 48:
            byte = data[place]
            if byte >= 0x80:
                said[index] = ASK
            elif 65 <= byte <= 90:
                said[index] = max(said[index], YES) if said[index] != ASK else ASK
            elif not (97 <= byte <= 122 or byte == 46 or byte == 39 or byte == 45):
                break
            if said[index]:
                break
            place -= 1
    return said


@numba.njit(cache=True, nogil=True)
def entropies(data, starts, ends):
    """float64[candidates]: bits per byte of the distribution of the bytes of data[start:end]; 0 for none."""
    found = np.zeros(len(starts))
    counts = np.zeros(256, np.int64)
    for index in range(len(starts)):
        size = ends[index] - starts[index]
        for place in range(starts[index], ends[index]):
            counts[data[place]] += 1
        for place in range(starts[index], ends[index]):
            count = counts[data[place]]
            if count:
                found[index] -= count / size * np.log2(count / size)
                counts[data[place]] = 0
    return found


@numba.njit(cache=True, nogil=True)
def bech32_checks(data, starts, ends):
    """bool[candidates]: the checksum's polynomial of BIP 173 leaves 1, or BIP 350's 0x2bc830a3."""
    alphabet = np.full(256, -1, np.int64)
    letters = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    for place in range(32):
        alphabet[letters[place]] = place
    terms = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    found = np.zeros(len(starts), np.bool_)
    for index in range(len(starts)):
        begin, end = starts[index], ends[index]
        split = end - 1
        while split > begin and data[split] != 49:
            split -= 1
        check = np.int64(1)
        prefix = split - begin
        for step in range(prefix + 1 + end - begin - 1):
            if step < prefix:
                value = np.int64(_small(data[begin + step]) >> 5)
            elif step == prefix:
                value = np.int64(0)
            elif step <= 2 * prefix:
                value = np.int64(_small(data[begin + step - prefix - 1]) & 31)
            else:
                value = alphabet[_small(data[begin + step - prefix])]
            top = check >> 25
            check = (check & 0x1FFFFFF) << 5 ^ value
            for bit in range(5):
                if top >> bit & 1:
                    check ^= terms[bit]
        found[index] = check == 1 or check == 0x2BC830A3
    return found


@numba.njit(cache=True, nogil=True)
def _small(byte):
    return byte | 32 if 65 <= byte <= 90 else byte


@numba.njit(cache=True, nogil=True)
def stand(taken, firsts, lasts, verdicts):
    """int64: which of the identifiers [first, last) with the verdict YES stand where nothing is taken; they are taken
    now. Of those that overlap, the earlier one."""
    kept = np.empty(len(firsts), np.int64)
    count, reached = 0, -1
    for index in range(len(firsts)):
        first, last = firsts[index], lasts[index]
        if verdicts[index] != YES or first < reached:
            continue
        if untaken(taken, first, last):
            taken[first:last] = True
            reached = last
            kept[count] = index
            count += 1
    return kept[:count]
