"""A document as a string of word classes, over which names are patterns.

    Dr. Ana Lopez-Diaz saw her on 3 May.   →   T.FL-LwwwNM.

One class per word or sign (lexicon.py names them), white space is not there but for line ends and wide gaps. A pattern
over classes is short, says what it means ("a title, then capitalised words"), and runs in google-re2 over a string a
fifth as long as the text. The pass that makes it is compiled and takes each byte once, at 100 MB/s or more.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache, cached_property

import numba
import numpy as np

from corpus.deidentify.joined import SEPARATOR
from corpus.deidentify.lexicon import BREAK, PARAGRAPH, lexicon
from corpus.deidentify.reserved import NAME_MARK
from corpus.kernels.characters import decode
from corpus.kernels.folding import lower_table
from corpus.kernels.hashing import BASIS, PRIME, avalanche, slot_of

_OTHER, _SMALL, _CAPITAL, _DIGIT, _BLANK, _LINE = 0, 1, 2, 3, 4, 5
_LOWER, _TITLE, _UPPER, _CAMEL, _CODE = 0, 1, 2, 3, 4
_LONGEST_WORD = 64  # characters; what is longer is no name
_MARGIN = 4
_BREAK_CLASS = np.uint8(ord(BREAK))
_OF_WORD = np.zeros(256, np.bool_)  # what a word of letters of ASCII may go on with, or with a letter after it
_OF_WORD[[*range(0x30, 0x3A), *range(0x41, 0x5B), 0x5F, *range(0x61, 0x7B), 0x27, *range(0x80, 0xFF)]] = True
_SIGN_OF = np.zeros(128, np.uint8)  # the class of a sign that is one whatever stands around it, else 0
_SIGN_OF[[sign for sign in range(0x21, 0x7F) if not chr(sign).isalnum() and chr(sign) not in "'-["]] = 0x2A
for _sign in b',.:;()/"@]&>#':
    _SIGN_OF[_sign] = _sign


@dataclass(frozen=True)
class Classified:
    """Token i is data[starts[i]:ends[i]], of class classes[i]; `words` are hashes in lower case, 0 for signs. Before
    the first of joined documents and between them stands a token of the class BREAK, which no rule has inside."""

    data: bytes
    classes: np.ndarray  # uint8[tokens]
    starts: np.ndarray  # int32[tokens]
    ends: np.ndarray  # int32[tokens]
    words: np.ndarray  # uint64[tokens]

    @cached_property
    def view(self) -> np.ndarray:
        """uint8[bytes]"""
        return np.frombuffer(self.data or b"\0", np.uint8)

    @cached_property
    def _surrounded(self) -> np.ndarray:
        edge = np.full(_MARGIN, ord(PARAGRAPH), np.uint8)
        padded = np.concatenate([edge, self.classes, edge])
        padded[padded == ord(BREAK)] = ord(PARAGRAPH)
        return padded

    def near(self, tokens: np.ndarray) -> np.ndarray:
        """uint8[tokens]: the classes at these places; up to three beyond either end of a document, that of a
        paragraph's end."""
        return self._surrounded[tokens + _MARGIN]


@cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """(kind uint8[65,536], lower int32[65,536]) of the code points of the basic plane."""
    kinds = np.zeros(0x10000, np.uint8)
    for code in range(0x10000):
        character = chr(code)
        if character.isalpha() or unicodedata.category(character) == "Mn":
            kinds[code] = _CAPITAL if character.isupper() or character.istitle() else _SMALL
        elif character.isspace():
            kinds[code] = _LINE if character in "\n\r\v\f\x85\u2028\u2029" else _BLANK
    kinds[ord("0") : ord("9") + 1] = _DIGIT
    return kinds, lower_table()


def classified(data: bytes) -> Classified:
    """The tokens of a document (UTF-8)."""
    kinds, lower = _tables()
    table = lexicon()
    mark = np.frombuffer(NAME_MARK.encode(), np.uint8)
    classes, starts, ends, words = _classify(np.frombuffer(data, np.uint8), kinds, lower, *table, mark)
    return Classified(data, classes, starts, ends, words)


@numba.njit(cache=True, nogil=True)
def _kind_at(data, at, kinds):
    """(kind, code point, bytes) of the character at `at`; beyond the basic plane all is other."""
    first = data[at]
    if first < 0x80:
        return kinds[first], np.int32(first), 1
    if first == SEPARATOR:
        return np.uint8(_OTHER), np.int32(0), 1
    code, size = decode(data, at)
    return (kinds[code] if code < 0x10000 else np.uint8(_OTHER)), code, size


