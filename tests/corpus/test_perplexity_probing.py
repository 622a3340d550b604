"""The compiled reader of KenLM's probing files, against KenLM."""

from random import Random

import kenlm
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.kernels.ngrams import RUN, murmur
from corpus.perplexity import LmSettings, find_kenlm_tools, train_kenlm
from corpus.perplexity.ngram import scorer
from corpus.perplexity.probing import ProbingModel
from tests.corpus.test_perplexity import needs_kenlm

VOCABULARY = ["the", "cat", "sees", "a", "dog", "über", "東京", "long-compound-word", ".", ","]
words = st.sampled_from([*VOCABULARY, "unseen", "<s>", "</s>", "<unk>", "zz"])
blanks = st.sampled_from([" ", "  ", "\t", "\u00a0", "\n", "\n\n", "\r\n", "\u2028", ""])
texts = st.lists(st.tuples(words, blanks).map("".join), max_size=40).map("".join)


@pytest.fixture(scope="module", params=[2, 3, 5])
def pair(request, tmp_path_factory):
    """A model of so many words, as a file of hash tables and as a trie."""
    random, folder = Random(request.param), tmp_path_factory.mktemp("models")
    lines = [" ".join(random.choices(VOCABULARY, range(10, 0, -1), k=random.randint(1, 12))) for _ in range(600)]
    for structure in ("probing", "trie"):
        prune = (0, 0, 1)[: request.param]
        lm = LmSettings(order=request.param, prune=prune, memory="100M", structure=structure)
        train_kenlm(lines, folder / structure, lm, *find_kenlm_tools())
    return folder / "probing", folder / "trie"


@needs_kenlm
@given(column=st.lists(texts, max_size=4))
@settings(max_examples=60, deadline=None)  # the first call may compile
def test_every_text_has_the_probability_that_kenlm_gives_it(pair, column):
    probing, trie = pair
    text = pa.array(column, pa.large_string())
    (ours, counts), (theirs, their_counts) = scorer(probing)(text), scorer(trie)(text)
    assert ProbingModel.read(probing) is not None and ProbingModel.read(trie) is None
    assert counts.tolist() == their_counts.tolist()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@needs_kenlm
def test_a_line_longer_than_a_run_keeps_its_context(pair):
    random = Random(1)
    line = " ".join(random.choices([*VOCABULARY, "unseen"], k=5 * RUN))
    (log10,), (count,) = scorer(pair[0])(pa.array([line], pa.large_string()))
    assert count == 5 * RUN + 1
    assert log10 == pytest.approx(sum(s for s, _, _ in kenlm.Model(str(pair[0])).full_scores(line)), rel=1e-5)


@needs_kenlm
def test_a_cut_file_is_not_mapped(pair, tmp_path):
    (tmp_path / "cut").write_bytes(pair[0].read_bytes()[:2000])
    assert ProbingModel.read(tmp_path / "cut") is None
    (tmp_path / "empty").touch()
    assert ProbingModel.read(tmp_path / "empty") is None


def test_words_are_hashed_by_murmurhash64a():
    # the values of smhasher's reference implementation, seed 0
    known = {b"": 0x0, b"hello": 0x1E68D17C457BF117, b"<unk>": None}
    for word, value in known.items():
        found = int(murmur(np.frombuffer(word or b"\0", np.uint8), 0, len(word)))
        assert value is None or found == value
