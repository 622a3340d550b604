"""The outline of a page: its elements and the blocks among them, read off the page as its parser writes it out.

Such a page has no "<" but that of a tag or a comment, every attribute with its double quotes, and everything that was
opened is closed. One pass over UTF-8 gives

    elements   where each begins and ends, in document order
    unseen     the elements that are never content, what is in them passed over
    blocks     block elements, and inline ones with the name of a part: kind, the block around it, text of its own

`corpus.extract.page_blocks` has the tables of names.
"""

import numba
import numpy as np

from corpus.kernels.characters import SPACE, class_of, decode
from corpus.kernels.hashing import BASIS, PRIME, avalanche, hash_bytes, slot_of

# What an element is, by its name.
DROPPED, VOID, LITERAL, BLOCK, NAMED, LINK = 1, 2, 4, 8, 16, 32
INNER, LISTED, PARAGRAPH, LINKABLE, PROSE = 64, 128, 256, 512, 1024
# What a word of a class or an id says: STRONG is one of a part, too.
PART, STRONG, CONTENT, HIDDEN = 1, 2, 4, 8
# Columns of a block.
ELEMENT, KIND, PARENT, IS_PART, TEXT, LINKS = 0, 1, 2, 3, 4, 5
COLUMNS = 6
_LESS, _MORE, _SLASH, _BANG, _QUOTE, _EQUALS, _AND = 60, 62, 47, 33, 34, 61, 38


@numba.njit(cache=True, nogil=True)
def tags_in(data, begin, stop):
    """ "<" among the bytes [begin, stop): more than there are elements."""
    count = 0
    for at in range(begin, stop):
        count += data[at] == _LESS
    return count


@numba.njit(cache=True, nogil=True)
def outline(data, begin, stop, by_name, classes, kinds, words, starts, ends, blocks, unseen, above):
    """(blocks, unseen elements) of the page in the bytes [begin, stop), whose elements go to `starts` and `ends`;
    (0, 0) for one that is not written so. Names of parts count if `by_name`.

    `classes` is `characters.class_table()`; `kinds` and `words` are maps by hash (see `hashing.map_of`). Room for
    `tags_in` rows: `blocks` int64[…, COLUMNS], `unseen` int64[…], `above` int64[…, 3] for what is open.
    """
    elements = block_count = unseen_count = depth = hidden = 0
    block, linked = -1, False
    at = begin
    while at < stop:
        behind = at
        while behind < stop and data[behind] != _LESS:
            behind += 1
        if behind > at and not hidden and block >= 0:
            blocks[block, LINKS if linked else TEXT] += _length(data, at, behind, classes, False)
        if behind + 2 >= stop:
            break
        tag = behind
        if data[tag + 1] == _BANG:
            at = behind_comment(data, tag, stop)
            continue
        if data[tag + 1] == _SLASH:
            at = find(data, tag, stop, _MORE) + 1
            if hidden:
                hidden -= 1
                if not hidden:
                    ends[unseen[unseen_count - 1]] = at
            else:
                depth -= 1
                if depth < 0:
                    return 0, 0
                ends[above[depth, 0]] = at
                block, linked = above[depth, 1], above[depth, 2] != 0
            continue
        name = tag + 1
        at = name
        while at < stop and data[at] != _MORE and data[at] != 32:
            at += 1
        kind = kind_of(kinds, data, name, at)
        if elements == 0 and not (at - name == 4 and kind & BLOCK and data[name] == 98 and data[name + 1] == 111):
            return 0, 0  # no <body>
        end_of_name, given = at, 0
        while at < stop and data[at] == 32:
            attribute = at + 1
            at = find(data, attribute + 1, stop, _EQUALS)  # a name may begin with "="
            value = at + 2
            if value > stop or data[at + 1] != _QUOTE:
                return 0, 0
            at = find(data, value, stop, _QUOTE)
            if not hidden and by_name and kind & NAMED and is_class_or_id(data, attribute, value - 2):
                given |= _said(data, value, at, words)
            at += 1
        if at >= stop or data[at] != _MORE:
            return 0, 0
        at += 1
        if hidden:
            hidden += not kind & VOID
        else:
            place = elements
            starts[place], ends[place] = tag, at
            elements += 1
            if kind & DROPPED:
                unseen[unseen_count] = place
                unseen_count += 1
                hidden = 0 if kind & VOID else 1
            elif not kind & VOID:
                above[depth, 0], above[depth, 1], above[depth, 2] = place, block, linked
                depth += 1
                part = is_part(given)
                if part or kind & BLOCK:
                    blocks[block_count, ELEMENT], blocks[block_count, KIND] = place, kind
                    blocks[block_count, PARENT], blocks[block_count, IS_PART] = block, part
                    blocks[block_count, TEXT] = blocks[block_count, LINKS] = 0
                    block = block_count
                    block_count += 1
                linked = linked or kind & LINK != 0
        if kind & LITERAL:
            behind = _behind_literal(data, name, end_of_name, at, stop)
            if not hidden and block >= 0:
                blocks[block, LINKS if linked else TEXT] += _length(data, at, behind, classes, True)
            at = behind
    return (0, 0) if depth or hidden else (block_count, unseen_count)