@numba.njit(cache=True, nogil=True)
def _folded(value, code, lower):
    """FNV-1a of `hash_bytes`, continued by the UTF-8 bytes of the lower-case letter."""
    code = np.uint64(lower[code])
    if code < np.uint64(0x80):
        return (value ^ code) * PRIME
    if code < np.uint64(0x800):
        value = (value ^ (np.uint64(0xC0) | code >> np.uint64(6))) * PRIME
    else:
        value = (value ^ (np.uint64(0xE0) | code >> np.uint64(12))) * PRIME
        value = (value ^ (np.uint64(0x80) | (code >> np.uint64(6) & np.uint64(0x3F)))) * PRIME
    return (value ^ (np.uint64(0x80) | (code & np.uint64(0x3F)))) * PRIME


@numba.njit(cache=True, nogil=True)
def _apostrophe(data, at):
    """Bytes of the apostrophe at `at`, 0 where there is none."""
    if at < len(data) and data[at] == 0x27:
        return 1
    if at + 2 < len(data) and data[at] == 0xE2 and data[at + 1] == 0x80 and data[at + 2] == 0x99:
        return 3
    return 0


@numba.njit(cache=True, nogil=True)
def _word(data, at, kinds, lower):
    """(end, hash, shape, letters) of the word that begins at `at`: letters, digits, apostrophes between letters. A
    possessive 's is left for the next token."""
    stop = len(data)
    value, letters, capitals, first_capital, digits = BASIS, 0, 0, False, False
    while at < stop:
        byte = data[at]
        if 97 <= byte <= 122:  # most of all text
            value = (value ^ np.uint64(byte)) * PRIME
            letters += 1
            at += 1
            continue
        if byte == 32:  # what ends most words
            break
        kind, code, size = _kind_at(data, at, kinds)
        if kind in (_SMALL, _CAPITAL):
            if kind == _CAPITAL:
                capitals += 1
                first_capital |= letters == 0
            letters += 1
            value = _folded(value, code, lower)
        elif kind == _DIGIT or code == 0x5F:
            digits = True
            value = (value ^ np.uint64(code)) * PRIME
        else:
            mark = _apostrophe(data, at)
            after = at + mark
            if mark == 0 or after >= stop or letters == 0:
                break
            kind, code, size = _kind_at(data, after, kinds)
            if kind != _SMALL and kind != _CAPITAL:
                break
            if code == 0x73 or code == 0x53:
                beyond = after + 1
                if beyond >= stop or _kind_at(data, beyond, kinds)[0] not in (_SMALL, _CAPITAL):
                    break
            value = (value ^ np.uint64(0x27)) * PRIME
            at = after
            continue
        at += size
    shape = _CAMEL
    if digits:
        shape = _CODE
    elif capitals == 0:
        shape = _LOWER
    elif first_capital and capitals == 1:
        shape = _TITLE
    elif capitals == letters:
        shape = _UPPER
    return at, avalanche(value), shape, letters


@numba.njit(cache=True, nogil=True)
def _abbreviation(data, at, kinds, lower):
    """(end, hash, capitals only) of letters with dots between them, as M.D., Ph.D., J.R.: the hash is of the letters.
    The end is `at` where there are none."""
    stop, value, begin = len(data), BASIS, at
    parts, end, capitals = 0, at, True
    while at < stop and parts < 8:
        length = 0
        while at < stop and length <= 5:
            kind, code, size = _kind_at(data, at, kinds)
            if kind != _SMALL and kind != _CAPITAL:
                break
            capitals &= kind == _CAPITAL
            value = _folded(value, code, lower)
            length += 1
            at += size
        if length == 0 or length > (5 if parts == 0 else 2):
            break
        parts += 1
        dotted = at < stop and data[at] == 0x2E
        end = at + 1 if dotted else at
        at += 1
        if not dotted:
            break
    if parts < 2:
        return begin, value, False
    if end < stop and _kind_at(data, end, kinds)[0] in (_SMALL, _CAPITAL, _DIGIT):
        return begin, value, False
    return end, avalanche(value), capitals


