"""Repeated lines and paragraphs against a count by hand."""

import re
from collections import defaultdict

import numpy as np
import pytest
from cut_units import kept, left
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.cuts.spans import Spans
from corpus.dedup import frequency
from corpus.dedup.frequency import DocumentFrequencies
from corpus.dedup.repeated import RepeatedSettings, RepeatSettings, find_repeated

LINE = st.sampled_from(["Home | About", "home |  about ", "Unique text", "x", "Page 3", "Page 4", ""])


def count_by_hand(texts: list[str], least: int, keep: int, shortest: int) -> list[list[str]]:
    """The lines left of each text, stripped, without blank ones."""
    folded = [[re.sub(r"\s+", " ", line.strip()).lower() for line in text.split("\n")] for text in texts]
    where = defaultdict(list)
    for row, text in enumerate(folded):
        for line in sorted(set(text)):
            if len(line) >= shortest:
                where[line].append(row)
    rest = []
    for row, text in enumerate(texts):
        lines = [line.strip() for line in text.split("\n")]
        gone = [len(where[f]) >= least and row not in where[f][:keep] for f in folded[row]]
        rest.append([line for line, cut in zip(lines, gone, strict=True) if line and not cut])
    return rest


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(LINE, max_size=5).map("\n".join), min_size=1, max_size=8),
    st.integers(2, 4),
    st.integers(0, 2),
    st.integers(1, 3),
)
def test_lines_are_cut_as_counted_by_hand_and_once(tmp_path_factory, texts, least, keep, units):
    lines = RepeatSettings(min_documents=least, share=0, min_characters=3, keep=keep)
    asked = RepeatedSettings(lines=lines, paragraphs=None)
    documents = kept(tmp_path_factory.mktemp("r"), texts, units=units)
    found = find_repeated(documents, ("s",), asked)
    rest = left(documents, found.spans)
    stripped = [[line.strip() for line in text.split("\n") if line.strip()] for text in rest]
    assert stripped == count_by_hand(texts, least, keep, 3)
    again = find_repeated(kept(tmp_path_factory.mktemp("a"), rest), ("s",), asked)
    assert not len(again.spans)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(LINE, max_size=7).map("\n".join), min_size=2, max_size=8))
def test_a_second_pass_over_lines_and_paragraphs_finds_nothing(tmp_path_factory, texts):
    lines = RepeatSettings(min_documents=3, share=0, min_characters=3)
    paragraphs = RepeatSettings(min_documents=2, share=0, min_characters=3, keep=1)
    asked = RepeatedSettings(lines=lines, paragraphs=paragraphs)
    documents = kept(tmp_path_factory.mktemp("r"), texts)
    rest = left(documents, find_repeated(documents, ("s",), asked).spans)
    assert not len(find_repeated(kept(tmp_path_factory.mktemp("a"), rest), ("s",), asked).spans)


def test_the_most_repeated_are_listed_with_their_counts(tmp_path):
    texts = [f"Story {n} of its own.\n\nAll rights   reserved, 20{n}\nShare this page" for n in range(12)]
    lines = RepeatSettings(min_documents=10, share=0)
    found = find_repeated(kept(tmp_path, texts), ("news",), RepeatedSettings(lines=lines, digits=True))
    shown = {row["text"]: (row["scope"], row["documents"]) for row in found.most.to_pylist()}
    # One digit is not two: ten stories and ten years have one, and the years of all have three.
    assert shown["Share this page"] == ("news", 12) and shown["All rights   reserved, 200"] == ("news", 10)
    assert shown["Story 0 of its own."] == ("news", 10) and len(shown) == 3


def test_a_share_of_the_scope_raises_the_bar():
    assert RepeatSettings(min_documents=20, share=0.001).least(5_000) == 20
    assert RepeatSettings(min_documents=20, share=0.001).least(50_001) == 51


@pytest.mark.parametrize("partition", [64, 256 << 20])
@pytest.mark.parametrize("keep", [0, 1, 2])
def test_frequencies_are_the_same_on_disk_and_in_memory(monkeypatch, partition, keep):
    monkeypatch.setattr(frequency, "PARTITION", partition)
    random = np.random.default_rng(3)
    hashes = random.integers(1, 40, 500).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    ranks = random.integers(0, 30, 500)
    with DocumentFrequencies(len(hashes)) as frequencies:
        for part in np.array_split(np.arange(500), 7):
            frequencies.add(hashes[part], ranks[part])
        found = frequencies.frequent(9, keep)
    where = {h: sorted(set(ranks[hashes == h].tolist())) for h in np.unique(hashes).tolist()}
    expected = {h: rows for h, rows in where.items() if len(rows) >= 9}
    assert found.hashes.tolist() == sorted(expected)
    assert found.documents.tolist() == [len(expected[h]) for h in sorted(expected)]
    assert found.last.tolist() == [expected[h][keep - 1] if keep else -1 for h in sorted(expected)]


def test_only_the_named_sources_are_cut(tmp_path):
    texts = ["the same long line here\nother"] * 30
    documents = kept(tmp_path, texts)
    asked = RepeatedSettings(sources=("web",))
    assert not len(find_repeated(documents, ("code",), asked).spans)
    assert left(documents, Spans.none()) == texts
