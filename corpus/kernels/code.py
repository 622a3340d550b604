"""Measures of source code in one pass over its bytes: what is comment, what is literal, how it is laid out.

A scanner without a grammar: it knows how a language marks comments and strings (`corpus.quality.syntaxes`) and takes
everything else for code. Rates are of characters unless said; a file costs what its bytes cost, about 60 MB/s.
"""

import numba
import numpy as np
import pyarrow as pa

from corpus.document import utf8_buffers
from corpus.kernels.characters import ALPHANUMERIC, LETTER, class_table, decode

# Column order of `code_measures`.
MEASURES = (
    "comment_share",  # characters of comments and docstrings / characters
    "line_max",
    "line_mean",  # characters of a line without its line feed
    "alphanumeric_share",  # letters and digits of any script / characters
    "literal_share",  # bytes of strings, numbers and the signs between them / bytes that are neither blank nor comment
    "table_share",  # lines that have as many , ; | or tabs as the line before, and two at least / lines not blank
    "encoded_share",  # bytes of hexadecimal, escaped and base64 runs / bytes
    "encoded_max",  # bytes of the longest such run
    "packed_share",  # characters in long lines dense with signs and nearly without blanks, as minified code has them
)
_LONG_LINE = 200  # characters of a line that may be packed
_BASE64_RUN = 64  # bytes; and eight hexadecimal numbers or escapes in a row, as StarCoder 2 counts encoded data
_ESCAPES_RUN = 8
_TEXT, _LINE, _BLOCK, _STRING, _LONG_STRING, _DOCSTRING = range(6)


def code_measures(text: pa.StringArray, syntaxes: np.ndarray, table: np.ndarray) -> np.ndarray:
    """float64[documents, len(MEASURES)]; zeros for an empty text. `syntaxes`: each document's row in `table`, the
    packed syntaxes."""
    data, documents = utf8_buffers(text)
    return _measures(data, documents, syntaxes, table, class_table())


@numba.njit(cache=True, nogil=True)
def _measures(data, documents, syntaxes, table, classes):
    out = np.zeros((len(documents) - 1, 9), np.float64)
    for document in range(len(out)):
        begin, stop = documents[document], documents[document + 1]
        if begin == stop:
            continue
        row = out[document]
        characters, alphanumeric = _characters(data, begin, stop, classes)
        comment, literal, rest = _scan(data, begin, stop, table[syntaxes[document]], classes)
        row[0], row[3] = comment / characters, alphanumeric / characters
        row[4] = literal / (literal + rest) if literal + rest else 0.0
        lines, longest, tabular, filled, packed = _layout(data, begin, stop)
        row[1], row[2] = longest, (characters - lines + 1) / lines
        row[5] = tabular / filled if filled else 0.0
        row[6], row[7] = _encoded(data, begin, stop, classes)
        row[6] /= stop - begin
        row[8] = packed / characters
    return out


@numba.njit(cache=True, nogil=True)
def _characters(data, begin, stop, classes):
    """(characters, letters and digits) of the bytes."""
    characters = alphanumeric = 0
    at = begin
    while at < stop:
        code, size = np.int32(data[at]), 1
        if code >= 128:
            code, size = decode(data, at)
        kind = classes[code] if code < 0x10000 else np.uint16(LETTER)
        alphanumeric += kind & ALPHANUMERIC != 0
        characters += 1
        at += size
    return characters, alphanumeric


@numba.njit(cache=True, nogil=True)
def _marked(data, at, stop, syntax, mark):
    """Bytes of the comment mark number `mark` (0, 1 line; 2 block open; 3 block close) if it stands at `at`, else 0."""
    length = np.int64(syntax[16 + mark])
    if length == 0 or at + length > stop:
        return 0
    for index in range(length):
        byte = data[at + index]
        if (byte | 32 if 65 <= byte <= 90 else byte) != syntax[4 * mark + index]:
            return 0
    return length


@numba.njit(cache=True, nogil=True)
def _closes(data, at, stop, quote):
    """Whether a string opened by data[at] ends on its line."""
    at += 1
    while at < stop and data[at] != 10:
        if data[at] == 92:
            at += 1
        elif data[at] == quote:
            return True
        at += 1
    return False


@numba.njit(cache=True, nogil=True)
def _is_quote(byte, syntax):
    return (byte == 39 and syntax[20]) or (byte == 34 and syntax[21]) or (byte == 96 and syntax[22])


@numba.njit(cache=True, nogil=True)
def _long_quote(data, at, stop):
    """Bytes of three equal quotes with their prefix (r, b, u, f and pairs of them) if they stand at `at`, else 0."""
    prefix = 0
    while prefix < 2 and at + prefix < stop:
        letter = data[at + prefix] | 32
        if letter != 114 and letter != 98 and letter != 117 and letter != 102:
            break
        prefix += 1
    first = at + prefix
    if first + 2 >= stop or (data[first] != 34 and data[first] != 39):
        return 0
    return prefix + 3 if data[first] == data[first + 1] and data[first] == data[first + 2] else 0


