"""N-grams of evaluation items in documents: verified hits, and what share of item and document they cover.

Words are numbered through the whole index of items, so the words of an item are consecutive numbers. Posting p of
gram g, for p in postings[g]:postings[g + 1], is the word number `place[p]` at which the gram begins.
"""

import numba
import numpy as np

from corpus.kernels.folding import same_words
from corpus.kernels.hashing import slot_of


@numba.njit(cache=True, nogil=True)
def hits(data, starts, ends, windows, n, table, grams, postings, place, item_data, item_starts, item_ends, lower):
    """(word int64, gram int64): where in the documents an n-gram of the index begins, compared word by word.

    windows: hashes of the documents' n-grams. table, grams: `corpus.kernels.hashing.map_of` of the index.
    """
    words, found = np.empty(len(windows), np.int64), np.empty(len(windows), np.int64)
    count = 0
    for word in range(len(windows)):
        if windows[word] == 0:
            continue
        slot = slot_of(table, windows[word])
        if table[slot] == 0:
            continue
        first = place[postings[grams[slot]]]
        same = True
        for step in range(n):
            begin, stop = starts[word + step], ends[word + step]
            if not same_words(data, begin, stop, item_data, item_starts[first + step], item_ends[first + step], lower):
                same = False
                break
        if same:
            words[count], found[count] = word, grams[slot]
            count += 1
    return words[:count].copy(), found[:count].copy()


@numba.njit(cache=True, nogil=True)
def pairs(words, grams, lengths, documents, postings, place, item_of):
    """(document, item, covered words of the item, covered words of the document) of every pair with a hit.

    words, grams, lengths: hits by ascending document and word; documents: the document of each hit; item_of: the item
    of each word number.
    """
    total = 0
    for hit in range(len(words)):
        total += postings[grams[hit] + 1] - postings[grams[hit]]
    out = np.empty((total, 4), np.int64)
    count, hit = 0, 0
    while hit < len(words):
        last, size = hit, 0
        while last < len(words) and documents[last] == documents[hit]:
            size += postings[grams[last] + 1] - postings[grams[last]]
            last += 1
        places, owners, spots = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
        sizes = np.empty(size, np.int64)
        at = 0
        for index in range(hit, last):
            for posting in range(postings[grams[index]], postings[grams[index] + 1]):
                places[at], spots[at], sizes[at] = place[posting], words[index], lengths[index]
                owners[at] = item_of[place[posting]]
                at += 1
        # Hits come in the order of the document, and a stable sort keeps it within an item.
        by_item = np.argsort(owners, kind="mergesort")
        first = 0
        while first < size:
            stop = first
            owner = owners[by_item[first]]
            while stop < size and owners[by_item[stop]] == owner:
                stop += 1
            mine = by_item[first:stop]
            of_document = _covered(spots[mine], sizes[mine])
            mine = mine[np.argsort(places[mine])]
            of_item = _covered(places[mine], sizes[mine])
            out[count, 0], out[count, 1] = documents[hit], owner
            out[count, 2], out[count, 3] = of_item, of_document
            count += 1
            first = stop
        hit = last
    return out[:count].copy()


@numba.njit(cache=True, nogil=True)
def _covered(begins, sizes):
    """Words in the union of the ranges begins[i] … begins[i] + sizes[i], by ascending begin."""
    covered, reached = 0, -1
    for index in range(len(begins)):
        stop = begins[index] + sizes[index]
        if stop > reached:
            covered += stop - max(begins[index], reached)
            reached = stop
    return covered
