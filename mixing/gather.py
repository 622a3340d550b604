"""The loader's kernel: rows of token ids, labels, positions and document numbers straight from memory maps.

One call fills a batch from any number of sources, shards and layouts. The kernel reads the maps through their
addresses, which `Tables` collects once (and keeps the maps alive); nothing is allocated, no Python runs per row, and
the GIL is free. A row that is chunked is a span of the store, whose documents are found by bisection in the shard's
index; a row that is packed is a list of pieces, padded to its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from mixing.batch import IGNORE
from mixing.sequences import Sequences


@intrinsic
def _pointer(typing_context, address, sample):
    """An address as a C pointer to the type of `sample`."""

    def convert(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(sample)(types.int64, sample), convert


@intrinsic
def _fetch(typing_context, address):
    """Ask for the cache line at an address without waiting for it."""

    def call(context, builder, signature, arguments):
        number = ir.IntType(32)
        pointer = cgutils.voidptr_t
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        reading, keep, data = number(0), number(3), number(1)
        builder.call(function, [builder.inttoptr(arguments[0], pointer), reading, keep, data])
        return context.get_dummy_value()

    return types.void(types.int64), call


@njit(nogil=True, inline="always")
def _at(address, size, sample):
    """The array of `size` items of the type of `sample` at an address."""
    return carray(_pointer(address, sample), (size,))  # type: ignore[call-arg]  # numba gives the typing context


@njit(nogil=True)
def _widen(tokens, input_ids, labels):
    # A plain loop over one-dimensional views for each array: the compiler vectorises those.
    last = len(tokens) - 1
    for j in range(last + 1):
        input_ids[j] = tokens[j]
    for j in range(last):
        labels[j] = tokens[j + 1]
    labels[last] = IGNORE


@njit(nogil=True)
def _run(address, width, start, input_ids, labels):
    """A run of a shard's tokens from `start` on, as long as the outputs, as if it were one document."""
    size = len(input_ids)
    if width == 2:
        _widen(_at(address + start * 2, size, np.uint16(0)), input_ids, labels)
    else:
        _widen(_at(address + start * 4, size, np.uint32(0)), input_ids, labels)


@njit(nogil=True)
def _own(document, labels, positions, documents):
    """Make places of a run those of one document: nothing follows its last token."""
    size = len(labels)
    labels[size - 1] = IGNORE
    for j in range(size):
        positions[j] = j
    for j in range(size):
        documents[j] = document


@njit(nogil=True, inline="always")
def _shard(low, high, start, shards):
    """The shard among [low, high) that holds token `start` of the store."""
    return low + np.searchsorted(shards[low:high, 0], start, side="right") - 1 if high - low > 1 else low


@njit(nogil=True, inline="always")
def _pieces(rows, pieces, sequence):
    """(document, first token, tokens) of every piece of a packed row, one after another."""
    bounds = _at(rows + sequence * 8, 2, np.int64(0))
    return _at(pieces + bounds[0] * 24, (bounds[1] - bounds[0]) * 3, np.int64(0))


@njit(nogil=True)
def _announce(source, sequence, sources, shards, length):
    """Ask for the tokens of a chunked row while the row before it is written: rows lie anywhere in the store, and
    waiting for each costs as much as writing a fifth of it."""
    low, high, width = sources[source, 0], sources[source, 1], sources[source, 2]
    start = sequence * length
    shard = _shard(low, high, start, shards)
    first = shards[shard, 2] + (start - shards[shard, 0]) * width
    for line in range(first, first + length * width, 64):
        _fetch(line)  # type: ignore[call-arg]  # numba gives the typing context


@njit(nogil=True)
def _pad(pad, input_ids, labels, positions, documents):
    for j in range(len(input_ids)):
        input_ids[j], labels[j], positions[j], documents[j] = pad, IGNORE, j, -1