@numba.njit(cache=True, nogil=True)
def _is_marked(data, end, mark):
    """The word that ends there is a surrogate."""
    if end < len(mark):
        return False
    same = True
    for i in range(len(mark)):
        same &= data[end - len(mark) + i] | 0x20 == mark[i]
    return same


@numba.njit(cache=True, nogil=True)
def _prefixed(data, start, end):
    """A capital inside follows a prefix that surnames have: McDonald, MacLeod, DeShawn, LaToya, O'Brien, VanDyke."""
    if end - start < 5:
        return False
    a, b, c = data[start], data[start + 1], data[start + 2]
    if a == 0x4D and (b == 0x63 or (b == 0x61 and c == 0x63)):
        return True
    if (a == 0x4F or a == 0x44) and (b == 0x27 or (b == 0xE2 and c == 0x80)):
        return True
    return (
        (a == 0x44 and b == 0x65) or (a == 0x4C and (b == 0x61 or b == 0x65)) or (a == 0x56 and b == 0x61 and c == 0x6E)
    )


@numba.njit(cache=True, nogil=True)
def _masked_end(data, at):
    """The end of a tag such as [PERSON] at `at`, or `at`."""
    i = at + 1
    while i < len(data) and i < at + 24 and (0x41 <= data[i] <= 0x5A or data[i] == 0x5F):
        i += 1
    return i + 1 if at + 2 < i < len(data) and data[i] == 0x5D else at


@numba.njit(cache=True, nogil=True, inline="always")
def _plain_word(data, at, keys, values, lower_keys, lower_values, mark):
    """(end, class, hash) of the word that begins at `at` with a letter of ASCII, if small letters are all that follows,
    two letters at least where the first is a capital, and nothing that may go on with it; else the end is `at`."""
    stop, byte, end = len(data), data[at], at + 1
    value = (BASIS ^ np.uint64(byte | 0x20)) * PRIME
    while end < stop and 97 <= data[end] <= 122:
        value = (value ^ np.uint64(data[end])) * PRIME
        end += 1
    letters = end - at
    if end < stop and (
        _OF_WORD[data[end]] or (data[end] == 0x2E and letters <= 5 and end + 1 < stop and (_OF_WORD[data[end + 1]]))
    ):
        return at, np.uint8(0), value
    word = avalanche(value)
    if letters > _LONGEST_WORD:
        return end, np.uint8(0x6B), word
    if byte >= 97:
        slot = slot_of(lower_keys, word)
        return end, lower_values[slot] if lower_keys[slot] == word else np.uint8(0x77), word
    if letters == 1:
        return at, np.uint8(0), value
    if _is_marked(data, end, mark):
        return end, np.uint8(0x5A), word
    slot = slot_of(keys, word)
    return end, values[slot, 0] if keys[slot] == word else np.uint8(0x43), word


