"""The loader's kernel: rows of token ids, labels, positions and document numbers straight from memory maps.

One call fills a batch from any number of sources, shards and layouts. The kernel reads the maps through their
addresses, which `Tables` collects once (and keeps the maps alive); nothing is allocated, no Python runs per row, and
the GIL is free. A row that is chunked is a span of the store, whose documents are found by bisection in the shard's
index; a row that is packed is a list of pieces, padded to its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

from mixing.batch import IGNORE
from mixing.sequences import Sequences


@intrinsic
def _pointer(typing_context, address, sample):
    """An address as a C pointer to the type of `sample`."""

    def convert(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(sample)(types.int64, sample), convert


@njit(nogil=True, inline="always")
def _at(address, size, sample):
    """The array of `size` items of the type of `sample` at an address."""
    return carray(_pointer(address, sample), (size,))  # type: ignore[call-arg]  # numba gives the typing context


@njit(nogil=True)
def _write(tokens, document, input_ids, labels, positions, documents):
    """One piece of one row: `tokens` of a document in outputs of the same length."""
    size = len(tokens)
    # A plain loop over one-dimensional views for each array: the compiler vectorises those.
    for j in range(size):
        input_ids[j] = tokens[j]
    for j in range(size - 1):
        labels[j] = tokens[j + 1]
    labels[size - 1] = IGNORE
    for j in range(size):
        positions[j] = j
    for j in range(size):
        documents[j] = document


@njit(nogil=True)
def _piece(address, width, start, size, document, input_ids, labels, positions, documents):
    if width == 2:
        tokens = _at(address + start * 2, size, np.uint16(0))
        _write(tokens, document, input_ids, labels, positions, documents)
    else:
        wide = _at(address + start * 4, size, np.uint32(0))
        _write(wide, document, input_ids, labels, positions, documents)


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
        place = 0
        if rows != 0:
            bounds = _at(rows + sequence[k] * 8, 2, np.int64(0))
            held = _at(pieces + bounds[0] * 24, (bounds[1] - bounds[0]) * 3, np.int64(0))
            for p in range(0, len(held), 3):
                document, start, size = held[p], held[p + 1], held[p + 2]
                shard = low
                if high - low > 1:
                    shard = low + np.searchsorted(shards[low:high, 0], start, side="right") - 1
                stop = place + size
                _piece(
                    shards[shard, 2], width, start - shards[shard, 0], size, document,
                    ids[place:stop], label[place:stop], position[place:stop], owner[place:stop],
                )  # fmt: skip
                place = stop
            _pad(pad, ids[place:], label[place:], position[place:], owner[place:])
            continue
        start = sequence[k] * length
        shard = low + np.searchsorted(shards[low:high, 0], start, side="right") - 1
        inside = start - shards[shard, 0]
        ends = _at(shards[shard, 3], shards[shard, 4], np.int64(0))
        document = np.searchsorted(ends, inside, side="right")
        while place < length:
            while document == len(ends):  # the next shard that holds a document
                shard += 1
                inside, document = 0, 0
                ends = _at(shards[shard, 3], shards[shard, 4], np.int64(0))
            size = min(length - place, ends[document] - inside)
            if size > 0:
                stop = place + size
                _piece(
                    shards[shard, 2], width, inside, size, shards[shard, 1] + document,
                    ids[place:stop], label[place:stop], position[place:stop], owner[place:stop],
                )  # fmt: skip
                place = stop
                inside += size
            document += 1


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
