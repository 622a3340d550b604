"""Repeated lines and paragraphs against a count by hand."""

import re
from collections import defaultdict

import numpy as np
import pytest
from cut_units import kept, left, spans, workplace
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.artifact import publish
from corpus.cuts.kept import KeptDocuments
from corpus.cuts.spans import Spans
from corpus.dedup import frequency
from corpus.dedup.frequency import Frequent, PairWriter, count_works, frequent_here
from corpus.dedup.repeated import RepeatedSettings, RepeatSettings, find_repeated


def found_in(documents: KeptDocuments, asked: RepeatedSettings, source: str = "s") -> tuple[Spans, list[dict]]:
    with workplace() as place:
        found = find_repeated(documents, (source,), asked, place)
        return spans(documents, found.passes), found.most.to_pylist()


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
    rest = left(documents, found_in(documents, asked)[0])
    stripped = [[line.strip() for line in text.split("\n") if line.strip()] for text in rest]
    assert stripped == count_by_hand(texts, least, keep, 3)
    assert not len(found_in(kept(tmp_path_factory.mktemp("a"), rest), asked)[0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(LINE, max_size=7).map("\n".join), min_size=2, max_size=8))
def test_a_second_pass_over_lines_and_paragraphs_finds_nothing(tmp_path_factory, texts):
    lines = RepeatSettings(min_documents=3, share=0, min_characters=3)
    paragraphs = RepeatSettings(min_documents=2, share=0, min_characters=3, keep=1)
    asked = RepeatedSettings(lines=lines, paragraphs=paragraphs)
    documents = kept(tmp_path_factory.mktemp("r"), texts)
    rest = left(documents, found_in(documents, asked)[0])
    assert not len(found_in(kept(tmp_path_factory.mktemp("a"), rest), asked)[0])


def test_the_most_repeated_are_listed_with_their_counts(tmp_path):
    texts = [f"Story {n} of its own.\n\nAll rights   reserved, 20{n}\nShare this page" for n in range(12)]
    lines = RepeatSettings(min_documents=10, share=0)
    _, most = found_in(kept(tmp_path, texts), RepeatedSettings(lines=lines, digits=True), "news")
    shown = {row["text"]: (row["scope"], row["documents"]) for row in most}
    # One digit is not two: ten stories and ten years have one, and the years of all have three.
    assert shown["Share this page"] == ("news", 12) and shown["All rights   reserved, 200"] == ("news", 10)
    assert shown["Story 0 of its own."] == ("news", 10) and len(shown) == 3


def test_a_share_of_the_scope_raises_the_bar():
    assert RepeatSettings(min_documents=20, share=0.001).least(5_000) == 20
    assert RepeatSettings(min_documents=20, share=0.001).least(50_001) == 51


@pytest.mark.parametrize("largest", [40, 1 << 24])
@pytest.mark.parametrize("keep", [0, 1, 2])
def test_frequencies_are_the_same_whole_and_in_chunks_and_ranges(monkeypatch, tmp_path, largest, keep):
    monkeypatch.setattr(frequency, "CHUNK", largest)
    monkeypatch.setattr(frequency, "PART", largest)
    random = np.random.default_rng(3)
    hashes = random.integers(1, 40, 500).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    ranks = random.integers(0, 30, 500)
    units = [tmp_path / "0", tmp_path / "1"]
    for number, unit in enumerate(units):
        with publish(unit, kind="pairs", function={}) as draft:
            pairs = PairWriter(draft)
            for part in np.array_split(np.arange(number, 500, 2), 7):
                pairs.add(hashes[part], ranks[part])
            pairs.close()
    works = count_works(units, 9, keep)
    assert len(works) == (16 if largest == 40 else 1)
    counted = [tmp_path / f"count-{work.part:02d}" for work in works]
    for work, folder in zip(works, counted, strict=True):
        with publish(folder, kind="count", function={}) as draft:
            work.write(draft)
    found = Frequent.together([Frequent.open(folder) for folder in counted])
    here = frequent_here(counted, units[1])
    assert here.hashes.tolist() == sorted(set(found.hashes.tolist()) & set(hashes[1::2].tolist()))
    where = {h: sorted(set(ranks[hashes == h].tolist())) for h in np.unique(hashes).tolist()}
    expected = {h: rows for h, rows in where.items() if len(rows) >= 9}
    assert found.hashes.tolist() == sorted(expected)
    assert found.documents.tolist() == [len(expected[h]) for h in sorted(expected)]
    assert found.last.tolist() == [expected[h][keep - 1] if keep else -1 for h in sorted(expected)]


def test_only_the_named_sources_are_cut(tmp_path):
    texts = ["the same long line here\nother"] * 30
    documents = kept(tmp_path, texts)
    asked = RepeatedSettings(sources=("web",))
    assert not len(found_in(documents, asked, "code")[0])
    assert left(documents, Spans.none()) == texts
