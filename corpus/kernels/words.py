"""Splitting documents into words, once per batch, for every step that counts them.

The rules are those of spaCy's English tokenizer, by which datatrove's filters count, over UTF-8 bytes and without a
vocabulary. White space cuts a text into chunks; of a chunk

    signs are taken off either end        ("word,") → ( " word , " )        U.S. e.g. Dr. keep their dot
    a web or mail address stays whole     www.example.org/a-b
    contractions are cut                  don't → do n't, she'll → she 'll, Ann's → Ann 's
    signs between letters cut             well-known → well - known, and/or → and / or; 3.14 and 1,000 stay whole
    units are cut from numbers            5mg → 5 mg

spaCy's list of some hundred further exceptions ("cannot", "dont", emoticons, abbreviated states) is left out: one token
in a thousand of English prose, notes and code differs. About 50 MB/s.
"""

from dataclasses import dataclass

import numba
import numpy as np
import pyarrow as pa

from corpus.document import Batch, utf8_buffers
from corpus.kernels import characters
from corpus.kernels.characters import (
    ALPHANUMERIC,
    DIGIT,
    LETTER,
    PUNCTUATION,
    SIGN,
    SPACE,
    class_of,
    class_table,
    decode,
)
from corpus.kernels.chunks import LONGEST_CHUNK, UNDIVIDED, UNITS, cut_chunk, plain_chunk
from corpus.kernels.hashing import hash_bytes, set_of

WORD = 1  # the token has a character that is not punctuation
ALPHABETIC = 2  # the token has a letter
SENTENCE_END = 4  # the token is one sign that ends sentences
SIGNS = 8  # the token is signs alone

_NOT_PUNCTUATION = np.uint16(1 << 15)  # a class the table has not, while a token is described


@dataclass(frozen=True)
class Words:
    """Tokens of a batch: `data` are the UTF-8 bytes of all texts; token i is data[starts[i]:ends[i]], `chars[i]`
    characters long, with a 64-bit hash of its bytes; document d owns tokens offsets[d]:offsets[d + 1]."""

    data: np.ndarray  # uint8
    documents: np.ndarray  # int64[documents + 1], offsets of the texts into data
    starts: np.ndarray  # int64[tokens]
    ends: np.ndarray  # int64[tokens]
    chars: np.ndarray  # int32[tokens]
    flags: np.ndarray  # uint8[tokens], of the four above
    hashes: np.ndarray  # uint64[tokens]
    offsets: np.ndarray  # int64[documents + 1]


@dataclass(frozen=True)
class Spans:
    """What a text is made of: span i is its bytes [begins[i], ends[i]), the same as those of another text from
    sources[i] on, or new where that is -1; document d owns spans offsets[d]:offsets[d + 1], in order of both texts.
    White space parts them, or the bounds of the document do, in either text."""

    sources: np.ndarray  # int64[spans]
    begins: np.ndarray  # int64[spans]
    ends: np.ndarray  # int64[spans]
    offsets: np.ndarray  # int64[documents + 1]


def words_of(batch: Batch) -> Words:
    """The words of a batch, split at most once however many steps ask."""
    return batch.memo("words", lambda asked: split_words(asked.text))


def split_words(text: pa.StringArray) -> Words:
    """Split every document of an array."""
    data, documents = utf8_buffers(text)
    table = class_table()
    starts, ends, offsets = _split(data, documents, table, set_of(UNDIVIDED), set_of(UNITS))
    chars, flags, hashes = _describe(data, starts, ends, table)
    return Words(data, documents, starts, ends, chars, flags, hashes, offsets)


def carried_words(words: Words, text: pa.StringArray, spans: Spans) -> Words:
    """The words of `text`, which is made of spans of the text of `words` parted by white space: what was found there is
    moved, and only spans that were changed are split. About 400 MB/s, and the same as `split_words`."""
    data, documents = utf8_buffers(text)
    old = (words.starts, words.ends, words.chars, words.flags, words.hashes, words.offsets)
    parts = (spans.sources, spans.begins, spans.ends, spans.offsets)
    return Words(data, documents, *_carried(data, *parts, *old, class_table(), set_of(UNDIVIDED), set_of(UNITS)))


@numba.njit(cache=True, nogil=True)
def _describe(data, starts, ends, table):
    """(characters int32, flags uint8, hashes uint64) of each token."""
    count = len(starts)
    chars, flags, hashes = np.empty(count, np.int32), np.empty(count, np.uint8), np.empty(count, np.uint64)
    _describe_into(data, starts, ends, 0, count, table, chars, flags, hashes)
    return chars, flags, hashes


