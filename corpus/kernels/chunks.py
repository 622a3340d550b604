"""Cutting one chunk, the characters between white space, into tokens by the rules of spaCy's English tokenizer.

`corpus.kernels.words` says what the rules are and calls `plain_chunk` for every chunk and `cut_chunk` for the rest.
"""

import numba
import numpy as np

from corpus.kernels.characters import (
    AFFIX,
    ALPHANUMERIC,
    DIGIT,
    LETTER,
    LOWER,
    OPENING,
    PICTURE,
    QUOTE,
    SPACE,
    UPPER,
    class_of,
    decode,
)
from corpus.kernels.hashing import contains, hash_bytes

# Chunks that stay whole once other signs are off; a single letter with a dot and a run like U.S. do so by rule.
UNDIVIDED = (
    *("a.m.", "p.m.", "e.g.", "E.g.", "i.e.", "I.e.", "vs.", "v.s.", "Ph.D.", "Mt.", "St."),
    *("Dr.", "Mr.", "Mrs.", "Ms.", "Messrs.", "Prof.", "Gen.", "Gov.", "Sen.", "Rep.", "Rev.", "Adm.", "Jr."),
    *("Co.", "co.", "Corp.", "Inc.", "Ltd.", "Bros."),
    *("Ala.", "Ariz.", "Ark.", "Calif.", "Colo.", "Conn.", "Del.", "Fla.", "Ga.", "Ia.", "Id.", "Ill.", "Ind."),
    *("Kan.", "Kans.", "Ky.", "La.", "Mass.", "Md.", "Mich.", "Minn.", "Miss.", "Mo.", "Mont.", "Neb.", "Nebr."),
    *("Nev.", "Okla.", "Ore.", "Pa.", "Tenn.", "Va.", "Wash.", "Wis.", "I.E.", "E.G."),
    *("Jan.", "Feb.", "Mar.", "Apr.", "Jun.", "Jul.", "Aug.", "Sep.", "Sept.", "Oct.", "Nov.", "Dec."),
    *("ä.", "ö.", "ü."),
    *("and/or", "w/o", "o'clock", "'s", "'S", "'ll", "'re", "'d", "''", "):", "(:", ":]"),
)
UNITS = (
    *("km", "m", "dm", "cm", "mm", "ha", "µm", "nm", "yd", "in", "ft", "kg", "g", "mg", "µg", "t", "lb", "oz"),
    *("kmh", "mph", "hPa", "Pa", "mbar", "mb", "MB", "kb", "KB", "gb", "GB", "tb", "TB", "T", "G", "M", "K"),
    *("am", "pm"),
)
_LONGEST_EXCEPTION = 8  # bytes
LONGEST_CHUNK = 4096  # characters; a longer run without white space is cut there


@numba.njit(cache=True, nogil=True, inline="always")  # a call with so many arrays takes as long as a short word
def plain_chunk(data, at, stop, table, undivided, starts, ends, total):
    """Write the tokens of a chunk of a common kind, nine of ten in prose; (its end, the new total), or (at, total) for
    a chunk of another kind. Says of such a chunk what `cut_chunk` says, without decoding it.

    The kinds: one sign; digits; letters, later digits too, hyphens between letters, and at most one sign behind. A sign
    in front of a letter is taken off as if the chunk began behind it.
    """
    end, count = at, total
    wanted, kind = np.uint16(LETTER), np.uint16(0)
    while True:
        begin = end
        while end < stop:
            if data[end] < 128:
                following, size = table[data[end]], 1
            else:
                code, size = decode(data, end)
                following = class_of(table, code)
            if not following & wanted:
                break
            kind, wanted = following, np.uint16(ALPHANUMERIC)
            end += size
        if end == begin or end - at >= LONGEST_CHUNK:
            break
        if end == stop or following & SPACE:
            starts[count], ends[count] = begin, end
            return end, count + 1
        behind = end + size
        if behind == stop or (data[behind] < 128 and table[data[behind]] & SPACE):
            cut = following & AFFIX != 0
            if data[end] == 46 and kind & (LOWER | DIGIT):
                # Of the words that keep their dot all are short and all but "vs." and "co." have a capital letter.
                short = behind - at <= _LONGEST_EXCEPTION
                cut = not short or (end - at > 2 and 97 <= data[at] < 128)
                cut = cut or (end - at > 1 and not contains(undivided, hash_bytes(data, at, behind)))
            if not cut:
                return at, total
            starts[count], ends[count] = begin, end
            starts[count + 1], ends[count + 1] = end, behind
            return behind, count + 2
        if data[end] != 45 or data[behind] >= 128 or not table[data[behind]] & LETTER:
            return at, total
        starts[count], ends[count] = begin, end
        starts[count + 1], ends[count + 1] = end, behind
        count += 2
        end, wanted = behind, np.uint16(LETTER)
    return _sign_or_number(data, at, stop, table, starts, ends, total)