@numba.njit(cache=True, nogil=True)
def _scan(data, begin, stop, syntax, classes):
    """(characters of comments, bytes of literals and of the signs between them, bytes of other code), blanks left out
    of the last two."""
    comment = literal = rest = 0
    state, quote = _TEXT, np.uint8(0)
    fresh, word = True, False  # nothing but blanks on this line yet; the byte before belongs to a name
    at = begin
    while at < stop:
        byte = data[at]
        if state == _TEXT:
            if byte <= 32:
                fresh = fresh or byte == 10
                word = False
                at += 1
                continue
            if fresh or not syntax[24]:
                length = _marked(data, at, stop, syntax, 2)
                if length:
                    state = _BLOCK
                    comment += length
                    at += length
                    continue
                if _marked(data, at, stop, syntax, 0) or _marked(data, at, stop, syntax, 1):
                    state = _LINE
                    continue
            if syntax[23] and not word:
                length = _long_quote(data, at, stop)
                if length:
                    state, quote = _DOCSTRING if fresh else _LONG_STRING, data[at + length - 1]
                    comment += length if fresh else 0
                    literal += 0 if fresh else length
                    at += length
                    fresh = False
                    continue
            fresh = False
            if _is_quote(byte, syntax) and (byte == 96 or _closes(data, at, stop, byte)):
                state, quote = _STRING, byte
                literal += 1
                word = False
            elif 48 <= byte <= 57 and not word:
                while at < stop and (data[at] == 46 or (data[at] < 128 and classes[data[at]] & ALPHANUMERIC)):
                    literal += 1
                    at += 1
                continue
            elif byte == 44 or byte == 58 or byte == 91 or byte == 93 or byte == 123 or byte == 125 or byte == 45:
                literal += 1
                word = False
            else:
                rest += 1
                word = byte >= 128 or byte == 95 or classes[byte] & ALPHANUMERIC != 0
            at += 1
        elif state == _STRING:
            literal += byte > 32
            if byte == 92 and at + 1 < stop:
                literal += 1
                at += 1
            elif byte == quote:
                state = _TEXT
            at += 1
        elif state == _LINE:
            if byte == 10:
                state, fresh = _TEXT, True
            else:
                comment += byte & 0xC0 != 0x80
            at += 1
        elif state == _BLOCK:
            length = _marked(data, at, stop, syntax, 3)
            if length:
                state = _TEXT
                comment += length
                at += length
            else:
                comment += byte & 0xC0 != 0x80
                at += 1
        else:
            ends = byte == quote and at + 2 < stop and data[at + 1] == quote and data[at + 2] == quote
            size = 3 if ends else 1
            if state == _DOCSTRING:
                comment += size if ends else byte & 0xC0 != 0x80
            else:
                literal += size if ends else byte > 32
            if byte == 92 and not ends:
                size = 2
            if ends:
                state = _TEXT
            at += size
    return comment, literal, rest


@numba.njit(cache=True, nogil=True)
def _layout(data, begin, stop):
    """(lines, characters of the longest, lines that continue a table, lines not blank, characters of packed lines)."""
    lines = longest = tabular = filled = packed = 0
    before = np.zeros(4, np.int64)
    separators = np.zeros(4, np.int64)
    at = begin
    while at <= stop:
        separators[:] = 0
        characters = blanks = signs = 0
        while at < stop and data[at] != 10:
            byte = data[at]
            characters += byte & 0xC0 != 0x80
            if byte <= 32:
                blanks += 1
                separators[3] += byte == 9 and characters > blanks
            elif byte < 48 or byte > 57:
                separators[0] += byte == 44
                separators[1] += byte == 59
                separators[2] += byte == 124
                # ( ) , : ; = { }
                signs += byte == 40 or byte == 41 or byte == 44 or byte == 58 or byte == 59 or byte == 61
                signs += byte == 123 or byte == 125
            at += 1
        at += 1
        lines += 1
        longest = max(longest, characters)
        if characters > blanks:
            filled += 1
            for kind in range(4):
                if separators[kind] >= 2 and separators[kind] == before[kind]:
                    tabular += 1
                    break
            before[:] = separators
        if characters >= _LONG_LINE and 10 * blanks < characters and 12 * signs > characters:
            packed += characters
    return lines, longest, tabular, filled, packed


@numba.njit(cache=True, nogil=True)
def _is_hex(byte):
    return 48 <= byte <= 57 or 65 <= byte <= 70 or 97 <= byte <= 102


@numba.njit(cache=True, nogil=True)
def _encoded(data, begin, stop, classes):
    """(bytes in runs of encoded data, bytes of the longest): eight and more 0x12 or \\x12 or \\u1234 in a row, or 64
    and more characters of base64 with digits and letters of both cases or of hexadecimal alone."""
    total = longest = 0
    at = begin
    while at < stop:
        byte = data[at]
        end, count, start = at, 0, at
        if byte == 92 or byte == 48:
            # Numbers may have signs and blanks between them.
            while end + 3 < stop and data[end] == byte and (data[end + 1] | 32 == 120 or data[end + 1] == 117):
                end += 2
                while end < stop and _is_hex(data[end]):
                    end += 1
                count += 1
                at = end
                while byte == 48 and end < stop and (data[end] <= 32 or data[end] == 44):
                    end += 1
            if count >= _ESCAPES_RUN:
                total += at - start
                longest = max(longest, at - start)
            if count:
                continue
        if byte < 128 and (classes[byte] & ALPHANUMERIC or byte == 43 or byte == 47 or byte == 61):
            digits = upper = lower = hexadecimal = 0
            while at < stop:
                byte = data[at]
                if 48 <= byte <= 57:
                    digits += 1
                elif 65 <= byte <= 90:
                    upper += 1
                elif 97 <= byte <= 122:
                    lower += 1
                elif byte != 43 and byte != 47 and byte != 61:
                    break
                hexadecimal += _is_hex(byte)
                at += 1
            size = at - start
            # Words make no such run: base64 has digits and both cases in plenty.
            if size >= _BASE64_RUN and 20 * digits > size and (10 * min(upper, lower) > size or hexadecimal == size):
                total += size
                longest = max(longest, size)
            continue
        at += 1
    return total, longest
