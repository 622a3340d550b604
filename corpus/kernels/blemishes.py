"""Which texts repair must look at: one pass over the bytes, a superset of what its expressions would find.

    MOJIBAKE   neighbours beyond ASCII that are not both dashes or quotes; a C1 control; a letter that mojibake leaves
               before a lost character
    UNICODE    a character that normalisation form C may change or compose with another
    CONTROL    a control or invisible character
    LAYOUT     a line end that is not \\n, blanks before one, four line ends in a row, or blank space at an end

A text of nothing but words, marks and single blanks has none. About 700 MB/s.
"""

import numba
import numpy as np

MOJIBAKE, UNICODE, CONTROL, LAYOUT = 1, 2, 4, 8
_NEWLINE, _BLANK, _OTHER = 1, 2, 3  # classes of ASCII bytes that need a look; 0 needs none, 2 only behind another byte
_LOST = "ÂÃÄÅÎÏÐÑØÙâã"


def _classes() -> np.ndarray:
    """uint8[256]: ASCII that needs a look, and every byte beyond ASCII."""
    table = np.zeros(256, np.uint8)
    table[:32] = table[127:] = _OTHER
    table[10] = _NEWLINE
    table[[9, 32]] = _BLANK
    return table


CLASSES = _classes()
LOST = np.isin(np.arange(256), [sign.encode()[1] for sign in _LOST])


@numba.njit(cache=True, nogil=True)
def blemishes(data, offsets, classes, lost):
    """uint8[rows]: the blemishes of each text, as bits; `classes` and `lost` are the tables of this module."""
    found = np.zeros(offsets.size - 1, np.uint8)
    for row in range(found.size):
        begin, stop = offsets[row], offsets[row + 1]
        if begin == stop:
            continue
        flags = 0
        lines = 0  # line ends up to here without anything between
        at = begin
        foreign = False  # the last character is beyond ASCII
        mark = False  # and a dash, a quote or the like
        while at < stop:
            if (
                not foreign and classes[data[at]] & 1 == 0
            ):  # neither a line end nor one that needs a look: words, blanks
                lines = 0
                while at < stop and classes[data[at]] & 1 == 0:
                    at += 1
                continue
            byte = data[at]
            kind = classes[byte]
            if kind == 0:
                lines = 0
                if foreign:
                    foreign = False
                    if byte == 63 and not mark and _may_be_lost(data, at, begin, lost):
                        flags |= MOJIBAKE
                at += 1
                continue
            if byte < 0x80:
                if kind == _NEWLINE:
                    lines += 1
                    if lines >= 4 or at == begin or data[at - 1] == 32 or data[at - 1] == 9:
                        flags |= LAYOUT
                else:
                    lines = 0
                    if kind == _OTHER:
                        flags |= CONTROL | LAYOUT
                    if foreign and _may_be_lost(data, at, begin, lost):
                        flags |= MOJIBAKE
                foreign = False
                at += 1
                continue
            lines = 0
            second = data[at + 1]
            dash = False
            if byte < 0xE0:
                size = 2
                if byte == 0xC2 and second < 0xA0:
                    flags |= MOJIBAKE | CONTROL | LAYOUT
                elif byte == 0xC2 and second == 0xAD:
                    flags |= CONTROL
                elif byte >= 0xCC:
                    flags |= UNICODE
            elif byte < 0xF0:
                size = 3
                third = data[at + 2]
                if byte == 0xE2 and second == 0x80:
                    dash = 0x90 <= third <= 0xA7
                    if third < 0x82:
                        flags |= UNICODE
                    elif third == 0x8B:
                        flags |= CONTROL
                    elif third == 0xA8 or third == 0xA9:
                        flags |= LAYOUT
                else:
                    flags |= UNICODE
                    if byte == 0xEF or (byte == 0xE2 and second == 0x81):
                        flags |= CONTROL
            else:
                size = 4
                flags |= UNICODE
            if foreign and not (mark and dash):
                flags |= MOJIBAKE
            foreign, mark = True, dash
            at += size
        last = data[stop - 1]
        if last == 32 or last == 9 or (last == 10 and (stop - begin == 1 or data[stop - 2] == 10)):
            flags |= LAYOUT
        found[row] = flags
    return found


@numba.njit(cache=True, nogil=True)
def _may_be_lost(data, at, begin, lost):
    """Whether the character before `at` is one that mojibake leaves alone when its neighbour is lost."""
    if at - begin < 2:
        return False
    first, second = data[at - 2], data[at - 1]
    return (first == 0xC3 and lost[second]) or (first == 0xC2 and second == 0xAC) or (first == 0x88 and second == 0x9A)