@numba.njit(cache=True, nogil=True)
def _classify(data, kinds, lower, keys, values, lower_keys, lower_values, mark):
    """(classes uint8, starts int32, ends int32, words uint64) of the tokens of a document."""
    stop = len(data)
    # Room for a token per byte costs address space only: pages that are not written are not there.
    classes, words = np.empty(stop + 1, np.uint8), np.empty(stop + 1, np.uint64)
    starts, ends = np.empty(stop + 1, np.int32), np.empty(stop + 1, np.int32)
    classes[0], starts[0], ends[0], words[0] = _BREAK_CLASS, 0, 0, 0
    total, at, blank = 1, 0, False
    inside = 1  # the first token of the document
    while at < stop:
        byte = data[at]
        if byte == 0x20 and not blank:
            blank = True
            at += 1
            continue
        if byte < 0x80 and _SIGN_OF[byte]:
            classes[total], starts[total], ends[total], words[total] = _SIGN_OF[byte], at, at + 1, 0
            total += 1
            at += 1
            blank = False
            continue
        if 97 <= byte | 0x20 <= 122:  # most tokens are words of letters of ASCII, small ones but for the first
            end, what, word = _plain_word(data, at, keys, values, lower_keys, lower_values, mark)
            if end > at:
                classes[total], starts[total], ends[total], words[total] = what, at, end, word
                total += 1
                at = end
                blank = False
                continue
        kind, code, size = _kind_at(data, at, kinds)
        begin, word, what = at, np.uint64(0), np.uint8(0x2A)
        if data[at] == SEPARATOR:
            at += 1
            what = _BREAK_CLASS
            inside = total + 1
        elif kind == _BLANK:
            at += size
            if code == 0x09 or (blank and total > inside and classes[total - 1] != 0x5F):
                if total > inside and classes[total - 1] in (0x7C, 0x3D, 0x5F):
                    continue
                classes[total], starts[total], ends[total], words[total] = 0x5F, begin, at, 0
                total += 1
            blank = True
            continue
        elif kind == _LINE:
            at += size
            blank = False
            if total > inside and classes[total - 1] == 0x5F:
                total -= 1
            if total > inside and classes[total - 1] in (0x7C, 0x3D):
                classes[total - 1] = 0x3D if code == 0x0A else classes[total - 1]
                continue
            what = np.uint8(0x7C)
        elif kind in (_SMALL, _CAPITAL):
            at, word, shape, letters = _word(data, begin, kinds, lower)
            if letters <= 5 and shape != _CODE and at < stop and data[at] == 0x2E:
                end, joined, capitals = _abbreviation(data, begin, kinds, lower)
                if end > begin:
                    known = slot_of(keys, joined)
                    if keys[known] == joined and values[known, 1] == 0x44:  # a credential
                        at, word, shape, letters = end, joined, _UPPER, 9
                    elif capitals and letters == 1:
                        at, word, shape = end, joined, _UPPER
            if letters > _LONGEST_WORD:
                what = np.uint8(0x6B)
            elif shape == _CODE:
                what = np.uint8(0x4B)
            elif shape != _LOWER and _is_marked(data, at, mark):
                what = np.uint8(0x5A)
            elif letters == 1 and shape != _LOWER:
                what = np.uint8(0x49)
            elif shape == _LOWER:
                slot = slot_of(lower_keys, word)
                what = lower_values[slot] if lower_keys[slot] == word else np.uint8(0x77)
            elif keys[slot_of(keys, word)] == word:
                what = values[slot_of(keys, word), 1 if shape == _UPPER else 0]
            elif shape == _CAMEL:
                what = np.uint8(0x43 if _prefixed(data, begin, at) else 0x6B)
            else:
                what = np.uint8(0x43 if shape == _TITLE else 0x55)
        elif kind == _DIGIT:
            what = np.uint8(0x4E)
            while at < stop:
                kind, code, size = _kind_at(data, at, kinds)
                if kind in (_SMALL, _CAPITAL) or code == 95:
                    what = np.uint8(0x4B)
                elif kind != _DIGIT and not (
                    (code == 0x2E or code == 0x2C) and at + 1 < stop and 0x30 <= data[at + 1] <= 0x39
                ):
                    break
                at += size
        else:
            at += size
            if code == 0x5B and _masked_end(data, begin) > begin:
                at, what = _masked_end(data, begin), np.uint8(0x5A)
            elif code in (0x2C, 0x2E, 0x3A, 0x3B, 0x28, 0x29, 0x2F, 0x22, 0x27, 0x40, 0x5B, 0x5D, 0x26, 0x3E, 0x23):
                what = np.uint8(code)
                mark_size = _apostrophe(data, begin)
                if mark_size and begin and begin + mark_size < stop and data[begin + mark_size] | 0x20 == 0x73:
                    after = begin + mark_size + 1
                    previous = data[begin - 1]
                    loose = after >= stop or _kind_at(data, after, kinds)[0] not in (_SMALL, _CAPITAL, _DIGIT)
                    if loose and previous != SEPARATOR and (previous >= 0x80 or (0x41 <= previous | 0x20 <= 0x7A)):
                        at, what = after, np.uint8(0x73)
            elif code == 0x2019:
                what = np.uint8(0x27)
                if at < stop and data[at] | 0x20 == 0x73 and begin and total > inside and words[total - 1]:
                    after = at + 1
                    if after >= stop or _kind_at(data, after, kinds)[0] not in (_SMALL, _CAPITAL, _DIGIT):
                        at, what = after, np.uint8(0x73)
            elif code == 0x2D:
                tight = begin > 0 and at < stop and data[begin - 1] > 0x20 and data[at] > 0x20
                tight &= total > inside and (at == stop or data[at] != SEPARATOR)
                what = np.uint8(0x2D if tight else 0x7E)
            elif code == 0x2013 or code == 0x2014:
                what = np.uint8(0x7E)
        blank = False
        classes[total], starts[total], ends[total], words[total] = what, begin, at, word
        total += 1
    return classes[:total], starts[:total], ends[:total], words[:total]
