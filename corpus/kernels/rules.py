"""Rules over word classes: where each may begin, and which of its matches stand."""

import numba
import numpy as np

from corpus.kernels.hashing import add, contains, slots_for
from corpus.kernels.spans import with_room

_LONGEST = 96  # tokens that are looked at from one start


@numba.njit(cache=True, nogil=True)
def _in_word(byte):
    return 48 <= byte <= 57 or 65 <= byte <= 90 or byte == 95 or 97 <= byte <= 122


@numba.njit(cache=True, nogil=True)
def find_matches(tokens, at, classes, table, first, accepted, rules):
    """(starts, ends, rules) int32[3, matches]: of each rule its longest match from each token, in order of start; and
    (at, state) where the table does not say where `state` leads, to go on from `at` when it does, state -1 at the end;
    and how many tokens the automaton has read.
    """
    size = len(tokens)
    found = np.empty((3, 64), np.int32)
    longest = np.zeros(rules, np.int64)
    seen = np.empty(rules, np.int32)
    count, steps = 0, 0
    opens = np.zeros(256, np.bool_)
    for token in range(256):
        opens[token] = table[1, classes[token]] != 0
    while at < size:
        if not opens[tokens[at]]:
            at += 1
            continue
        state, end, number = 1, at, 0
        while end < size and end - at < _LONGEST:
            before_it = state
            state = table[state, classes[tokens[end]]]
            if state == 0:
                break
            if state < 0:
                return found[:, :count], at, before_it, steps
            end += 1
            for index in range(first[state], first[state + 1]):
                rule = accepted[index]
                if longest[rule] == 0:
                    seen[number] = rule
                    number += 1
                longest[rule] = end
        for index in range(number):
            rule = seen[index]
            found = with_room(found, count)
            found[0, count], found[1, count], found[2, count] = at, longest[rule], rule
            count += 1
            longest[rule] = 0
        steps += end - at
        at += 1
    return found[:, :count], at, -1, steps


@numba.njit(cache=True, nogil=True)
def standing(starts, rules, which, ends, groups, number):
    """(firsts, lasts, rules) int64: the groups of the matches that stand, where a rule goes on behind its last match.

    starts, rules   of the matches, in order of start
    which, ends, groups   of match i: ends[which[i]] is its end from its start, and groups[which[i]] int32[groups, 2]
                          are its groups from its start, (-1, -1) where one took no part
    number          how many rules there are
    """
    reached = np.zeros(number, np.int64)
    width = groups.shape[1]
    firsts, lasts = np.empty(len(starts) * width, np.int64), np.empty(len(starts) * width, np.int64)
    own = np.empty(len(starts) * width, np.int64)
    count = 0
    for index in range(len(starts)):
        start, rule, kind = starts[index], rules[index], which[index]
        if start < reached[rule]:
            continue
        reached[rule] = start + ends[kind]
        for group in range(width):
            if groups[kind, group, 0] >= 0 and groups[kind, group, 1] > groups[kind, group, 0]:
                firsts[count], lasts[count] = start + groups[kind, group, 0], start + groups[kind, group, 1]
                own[count] = rule
                count += 1
    return firsts[:count], lasts[:count], own[:count]


@numba.njit(cache=True, nogil=True)
def of_class_within(classes, firsts, lasts, table):
    """bool[spans]: a token of the span [first, last) has one of the classes, bool[256]."""
    found = np.zeros(len(firsts), np.bool_)
    for index in range(len(firsts)):
        for token in range(firsts[index], lasts[index]):
            found[index] |= table[classes[token]]
    return found


@numba.njit(cache=True, nogil=True)
def word_within(words, firsts, lasts, members):
    """bool[spans]: a token of the span [first, last) is one of the words of a set (corpus/kernels/hashing.py)."""
    found = np.zeros(len(firsts), np.bool_)
    for index in range(len(firsts)):
        for token in range(firsts[index], lasts[index]):
            found[index] |= words[token] != 0 and contains(members, words[token])
    return found


