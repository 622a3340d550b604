"""Characters in UTF-8 bytes: decoding, and the classes by which words are told apart.

The classes are bits of one table over the basic multilingual plane, taken from Python's Unicode database; code points
above it are pictures from U+1F000 on and letters otherwise.
"""

import unicodedata
from functools import cache

import numba
import numpy as np

SPACE = 1
LOWER = 2  # a letter that is not upper case: lower case or caseless
UPPER = 4  # a letter that is not lower case: upper case or caseless
DIGIT = 8  # 0-9
AFFIX = 16  # a sign that is a token of its own at either end of a word
OPENING = 32  # a sign that is one in front, and behind a digit
QUOTE = 64
PICTURE = 128  # a sign that is a token of its own wherever it stands
PUNCTUATION = 256  # a token of nothing else is not a word
SIGN = 512  # of Unicode's category P
SENTENCE_END = 1024
DECIMAL = 2048  # a decimal digit of any script
LETTER = LOWER | UPPER
ALPHANUMERIC = LETTER | DIGIT

_AFFIXES = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪—–"
_QUOTES = "'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_OPENING = "§%=$"
_PLANE = 0x10000


@cache
def class_table() -> np.ndarray:
    """uint16[65,536]: the classes of each code point of the basic plane. Takes 50 ms, once per process."""
    from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION

    table = np.zeros(_PLANE, np.uint16)
    for code in range(_PLANE):
        character = chr(code)
        category = unicodedata.category(character)
        value = 0
        if character.isspace():
            value |= SPACE
        if character.isalpha():
            value |= (0 if character.isupper() else LOWER) | (0 if character.islower() else UPPER)
        if category == "So":
            value |= PICTURE | AFFIX
        if category == "Sc":
            value |= OPENING
        if category[0] == "P":
            value |= SIGN
        if category == "Nd":
            value |= DECIMAL
        table[code] = value
    for characters, bits in (
        ("0123456789", DIGIT),
        (_AFFIXES, AFFIX),
        (_QUOTES, AFFIX | QUOTE),
        (_OPENING, OPENING),
        ("…", PICTURE),
        (PUNCTUATION_SET, PUNCTUATION),
        (TERMINAL_PUNCTUATION, SENTENCE_END),
    ):
        for character in characters:
            if ord(character) < _PLANE:
                table[ord(character)] |= bits
    return table


@numba.njit(cache=True, nogil=True)
def decode(data, at):
    """(code point, its bytes) at `at`; Arrow guarantees whole and valid UTF-8."""
    first = data[at]
    if first < 0x80:
        return np.int32(first), 1
    if first < 0xE0:
        return np.int32((first & 0x1F) << 6 | (data[at + 1] & 0x3F)), 2
    if first < 0xF0:
        return np.int32((first & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F)), 3
    high = np.int32((first & 0x07) << 18 | (data[at + 1] & 0x3F) << 12)
    return high | np.int32((data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F)), 4


@numba.njit(cache=True, nogil=True)
def class_of(table, code):
    """The classes of a code point."""
    if code < 0x10000:
        return table[code]
    return np.uint16(PICTURE | AFFIX) if 0x1F000 <= code < 0x20000 else np.uint16(LETTER)


@numba.njit(cache=True, nogil=True)
def class_at(data, at, table):
    """The classes of the character that begins at `at`."""
    return table[data[at]] if data[at] < 128 else class_of(table, decode(data, at)[0])


@numba.njit(cache=True, nogil=True)
def stripped(data, begin, stop, table):
    """The bounds of the bytes [begin, stop) without white space at either end, as by str.strip."""
    while begin < stop and class_at(data, begin, table) & SPACE:
        begin += 1 if data[begin] < 128 else decode(data, begin)[1]
    while stop > begin:
        last = stop - 1
        while data[last] & 0xC0 == 0x80:
            last -= 1
        if not class_at(data, last, table) & SPACE:
            break
        stop = last
    return begin, stop


@numba.njit(cache=True, nogil=True)
def characters_in(data, begin, stop):
    """Characters in the bytes [begin, stop)."""
    count = 0
    for at in range(begin, stop):
        count += (data[at] & 0xC0) != 0x80
    return count
