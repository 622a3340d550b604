import re

import numpy as np
import pyarrow as pa
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.curve import s_curve
from corpus.dedup.shingles import shingle_sets
from corpus.dedup.signature import Signature, SignatureSettings
from corpus.document import Batch, Document

WORDS = st.lists(st.sampled_from(["a", "of", "Heart", "ÉTÉ", "rate", "was", "72", "bpm", "naïve"]), max_size=40)


def batch_of(texts: list[str]) -> Batch:
    return Batch.of([Document("s", "f", row, text, len(text.encode())) for row, text in enumerate(texts)])


def signed(texts: list[str], **options: int) -> tuple[list, list]:
    out = Signature(SignatureSettings(**options)).process(batch_of(texts))
    return out["dedup.exact"].to_pylist(), out["dedup.minhash"].to_pylist()


def ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def test_the_exact_hash_is_that_of_lower_cased_text_with_white_space_collapsed() -> None:
    exact, _ = signed([" Fever\t and\n\nCOUGH ", "fever and cough", "fever, and cough", "a\u00a0 b", ""])
    assert exact[0] == exact[1] == xxhash.xxh3_128_digest(b"fever and cough")
    assert exact[2] != exact[1]
    assert exact[3] == xxhash.xxh3_128_digest(b"a b")
    assert exact[4] == xxhash.xxh3_128_digest(b"")


def test_a_text_shorter_than_a_shingle_has_no_sketch() -> None:
    _, sketch = signed(["one two three four", "one two three four five", "", "   ", "- - - - - -"])
    assert [value is None for value in sketch] == [True, False, True, True, True]


def test_rows_with_a_verdict_have_no_signature() -> None:
    batch = batch_of(["one two three four five six"] * 2).with_verdicts(np.array([True, False]), "quarantine", "bad")
    out = Signature().process(batch)
    assert out["dedup.exact"].is_null().to_pylist() == [True, False]
    assert out["dedup.minhash"].is_null().to_pylist() == [True, False]


def test_columns_follow_the_settings() -> None:
    wide, narrow = Signature(SignatureSettings(bands=20, rows=5)), Signature(SignatureSettings(bands=2, rows=3))
    assert wide.columns["dedup.minhash"] == pa.binary(400)
    assert narrow.columns["dedup.minhash"] == pa.binary(24)
    out = narrow.process(batch_of(["one two three four five"]))
    assert out["dedup.minhash"].type == narrow.columns["dedup.minhash"]


@settings(max_examples=30, deadline=None)
@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=6), st.data())
def test_a_signature_is_a_function_of_its_text_alone(texts: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(texts) - 1))
    step = Signature()
    whole = step.process(batch_of(texts))
    part = step.process(Batch(batch_of(texts).data.slice(start)))
    for column in step.columns:
        assert part[column].to_pylist() == whole[column].to_pylist()[start:]


@settings(max_examples=50, deadline=None)
@given(WORDS, WORDS, st.integers(1, 5))
def test_jaccard_equals_that_of_python_sets(left: list[str], right: list[str], n: int) -> None:
    texts = [" ".join(left), "... ".join(right)]
    a, b = (ngrams(text, n) for text in texts)
    expected = len(a & b) / len(a | b) if a | b else 0.0
    sets = shingle_sets(pa.array(texts), n)
    assert sets.jaccard(np.array([0]), np.array([1]))[0] == expected
    assert np.diff(sets.bounds, axis=1).ravel().tolist() == [len(a), len(b)]


def test_scripts_without_blanks_are_cut_into_characters() -> None:
    sets = shingle_sets(pa.array(["患者は発熱、咳嗽。", "ผู้ป่วย มีไข้", "환자 발열"]), 1)
    sizes = np.diff(sets.bounds, axis=1).ravel().tolist()
    assert sizes == [len(set("患者は発熱咳嗽")), len(set("ผู้ป่วยมีไข้")), 2]


def test_equal_minima_estimate_jaccard() -> None:
    rng = np.random.default_rng(3)
    pool = [f"w{number}" for number in range(4000)]
    base = rng.choice(pool, 1200).tolist()
    other = [*base[:900], *rng.choice(pool, 300).tolist()]
    texts = [" ".join(base), " ".join(other)]
    a, b = (ngrams(text, 5) for text in texts)
    similarity = len(a & b) / len(a | b)
    _, (first, second) = signed(texts, bands=128, rows=8)
    share = np.mean(np.frombuffer(first, "<u4") == np.frombuffer(second, "<u4"))
    assert abs(share - similarity) < 4 * np.sqrt(similarity * (1 - similarity) / 1024)


def test_the_s_curve_of_one_band_of_one_row_is_the_similarity() -> None:
    assert np.isclose(s_curve(1, 1, 0.3), 0.3)
    assert np.isclose(s_curve(2, 3, 0.5), 1 - (1 - 0.125) ** 2)
