"""The main content of a page: which of its blocks stay, and the page without the others.

    weigh    running text below each block; a part that holds most of it is none
    choose   go down from <body> as long as one block holds nearly all of the running text
    beside   what stands next to the chosen block and is text too, such as the lead paragraph above an article's body
    prune    below: parts by name, and blocks that are mostly links

About 600 MB of HTML a second.
"""

import numba
import numpy as np

from corpus.kernels.outline import (
    COLUMNS,
    ELEMENT,
    INNER,
    IS_PART,
    KIND,
    LINKABLE,
    LINKS,
    LISTED,
    PARAGRAPH,
    PARENT,
    PROSE,
    TEXT,
    outline,
    tags_in,
)

NEARLY_ALL = 0.75  # of the running text, for which one goes down into a block
MOST = 0.6  # of the running text, from which a part is content in spite of its name
ENOUGH = 250  # characters of running text; a page with less is read again without regard to names
LINE, SHORT_LINE = 40, 20  # characters from which a block, or a paragraph, is running text
LEVELS = 3  # above the chosen block, whose other children are looked at
LINKS_BESIDE = 0.2  # share of links above which a neighbour is no text
LONG = 200  # characters of running text from which a block full of links stays


@numba.njit(cache=True, nogil=True)
def main_contents(data, offsets, classes, kinds, words):
    """(bytes, offsets int64[pages + 1]) of the main content of each page, as HTML; `kinds` and `words` as for
    `outline`. A page that is not written as a parser does stays whole."""
    out = np.empty(offsets[-1] - offsets[0], np.uint8)
    bounds = np.zeros(len(offsets), np.int64)
    size = 0
    for page in range(len(offsets) - 1):
        begin, stop = offsets[page], offsets[page + 1]
        room = tags_in(data, begin, stop) + 1
        starts, ends, unseen = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
        blocks, above = np.empty((room, COLUMNS), np.int64), np.empty((room, 3), np.int64)
        count, unseen_count, weights = 0, 0, np.empty(0, np.float64)
        for by_name in (True, False):
            count, unseen_count = outline(
                data, begin, stop, by_name, classes, kinds, words, starts, ends, blocks, unseen, above
            )
            weights = weigh(blocks[:count])
            if count == 0 or weights[0] >= ENOUGH:
                break
        if count == 0:
            out[size : size + stop - begin] = data[begin:stop]
            size += stop - begin
        else:
            stays = _beside(blocks[:count], weights, _choose(blocks[:count], weights))
            gone = _pruned(blocks[:count], weights, stays, unseen[:unseen_count])
            size = _write(data, starts, ends, blocks, stays, gone, out, size)
        bounds[page + 1] = size
    return out[:size], bounds


@numba.njit(cache=True, nogil=True)
def weigh(blocks):
    """float64[blocks]: running text in and below each block; its text and links become those of all below it, too. No
    part is left that holds most of the page's running text."""
    count = len(blocks)
    running, weights = np.empty(count), np.zeros(count)
    for block in range(count):
        running[block] = _own_weight(blocks[block, KIND], blocks[block, TEXT], blocks[block, LINKS])
    for block in range(count - 1, -1, -1):
        weights[block] += running[block]
        parent = blocks[block, PARENT]
        if parent >= 0:
            blocks[parent, TEXT] += blocks[block, TEXT]
            blocks[parent, LINKS] += blocks[block, LINKS]
            weights[parent] += weights[block]
    for block in range(count):
        if weights[block] > MOST * weights[0]:
            blocks[block, IS_PART] = 0
    weights[:] = 0.0
    for block in range(count - 1, -1, -1):
        weights[block] = 0.0 if blocks[block, IS_PART] else weights[block] + running[block]
        if blocks[block, PARENT] >= 0:
            weights[blocks[block, PARENT]] += weights[block]
    return weights


@numba.njit(cache=True, nogil=True)
def _own_weight(kind, text, links):
    """Characters of running text that stand in the block itself."""
    if links >= text:
        return 0.0
    if text >= LINE:
        return text * (0.5 if kind & LISTED else 1.0)
    return text * 0.5 if text >= SHORT_LINE and kind & PARAGRAPH else 0.0


@numba.njit(cache=True, nogil=True)
def _choose(blocks, weights):
    """The smallest container that holds nearly all of the running text: one way through, as a block comes before those
    below it, and only one of its children can hold so much."""
    chosen = 0
    for block in range(1, len(blocks)):
        if blocks[block, PARENT] == chosen and 0 < weights[block] >= NEARLY_ALL * weights[chosen]:
            chosen = block
    while blocks[chosen, KIND] & INNER and blocks[chosen, PARENT] >= 0:
        chosen = blocks[chosen, PARENT]
    return chosen


@numba.njit(cache=True, nogil=True)
def _beside(blocks, weights, chosen):
    """bool[blocks]: the chosen one, text before it, and paragraphs after it, among the other children of the blocks
    above it."""
    stays = np.zeros(len(blocks), np.bool_)
    stays[chosen] = True
    below = chosen
    for _ in range(LEVELS):
        above = blocks[below, PARENT]
        if above < 0:
            break
        for block in range(above + 1, len(blocks)):
            if blocks[block, PARENT] == above and block != below and (block < below or blocks[block, KIND] & PROSE):
                is_text = not blocks[block, IS_PART] and weights[block] >= LINE
                if is_text and blocks[block, LINKS] < LINKS_BESIDE * blocks[block, TEXT]:
                    stays[block] = True
        below = above
    return stays


@numba.njit(cache=True, nogil=True)
def _pruned(blocks, weights, stays, unseen):
    """Elements to take out of the blocks that stay, in document order: the unseen, parts, and menus."""
    inside = stays.copy()
    gone = np.empty(len(blocks), np.int64)
    count = 0
    for block in range(len(blocks)):
        parent = blocks[block, PARENT]
        if parent < 0 or not inside[parent]:
            continue
        many = blocks[block, LINKS] > blocks[block, TEXT] and weights[block] < LONG
        if blocks[block, IS_PART] or (many and not blocks[block, KIND] & LINKABLE):
            gone[count] = blocks[block, ELEMENT]
            count += 1
        else:
            inside[block] = True
    return np.sort(np.concatenate((gone[:count], unseen)))


@numba.njit(cache=True, nogil=True)
def _write(data, starts, ends, blocks, stays, gone, out, size):
    """Write the blocks that stay without the elements that are gone; the size of all that is written."""
    following = 0
    for block in range(len(stays)):
        if not stays[block]:
            continue
        at, end = starts[blocks[block, ELEMENT]], ends[blocks[block, ELEMENT]]
        while following < len(gone) and starts[gone[following]] < end:
            element = gone[following]
            if starts[element] >= at:  # else it stands in the one before, or outside
                out[size : size + starts[element] - at] = data[at : starts[element]]
                size += starts[element] - at
                at = ends[element]
            following += 1
        out[size : size + end - at] = data[at:end]
        size += end - at
    return size
