"""Blank space in its plain form, in one pass: no blanks at line ends, no empty lines at either end of a text, at most
two in a row in between (a longer run becomes one).

Two things are not noise and stay: the tabs at the end of a table's row, which are its empty cells, and the empty lines
of a fenced code block (CommonMark's ``` and ~~~). Over 300 MB/s of texts that need it.
"""

import numba
import numpy as np
import pyarrow as pa

from corpus.document import utf8_buffers

_LONGEST_FENCE = 32  # longer ones are rules drawn across a page
_TAB, _NEWLINE, _SPACE, _BACKTICK, _TILDE = 9, 10, 32, 96, 126


def plain_layout(text: pa.StringArray) -> pa.StringArray:
    """The texts in their plain form. Lines end in "\\n" already."""
    data, offsets = utf8_buffers(text)
    out, bounds = _lay_out(data, offsets)
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(bounds), pa.py_buffer(out[: bounds[-1]]))


@numba.njit(cache=True, nogil=True)
def _lay_out(data, offsets):
    """(bytes, offsets int32[rows + 1]) of the laid out texts, which are never longer."""
    out = np.empty(offsets[-1] - offsets[0], np.uint8)
    bounds = np.zeros(offsets.size, np.int32)
    size = 0
    unclosed = np.empty(2, np.int64)  # by kind of fence, the shortest of which the text has no end
    for row in range(offsets.size - 1):
        begin, stop = offsets[row], offsets[row + 1]
        first = size
        unclosed[:] = _LONGEST_FENCE + 1
        breaks = 0  # line ends since the last line that was written
        closing = -1  # where the last line of the fenced block begins that we are in
        before, start = -1, begin  # of the line before this one, and of this one
        while start <= stop:
            end = start
            while end < stop and data[end] != _NEWLINE:
                end += 1
            last = _content_end(data, begin, stop, before, start, end)
            if last > start:
                if size > first:
                    kept = breaks if breaks < 4 or start <= closing else 2
                    for _ in range(kept):
                        out[size] = _NEWLINE
                        size += 1
                for at in range(start, last):
                    out[size] = data[at]
                    size += 1
                breaks = 0
                if closing < 0:
                    closing = _fenced_to(data, start, end, stop, unclosed)
                elif start >= closing:
                    closing = -1
            if end < stop:
                breaks += 1
            before, start = start, end + 1
        if breaks and size > first:
            out[size] = _NEWLINE
            size += 1
        bounds[row + 1] = size
    return out, bounds


@numba.njit(cache=True, nogil=True)
def _content_end(data, begin, stop, before, start, end):
    """Where the line [start, end) ends without its trailing blanks, or with the tabs that are empty cells."""
    last = end
    tabs = -1  # behind the last trailing tab
    while last > start and (data[last - 1] == _SPACE or data[last - 1] == _TAB):
        if tabs < 0 and data[last - 1] == _TAB:
            tabs = last
        last -= 1
    if tabs < 0:
        return last
    inner, count = _tabs_of(data, start, end)
    if inner:
        return tabs
    # A row whose cells but one are empty looks like its neighbours in nothing but the number of its tabs.
    if before >= 0:
        inner, others = _tabs_of(data, before, start - 1)
        if inner and others == count:
            return tabs
    if end < stop:
        after = end + 1
        while after < stop and data[after] != _NEWLINE:
            after += 1
        inner, others = _tabs_of(data, end + 1, after)
        if inner and others == count:
            return tabs
    return last


@numba.njit(cache=True, nogil=True)
def _tabs_of(data, start, end):
    """(whether a tab stands between two words of the line, its tabs)."""
    count = open_tabs = 0
    inner = words = False
    for at in range(start, end):
        if data[at] == _TAB:
            count += 1
            open_tabs += words
        elif data[at] != _SPACE:
            inner |= open_tabs > 0
            words = True
    return inner, count


@numba.njit(cache=True, nogil=True)
def _fence(data, start, end):
    """(kind 0 or 1, its length, where it ends) of the fence that the line begins with; length 0 for none."""
    at = start
    while at < end and at - start < 3 and data[at] == _SPACE:
        at += 1
    if at == end or (data[at] != _BACKTICK and data[at] != _TILDE):
        return 0, 0, at
    sign = data[at]
    run = at
    while run < end and data[run] == sign:
        run += 1
    length = run - at
    return (1 if sign == _TILDE else 0), (length if 3 <= length <= _LONGEST_FENCE else 0), run


@numba.njit(cache=True, nogil=True)
def _fenced_to(data, start, end, stop, unclosed):
    """Where the line begins that closes the block which the line [start, end) opens; -1 where it opens none.

    What is never closed is no block. `unclosed` remembers that, so that a text is searched once for every length.
    """
    kind, length, behind = _fence(data, start, end)
    if length == 0 or length >= unclosed[kind]:
        return -1
    if kind == 0:
        for at in range(behind, end):
            if data[at] == _BACKTICK:  # inline code
                return -1
    line = end + 1
    while line < stop:
        after = line
        while after < stop and data[after] != _NEWLINE:
            after += 1
        other, size, at = _fence(data, line, after)
        if size >= length and other == kind:
            while at < after and (data[at] == _SPACE or data[at] == _TAB):
                at += 1
            if at == after:
                return line
        line = after + 1
    unclosed[kind] = length
    return -1
