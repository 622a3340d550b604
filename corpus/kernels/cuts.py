"""Byte spans out of texts: from marked pieces to spans, from spans to the text that is left, and back.

Spans are relative to the first byte of their document, ascending and apart; row d owns spans bounds[d]:bounds[d + 1].
"""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def _weight(data, begin, stop):
    """How much a gap divides: 0 for none, 1 for white space, more for each line break."""
    weight = np.int64(stop > begin)
    for at in range(begin, stop):
        weight += data[at] == 10
    return weight


@numba.njit(cache=True, nogil=True)
def _last_line(data, begin, stop):
    """Where the last line of a gap begins, or -1: what follows is the indentation of the next piece."""
    for at in range(stop - 1, begin - 1, -1):
        if data[at] == 10:
            return at + 1
    return -1


@numba.njit(cache=True, nogil=True)
def spans_of(data, offsets, bounds, starts, ends, marks):
    """(spans' starts, stops, bounds) that remove every run of marked pieces and one of the two gaps beside it.

    The gap that divides more stays, so that neither words nor paragraphs are glued; of two that divide alike the one
    behind, which carries the indentation of what follows.
    """
    rows = len(bounds) - 1
    count = np.int64(0)
    for mark in marks:
        count += mark
    span_starts, span_stops = np.empty(count, np.int64), np.empty(count, np.int64)
    span_bounds = np.zeros(rows + 1, np.int64)
    total = 0
    for row in range(rows):
        piece, end = bounds[row], bounds[row + 1]
        while piece < end:
            if not marks[piece]:
                piece += 1
                continue
            first = piece
            while piece < end and marks[piece]:
                piece += 1
            begin, stop = starts[first], ends[piece - 1]
            before = ends[first - 1] if first > bounds[row] else offsets[row]
            if piece == end:
                if first > bounds[row]:
                    begin = before
            else:
                behind = starts[piece]
                if first > bounds[row] and _weight(data, before, begin) <= _weight(data, stop, behind):
                    begin = before
                else:
                    resume = _last_line(data, stop, behind)
                    if resume < 0:
                        stop = behind
                    else:
                        stop = resume
                        own = _last_line(data, before, begin)
                        begin = own if own >= 0 else (begin if first > bounds[row] else before)
            span_starts[total], span_stops[total] = begin - offsets[row], stop - offsets[row]
            total += 1
        span_bounds[row + 1] = total
    return span_starts[:total].copy(), span_stops[:total].copy(), span_bounds


@numba.njit(cache=True, nogil=True)
def text_without(data, offsets, bounds, starts, stops):
    """(bytes, offsets int64) of the texts without their spans."""
    rows = len(offsets) - 1
    out = np.empty(offsets[rows] - offsets[0], np.uint8)
    ends = np.zeros(rows + 1, np.int64)
    size = 0
    for row in range(rows):
        at = offsets[row]
        for span in range(bounds[row], bounds[row + 1]):
            length = offsets[row] + starts[span] - at
            out[size : size + length] = data[at : at + length]
            size += length
            at = offsets[row] + stops[span]
        length = offsets[row + 1] - at
        out[size : size + length] = data[at : at + length]
        size += length
        ends[row + 1] = size
    return out[:size], ends


@numba.njit(cache=True, nogil=True)
def spans_before(bounds, starts, stops, cut_bounds, cut_starts, cut_stops):
    """(starts, stops, bounds): spans of texts that had cuts taken out, as spans of the texts before that.

    A span around a cut falls into two.
    """
    rows = len(bounds) - 1
    capacity = len(starts) + len(cut_starts)
    out_starts, out_stops = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    out_bounds = np.zeros(rows + 1, np.int64)
    total = 0
    for row in range(rows):
        cut, last = cut_bounds[row], cut_bounds[row + 1]
        removed = np.int64(0)
        for span in range(bounds[row], bounds[row + 1]):
            at, stop = starts[span], stops[span]
            while cut < last and cut_starts[cut] - removed < stop:
                place = cut_starts[cut] - removed
                if place > at:
                    out_starts[total], out_stops[total] = at + removed, place + removed
                    total += 1
                    at = place
                removed += cut_stops[cut] - cut_starts[cut]
                cut += 1
            out_starts[total], out_stops[total] = at + removed, stop + removed
            total += 1
        out_bounds[row + 1] = total
    return out_starts[:total].copy(), out_stops[:total].copy(), out_bounds
