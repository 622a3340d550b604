"""Finding what may be an e-mail address or a URL: from the sign that both need, outwards.

Several documents may lie in one buffer with a byte between them that no UTF-8 text has (0xFF).
Every byte is looked at a fixed number of times: an address ends where the next one may begin, and a local part is at
most 64 bytes long (RFC 5321).
"""

import numba
import numpy as np

from corpus.kernels.spans import with_room

_LETTER = np.zeros(256, np.bool_)
_LETTER[[*range(48, 58), *range(65, 91), *range(97, 123)]] = True
_LETTER[0xC3:0xD5] = True  # first bytes of letters of the Latin, Greek and Cyrillic scripts, in two bytes of UTF-8
_LOCAL = _LETTER.copy()
_LOCAL[np.frombuffer(b"_.+%&'!#/=?^`{|}~-", np.uint8)] = True
_EDGE = _LETTER.copy()
_EDGE[np.frombuffer(b"_+-", np.uint8)] = True
_URL_END = np.zeros(256, np.bool_)
_URL_END[:33] = True
_URL_END[np.frombuffer(b'<>"`{}|\\^', np.uint8)] = True
_URL_END[0xFF] = True  # what stands between documents
_LONGEST_LOCAL, _LONGEST_DOMAIN = 64, 255
_AT, _DOT, _HYPHEN, _COLON, _SLASH, _QUOTE = 64, 46, 45, 58, 47, 34


@numba.njit(cache=True, nogil=True)
def _continues(byte):
    return 0x80 <= byte < 0xC0


@numba.njit(cache=True, nogil=True)
def _local_start(data, at, floor):
    """Where the local part that ends at `at` begins; `at` where there is none."""
    if at > floor and data[at - 1] == _QUOTE:
        start = at - 2
        while start >= floor and at - start <= _LONGEST_LOCAL and 32 < data[start] < 0xFF and data[start] != _AT:
            if data[start] == _QUOTE:
                return start if at - start > 2 else at
            start -= 1
        return at
    start = at
    while start > floor and at - start < _LONGEST_LOCAL:
        byte = data[start - 1]
        if _continues(byte):
            if start - 2 < floor or not 0xC3 <= data[start - 2] < 0xD5:
                break
            start -= 2
        elif _LOCAL[byte]:
            start -= 1
        else:
            break
    while start < at and not (_LETTER[data[start]] or data[start] == 95):
        start += 1
    if start == at or not (_EDGE[data[at - 1]] or _continues(data[at - 1])):
        return at
    return start


@numba.njit(cache=True, nogil=True)
def _domain_end(data, begin):
    """Where the domain that begins at `begin` ends, after its top level or four numbers; `begin` where none."""
    size = min(len(data), begin + _LONGEST_DOMAIN)
    bracket = begin < size and data[begin] == 91
    at = begin + bracket
    label, end, numbers = at, begin, 0
    dots = 0
    while at <= size:
        inside = at < size and (_LETTER[data[at]] or data[at] == _HYPHEN or (_continues(data[at]) and at > label))
        if inside:
            at += 1
            continue
        length = at - label
        if length == 0 or data[label] == _HYPHEN or data[at - 1] == _HYPHEN:
            break
        letters = True
        for place in range(label, at):
            letters &= data[place] > 57
        coded = length > 4 and data[label] == 120 and data[label + 1] == 110 and data[label + 2] == _HYPHEN
        digits = True
        for place in range(label, at):
            digits &= 48 <= data[place] <= 57
        numbers += digits and length <= 3
        if dots >= 1 and ((letters and 2 <= length <= 48) or coded):
            end = at
        if dots == 3 and numbers == 4:
            end = at + 1 if bracket and at < size and data[at] == 93 else at
        if at >= size or data[at] != _DOT:
            break
        dots += 1
        at += 1
        label = at
    return end


@numba.njit(cache=True, nogil=True)
def _with(found, count, start, end):
    """`found` with one more address."""
    found = with_room(found, count)
    found[0, count], found[1, count] = start, end
    return found


@numba.njit(cache=True, nogil=True)
def find_emails(data):
    """int32[2, addresses]: starts and ends of what has the form of an e-mail address, in order, disjoint."""
    found = np.empty((2, 16), np.int32)
    count, floor = 0, 0
    for at in range(len(data)):
        if data[at] != _AT or at < floor:
            continue
        start = _local_start(data, at, floor)
        end = _domain_end(data, at + 1) if start < at else at + 1
        if start == at or end == at + 1:
            floor = at + 1
            continue
        found = _with(found, count, start, end)
        count += 1
        floor = end
    return found[:, :count]


@numba.njit(cache=True, nogil=True)
def _scheme_start(data, colon, floor):
    """Where http, https, ftp, ftps, ws or wss begins that ends at `colon`; `colon` where there is none."""
    start = colon
    while start > floor and colon - start < 6 and 97 <= data[start - 1] | 32 <= 122:
        start -= 1
    word = 0
    for place in range(start, colon):
        word = word << 8 | data[place] | 32
    known = word in (0x68747470, 0x6874747073, 0x667470, 0x66747073, 0x7773, 0x777373)
    return start if known else colon


@numba.njit(cache=True, nogil=True)
def _is_www(data, at):
    return data[at] | 32 == 119 and data[at + 1] | 32 == 119 and data[at + 2] | 32 == 119


@numba.njit(cache=True, nogil=True)
def find_urls(data):
    """int32[2, urls]: starts and ends of what begins as a URL does, up to white space or a sign no URL has."""
    found = np.empty((2, 16), np.int32)
    count, floor = 0, 0
    size = len(data)
    for sign in range(size):
        if (data[sign] != _COLON and data[sign] != _DOT) or sign < floor:
            continue
        start, at = -1, sign + 1
        if data[sign] == _COLON:
            if sign + 4 < size and data[sign + 1] == _SLASH and data[sign + 2] == _SLASH:
                start, at = _scheme_start(data, sign, floor), sign + 3
                start = -1 if start == sign else start
        elif sign >= floor + 3 and _is_www(data, sign - 3):
            begin = sign - 3
            start = begin if begin == floor or not (_LETTER[data[begin - 1]] or data[begin - 1] == 95) else -1
        if start < 0:
            continue
        end = at
        while end < size and not _URL_END[data[end]]:
            end += 1
        if end == at:
            continue
        found = _with(found, count, start, end)
        count += 1
        floor = end
    return found[:, :count]