@numba.njit(cache=True, nogil=True)
def _describe_into(data, starts, ends, first, last, table, chars, flags, hashes):
    """Describe the tokens [first, last)."""
    for token in range(first, last):
        at, end = starts[token], ends[token]
        length, some, every = 0, np.uint16(0), np.uint16(0xFFFF)
        while at < end:
            code, size = np.int32(data[at]), 1
            if code >= 128:
                code, size = decode(data, at)
            kind = class_of(table, code)
            some |= kind if kind & PUNCTUATION else kind | _NOT_PUNCTUATION
            every &= kind
            length += 1
            at += size
        flag = (WORD if some & _NOT_PUNCTUATION else 0) | (ALPHABETIC if some & LETTER else 0)
        flag |= (SENTENCE_END if length == 1 and every & characters.SENTENCE_END else 0) | (
            SIGNS if every & SIGN else 0
        )
        chars[token], flags[token], hashes[token] = length, flag, hash_bytes(data, starts[token], end)


@numba.njit(cache=True, nogil=True)
def _split(data, documents, table, undivided, units):
    """(starts, ends, offsets) of the tokens of all documents, each token within one chunk."""
    # Room for a token per byte costs address space only: pages that are not written are not there.
    capacity = documents[-1] - documents[0]
    starts, ends = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    offsets = np.zeros(len(documents), np.int64)
    places, codes = np.empty(LONGEST_CHUNK + 1, np.int64), np.empty(LONGEST_CHUNK + 1, np.int32)
    total = 0
    for document in range(len(documents) - 1):
        begin, stop = documents[document], documents[document + 1]
        total = _split_into(data, begin, stop, table, undivided, units, places, codes, starts, ends, total)
        offsets[document + 1] = total
    return starts[:total].copy(), ends[:total].copy(), offsets


@numba.njit(cache=True, nogil=True)
def _split_into(data, at, stop, table, undivided, units, places, codes, starts, ends, total):
    """Write the tokens of the bytes [at, stop) from `total` on; returns the new total."""
    while at < stop:
        if data[at] == 32:
            at += 1
            continue
        end, total = plain_chunk(data, at, stop, table, undivided, starts, ends, total)
        if end > at:
            at = end
            continue
        code, size = decode(data, at)
        kind = class_of(table, code)
        if kind & SPACE:
            at += size
            continue
        begin, length, plain = at, 0, not kind & DIGIT
        while not kind & SPACE and length < LONGEST_CHUNK:
            places[length], codes[length] = at, code
            length += 1
            plain = plain and kind & ALPHANUMERIC != 0
            at += size
            if at >= stop:
                break
            code, size = decode(data, at)
            kind = class_of(table, code)
        places[length] = at
        if plain:
            starts[total], ends[total] = begin, at
            total += 1
        else:
            total = cut_chunk(data, places, codes, length, table, undivided, units, starts, ends, total)
    return total


@numba.njit(cache=True, nogil=True)
def _carried(
    data, sources, begins, stops, bounds, old_starts, old_ends, old_chars, old_flags, old_hashes, old_offsets,
    table, undivided, units,
):  # fmt: skip
    capacity = len(old_starts)
    for span in range(len(sources)):
        if sources[span] < 0:
            capacity += stops[span] - begins[span]
    starts, ends = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    chars, flags = np.empty(capacity, np.int32), np.empty(capacity, np.uint8)
    hashes = np.empty(capacity, np.uint64)
    offsets = np.zeros(len(bounds), np.int64)
    places, codes = np.empty(LONGEST_CHUNK + 1, np.int64), np.empty(LONGEST_CHUNK + 1, np.int32)
    total = 0
    for document in range(len(bounds) - 1):
        token, last = old_offsets[document], old_offsets[document + 1]
        for span in range(bounds[document], bounds[document + 1]):
            begin, stop, source = begins[span], stops[span], sources[span]
            if source < 0:
                first = total
                total = _split_into(data, begin, stop, table, undivided, units, places, codes, starts, ends, total)
                _describe_into(data, starts, ends, first, total, table, chars, flags, hashes)
                continue
            shift, end = begin - source, source + stop - begin
            while token < last and old_starts[token] < source:
                token += 1
            while token < last and old_starts[token] < end:
                starts[total], ends[total] = old_starts[token] + shift, old_ends[token] + shift
                chars[total], flags[total], hashes[total] = old_chars[token], old_flags[token], old_hashes[token]
                total += 1
                token += 1
        offsets[document + 1] = total
    return (
        starts[:total].copy(), ends[:total].copy(), chars[:total].copy(), flags[:total].copy(),
        hashes[:total].copy(), offsets,
    )  # fmt: skip