@numba.njit(cache=True, nogil=True)
def find(data, at, stop, byte):
    """Where the byte stands next, `stop` if nowhere."""
    while at < stop and data[at] != byte:
        at += 1
    return at


@numba.njit(cache=True, nogil=True)
def behind_comment(data, tag, stop):
    """Behind the comment, or what else begins with "<!", at `tag`."""
    if data[tag + 2] != 45:
        return find(data, tag, stop, _MORE) + 1
    at = tag + 4
    while at + 2 < stop and not (data[at] == 45 and data[at + 1] == 45 and data[at + 2] == _MORE):
        at += 1
    return at + 3


@numba.njit(cache=True, nogil=True)
def _behind_literal(data, name, end_of_name, at, stop):
    """Where the content ends of an element whose text is written as it is: before the tag that closes it."""
    size = end_of_name - name
    while at + size + 2 < stop:
        if data[at] == _LESS and data[at + 1] == _SLASH and data[at + 2 + size] == _MORE:
            same = 0
            while same < size and data[at + 2 + same] == data[name + same]:
                same += 1
            if same == size:
                return at
        at += 1
    return stop


@numba.njit(cache=True, nogil=True)
def kind_of(kinds, data, begin, stop):
    """What an element is whose name is the bytes [begin, stop), by a map of names; 0 for one that is not in it."""
    table, held = kinds
    value = hash_bytes(data, begin, stop)
    slot = slot_of(table, value)
    return held[slot] if table[slot] == value else 0


@numba.njit(cache=True, nogil=True)
def is_class_or_id(data, begin, stop):
    if stop - begin == 2:
        return data[begin] == 105 and data[begin + 1] == 100
    if stop - begin != 5 or data[begin] != 99 or data[begin + 1] != 108:
        return False
    return data[begin + 2] == 97 and data[begin + 3] == 115 and data[begin + 4] == 115


@numba.njit(cache=True, nogil=True)
def _said(data, begin, stop, words):
    """What the words of a class or id say together. Words are runs of letters, cut before a capital that follows a
    small letter; HIDDEN ones stand between blanks."""
    table, held = words
    said = 0
    value, letters, before = BASIS, 0, np.uint8(32)
    token, size = BASIS, 0
    for at in range(begin, stop + 1):
        byte = data[at] if at < stop else np.uint8(32)
        is_capital = 65 <= byte <= 90
        is_letter = is_capital or 97 <= byte <= 122
        if letters and (not is_letter or (is_capital and 97 <= before <= 122)):
            slot = slot_of(table, avalanche(value))
            if table[slot] != 0:
                said |= held[slot] & (PART | STRONG | CONTENT)
            value, letters = BASIS, 0
        if is_letter:
            value = (value ^ np.uint64(byte | 32)) * PRIME
            letters += 1
        before = byte
        if byte == 32 or 9 <= byte <= 13:
            if size:
                slot = slot_of(table, avalanche(token))
                if table[slot] != 0:
                    said |= held[slot] & HIDDEN
            token, size = BASIS, 0
        else:
            token = (token ^ np.uint64(byte)) * PRIME
            size += 1
    return said


@numba.njit(cache=True, nogil=True)
def is_part(said):
    """Whether an element of which its class and id say this is a part that pages have beside their content."""
    unsure = said & STRONG == 0 and said & CONTENT != 0
    return (said & PART != 0 and not unsure) or said & HIDDEN != 0


@numba.njit(cache=True, nogil=True)
def _length(data, at, stop, classes, literal):
    """Characters of a text, without white space at either end; `literal`: "&" is written as it is."""
    length = last = 0
    while at < stop:
        if 32 < data[at] < 128 and data[at] != _AND:  # nearly always
            length += 1
            last = length
            at += 1
            continue
        code, size = np.int32(data[at]), 1
        if code >= 128:
            code, size = decode(data, at)
        elif code == _AND and not literal:
            code, size = unescaped(data, at, stop)
        at += size
        if length or not class_of(classes, code) & SPACE:
            length += 1
            if not class_of(classes, code) & SPACE:
                last = length
    return last


@numba.njit(cache=True, nogil=True)
def unescaped(data, at, stop):
    """(character, bytes) of what begins with "&": one of the five that are written by name, or that sign itself."""
    if at + 3 < stop and data[at + 2] == 116 and data[at + 3] == 59:
        if data[at + 1] == 108:
            return np.int32(_LESS), 4
        if data[at + 1] == 103:
            return np.int32(_MORE), 4
    if at + 4 < stop and data[at + 1] == 97 and data[at + 2] == 109 and data[at + 3] == 112 and data[at + 4] == 59:
        return np.int32(_AND), 5
    if at + 5 < stop and data[at + 5] == 59:
        if data[at + 1] == 113 and data[at + 2] == 117 and data[at + 3] == 111 and data[at + 4] == 116:
            return np.int32(_QUOTE), 6
        if data[at + 1] == 110 and data[at + 2] == 98 and data[at + 3] == 115 and data[at + 4] == 112:
            return np.int32(0xA0), 6
    return np.int32(_AND), 1