@numba.njit(cache=True, nogil=True)
def word_near(words, classes, firsts, lasts, members, reach, begins):
    """bool[spans]: one of the words of a set stands within `reach` tokens of the span, in the same document, which a
    token of the class `begins` begins."""
    found = np.zeros(len(firsts), np.bool_)
    for index in range(len(firsts)):
        token = firsts[index] - 1
        while token >= 0 and firsts[index] - token <= reach and classes[token] != begins and not found[index]:
            found[index] = words[token] != 0 and contains(members, words[token])
            token -= 1
        token = lasts[index]
        while token < len(words) and token - lasts[index] < reach and classes[token] != begins and not found[index]:
            found[index] = words[token] != 0 and contains(members, words[token])
            token += 1
    return found


@numba.njit(cache=True, nogil=True)
def words_at(words, tokens, members):
    """bool[tokens]: the token is one of the words of a set; tokens beyond either end are none."""
    found = np.zeros(len(tokens), np.bool_)
    for index in range(len(tokens)):
        token = tokens[index]
        found[index] = 0 <= token < len(words) and words[token] != 0 and contains(members, words[token])
    return found


@numba.njit(cache=True, nogil=True)
def repeated(classes, words, begins, kinds, named, ordinary, lasts, before, after):
    """bool[3, tokens]: the token stands for a word that is named in its document: a capitalised one by `named`, an
    ordinary one by `ordinary`, a capitalised one by `lasts`, where the table `before` has not the class before it and
    `after` not the one after it.

    begins   uint8: the class of the token that begins a document
    kinds    bool[2, 256]: classes of capitalised words, of ordinary ones
    named, ordinary, lasts   int64: tokens that name somebody, each ascending
    """
    found = np.zeros((3, len(classes)), np.bool_)
    first = 0
    sizes = np.array([len(named), len(ordinary), len(lasts)])
    cursors = np.zeros(3, np.int64)
    while first < len(classes):
        last = first + 1
        while last < len(classes) and classes[last] != begins:
            last += 1
        for kind in range(3):
            tokens = named if kind == 0 else ordinary if kind == 1 else lasts
            start = cursors[kind]
            stop = start
            while stop < sizes[kind] and tokens[stop] < last:
                stop += 1
            cursors[kind] = stop
            if start == stop:
                continue
            table = np.zeros(slots_for(stop - start), np.uint64)
            for place in range(start, stop):
                add(table, words[tokens[place]])
            own = kinds[1 if kind == 1 else 0]
            for token in range(first, last):
                if own[classes[token]] and contains(table, words[token]):
                    kept = True
                    if kind == 2:
                        kept = not (
                            before[classes[token - 1]] or (token + 1 < len(classes) and after[classes[token + 1]])
                        )
                    found[kind, token] = kept
        first = last
    return found


@numba.njit(cache=True, nogil=True)
def without_small(data, starts, ends):
    """bool[spans]: no small letter of ASCII is in data[start:end]."""
    kept = np.ones(len(starts), np.bool_)
    for index in range(len(starts)):
        for place in range(starts[index], ends[index]):
            kept[index] &= not 97 <= data[place] <= 122
    return kept


@numba.njit(cache=True, nogil=True)
def followed_by(data, places, reach, classes, table, first, edge):
    """bool[places]: the automaton accepts a piece of the text that begins at the place, within `reach` bytes; where
    `edge` is set, one that ends where a word does."""
    kept = np.zeros(len(places), np.bool_)
    for index in range(len(places)):
        state = 1
        end, stop = places[index], min(len(data), places[index] + reach)
        while end < stop:
            state = table[state, classes[data[end]]]
            if state == 0:
                break
            end += 1
            if first[state + 1] > first[state] and not (
                edge and end < len(data) and _in_word(data[end - 1]) and _in_word(data[end])
            ):
                kept[index] = True
                break
    return kept
