"""Repeated substrings against brute force."""

from contextlib import ExitStack
from unittest import mock

import pytest
from cut_units import kept, left, spans, workplace
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.cuts.kept import KeptDocuments
from corpus.cuts.spans import Cuts, Spans
from corpus.dedup import frequency, runs
from corpus.dedup.substring import SubstringSettings, find_substrings

TEXT = st.lists(st.sampled_from(["a", "b", "c", "d\n\n", "ab", "漢漢"]), max_size=14).map(" ".join)


def found_in(documents: KeptDocuments, asked: SubstringSettings) -> Spans:
    with workplace() as place:
        return spans(documents, find_substrings(documents, Cuts(), asked, place))


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
@given(
    st.lists(TEXT, min_size=1, max_size=5),
    st.integers(2, 4),
    st.integers(1, 2),
    st.sampled_from([24, 100, 256 << 20]),
    st.randoms(),
)
def test_spans_are_those_of_brute_force_until_nothing_is_left_to_find(
    tmp_path_factory, texts, n, units, partition, random
):
    """In one part and in many, whose texts, pairs and hashes come in several chunks and ranges."""
    rank = list(range(len(texts)))
    random.shuffle(rank)
    asked = SubstringSettings.model_construct(tokens=n, partition=partition)  # smaller than settings may be
    documents = kept(tmp_path_factory.mktemp("s"), texts, units=units, rank=rank)
    small = ((runs, "CHUNK", 30), (frequency, "CHUNK", 4), (frequency, "PART", 6))
    with ExitStack() as stack:
        for where, name, size in small if partition < 1000 else ():
            stack.enter_context(mock.patch.object(where, name, size))
        rest = left(documents, found_in(documents, asked))
    expected = [tokens(text) for text in texts]
    while (after := once_by_hand(expected, n, rank)) != expected:
        expected = after
    assert [tokens(text) for text in rest] == expected
    again = kept(tmp_path_factory.mktemp("a"), rest, rank=rank)
    assert not len(found_in(again, asked))


def test_a_document_between_those_of_the_second_pass_may_have_been_cut_in_the_first(tmp_path):
    texts = ["a a", "", "a 漢漢 a", "b b 漢漢", "b a a b"]
    documents = kept(tmp_path, texts, rank=[2, 3, 1, 0, 4])
    found = found_in(documents, SubstringSettings(tokens=2))
    # first 漢 and a a, then the a a that this leaves
    assert [tokens(text) for text in left(documents, found)] == [[], [], ["a", "a"], ["b", "b", "漢", "漢"], []]


def test_a_span_within_one_document_alone_stays(tmp_path):
    documents = kept(tmp_path, ["one two three four one two three four", "something else in here"])
    assert not len(found_in(documents, SubstringSettings(tokens=3)))


def test_repeated_text_larger_than_a_partition_is_sorted_in_parts(tmp_path):
    notices = [" ".join(f"n{notice}w{word}" for word in range(40)) for notice in range(12)]
    texts = [f"Start of {row}: {notices[row % 12]} {row} ends here." for row in range(60)]
    documents = kept(tmp_path, texts, units=3)
    asked = SubstringSettings(tokens=20, partition=1 << 12)
    rest = left(documents, found_in(documents, asked))
    assert rest == texts[:12] + [f"Start of {row}: {row} ends here." for row in range(12, 60)]


@pytest.mark.parametrize("gap", [" ", "\n", "  \n "])
def test_white_space_between_tokens_does_not_count(tmp_path, gap):
    notice = ["This", "notice", "is", "printed", "everywhere."]
    documents = kept(tmp_path, ["A. " + " ".join(notice), f"B.\n\n{gap.join(notice)}\n\nC."])
    found = found_in(documents, SubstringSettings(tokens=5))
    assert left(documents, found) == ["A. " + " ".join(notice), "B.\n\nC."]
