"""Hashes of byte ranges and sets of them, for loops over Arrow buffers.

A set is an open-addressing table, uint64[power of two], at most half full; 0 stands for an empty slot.
"""

import numba
import numpy as np

BASIS, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # of 64-bit FNV-1a


@numba.njit(cache=True, nogil=True)
def hash_bytes(data, start, end):
    """64-bit FNV-1a with a final avalanche (splitmix64), never 0: for equality within one document, not for keys."""
    value = BASIS
    for at in range(start, end):
        value = (value ^ np.uint64(data[at])) * PRIME
    return avalanche(value)


@numba.njit(cache=True, nogil=True)
def avalanche(value):
    """The end of `hash_bytes`: every bit of the result depends on every bit of the value; never 0."""
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    return (value ^ (value >> np.uint64(31))) | np.uint64(value == 0)


@numba.njit(cache=True, nogil=True)
def slots_for(entries):
    """Length of a table for so many entries."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@numba.njit(cache=True, nogil=True)
def slot_of(table, value):
    """The slot that holds `value`, or the empty one where it belongs."""
    mask = len(table) - 1
    slot = np.int64(value & np.uint64(mask))
    while table[slot] != 0 and table[slot] != value:
        slot = (slot + 1) & mask
    return slot


@numba.njit(cache=True, nogil=True)
def add(table, value):
    """Put a value into a set; True if it was there."""
    slot = slot_of(table, value)
    if table[slot] == value:
        return True
    table[slot] = value
    return False


@numba.njit(cache=True, nogil=True)
def contains(table, value):
    return table[slot_of(table, value)] == value


def hashes_of(words: tuple[str, ...]) -> np.ndarray:
    """uint64[words]: `hash_bytes` of each."""
    encoded = [np.frombuffer(word.encode(), np.uint8) for word in words]
    return np.array([hash_bytes(word, 0, len(word)) for word in encoded], np.uint64)


def set_of(words: tuple[str, ...]) -> np.ndarray:
    """The set of the hashes of some words."""
    hashes = hashes_of(words)
    table = np.zeros(slots_for(len(hashes)), np.uint64)
    for value in hashes:
        add(table, value)
    return table


@numba.njit(cache=True, nogil=True)
def map_of(keys, values):
    """(table, values) of unique keys that are not 0: `values` stand in the slots of their keys."""
    table = np.zeros(slots_for(len(keys)), np.uint64)
    held = np.zeros(len(table), np.int64)
    for index in range(len(keys)):
        slot = slot_of(table, keys[index])
        table[slot], held[slot] = keys[index], values[index]
    return table, held


@numba.njit(cache=True, nogil=True)
def look_up(table, held, keys, missing):
    """int64[keys]: the value of each key, `missing` where there is none (0 is no key)."""
    out = np.full(len(keys), missing, np.int64)
    for index in range(len(keys)):
        if keys[index] != 0:
            slot = slot_of(table, keys[index])
            if table[slot] != 0:
                out[index] = held[slot]
    return out