@numba.njit(cache=True, nogil=True)
def _sign_or_number(data, at, stop, table, starts, ends, total):
    """`plain_chunk` of a chunk that does not begin with a letter."""
    code, size = decode(data, at)
    kind = class_of(table, code)
    if kind & SPACE:
        return at, total
    end = at + size
    while kind & DIGIT and end < stop and data[end] < 128 and table[data[end]] & DIGIT and end - at < LONGEST_CHUNK:
        end += 1
    if end == stop or (data[end] < 128 and table[data[end]] & SPACE):
        starts[total], ends[total] = at, end
        return end, total + 1
    if kind & (AFFIX | OPENING) and code != 39 and data[end] < 128 and table[data[end]] & LETTER:
        starts[total], ends[total] = at, end
        return end, total + 1
    return at, total


@numba.njit(cache=True, nogil=True)
def cut_chunk(data, places, codes, length, table, undivided, units, starts, ends, total):
    """Write the tokens of one chunk from `total` on; returns the new total. places[i] is the byte of character i."""
    first, last = 0, length
    while first < last and not _kept_whole(data, places, codes, first, last, table, undivided):
        ahead = _prefix(codes, first, last, table)
        if ahead == 0:
            break
        starts[total], ends[total] = places[first], places[first + ahead]
        total += 1
        first += ahead
    # Suffixes come off from the right: they are written behind one another at the far end and turned round.
    kept = last
    while first < kept and not _kept_whole(data, places, codes, first, kept, table, undivided):
        behind = _suffix(data, places, codes, first, kept, table, units)
        if behind == 0 or behind == kept - first:
            break
        kept -= behind
        # The next suffix starts here; its end is where the one before it started.
        codes[kept] = -1
    total = _middle(data, places, codes, first, kept, table, undivided, starts, ends, total)
    begin = kept
    for index in range(kept + 1, last + 1):
        if index == last or codes[index] == -1:
            starts[total], ends[total] = places[begin], places[index]
            total += 1
            begin = index
    return total


@numba.njit(cache=True, nogil=True)
def _kept_whole(data, places, codes, first, last, table, undivided):
    """Whether the characters are one of UNDIVIDED or a single letter, a capital or of ASCII, with its dot."""
    if last - first < 2:
        return False
    if last - first == 2 and codes[last - 1] == 46:
        kind = class_of(table, codes[first])
        if kind & UPPER or (kind & LETTER and codes[first] < 128):
            return True
    size = places[last] - places[first]
    return size <= _LONGEST_EXCEPTION and contains(undivided, hash_bytes(data, places[first], places[last]))


@numba.njit(cache=True, nogil=True)
def _dots(codes, first, last):
    """Length of the run of dots from `first` on."""
    end = first
    while end < last and codes[end] == 46:
        end += 1
    return end - first


@numba.njit(cache=True, nogil=True)
def _prefix(codes, first, last, table):
    """Characters of the sign in front, 0 if there is none."""
    code = codes[first]
    if code == 46:
        dots = _dots(codes, first, last)
        return dots if dots >= 2 else 0
    if code == 43:
        return 0 if first + 1 < last and class_of(table, codes[first + 1]) & DIGIT else 1
    if code == 39 and first + 1 < last and codes[first + 1] == 39:
        return 2
    return 1 if class_of(table, code) & (AFFIX | OPENING) else 0


@numba.njit(cache=True, nogil=True)
def _suffix(data, places, codes, first, last, table, units):
    """Characters of the sign, possessive s or unit behind, 0 if there is none."""
    code = codes[last - 1]
    kind = class_of(table, code)
    before = codes[last - 2] if last - first > 1 else -1
    if kind & AFFIX:
        # '' ): :] are one token each.
        twin = (code == 39 and before == 39) or (code == 58 and before == 41) or (code == 93 and before == 58)
        return 2 if twin else 1
    if before == -1:
        return 0
    kind_before = class_of(table, before)
    if code == 46:
        if before == 46:
            dots = 2
            while last - dots > first and codes[last - dots - 1] == 46:
                dots += 1
            return dots
        # AFFIX without pictures: punctuation and quotes.
        if kind_before & (LOWER | DIGIT) or (kind_before & AFFIX and not kind_before & PICTURE):
            return 1
        if before == 37 or before == 0xB2 or before == 45 or before == 43:
            return 1
        if kind_before & UPPER and last - first > 2 and class_of(table, codes[last - 3]) & UPPER:
            return 1
        return 0
    if (code == 115 or code == 83) and (before == 39 or before == 0x2019):
        return 2
    if kind_before & DIGIT and (kind & OPENING or code == 43):
        return 1
    if kind & LETTER and class_of(table, codes[first]) & DIGIT:
        letters = 1
        while letters < 5 and last - letters > first and class_of(table, codes[last - letters - 1]) & LETTER:
            letters += 1
        begin = last - letters
        if begin > first and class_of(table, codes[begin - 1]) & DIGIT:
            return letters if contains(units, hash_bytes(data, places[begin], places[last])) else 0
    return 0


