"""Log probabilities of texts under a back-off n-gram model in KenLM's probing layout, text by text.

The tables are open-addressing hash tables (linear probing, 0 for an empty slot) in the bytes of the model file:

    words      (hash uint64, id uint32)                 MurmurHash64A of the word's bytes
    unigrams   (log10 p float32, back-off float32)      by id
    n-grams    (key uint64, log10 p, back-off)          of orders 2 … n-1
    n-grams    (key uint64, log10 p)                    of the highest order

The sign bit of a stored log probability says that no longer n-gram ends in this one; a back-off of -0.0 that none
begins with it (Heafield 2011, "KenLM: Faster and smaller language model queries").

A look-up is a wait for memory. So words are taken in runs: all of a run are hashed and their slots asked for, then all
their n-grams, before the first is scored.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from corpus.kernels.characters import SPACE, class_at, decode

WORD_ENTRY, MIDDLE_ENTRY, LONGEST_ENTRY, UNIGRAM_ENTRY = 12, 16, 12, 8
_MURMUR = np.uint64(0xC6A4A7935BD1E995)
RUN = 256  # words looked up together
_FACTOR, _WORD_FACTOR = np.uint64(8978948897894561157), np.uint64(17894857484156487943)


def _load(kind: Any) -> Any:
    """A function that reads one little-endian value at any byte of a uint8 array, aligned or not."""

    @intrinsic
    def load(context, array, position):
        def generate(context, builder, signature, arguments):
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            place = builder.gep(data, [arguments[1]])
            typed = builder.bitcast(place, context.get_value_type(kind).as_pointer())
            return builder.load(typed, align=1)

        return kind(array, types.int64), generate

    return load


_load64, _load32, _load_float = _load(types.uint64), _load(types.uint32), _load(types.float32)


def _generate_prefetch(context, builder, signature, arguments):
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    number = ir.IntType(32)
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    place = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
    builder.call(function, [place, number(0), number(3), number(1)])  # to read, into every cache, data
    return context.get_dummy_value()


def _type_prefetch(context, array, position):
    return types.void(array, types.int64), _generate_prefetch


# Ask for the cache line of a byte of a uint8 array, and do not wait for it.
_prefetch: Any = intrinsic(_type_prefetch)


@numba.njit(cache=True, nogil=True)
def murmur(data, begin, end):
    """MurmurHash64A (Appleby, public domain) of bytes [begin, end), seed 0."""
    value = np.uint64(end - begin) * _MURMUR
    at = np.int64(begin)
    while at + 8 <= end:
        part = _load64(data, at) * _MURMUR
        part ^= part >> np.uint64(47)
        value = (value ^ (part * _MURMUR)) * _MURMUR
        at += 8
    if at < end:
        for index in range(end - at):
            value ^= np.uint64(data[at + index]) << np.uint64(8 * index)
        value *= _MURMUR
    value ^= value >> np.uint64(47)
    value *= _MURMUR
    return value ^ (value >> np.uint64(47))


@numba.njit(cache=True, nogil=True)
def _ideal(start, buckets, entry, key):
    """The byte of the slot at which the search for a key begins."""
    return start + np.int64(key % np.uint64(buckets)) * entry


@numba.njit(cache=True, nogil=True)
def _find(model, at, start, buckets, entry, key):
    """The byte at which the entry of a key begins, searched from the slot at byte `at`; or -1."""
    while True:
        found = _load64(model, at)
        if found == key:
            return at
        if found == 0:
            return np.int64(-1)
        at += entry
        if at == start + buckets * entry:
            at = start


@numba.njit(cache=True, nogil=True)
def word_id(model, start, buckets, key):
    """The id of a word by its hash, 0 for one that the model does not know."""
    at = _find(model, _ideal(start, buckets, WORD_ENTRY, key), start, buckets, WORD_ENTRY, key)
    return np.int64(_load32(model, at + 8)) if at >= 0 else np.int64(0)


@numba.njit(cache=True, nogil=True)
def _signed(value):
    """Whether a float32 has its sign bit set, -0.0 among them."""
    return np.float32(value).view(np.int32) < 0


@numba.njit(cache=True, nogil=True)
def _extends(backoff):
    """Whether a longer n-gram may begin with one of this back-off: it is not -0.0."""
    return backoff != 0.0 or not _signed(backoff)


@numba.njit(cache=True, nogil=True)
def _look_up(model, starts, buckets, ids, keys, context, nodes, places, begin, end):
    """For the words [begin, end) of a run: replace the hashes in `keys` by ids, and ask for the memory of all n-grams
    that end in them. `nodes[i, d]` becomes the key of word i after d + 1 words, `places[i, d]` where its search begins.
    """
    order = len(starts) - 1
    for index in range(begin, end):
        if ids[index] < 0:
            places[index, 0] = _ideal(starts[0], buckets[0], WORD_ENTRY, keys[index])
            _prefetch(model, places[index, 0])
    for index in range(begin, end):
        if ids[index] < 0:
            at = _find(model, places[index, 0], starts[0], buckets[0], WORD_ENTRY, keys[index])
            ids[index] = np.int64(_load32(model, at + 8)) if at >= 0 else np.int64(0)
        _prefetch(model, starts[1] + UNIGRAM_ENTRY * ids[index])
        node = np.uint64(ids[index])
        for depth in range(context[index]):
            node = (node * _FACTOR) ^ (np.uint64(1 + ids[index - depth - 1]) * _WORD_FACTOR)
            entry = LONGEST_ENTRY if depth == order - 2 else MIDDLE_ENTRY
            nodes[index, depth] = node
            places[index, depth] = _ideal(starts[depth + 2], buckets[depth + 2], entry, node)
            _prefetch(model, places[index, depth])


@numba.njit(cache=True, nogil=True, inline="always")  # a call with so many arrays takes as long as what it does
def _score(model, starts, buckets, ids, nodes, places, index, backoffs, fresh, length):
    """(log10 p of word `index` of the run after `length` words, how many words count for the next one). `backoffs`, of
    the n-grams that end in the word before, shortest first, become those that end in this one; `fresh` is room for as
    many."""
    order = len(starts) - 1
    at = starts[1] + UNIGRAM_ENTRY * ids[index]
    stored = _load_float(model, at)
    fresh[0] = _load_float(model, at + 4)
    total, matched = np.float64(-abs(stored)), 1
    kept = 1 if _extends(fresh[0]) else 0
    for depth in range(length):
        if _signed(stored):
            break
        table = depth + 2
        entry = LONGEST_ENTRY if table == order else MIDDLE_ENTRY
        at = _find(model, places[index, depth], starts[table], buckets[table], entry, nodes[index, depth])
        if at < 0:
            break
        stored = _load_float(model, at + 8)
        total, matched = np.float64(-abs(stored)), table
        if table == order:
            break
        fresh[depth + 1] = _load_float(model, at + 12)
        if _extends(fresh[depth + 1]):
            kept = table
    for depth in range(matched - 1, length):
        total += backoffs[depth]
    for depth in range(kept):
        backoffs[depth] = fresh[depth]
    return total, kept


@numba.njit(cache=True, nogil=True)
def score_lines(data, offsets, table, model, starts, buckets, begin_word, end_word, each):
    """(Σ log10 p float64, tokens int64) of each text: its lines one by one, each after a begin and with an end of
    sentence, words parted by white space, a line without words left out. `table` is `characters.class_table()`;
    `starts` and `buckets`, int64[order + 1], are the tables' first bytes and sizes: words, then by order of n-gram.
    `each`, float64[tokens of all texts] or empty, takes the log10 p of every token."""
    rows = len(offsets) - 1
    order = len(starts) - 1
    scores, tokens = np.zeros(rows, np.float64), np.zeros(rows, np.int64)
    backoffs, fresh = np.zeros(order, np.float32), np.zeros(order, np.float32)
    room = RUN + order + 2
    keys, ids, context = np.zeros(room, np.uint64), np.zeros(room, np.int64), np.zeros(room, np.int64)
    nodes, places = np.zeros((room, order), np.uint64), np.zeros((room, order), np.int64)
    length, written = 0, 0
    for row in range(rows):
        at, stop = offsets[row], offsets[row + 1]
        inside = False  # a line that has words
        count = 0
        while at <= stop:
            carried = min(count, order - 1)  # words of the run before, as context
            for index in range(carried):
                ids[index], context[index] = ids[count - carried + index], context[count - carried + index]
            count = carried
            while at <= stop and count < RUN:
                if at == stop or data[at] == 10:
                    at += 1
                    if inside:
                        ids[count], context[count] = end_word, min(context[count - 1] + 1, order - 1)
                        count += 1
                        inside = False
                    continue
                if class_at(data, at, table) & SPACE:
                    at += decode(data, at)[1]
                    continue
                if not inside:
                    ids[count], context[count] = begin_word, 0
                    count += 1
                    inside = True
                begin = at
                while at < stop:
                    if data[at] < 128:  # nearly always, and then there is nothing to decode
                        if table[data[at]] & SPACE:
                            break
                        at += 1
                    elif class_at(data, at, table) & SPACE:
                        break
                    else:
                        at += decode(data, at)[1]
                keys[count], ids[count] = murmur(data, begin, at), -1
                context[count] = min(context[count - 1] + 1, order - 1)
                count += 1
            _look_up(model, starts, buckets, ids, keys, context, nodes, places, carried, count)
            for index in range(carried, count):
                if context[index] == 0:
                    backoffs[0] = _load_float(model, starts[1] + UNIGRAM_ENTRY * begin_word + 4)
                    length = 1
                    continue
                score, length = _score(model, starts, buckets, ids, nodes, places, index, backoffs, fresh, length)
                scores[row] += score
                tokens[row] += 1
                if len(each):
                    each[written] = score
                    written += 1
    return scores, tokens
