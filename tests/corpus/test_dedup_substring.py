"""Repeated substrings against brute force."""

import pytest
from cut_units import kept, left
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.cuts.spans import Spans
from corpus.dedup.substring import SubstringSettings, find_substrings

TEXT = st.lists(st.sampled_from(["a", "b", "c", "d\n\n", "ab", "漢漢"]), max_size=14).map(" ".join)


def tokens(text: str) -> list[str]:
    return text.replace("漢", " 漢 ").split()


def once_by_hand(texts: list[list[str]], n: int, rank: list[int]) -> list[list[str]]:
    """What one pass leaves: tokens in no window of n that a document earlier in the keep order has too."""
    first: dict[tuple, int] = {}
    for row, text in enumerate(texts):
        for at in range(len(text) - n + 1):
            window = tuple(text[at : at + n])
            first[window] = min(first.get(window, rank[row]), rank[row])
    rest = []
    for row, text in enumerate(texts):
        gone = [False] * len(text)
        for at in range(len(text) - n + 1):
            if first[tuple(text[at : at + n])] < rank[row]:
                gone[at : at + n] = [True] * n
        rest.append([token for token, cut in zip(text, gone, strict=True) if not cut])
    return rest


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5), st.integers(2, 4), st.integers(1, 2), st.randoms())
def test_spans_are_those_of_brute_force_until_nothing_is_left_to_find(tmp_path_factory, texts, n, units, random):
    rank = list(range(len(texts)))
    random.shuffle(rank)
    asked = SubstringSettings(tokens=n)
    documents = kept(tmp_path_factory.mktemp("s"), texts, units=units, rank=rank)
    rest = left(documents, find_substrings(documents, Spans.none(), asked))
    expected = [tokens(text) for text in texts]
    while (after := once_by_hand(expected, n, rank)) != expected:
        expected = after
    assert [tokens(text) for text in rest] == expected
    again = kept(tmp_path_factory.mktemp("a"), rest, rank=rank)
    assert not len(find_substrings(again, Spans.none(), asked))


def test_a_document_between_those_of_the_second_pass_may_have_been_cut_in_the_first(tmp_path):
    texts = ["a a", "", "a 漢漢 a", "b b 漢漢", "b a a b"]
    documents = kept(tmp_path, texts, rank=[2, 3, 1, 0, 4])
    found = find_substrings(documents, Spans.none(), SubstringSettings(tokens=2))
    # first 漢 and a a, then the a a that this leaves
    assert [tokens(text) for text in left(documents, found)] == [[], [], ["a", "a"], ["b", "b", "漢", "漢"], []]


def test_a_span_within_one_document_alone_stays(tmp_path):
    documents = kept(tmp_path, ["one two three four one two three four", "something else in here"])
    assert not len(find_substrings(documents, Spans.none(), SubstringSettings(tokens=3)))


def test_repeated_text_larger_than_a_partition_is_sorted_in_parts(tmp_path):
    notices = [" ".join(f"n{notice}w{word}" for word in range(40)) for notice in range(12)]
    texts = [f"Start of {row}: {notices[row % 12]} {row} ends here." for row in range(60)]
    documents = kept(tmp_path, texts, units=3)
    asked = SubstringSettings(tokens=20, partition=1 << 12)
    rest = left(documents, find_substrings(documents, Spans.none(), asked))
    assert rest == texts[:12] + [f"Start of {row}: {row} ends here." for row in range(12, 60)]


@pytest.mark.parametrize("gap", [" ", "\n", "  \n "])
def test_white_space_between_tokens_does_not_count(tmp_path, gap):
    notice = ["This", "notice", "is", "printed", "everywhere."]
    documents = kept(tmp_path, ["A. " + " ".join(notice), f"B.\n\n{gap.join(notice)}\n\nC."])
    found = find_substrings(documents, Spans.none(), SubstringSettings(tokens=5))
    assert left(documents, found) == ["A. " + " ".join(notice), "B.\n\nC."]
