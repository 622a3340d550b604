import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.document import Batch, Document
from corpus.kernels.hashing import add, contains, hash_bytes, hashes_of, set_of, slots_for
from corpus.kernels.words import ALPHABETIC, SENTENCE_END, SIGNS, WORD, Words, split_words, words_of


def tokens(words: Words, document: int = 0) -> list[str]:
    raw = words.data.tobytes()
    owned = range(words.offsets[document], words.offsets[document + 1])
    return [raw[words.starts[token] : words.ends[token]].decode() for token in owned]


# Expected splits are those of spaCy 3.8's blank English pipeline.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \t\n\u00a0\u3000", ""),
        ("one  two\nthree", "one two three"),
        ('"Word," he said.', '" Word , " he said .'),
        ("(see [1])", "( see [ 1 ] )"),
        ("don't we'll I've Ann's it’s", "do n't we 'll I 've Ann 's it ’s"),
        ("well-known 2019-2020 and/or either/or", "well - known 2019 - 2020 and/or either / or"),
        ("pi is 3.14, not 1,000.", "pi is 3.14 , not 1,000 ."),
        ("Dr. Ng, e.g. at 5 p.m. in the U.S. of A.", "Dr. Ng , e.g. at 5 p.m. in the U.S. of A."),
        ("NASA. done.", "NASA . done ."),
        ("5mg b.i.d. 10am 20% $5", "5 mg b.i.d . 10 am 20 % $ 5"),
        ("wait... what…", "wait ... what …"),
        ("end.Start low.er", "end . Start low.er"),
        ("==== ____ ----", "= = = = _ _ _ _ ----"),
        ("https://example.org/a-b?c=d (www.example.org) me@site.org.", None),
        ("κόσμος, мир!", "κόσμος , мир !"),
        ("yes😀no", "yes 😀 no"),
        ("a. É. ж. ñ. ä. ñ.\u2028", "a. É. ж . ñ . ä. ñ ."),
    ],
)
def test_words_are_split_as_spacy_splits_them(text: str, expected: str | None) -> None:
    if expected is None:
        expected = "https://example.org/a-b?c=d ( www.example.org ) me@site.org ."
    assert tokens(split_words(pa.array([text], pa.string()))) == expected.split()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=6), st.integers(0, 5))
@settings(max_examples=150)
def test_tokens_cover_every_character_that_is_not_white_space(texts: list[str], skip: int) -> None:
    array = pa.array(["skipped. ", *texts], pa.string())[min(skip, len(texts)) :]
    words = split_words(array)
    assert len(words.offsets) == len(array) + 1
    for document, text in enumerate(array.to_pylist()):
        found = tokens(words, document)
        assert "".join(found) == "".join(text.split())
        assert all(token and not token[0].isspace() for token in found)
        owned = slice(words.offsets[document], words.offsets[document + 1])
        assert words.chars[owned].tolist() == [len(token) for token in found]


def test_flags_tell_words_and_letters() -> None:
    words = split_words(pa.array(["abc 42 ?! x1 é •"]))
    both = WORD | ALPHABETIC
    assert tokens(words) == ["abc", "42", "?", "!", "x1", "é", "•"]
    ending = SENTENCE_END | SIGNS
    assert words.flags.tolist() == [both, WORD, ending, ending, both, both, WORD | SIGNS]


def test_equal_tokens_have_equal_hashes_wherever_they_stand() -> None:
    words = split_words(pa.array(["cat dog", "dog, cat"]))
    cat, dog, again, comma, last = words.hashes
    assert cat == last and dog == again
    assert len({cat, dog, comma}) == 3


def test_a_run_without_white_space_is_cut_at_4096_characters() -> None:
    words = split_words(pa.array(["é" * 10_000]))
    assert words.chars.tolist() == [4096, 4096, 1808]


def test_a_long_run_of_signs_is_split_in_linear_time() -> None:
    words = split_words(pa.array(["(" * 500_000 + "." * 500_000]))
    assert words.chars.sum() == 1_000_000


def test_a_batch_is_split_once() -> None:
    batch = Batch.of([Document("s", "f", 0, "some text", 9)])
    assert words_of(batch) is words_of(batch)
    longer = batch.with_columns({"a.b": pa.array([1])})
    assert words_of(longer) is words_of(batch)
    assert tokens(words_of(batch.with_text(pa.array(["other"]), "edit"))) == ["other"]


@given(st.lists(st.binary(min_size=1, max_size=4), max_size=60))
@settings(max_examples=100)
def test_a_set_of_hashes_knows_its_members(members: list[bytes]) -> None:
    table = np.zeros(slots_for(len(members)), np.uint64)
    seen: set[bytes] = set()
    for member in members:
        value = np.uint64(hash_bytes(np.frombuffer(member, np.uint8), 0, len(member)))
        assert contains(table, value) == (member in seen)
        assert add(table, value) == (member in seen)
        seen.add(member)
    assert np.count_nonzero(table) == len(seen)


def test_a_set_of_words_holds_their_hashes() -> None:
    inside, outside = hashes_of(("kg", "mg")), hashes_of(("kgs", ""))
    table = set_of(("kg", "mg"))
    assert [contains(table, value) for value in inside] == [True, True]
    assert [contains(table, value) for value in outside] == [False, False]
    assert not set_of(()).any()
