"""Spans: what is cut and what is left make up the text, and nothing is glued."""

import itertools
import re

import numpy as np
import pyarrow as pa
import pytest
from cut_units import kept, left, removed
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.cuts.spans import KINDS, Spans, publish_spans, strings
from corpus.document import utf8_buffers
from corpus.kernels.cuts import spans_before, spans_of, text_without
from corpus.kernels.folding import elements, folded_words, lower_table, tokens, window_hashes

PIECE = st.sampled_from(["a", "bc", "é", "漢", "字", " ", "\n", "\n\n", "\t", ".", "Ω", "  "])
TEXTS = st.lists(st.lists(PIECE, max_size=14).map("".join), max_size=4)


def pieces(text: str) -> list[str]:
    """The tokens of one text."""
    data, offsets = utf8_buffers(pa.array([text]))
    starts, ends, _, _ = tokens(data, offsets)
    return [data[a:b].tobytes().decode() for a, b in zip(starts, ends, strict=True)]


def without(texts: list[str], marks_of) -> tuple[list[str], list[list[str]]]:
    """(what is left, what is cut) of texts whose marked tokens are taken out."""
    data, offsets = utf8_buffers(pa.array(texts, pa.string()))
    starts, ends, _, bounds = tokens(data, offsets)
    begin, stop, owner = spans_of(data, offsets, bounds, starts, ends, marks_of(len(starts)))
    rest = strings(*text_without(data, offsets, owner, begin, stop)).to_pylist()
    cut = [
        [text.encode()[begin[i] : stop[i]].decode() for i in range(owner[row], owner[row + 1])]
        for row, text in enumerate(texts)
    ]
    for row, text in enumerate(texts):  # conservation: the kept and the cut pieces in turn are the text
        at, again = 0, b""
        for i in range(owner[row], owner[row + 1]):
            again += text.encode()[at : begin[i]] + text.encode()[begin[i] : stop[i]]
            assert at <= begin[i] < stop[i]
            at = stop[i]
        assert again + text.encode()[at:] == text.encode()
        assert len(rest[row].encode()) == len(text.encode()) - sum(len(one.encode()) for one in cut[row])
    return rest, cut


@settings(deadline=None)  # the first example compiles
@given(TEXTS, st.randoms())
def test_the_tokens_left_are_those_not_marked(texts, random):
    chosen = []

    def marks(count):
        chosen[:] = [random.random() < 0.4 for _ in range(count)]
        return np.array(chosen, bool)

    rest, _ = without(texts, marks)
    expected = [piece for text in texts for piece in pieces(text)]
    expected = [piece for piece, gone in zip(expected, chosen, strict=True) if not gone]
    assert [piece for text in rest for piece in pieces(text)] == expected


@settings(deadline=None)  # the first example compiles
@given(TEXTS, st.randoms())
def test_paragraphs_are_never_glued(texts, random):
    paragraphs = {}

    def marks(count):
        return np.array([random.random() < 0.4 for _ in range(count)], bool)

    rest, _ = without(texts, marks)
    for text, remaining in zip(texts, rest, strict=True):
        paragraphs = [pieces(one) for one in re.split(r"\n\s*\n", text)]
        after = [pieces(one) for one in re.split(r"\n\s*\n", remaining)]
        # Every paragraph that is left is a part of one paragraph of the text.
        for one in filter(None, after):
            assert any(is_part(one, whole) for whole in paragraphs)


