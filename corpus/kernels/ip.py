"""Addresses of the internet protocol, many at once: which of what has their form is one."""

import numba
import numpy as np

NONE, SHORT, WHOLE, RESERVED = 0, 1, 2, 3
_COLON, _DOT, _SLASH, _PERCENT = 58, 46, 47, 37


@numba.njit(cache=True, nogil=True)
def octets_of(data, starts, ends):
    """int16[candidates, 4]: the numbers of data[start:end], in dotted decimals up to a slash; -1 in the first where one
    is above 255, begins with a zero, or there are not four."""
    found = np.zeros((len(starts), 4), np.int16)
    for index in range(len(starts)):
        found[index, 0] = -1
        place, number = starts[index], 0
        values = np.zeros(4, np.int16)
        while number < 4:
            value, size = 0, 0
            zero = place < ends[index] and data[place] == 48
            while place < ends[index] and 48 <= data[place] <= 57:
                value = value * 10 + data[place] - 48
                size += 1
                place += 1
            if size == 0 or size > 3 or value > 255 or (zero and size > 1):
                break
            values[number] = value
            number += 1
            if number < 4:
                if place >= ends[index] or data[place] != _DOT:
                    break
                place += 1
        if number == 4 and (place == ends[index] or data[place] == _SLASH):
            found[index] = values
    return found


@numba.njit(cache=True, nogil=True)
def _hex(byte):
    """The value of a hexadecimal digit, or -1."""
    if 48 <= byte <= 57:
        return byte - 48
    lower = byte | 32
    return lower - 87 if 97 <= lower <= 102 else -1


@numba.njit(cache=True, nogil=True)
def kinds_of_ipv6(data, starts, ends, reserved):
    """uint8[candidates]: NONE for what is no address (RFC 4291), RESERVED for one that begins with the three groups of
    `reserved`, SHORT for one of fewer than three parts and without a zone or a prefix length, else WHOLE."""
    kinds = np.zeros(len(starts), np.uint8)
    for index in range(len(starts)):
        place, end = starts[index], ends[index]
        groups, parts, colons, before_gap, gap = 0, 0, 0, 0, False
        firsts = np.zeros(3, np.int64)
        valid, zone, prefix = True, False, False
        while place < end:
            byte = data[place]
            if byte == _SLASH:
                prefix = True
                break
            if byte == _PERCENT:
                zone = True
                while place < end and data[place] != _SLASH:
                    place += 1
                continue
            if byte == _COLON:
                colons += 1
                if place + 1 < end and data[place + 1] == _COLON:
                    valid &= not gap
                    gap = True
                    colons += 1
                    place += 1
                place += 1
                continue
            last = place
            value = 0
            while last < end and _hex(data[last]) >= 0:
                value = value * 16 + _hex(data[last])
                last += 1
            if last < end and data[last] == _DOT:
                stop = last
                while stop < end and (data[stop] == _DOT or 48 <= data[stop] <= 57):
                    stop += 1
                one = np.empty(1, np.int64)
                other = np.empty(1, np.int64)
                one[0], other[0] = place, stop
                valid &= octets_of(data, one, other)[0, 0] >= 0
                groups += 2
                parts += 4
                place = stop
                continue
            valid &= last > place and last - place <= 4
            if last == place:
                break
            if not gap and groups < 3:
                firsts[groups] = value
                before_gap += 1
            groups += 1
            parts += 1
            place = last
        valid &= groups <= 7 if gap else groups == 8
        valid &= gap or colons >= 6
        if not valid:
            continue
        if before_gap == 3 and firsts[0] == reserved[0] and firsts[1] == reserved[1] and firsts[2] == reserved[2]:
            kinds[index] = RESERVED
        else:
            kinds[index] = WHOLE if parts >= 3 or zone or prefix else SHORT
    return kinds
