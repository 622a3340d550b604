"""C4's rules on lines (Raffel et al. 2020), which take lines out of a document: one pass that measures and rewrites.

A line is judged in this order, and what fails one test is not put to the next: a word that is too long; citations are
taken out; no terminal punctuation; too few words; "lorem ipsum" (noted, the line stays); "javascript"; a curly bracket
(noted, the line stays); a phrase of a privacy policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from corpus.kernels.characters import DECIMAL, SPACE, class_at, class_table, decode, stripped
from corpus.kernels.lines import line_at
from corpus.kernels.words import Spans

# Column order of the counts: lines in all, kept, removed by each reason; kept lines that condemn the document.
COUNTS = ("lines", "kept", "long_word", "no_punctuation", "few_words", "javascript", "policy", "lorem_ipsum", "curly")
LOREM, JAVASCRIPT, POLICY = 1, 2, 4
_CITATIONS = np.frombuffer(b"[edit][citation needed]", np.uint8)
_EDIT = 6
# Letters of English by frequency: a phrase is looked for by its rarest.
_FREQUENCY = {letter: rank for rank, letter in enumerate(" etaoinshrdlucmfwypvbgkqjxz")}


@dataclass(frozen=True)
class LineTests:
    """What a line must pass; -1 leaves a bound out."""

    max_word_length: int = 1000  # characters
    citations: bool = True  # take them out
    punctuation: bool = True
    min_words: int = 3
    lorem_ipsum: bool = True
    javascript: bool = True
    curly: bool = True
    policy: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rewritten:
    """The texts that are left: document d is data[offsets[d]:offsets[d + 1]]; counts int32[documents, COUNTS]; `spans`,
    the pieces it is made of, from where they stood in the text that was rewritten."""

    data: np.ndarray
    offsets: np.ndarray
    counts: np.ndarray
    spans: Spans


def split_pieces(data: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(starts, ends, offsets) of the lines of str.splitlines of each document."""
    return _pieces(data, documents)


def rewrite(
    data: np.ndarray, starts: np.ndarray, ends: np.ndarray, offsets: np.ndarray, tests: LineTests, joined_by: str
) -> Rewritten:
    """Put the pieces (lines or sentences) to the tests and join what is left by one character. About 110 MB/s."""
    phrases: list[tuple[str, int]] = []
    if tests.lorem_ipsum:
        phrases.append(("lorem ipsum", LOREM))
    if tests.javascript:
        phrases.append(("javascript", JAVASCRIPT))
    phrases += [(phrase.lower(), POLICY) for phrase in tests.policy]
    bounds = (tests.max_word_length, tests.citations, tests.punctuation, tests.min_words, tests.curly)
    left, documents, counts, *spans = _rewrite(
        data, starts, ends, offsets, class_table(), *bounds, *_packed(phrases), ord(joined_by)
    )
    return Rewritten(left, documents, counts, Spans(*spans))