def is_part(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(piece in rest for piece in part)


@pytest.mark.parametrize(
    ("text", "gone", "rest"),
    [
        ("P1\n\nBOILER\n\nP2", "BOILER", "P1\n\nP2"),
        ("P1\nBOILER\n\nP2", "BOILER", "P1\n\nP2"),
        ("P1\n\nBOILER\nP2", "BOILER", "P1\n\nP2"),
        ("def f():\n    BOILER\n    return 1", "BOILER", "def f():\n    return 1"),
        ("  BOILER\n    code", "BOILER", "    code"),
        ("P1\n\n  BOILER\n    code", "BOILER", "P1\n\n    code"),
        ("A\nBOILER\n", "BOILER", "A\n"),
        ("one BOILER two", "BOILER", "one two"),
        ("BOILER", "BOILER", ""),
        ("foo漢字漢bar", "字", "foo漢漢bar"),
    ],
)
def test_one_of_the_gaps_beside_a_cut_stays(text, gone, rest):
    marks = np.array([piece == gone for piece in pieces(text)], bool)
    assert marks.sum() == (gone in pieces(text))
    if marks.any():
        assert without([text], lambda _: marks)[0] == [rest]


@settings(deadline=None)  # the first example compiles
@given(st.text("abcdefgh", max_size=30), st.randoms())
def test_spans_of_a_cut_text_are_told_in_the_text_before(text, random):
    def some(size):
        edges = sorted(random.sample(range(size + 1), min(2 * random.randint(0, 3), (size + 1) // 2 * 2)))
        return np.array(edges[::2], np.int64), np.array(edges[1::2], np.int64)

    cut_start, cut_stop = some(len(text))
    data = np.frombuffer(text.encode(), np.uint8)
    once, _ = text_without(data, np.array([0, len(data)]), np.array([0, len(cut_start)]), cut_start, cut_stop)
    start, stop = some(len(once))
    twice, _ = text_without(once, np.array([0, len(once)]), np.array([0, len(start)]), start, stop)
    bounds, cut_bounds = np.array([0, len(start)]), np.array([0, len(cut_start)])
    begin, end, _ = spans_before(bounds, start, stop, cut_bounds, cut_start, cut_stop)
    every = sorted([*zip(cut_start, cut_stop, strict=True), *zip(begin, end, strict=True)])
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(every))
    starts, stops = (np.array(side, np.int64) for side in zip(*every, strict=True)) if every else (start, stop)
    again, _ = text_without(data, np.array([0, len(data)]), np.array([0, len(starts)]), starts, stops)
    assert again.tobytes() == twice.tobytes()


def test_lines_and_paragraphs_are_compared_in_lower_case_and_without_their_white_space():
    text = "  First  LINE \n\tfirst line\r\n\nSecond\u00a0one\nmore\n \n7 of 9"
    data, offsets = utf8_buffers(pa.array([text]))
    for paragraphs, count, alike in ((False, 5, True), (True, 3, False)):
        _, _, characters, hashes, bounds = elements(data, offsets, paragraphs, lower_table(), False)
        assert bounds.tolist() == [0, count] and len(hashes) == count
        assert (hashes[0] == hashes[1]) == alike
        assert characters[-1] == 6
    plain = elements(*utf8_buffers(pa.array(["7 of 9", "8 of 3"])), False, lower_table(), False)[3]
    assert plain[0] != plain[1]
    digits = elements(*utf8_buffers(pa.array(["7 of 9", "8 of 3"])), False, lower_table(), True)[3]
    assert digits[0] == digits[1]


@settings(deadline=None)  # the first example compiles
@given(st.lists(st.text(st.sampled_from("aB ,-é漢\n9_"), max_size=12), max_size=4), st.integers(1, 4))
def test_windows_are_equal_when_their_words_are(texts, n):
    data, offsets = utf8_buffers(pa.array(texts, pa.string()))
    starts, ends, hashes, bounds = folded_words(data, offsets, lower_table())
    words = [data[a:b].tobytes().decode().lower() for a, b in zip(starts, ends, strict=True)]
    assert words == [word for text in texts for word in re.findall(r"漢|[aB9_é]+", text) for word in [word.lower()]]
    windows = window_hashes(hashes, bounds, n)
    seen = {}
    for row in range(len(texts)):
        for at in range(bounds[row], bounds[row + 1]):
            whole = at + n <= bounds[row + 1]
            assert (windows[at] != 0) == whole
            if whole:
                assert seen.setdefault(tuple(words[at : at + n]), windows[at]) == windows[at]
    assert len(set(seen.values())) == len(seen)


def test_spans_are_published_and_read_by_unit(tmp_path):
    from corpus.artifact import Draft

    one, two = (np.array(values, np.int64) for values in ([0, 0, 3], [1, 4, 0]))
    spans = Spans(one, two, np.array([5, 0, 7]), np.array([9, 2, 8]), np.array([0, 2, 3]))
    draft = Draft(tmp_path)
    publish_spans([spans], draft)
    assert draft.rows == {"spans/00000.parquet": 2, "spans/00003.parquet": 1}
    assert draft.totals["bytes"] == {KINDS[0]: 4, KINDS[2]: 2, KINDS[3]: 1} and draft.totals["documents"] == 3
    again = Spans.together([Spans.read([tmp_path], unit) for unit in range(5)])
    assert all(np.array_equal(getattr(again, name), getattr(spans, name)) for name in ("unit", "row", "start", "stop"))


def test_cuts_are_taken_out_when_texts_are_read(tmp_path):
    documents = kept(tmp_path, ["one two three", "four five", "six"], units=2)
    spans = Spans(*(np.array(values, np.int64) for values in ([0, 1], [0, 0], [3, 0], [7, 5], [2, 2])))
    assert left(documents, spans) == ["one three", "five", "six"]
    assert removed("one two three", spans, 0)[:1] == [" two"]