@njit(cache=True, nogil=True)
def gather(source, sequence, sources, shards, input_ids, labels, positions, documents):
    """Fill int64[rows, S] outputs with sequence[k] of source[k]; `sources` and `shards` as in `Tables`."""
    length = input_ids.shape[1]
    for k in range(len(source)):
        entry = sources[source[k]]
        low, high, width, rows, pieces, pad = entry[0], entry[1], entry[2], entry[3], entry[4], entry[5]
        ids, label, position, owner = input_ids[k], labels[k], positions[k], documents[k]
        if k + 1 < len(source) and sources[source[k + 1], 3] == 0:
            _announce(source[k + 1], sequence[k + 1], sources, shards, length)
        place = 0
        if rows != 0:
            held = _pieces(rows, pieces, sequence[k])
            for p in range(0, len(held), 3):
                document, start, size = held[p], held[p + 1], held[p + 2]
                shard = _shard(low, high, start, shards)
                stop = place + size
                _run(shards[shard, 2], width, start - shards[shard, 0], ids[place:stop], label[place:stop])
                _own(document, label[place:stop], position[place:stop], owner[place:stop])
                place = stop
            _pad(pad, ids[place:], label[place:], position[place:], owner[place:])
            continue
        start = sequence[k] * length
        shard = _shard(low, high, start, shards)
        while place < length:
            inside = start + place - shards[shard, 0]
            ends = _at(shards[shard, 3], shards[shard, 4], np.int64(0))
            if len(ends) == 0 or inside >= ends[-1]:  # an empty shard
                shard += 1
                continue
            # Whole runs first, documents after: a row's stores are then aligned, whatever its documents' lengths.
            run = min(length, place + ends[-1] - inside)
            _run(shards[shard, 2], width, inside, ids[place:run], label[place:run])
            document = np.searchsorted(ends, inside, side="right")
            while place < run:
                stop = min(run, place + ends[document] - inside)
                if stop > place:
                    _own(shards[shard, 1] + document, label[place:stop], position[place:stop], owner[place:stop])
                    inside += stop - place
                    place = stop
                document += 1
            shard += 1


@njit(nogil=True)
def _copy(address, width, start, output):
    """A run of a shard's tokens from `start` on, as long as the output."""
    size = len(output)
    if width == 2:
        narrow = _at(address + start * 2, size, np.uint16(0))
        for j in range(size):
            output[j] = narrow[j]
    else:
        wide = _at(address + start * 4, size, np.uint32(0))
        for j in range(size):
            output[j] = wide[j]


@njit(cache=True, nogil=True)
def gather_ids(source, sequence, sources, shards, input_ids):
    """Fill [rows, S] of any integer type with the ids of sequence[k] of source[k], as `gather` does, and nothing
    else: documents need not be found."""
    length = input_ids.shape[1]
    for k in range(len(source)):
        entry = sources[source[k]]
        low, high, width, rows, pieces, pad = entry[0], entry[1], entry[2], entry[3], entry[4], entry[5]
        ids = input_ids[k]
        if k + 1 < len(source) and sources[source[k + 1], 3] == 0:
            _announce(source[k + 1], sequence[k + 1], sources, shards, length)
        place = 0
        if rows != 0:
            held = _pieces(rows, pieces, sequence[k])
            for p in range(0, len(held), 3):
                start, stop = held[p + 1], place + held[p + 2]
                shard = _shard(low, high, start, shards)
                _copy(shards[shard, 2], width, start - shards[shard, 0], ids[place:stop])
                place = stop
            ids[place:] = pad
            continue
        start = sequence[k] * length
        shard = _shard(low, high, start, shards)
        while place < length:
            inside = start + place - shards[shard, 0]
            ends = _at(shards[shard, 3], shards[shard, 4], np.int64(0))
            run = place if len(ends) == 0 else min(length, place + max(ends[-1] - inside, 0))
            _copy(shards[shard, 2], width, inside, ids[place:run])
            place = run
            shard += 1


@dataclass(frozen=True)
class Tables:
    """What the kernel knows of the sources.

    `sources` int64[sources, 6]: first shard, last shard + 1, bytes of a token, address of `rows` (0: chunked), address
    of `pieces`, id that pads. `shards` int64[shards, 5]: first token and first document in the store, address of the
    tokens, address of the document ends, documents. `alive` are the arrays at those addresses.
    """

    sources: np.ndarray
    shards: np.ndarray
    alive: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, sequences: Sequence[Sequences]) -> "Tables":
        alive: list[np.ndarray] = []
        sources: list[tuple[int, ...]] = []
        shards: list[tuple[int, ...]] = []
        for entry in sequences:
            store = entry.store
            first = len(shards)
            for shard, tokens in enumerate(store.shards):
                ends = store.shard_ends[shard]
                start, document = int(store.shard_starts[shard]), int(store.shard_documents[shard])
                shards.append((start, document, tokens.ctypes.data, ends.ctypes.data, len(ends)))
                alive += [tokens, ends]
            rows, pieces = (0, 0) if entry.layout is None else (part.ctypes.data for part in entry.layout)
            alive += entry.layout or ()
            pad = store.tokenizer.eos_id
            sources.append((first, len(shards), store.dtype.itemsize, rows, pieces, pad))
        table = np.array(shards, np.int64).reshape(len(shards), 5)
        return cls(np.array(sources, np.int64).reshape(len(sources), 6), table, tuple(alive))
