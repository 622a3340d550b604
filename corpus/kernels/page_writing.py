"""Writing the text of plainly built pages, as resiliparse's writer does: blocks on lines of their own, list items with
bullets or numbers, white space within a line one blank.

A page of other elements (tables, preformatted text, forms, figures), or one that a parser might read differently from
how it is written, is left to that writer.
"""

import numba
import numpy as np

from corpus.kernels.outline import behind_comment, find, is_class_or_id, kind_of, tags_in, unescaped

# What an element is, by its name; 0 for one that is not written here.
INLINE, LINE, TALL, EMPTY, BREAK, BODY, LIST, NUMBERED, ITEM, LINK = 1, 2, 4, 8, 16, 32, 64, 128, 256, 512
CLOSED = 1024  # a paragraph or heading, which a parser may end where a block begins
DEEPEST = 8  # list in which an item is written here
ROOM = 40  # bytes that a tag may make beyond its own: line feeds, indentation, a number
_LESS, _MORE, _AND, _QUOTE, _EQUALS = 60, 62, 38, 34, 61


@numba.njit(cache=True, nogil=True)
def write_pages(data, offsets, tags):
    """(bytes, offsets int64[pages + 1], bool[pages] that are left to another writer, which come out empty) of the HTML
    of each page. `tags` maps hashes of tags to the bits above (see `hashing.map_of`)."""
    room = offsets[-1] - offsets[0] + ROOM * tags_in(data, offsets[0], offsets[-1])
    out = np.empty(room, np.uint8)
    bounds, untold = np.zeros(len(offsets), np.int64), np.zeros(len(offsets) - 1, np.bool_)
    for page in range(len(untold)):
        begin = bounds[page]
        size = _write(data, offsets[page], offsets[page + 1], tags, out, begin)
        untold[page] = size < 0
        bounds[page + 1] = begin if size < 0 else size
    return out[: bounds[-1]], bounds, untold


