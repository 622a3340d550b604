"""Compiled packing: documents, given by their lengths, become pieces, and pieces become rows of `capacity` tokens.

Every kernel returns `rows` int64[rows + 1], the first piece of each row, and `pieces` int64[pieces, 3] in the order of
the rows: which entry of `lengths` it is of, its first token within that document, its tokens. A document without tokens
has no piece. Cost: O(documents + rows), some hundred nanoseconds a document, most of them cache misses.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def _whole(length, capacity):
    """length // capacity, without the division where it is 0: for most documents."""
    return 0 if length < capacity else length // capacity


@njit(cache=True, nogil=True)
def chunked(lengths, capacity):
    """Concatenate and chunk; the last tokens, fewer than `capacity`, fill no row and are left out."""
    total = np.int64(0)
    for length in lengths:
        total += length
    count = total // capacity
    most = len(lengths) + count
    rows = np.zeros(count + 1, np.int64)
    pieces = np.empty((most, 3), np.int64)
    row, room, piece = 0, capacity, 0
    for i in range(len(lengths)):
        done = np.int64(0)
        while done < lengths[i] and row < count:
            take = min(room, lengths[i] - done)
            pieces[piece, 0], pieces[piece, 1], pieces[piece, 2] = i, done, take
            piece += 1
            done += take
            room -= take
            if room == 0:
                row += 1
                rows[row] = piece
                room = capacity
    return rows, pieces[:piece]


@njit(cache=True, nogil=True, inline="always")
def _lowest_bit(word):
    """The place of the lowest set bit of a word that is not 0 (de Bruijn multiplication is slower than this)."""
    place = 0
    if word & np.uint64(0xFFFFFFFF) == 0:
        word >>= np.uint64(32)
        place += 32
    if word & np.uint64(0xFFFF) == 0:
        word >>= np.uint64(16)
        place += 16
    if word & np.uint64(0xFF) == 0:
        word >>= np.uint64(8)
        place += 8
    if word & np.uint64(0xF) == 0:
        word >>= np.uint64(4)
        place += 4
    if word & np.uint64(0x3) == 0:
        word >>= np.uint64(2)
        place += 2
    if word & np.uint64(0x1) == 0:
        place += 1
    return place


@njit(cache=True, nogil=True)
def _next_set(bits, start):
    """The least set place ≥ `start`; the caller has set the last place of all."""
    word = start >> 6
    value = bits[word] >> np.uint64(start & 63)
    if value != 0:
        return start + _lowest_bit(value)
    word += 1
    while bits[word] == 0:
        word += 1
    return (word << 6) + _lowest_bit(bits[word])


@njit(cache=True, nogil=True)
def _best_fit_groups(counts, capacity, most):
    """Best-fit decreasing on lengths alone: `counts` int64[capacity], how many rests have each length.

    Rows that hold the same lengths are a group, an interval of row numbers; documents of one length and rows of one
    group are alike, so a step moves whole groups and the work depends on the capacity, not on the documents. A row with
    room c that is the best fit for length L stays the best until it has ⌊c/L⌋ of them. Returns events int64[e, 5]
    (length, first row, rows, documents per row, pieces that those rows had) and the groups int64[g, 3] (first row,
    rows, pieces).
    """
    bound = 3 * capacity + 3
    first, size = np.empty(bound, np.int64), np.empty(bound, np.int64)
    pieces, below = np.empty(bound, np.int64), np.empty(bound, np.int64)
    top = np.full(capacity + 1, -1, np.int64)  # groups with the same room are a stack; `bits`: which stacks hold any
    bits = np.zeros((capacity >> 6) + 2, np.uint64)
    one = np.uint64(1)
    bits[capacity >> 6] |= one << np.uint64(capacity & 63)  # an empty row is always to be had
    events = np.empty((most, 5), np.int64)
    done, groups, opened = 0, 0, 0
    for length in range(capacity - 1, 0, -1):
        left = counts[length]
        while left > 0:
            room = _next_set(bits, length)
            each = room // length
            moved = left // each
            if moved == 0:
                moved, each = 1, left
            if room == capacity:
                group, groups = groups, groups + 1
                first[group], size[group], pieces[group] = opened, moved, 0
                opened += moved
            else:
                group = top[room]
                if moved >= size[group]:
                    moved = size[group]
                    top[room] = below[group]
                    if top[room] < 0:
                        bits[room >> 6] &= ~(one << np.uint64(room & 63))
                else:  # part of the group: its first rows become a group of their own
                    rest, group, groups = group, groups, groups + 1
                    first[group], size[group], pieces[group] = first[rest], moved, pieces[rest]
                    first[rest] += moved
                    size[rest] -= moved
            event = events[done]
            event[0], event[1], event[2], event[3], event[4] = length, first[group], moved, each, pieces[group]
            done += 1
            pieces[group] += each
            left -= moved * each
            room -= each * length
            if room > 0:
                below[group] = top[room]
                top[room] = group
                bits[room >> 6] |= one << np.uint64(room & 63)
    found = np.empty((groups, 3), np.int64)
    for group in range(groups):
        found[group, 0], found[group, 1], found[group, 2] = first[group], size[group], pieces[group]
    return events[:done], found


