"""Texts as KenLM models read them, quickly: `corpus.perplexity.normalised_documents` in one compiled pass.

The pass knows the characters of the basic plane that Python knows and that have one lower-case letter of their own;
a text with any other (an emoji, a final sigma) goes the general way.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.kernels.characters import decode
from corpus.perplexity.normalisation import DEFAULT, Normalisation, normalised_documents

PLANE = 1 << 16
BLANK, LETTER, MARK, OTHER = 0, 1, 2, 3  # kinds of character; OTHER is for the general way
SIGMA = 0x3A3  # Σ, whose lower case depends on its place in the word


@cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """uint8[PLANE] kinds and int32[PLANE] what is written for a letter or digit."""
    kinds, written = np.full(PLANE, MARK, np.uint8), np.arange(PLANE, dtype=np.int32)
    for code in range(PLANE):
        character = chr(code)
        category, lower = unicodedata.category(character), character.lower()
        if category in ("Cn", "Cs") or len(lower) != 1 or code == SIGMA:
            kinds[code] = OTHER
        elif character.isspace():
            kinds[code] = BLANK
        elif category[0] in "LNM":
            kinds[code] = LETTER
        written[code] = ord(lower) if len(lower) == 1 else code
    written[ord("0") : ord("9") + 1] = ord("0")
    return kinds, written


@njit(cache=True, nogil=True)
def _put(out, size, code):
    """Write a code point of the basic plane as UTF-8; the place after it."""
    if code < 0x80:
        out[size] = code
        return size + 1
    if code < 0x800:
        out[size] = 0xC0 | code >> 6
        out[size + 1] = 0x80 | (code & 0x3F)
        return size + 2
    out[size] = 0xE0 | code >> 12
    out[size + 1] = 0x80 | (code >> 6 & 0x3F)
    out[size + 2] = 0x80 | (code & 0x3F)
    return size + 3


@njit(cache=True, nogil=True)
def _write(data, begin, stop, kinds, written, out):
    """Lower case, digits as 0, signs apart, white space as one blank, lines kept and empty ones left out; returns the
    bytes written, or -1 at a character for the general way."""
    size, pending, line, at = 0, False, 0, begin
    while at < stop:
        code, width = decode(data, at)
        if code >= PLANE:
            return -1
        kind = kinds[code]
        if code == 10:
            if size > line:
                out[size] = 10
                size += 1
                line = size
            pending = False
        elif kind == BLANK:
            pending = True
        elif kind == LETTER:
            if pending and size > line:
                out[size] = 32
                size += 1
            pending = False
            size = _put(out, size, written[code])
        elif kind == MARK:
            if size > line:
                out[size] = 32
                size += 1
            size = _put(out, size, written[code])
            pending = True
        else:
            return -1
        at += width
    return size


def lines_of(text: pa.StringArray, how: Normalisation = DEFAULT) -> Iterator[list[str]]:
    """The lines of each text as `normalised_documents` gives them."""
    text = text.cast(pa.string())
    _, offsets, buffer = text.buffers()
    if how != DEFAULT or not len(text) or buffer is None:
        yield from normalised_documents(text, how)
        return
    bounds = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1].tolist()
    data = np.frombuffer(buffer, np.uint8)
    out = np.empty(0, np.uint8)
    kinds, written = _tables()
    for row in range(len(text)):
        begin, stop = bounds[row], bounds[row + 1]
        if len(out) < 3 * (stop - begin):
            out = np.empty(3 * (stop - begin), np.uint8)
        size = _write(data, begin, stop, kinds, written, out)
        if size < 0:
            yield from normalised_documents(text[row : row + 1], how)
        else:
            yield [line for line in str(out[:size].data, "utf-8").split("\n") if line]