@numba.njit(cache=True, nogil=True)
def _write(data, at, stop, tags, out, begin):
    """Where the text ends that is written from `begin` on; -1 for a page that is left to another writer."""
    opened = np.empty(tags_in(data, at, stop) + 1, np.int64)  # kinds of the elements that are open
    numbers = np.zeros(DEEPEST + 2, np.int64)  # of the next item of each list, 0 where it has bullets
    depth = lists = margin = 0
    size, paragraphs, links = begin, 0, 0
    behind_opening = np.int64(-1)
    bullet, prefix = False, -1  # whether an item has begun without text; its number, 0 for a bullet, -1 for none
    # A run of text, which inline elements do not end: how deep it is, whether it is a block's, whether it has begun.
    level, strips, begun = 0, False, False
    while at < stop:
        if data[at] != _LESS:
            code, width = np.int32(data[at]), 1
            if code == _AND:
                code, width = unescaped(data, at, stop)
            if depth + 1 < level:
                level, strips, begun = depth + 1, size > begin and _is_blank(out[size - 1]), False
            blank = _is_blank(code)
            if not begun and not (blank and strips):
                begun = True
                if margin:
                    size = _without_blanks(out, begin, size)
                    if size > begin:
                        out[size : size + margin] = 10
                        size += margin
                    margin = 0
                if lists:
                    indent = 2 * (lists + (not bullet))
                    out[size : size + indent] = 32
                    size += indent
                    bullet = False
                if prefix >= 0:
                    size = _put_mark(out, size, prefix)
                    prefix = -1
                if blank:
                    out[size] = 32
                    size += 1
            elif blank and begun and not _is_blank(out[size - 1]):
                out[size] = 32
                size += 1
            if not blank:
                if width > 1 and code == 0xA0:  # by its name; else it is a byte of some character
                    out[size], out[size + 1] = 0xC2, 0xA0
                    size += 2
                else:
                    out[size] = code
                    size += 1
            at += width
            while not blank and at < stop and data[at] > _AND and data[at] != _LESS:  # the rest of a word
                out[size] = data[at]
                size += 1
                at += 1
            continue
        if at + 2 >= stop:
            return -1
        if data[at + 1] == 33:
            at = behind_comment(data, at, stop)
            continue
        closing = data[at + 1] == 47
        is_empty = closing and at == behind_opening  # of which that writer sees no end
        name = at + 1 + closing
        at = name
        while at < stop and data[at] != _MORE and data[at] != 32:
            at += 1
        kind = kind_of(tags, data, name, at)
        at = _behind_attributes(data, at, stop, kind & LINK != 0)
        if kind == 0 or at < 0:
            return -1
        if kind & BODY:
            continue
        if closing:
            depth -= 1
            if depth < 0 or opened[depth] != kind:
                return -1
            paragraphs -= kind & CLOSED != 0
            links -= kind & LINK != 0
            if is_empty:
                if kind & LIST:
                    return -1
                continue
        elif not kind & EMPTY:
            above = opened[depth - 1] if depth else 0
            if (paragraphs and not kind & INLINE) or (links and kind & LINK):
                return -1
            if kind & ITEM and (not above & LIST or lists > DEEPEST):
                return -1
            paragraphs += kind & CLOSED != 0
            links += kind & LINK != 0
        elif paragraphs and kind & LINE and not kind & BREAK:
            return -1  # a parser ends the paragraph at a rule
        if kind & LIST:
            lists += -1 if closing else 1
            if lists > DEEPEST + 1:
                return -1
            if closing:
                bullet, prefix = False, -1
            else:
                numbers[lists - 1] = 1 if kind & NUMBERED else 0
        if kind & ITEM:
            prefix, bullet = numbers[lists - 1], not closing
            numbers[lists - 1] += prefix > 0 and not closing
        if not kind & INLINE:
            level, strips, begun = depth + 1, True, False
            lines = 2 if kind & TALL else 1
            margin = margin + 1 if kind & BREAK else max(margin, lines)
        elif depth + 1 < level:
            level, strips, begun = depth + 1, size > begin and _is_blank(out[size - 1]), False
        if not closing and not kind & EMPTY:
            opened[depth] = kind
            depth += 1
            behind_opening = at
    return -1 if depth else _without_blanks(out, begin, size)


@numba.njit(cache=True, nogil=True)
def _is_blank(code):
    return code == 32 or 9 <= code <= 13


@numba.njit(cache=True, nogil=True)
def _without_blanks(out, begin, size):
    while size > begin and _is_blank(out[size - 1]):
        size -= 1
    return size


@numba.njit(cache=True, nogil=True)
def _put_mark(out, size, number):
    """Write a bullet, or a number with a dot, and a blank."""
    if number == 0:
        out[size], out[size + 1], out[size + 2] = 0xE2, 0x80, 0xA2
        size += 3
    else:
        digits = 1
        while number >= 10**digits:
            digits += 1
        for place in range(digits):
            out[size + digits - 1 - place] = 48 + number // 10**place % 10
        out[size + digits] = 46
        size += digits + 1
    out[size] = 32
    return size + 1


@numba.njit(cache=True, nogil=True)
def _behind_attributes(data, at, stop, is_link):
    """Behind the tag whose attributes begin at `at`; -1 where it is not written as parsers do, or is a link that may be
    the mark of a heading."""
    while at < stop and data[at] == 32:
        name = at + 1
        at = find(data, name + 1, stop, _EQUALS)
        value = at + 2
        if value > stop or data[at + 1] != _QUOTE:
            return np.int64(-1)
        at = find(data, value, stop, _QUOTE)
        if is_link and is_class_or_id(data, name, value - 2) and _may_mark(data, value, at):
            return np.int64(-1)
        at += 1
    return np.int64(at + 1) if at < stop and data[at] == _MORE else np.int64(-1)


@numba.njit(cache=True, nogil=True)
def _may_mark(data, begin, stop):
    """Whether the name has "nk" or "nc" in it, as every link and anchor."""
    found = False
    for at in range(begin, stop - 1):
        found = found or (data[at] == 110 and (data[at + 1] == 107 or data[at + 1] == 99))
    return found