@njit(cache=True, nogil=True)
def _by_length(lengths, capacity):
    """Counts of the rests (length modulo capacity), and the documents sorted by rest, longest first, stable."""
    counts = np.zeros(capacity, np.int64)
    for length in lengths:
        counts[length - _whole(length, capacity) * capacity] += 1
    where = np.zeros(capacity, np.int64)
    for rest in range(capacity - 1, 0, -1):
        where[rest - 1] = where[rest] + counts[rest]
    ordered = np.empty(len(lengths), np.uint32)
    for i in range(len(lengths)):
        rest = lengths[i] - _whole(lengths[i], capacity) * capacity
        ordered[where[rest]] = i
        where[rest] += 1
    return counts, ordered


@njit(cache=True, nogil=True)
def best_fit(lengths, capacity):
    """Best-fit decreasing (Ding et al. 2024): a document is cut only when it is longer than a row.

    The longest rest first, each into the row with the least room that still holds it, a new row when none does. Rows
    that are full of one document come first, in the order of the documents.
    """
    counts, ordered = _by_length(lengths, capacity)
    halvings = 2  # a visit leaves a row with less than half of its room
    while (1 << halvings) < capacity:
        halvings += 1
    most = min(len(lengths) + 1, 3 * (capacity + 1) * (halvings + 1))
    events, groups = _best_fit_groups(counts, capacity, most)
    full, opened = np.int64(0), np.int64(0)
    for length in lengths:
        full += _whole(length, capacity)
    for group in groups:
        opened += group[1]
    rows = np.empty(full + opened + 1, np.int64)
    for row in range(full + 1):
        rows[row] = row
    for group in groups:
        rows[full + group[0] + 1 : full + group[0] + group[1] + 1] = group[2]
    for row in range(full, full + opened):
        rows[row + 1] += rows[row]
    total = rows[-1]
    pieces = np.empty((total, 3), np.int64)
    row = 0
    for i in range(len(lengths)):
        for part in range(_whole(lengths[i], capacity)):
            pieces[row, 0], pieces[row, 1], pieces[row, 2] = i, part * capacity, capacity
            row += 1
    taken = 0
    for event in events:
        length, each = event[0], event[3]
        for row in range(full + event[1], full + event[1] + event[2]):
            at = rows[row] + event[4]
            for k in range(each):
                i = ordered[taken]
                taken += 1
                pieces[at + k, 0], pieces[at + k, 1], pieces[at + k, 2] = i, lengths[i] - length, length
    return rows, pieces


@njit(cache=True, nogil=True)
def _bucketed_rows(rests, capacity):
    """The row of every rest (a length in 0 … capacity − 1; 0 has none, −1), and how many rows there are: each rest goes
    into the open row of its bucket (lengths 2^(b−1)+1 … 2^b), and opens a new one when it does not fit."""
    row_of = np.full(len(rests), -1, np.int64)
    open_row, room = np.full(64, -1, np.int64), np.zeros(64, np.int64)
    opened = 0
    for i in range(len(rests)):
        rest = rests[i]
        if rest == 0:
            continue
        bucket = 0
        while (1 << bucket) < rest:
            bucket += 1
        if room[bucket] < rest:
            open_row[bucket], room[bucket] = opened, capacity
            opened += 1
        row_of[i] = open_row[bucket]
        room[bucket] -= rest
    return row_of, opened


@njit(cache=True, nogil=True)
def _assemble(lengths, capacity, row_of, opened):
    """Pieces by row: first the rows that are full of one document, in order, then the opened ones."""
    full = np.int64(0)
    held = np.zeros(opened + 1, np.int64)
    for i in range(len(lengths)):
        full += _whole(lengths[i], capacity)
        if row_of[i] >= 0:
            held[row_of[i] + 1] += 1
    rows = np.empty(full + opened + 1, np.int64)
    for row in range(full + 1):
        rows[row] = row
    for row in range(opened):
        held[row + 1] += held[row]
        rows[full + row + 1] = full + held[row + 1]
    pieces = np.empty((rows[-1], 3), np.int64)
    row = 0
    for i in range(len(lengths)):
        whole = _whole(lengths[i], capacity)
        for part in range(whole):
            pieces[row, 0], pieces[row, 1], pieces[row, 2] = i, part * capacity, capacity
            row += 1
        if row_of[i] >= 0:
            at = full + held[row_of[i]]
            held[row_of[i]] += 1
            rest = lengths[i] - whole * capacity
            pieces[at, 0], pieces[at, 1], pieces[at, 2] = i, whole * capacity, rest
    return rows, pieces


@njit(cache=True, nogil=True)
def bucketed(lengths, capacity):
    """Documents of like length share a row: one open row for each power of two, in the order of the store."""
    row_of, opened = _bucketed_rows(lengths % capacity, capacity)
    return _assemble(lengths, capacity, row_of, opened)
