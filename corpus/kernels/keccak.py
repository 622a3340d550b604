"""Keccak-256, the hash of Ethereum: SHA-3's permutation with the padding of the original submission (2011).

Python's hashlib has SHA-3 only, whose padding byte is 0x06 where Keccak's is 0x01.
"""

import numba
import numpy as np

_RATE = 136  # bytes absorbed by each permutation
_ROUNDS = np.array(
    [
        *(0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000, 0x000000000000808B),
        *(0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008A, 0x0000000000000088),
        *(0x0000000080008009, 0x000000008000000A, 0x000000008000808B, 0x800000000000008B, 0x8000000000008089),
        *(0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A),
        *(0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008),
    ],
    np.uint64,
)
# Where lane (x, y) goes and how far it is turned, in the order in which the permutation visits the lanes.
_PLACES = np.array([10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1])
_TURNS = np.array(
    [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44], np.uint64
)


@numba.njit(cache=True, nogil=True)
def _turned(lane, by):
    return lane << by | lane >> (np.uint64(64) - by)


@numba.njit(cache=True, nogil=True)
def _permute(lanes):
    """Keccak-f[1600] on uint64[25], in place."""
    sums = np.empty(5, np.uint64)
    for constant in _ROUNDS:
        for x in range(5):
            sums[x] = lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]
        for x in range(5):
            mixed = sums[(x + 4) % 5] ^ _turned(sums[(x + 1) % 5], np.uint64(1))
            for y in range(0, 25, 5):
                lanes[x + y] ^= mixed
        moved = lanes[1]
        for step in range(24):
            place = _PLACES[step]
            lanes[place], moved = _turned(moved, _TURNS[step]), lanes[place]
        for y in range(0, 25, 5):
            for x in range(5):
                sums[x] = lanes[y + x]
            for x in range(5):
                lanes[y + x] = sums[x] ^ (~sums[(x + 1) % 5] & sums[(x + 2) % 5])
        lanes[0] ^= constant


@numba.njit(cache=True, nogil=True)
def keccak_256(message):
    """uint8[32]: the digest of uint8[n]."""
    padded = np.zeros((len(message) // _RATE + 1) * _RATE, np.uint8)
    padded[: len(message)] = message
    padded[len(message)] ^= 0x01
    padded[-1] ^= 0x80
    lanes = np.zeros(25, np.uint64)
    for block in range(0, len(padded), _RATE):
        for at in range(_RATE):
            lanes[at // 8] ^= np.uint64(padded[block + at]) << np.uint64(8 * (at % 8))
        _permute(lanes)
    digest = np.empty(32, np.uint8)
    for at in range(32):
        digest[at] = lanes[at // 8] >> np.uint64(8 * (at % 8)) & np.uint64(0xFF)
    return digest


@numba.njit(cache=True, nogil=True)
def eip55_checks(digits):
    """Whether the case of the 40 hexadecimal digits of an Ethereum address (ASCII, uint8[40]) is its checksum: a letter
    is a capital where the digit in its place of the hash of the small letters is 8 or more (EIP-55)."""
    digest = keccak_256(np.where((digits >= 65) & (digits <= 70), digits | 0x20, digits).astype(np.uint8))
    for place in range(40):
        if digits[place] > 57:
            nibble = digest[place // 2] >> 4 if place % 2 == 0 else digest[place // 2] & 15
            if (nibble >= 8) != (digits[place] < 97):
                return False
    return True