def _packed(phrases: Sequence[tuple[str, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(bytes, offsets, place of the rarest byte of each, kinds, bool[256] of the rarest bytes in either case)."""
    encoded = [phrase.encode() for phrase, _ in phrases]
    anchors = [max(range(len(p)), key=lambda i, p=p: _FREQUENCY.get(chr(p[i]), 99)) for p in encoded]  # type: ignore[misc]
    anchored = np.zeros(256, np.bool_)
    for phrase, anchor in zip(encoded, anchors, strict=True):
        for byte in (phrase[anchor : anchor + 1], phrase[anchor : anchor + 1].upper()):
            anchored[byte[0]] = True
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    kinds = np.array([kind for _, kind in phrases], np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), offsets, np.array(anchors, np.int64), kinds, anchored


@numba.njit(cache=True, nogil=True)
def _pieces(data, documents):
    # Room for a line at every byte that may end one, and for the last of each document.
    room = np.int64(len(documents))
    for at in range(documents[0], documents[-1]):
        room += (data[at] < 32) | (data[at] == 0xC2) | (data[at] == 0xE2)
    starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
    offsets = np.zeros(len(documents), np.int64)
    total = 0
    for document in range(len(documents) - 1):
        at, stop = documents[document], documents[document + 1]
        while at < stop:
            starts[total] = at
            ends[total], at = line_at(data, at, stop)
            total += 1
        offsets[document + 1] = total
    return starts[:total].copy(), ends[:total].copy(), offsets


@numba.njit(cache=True, nogil=True)
def _rewrite(
    data, starts, ends, offsets, classes, longest, citations, punctuation, min_words, curly,
    phrases, phrase_offsets, anchors, kinds, anchored, joint,
):  # fmt: skip
    size = np.int64(0)
    for piece in range(len(starts)):
        size += ends[piece] - starts[piece] + 1
    out = np.empty(size, np.uint8)
    documents = np.zeros(len(offsets), np.int64)
    counts = np.zeros((len(offsets) - 1, 9), np.int32)
    sources, begins, stops = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64), np.empty_like(ends)
    bounds = np.zeros(len(offsets), np.int64)
    to, kept = np.int64(0), np.int64(0)
    for document in range(len(counts)):
        row = counts[document]
        begin = to
        for piece in range(offsets[document], offsets[document + 1]):
            row[0] += 1
            left, right = stripped(data, starts[piece], ends[piece], classes)
            bounded = longest == -1 or right - left <= longest  # then no word is too long, and few words need counting
            words, longest_word = _words(data, left, right, classes, min_words if bounded else -1)
            if longest != -1 and longest_word > longest:
                row[2] += 1
                continue
            line = to + 1 if row[1] else to
            end = _copied(data, left, right, out, line, classes, citations)
            if punctuation and not _is_terminal(out, line, end):
                row[3] += 1
                continue
            if words < min_words:
                row[4] += 1
                continue
            found = _phrases(out, line, end, phrases, phrase_offsets, anchors, kinds, anchored)
            row[7] += found & LOREM != 0
            if found & JAVASCRIPT:
                row[5] += 1
                continue
            row[8] += curly and _has_curly(out, line, end)
            if found & POLICY:
                row[6] += 1
                continue
            if row[1]:
                out[to] = joint
            row[1] += 1
            to = end
            sources[kept], begins[kept], stops[kept] = left if end - line == right - left else -1, line, end
            kept += 1
        # The text as a whole is stripped: taking out a citation may have left a space at either end.
        left, right = stripped(out, begin, to, classes)
        if left > begin:
            for at in range(left, right):
                out[begin + at - left] = out[at]
            for span in range(bounds[document], kept):
                begins[span] = max(begins[span] - left + begin, begin)
                stops[span] = max(stops[span] - left + begin, begin)
        to = begin + right - left
        for span in range(bounds[document], kept):
            begins[span], stops[span] = min(begins[span], to), min(stops[span], to)
        documents[document + 1], bounds[document + 1] = to, kept
    spans = (sources[:kept].copy(), begins[:kept].copy(), stops[:kept].copy(), bounds)
    return (out[:to].copy(), documents, counts, *spans)


@numba.njit(cache=True, nogil=True)
def _words(data, begin, stop, classes, enough):
    """(words, characters of the longest) of the bytes as by str.split, looked at up to `enough` words, -1 for all."""
    words = longest = length = 0
    at = begin
    while at < stop and words != enough:
        if data[at] < 128:
            kind, size = classes[data[at]], 1
        else:
            kind, size = class_at(data, at, classes), decode(data, at)[1]
        if kind & SPACE:
            length = 0
        else:
            words += length == 0
            length += 1
            longest = max(longest, length)
        at += size
    return words, longest


@numba.njit(cache=True, nogil=True)
def _copied(data, begin, stop, out, to, classes, citations):
    """Write the bytes at out[to:], citations ([1], [edit], [citation needed]) left out if asked; returns the end."""
    at = begin
    citations = citations and _count(data, begin, stop, 91) > 0
    while citations and at < stop:
        if data[at] == 91:
            behind = at + 1
            while behind < stop and class_at(data, behind, classes) & DECIMAL:
                behind += 1 if data[behind] < 128 else decode(data, behind)[1]
            if behind < stop and data[behind] == 93:
                at = behind + 1
                continue
            if _begins(data, at, stop, _CITATIONS, 0, _EDIT):
                at += _EDIT
                continue
            if _begins(data, at, stop, _CITATIONS, _EDIT, len(_CITATIONS)):
                at += len(_CITATIONS) - _EDIT
                continue
        out[to] = data[at]
        to += 1
        at += 1
    for place in range(at, stop):
        out[to + place - at] = data[place]
    return to + stop - at


@numba.njit(cache=True, nogil=True)
def _count(data, begin, stop, byte):
    """How often the byte stands in the bytes: many at a time, as nothing ends the loop early."""
    found = 0
    for at in range(begin, stop):
        found += data[at] == byte
    return found


@numba.njit(cache=True, nogil=True)
def _begins(data, at, stop, text, first, last):
    """Whether text[first:last] stands at `at`."""
    if at + last - first > stop:
        return False
    index = first
    while index < last and data[at + index - first] == text[index]:
        index += 1
    return index == last


@numba.njit(cache=True, nogil=True)
def _is_terminal(data, begin, stop):
    """Whether the line ends in . ? ! " or ', and not in three dots."""
    if stop == begin:
        return False
    last = data[stop - 1]
    if last == 46:
        return not (stop - begin >= 3 and data[stop - 2] == 46 and data[stop - 3] == 46)
    return last == 63 or last == 33 or last == 34 or last == 39


@numba.njit(cache=True, nogil=True)
def _has_curly(data, begin, stop):
    return _count(data, begin, stop, 123) > 0


@numba.njit(cache=True, nogil=True)
def _phrases(data, begin, stop, phrases, offsets, anchors, kinds, anchored):
    """The kinds of the phrases that occur, upper-case ASCII letters read as lower."""
    found = 0
    for at in range(begin, stop):
        if not anchored[data[at]]:
            continue
        for phrase in range(len(kinds)):
            start = at - anchors[phrase]
            length = offsets[phrase + 1] - offsets[phrase]
            if start < begin or start + length > stop:
                continue
            same = True
            for index in range(length):
                byte = data[start + index]
                if 65 <= byte <= 90:
                    byte |= 32
                if byte != phrases[offsets[phrase] + index]:
                    same = False
                    break
            if same:
                found |= kinds[phrase]
    return found