@numba.njit(cache=True, nogil=True)
def _middle(data, places, codes, first, last, table, undivided, starts, ends, total):
    """Write what is left between the affixes: whole, or cut at the signs and contractions inside."""
    if first == last:
        return total
    whole = _kept_whole(data, places, codes, first, last, table, undivided)
    if whole or _is_address(codes, first, last, table):
        starts[total], ends[total] = places[first], places[last]
        return total + 1
    begin, at = first, first + 1
    while at < last - 1:
        cut = 0
        if not class_of(table, codes[at]) & ALPHANUMERIC:
            cut = _infix(codes, at, last, table)
        if cut:
            if begin < at:
                starts[total], ends[total] = places[begin], places[at]
                total += 1
            starts[total], ends[total] = places[at], places[at + cut]
            total += 1
            at += cut
            begin = at
        else:
            at += 1
    if begin == last:
        return total
    cut = last - _contraction(codes, first, last) if begin == first else last
    starts[total], ends[total] = places[begin], places[cut]
    total += 1
    if cut < last:
        starts[total], ends[total] = places[cut], places[last]
        total += 1
    return total


@numba.njit(cache=True, nogil=True)
def _infix(codes, at, last, table):
    """Characters of the sign at `at` that cuts between its neighbours, 0 if it does not."""
    code = codes[at]
    before, after = class_of(table, codes[at - 1]), class_of(table, codes[at + 1])
    if class_of(table, code) & PICTURE:
        return 1
    if code == 46:
        dots = _dots(codes, at, last)
        if dots >= 2:
            return dots
        return 1 if before & (LOWER | QUOTE) and after & (UPPER | QUOTE) else 0
    # + - * ^ between numbers.
    operator = code == 43 or code == 45 or code == 42 or code == 94
    if operator and before & DIGIT and (after & DIGIT or codes[at + 1] == 45):
        return 1
    if code == 44:
        return 1 if before & LETTER and after & LETTER else 0
    if not before & ALPHANUMERIC:
        return 0
    if code == 45:
        dashes = 1
        while at + dashes < last and dashes < 3 and codes[at + dashes] == 45:
            dashes += 1
        return dashes if at + dashes < last and class_of(table, codes[at + dashes]) & LETTER else 0
    # – — ~ and : < > = /
    dividing = code == 0x2013 or code == 0x2014 or code == 126 or code == 58 or 60 <= code <= 62 or code == 47
    return 1 if dividing and after & LETTER else 0


@numba.njit(cache=True, nogil=True)
def _contraction(codes, first, last):
    """Characters of the contracted verb or "n't" at the end, 0 if there is none."""
    length = last - first
    if length < 3:
        return 0
    end, before, third = codes[last - 1] | 32, codes[last - 2], codes[last - 3]
    if end == 116 and (before == 39 or before == 0x2019) and third | 32 == 110 and length > 3:
        return 3
    if (end == 100 or end == 109) and (before == 39 or before == 0x2019):
        return 2
    if length > 3 and (third == 39 or third == 0x2019):
        before |= 32
        if (before == 108 and end == 108) or (end == 101 and (before == 118 or before == 114)):
            return 3
    return 0


@numba.njit(cache=True, nogil=True)
def _is_address(codes, first, last, table):
    """Whether the characters are [scheme://][user@]host.tld[:port][/…]."""
    at = first
    for index in range(first, last - 2):
        if codes[index] == 58 and codes[index + 1] == 47 and codes[index + 2] == 47:
            at = index + 3
            break
    for index in range(at, last):
        if codes[index] == 47:
            break
        if codes[index] == 64:
            at = index + 1
    begin = label = at
    while at < last:
        code = codes[at]
        if code == 46:
            if at == label:
                return False
            label = at + 1
        elif not (class_of(table, code) & ALPHANUMERIC or code == 45 or code == 95):
            break
        at += 1
    if label == begin or at - label < 2:
        return False
    for index in range(label, at):
        if not class_of(table, codes[index]) & LOWER:
            return False
    if at == last or codes[at] == 47 or codes[at] == 63 or codes[at] == 35:
        return True
    return codes[at] == 58 and at + 1 < last and class_of(table, codes[at + 1]) & DIGIT != 0
