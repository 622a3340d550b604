import json
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

import corpus.tokens.tokenize
from corpus.artifact import content_hash, write_parquet
from corpus.document import Batch, Document
from corpus.errors import ConfigError, DataError
from corpus.tokens.store import TokenStore, join_stores
from corpus.tokens.tokenize import CountTokens, Tokenizer, TokenizerSettings, TokensSettings, build_store

END = "<|endoftext|>"
SENTENCES = [
    "The patient was seen in clinic.",
    "No fever, no cough; heart rate 72 bpm.",
    "def f(x):\n    return x + 1\n",
]


def byte_level() -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[END, "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    return tokenizer


def save(tokenizer: tokenizers.Tokenizer, folder: Path, eos: Any = END) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    if eos is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": eos}))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(byte_level(), tmp_path_factory.mktemp("model"))


def load(folder: Path, **options: Any) -> Tokenizer:
    return Tokenizer(TokenizerSettings(path=str(folder), **options))


def split(tokens: np.ndarray, lengths: np.ndarray) -> list[list[int]]:
    return [part.tolist() for part in np.split(tokens, np.cumsum(lengths)[:-1])]


TEXT = st.lists(st.sampled_from([*"ab Zé\n\t0.患\x04", END]), max_size=30).map("".join)


@pytest.mark.parametrize("engine", ["tokenizers", "gigatoken"])
@settings(max_examples=25, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5))
def test_ids_are_those_of_the_library_and_decode_to_the_text(model: Path, engine: str, texts: list[str]) -> None:
    tokens, lengths = load(model, engine=engine).encode(pa.array(texts))
    assert tokens.dtype == np.uint32
    assert lengths.dtype == np.int64
    library = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json"))
    for text, ids in zip(texts, split(tokens, lengths), strict=True):
        assert library.decode(ids, skip_special_tokens=False) == text
        if END not in text:
            assert ids == library.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("engine", ["tokenizers", "gigatoken"])
def test_a_text_that_spells_the_end_token_cannot_end_a_document(model: Path, engine: str) -> None:
    tokenizer = load(model, engine=engine)
    tokens, _ = tokenizer.encode(pa.array([f"one{END}two", END, "<|im_end|>"]))
    special = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json")).get_added_tokens_decoder()
    assert not set(tokens.tolist()) & set(special)
    assert tokenizer._fast_refused == (engine == "tokenizers")  # no fallback hid the difference


def test_identity_names_the_file_the_vocabulary_and_the_end_token(model: Path) -> None:
    identity = load(model).identity()
    library = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json"))
    assert identity.sha256 == content_hash(model / "tokenizer.json")
    assert identity.vocab_size == library.get_vocab_size(with_added_tokens=True)
    assert identity.eos_id == library.token_to_id(END)
    assert load(model, eos_token="<|im_end|>").identity().eos_id == library.token_to_id("<|im_end|>")


def test_the_end_token_may_be_written_as_an_added_token(tmp_path: Path) -> None:
    folder = save(byte_level(), tmp_path, eos={"content": END, "lstrip": False})
    assert load(folder).identity().eos_id == 0


def test_settings_are_identified_by_content_not_by_path_or_engine(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).write_bytes((model / name).read_bytes())
    one = TokenizerSettings(path=str(model), engine="gigatoken").identity()
    assert one == TokenizerSettings(path=str(copy), engine="tokenizers").identity()
    assert one != TokenizerSettings(path=str(model), eos_token="<|im_end|>").identity()


def test_a_missing_or_broken_tokenizer_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no tokenizer\.json here[\s\S]*to do"):
        load(tmp_path).identity()
    with pytest.raises(ConfigError, match=r"no tokenizer\.json"):
        load(tmp_path / "not" / "there").identity()
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ConfigError, match="unreadable tokenizer"):
        load(tmp_path).encode(pa.array(["x"]))


@pytest.mark.parametrize(("eos", "message"), [(None, "no token that ends"), ("<eot>", "not in the vocabulary")])
def test_a_missing_end_token_is_a_config_error(tmp_path: Path, eos: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(save(byte_level(), tmp_path, eos=eos)).identity()


def test_a_long_text_is_encoded_in_pieces_to_the_same_ids(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(SENTENCES * 20)
    whole, _ = load(model, engine="tokenizers").encode(pa.array([text]))
    monkeypatch.setattr(corpus.tokens.tokenize, "PIECE", 50)
    assert len(corpus.tokens.tokenize._cut(text)) > 10
    pieces, lengths = load(model, engine="tokenizers").encode(pa.array(["a", text, ""]))
    assert lengths.tolist() == [1, len(whole), 0]
    assert pieces[1:].tolist() == whole.tolist()


def test_a_tokenizer_that_marks_the_start_of_its_input_is_never_cut(tmp_path: Path) -> None:
    tokenizer = byte_level()
    tokenizer.normalizer = normalizers.Prepend("_")
    assert not load(save(tokenizer, tmp_path / "a"))._cuts_are_safe
    tokenizer = byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    assert not load(save(tokenizer, tmp_path / "b"))._cuts_are_safe


def test_a_difference_between_the_engines_falls_back_for_good(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Wrong:
        def __init__(self, engine: Any) -> None:
            self.engine = engine

        def encode_batch(self, texts: list[bytes], parallel: bool) -> Any:
            return self.engine.encode_batch([text[::-1] for text in texts], parallel=parallel)

    tokenizer = load(model)
    tokenizer.__dict__["_fast"] = Wrong(tokenizer._fast)
    with caplog.at_level(logging.WARNING):
        tokens, _ = tokenizer.encode(pa.array(SENTENCES))
    assert tokens.tolist() == load(model, engine="tokenizers").encode(pa.array(SENTENCES))[0].tolist()
    assert tokenizer._fast_refused
    assert "differ" in caplog.text


def test_a_tokenizer_gigatoken_refuses_is_still_used(tmp_path: Path) -> None:
    tokenizer = tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0, "fever": 1, "[EOS]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens, _ = load(save(tokenizer, tmp_path, eos="[EOS]")).encode(pa.array(["fever x fever"]))
    assert tokens.tolist() == [1, 0, 1]


def test_a_vocabulary_that_lacks_bytes_is_fast_and_texts_with_them_are_the_librarys(tmp_path: Path) -> None:
    """As SmolLM2's, which has no token for most control characters: the library passes over them."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    lacking = {chr(256 + byte) for byte in (1, 4, 5)}  # how the byte level writes control characters
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>"], initial_alphabet=sorted(set(alphabet) - lacking)
    )
    tokenizer.train_from_iterator(["plain words, plainly said " * 9], trainer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = Tokenizer(TokenizerSettings(path=str(tmp_path), eos_token="<|endoftext|>"))
    texts = ["plain words", "pla\x04in words\x01", "", "\x05", "said plainly, naïvely"]
    ids, lengths = ours.encode(pa.array(texts))
    expected = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    assert ids.tolist() == [token for row in expected for token in row]
    assert lengths.tolist() == list(map(len, expected)) and lengths[3] == 0
    assert ours._fast is not None and not ours._fast_refused


def test_counts_are_null_for_rows_with_a_verdict_and_survive_pickling(model: Path) -> None:
    documents = [Document("s", "f", row, text, len(text.encode())) for row, text in enumerate([*SENTENCES, ""])]
    verdict = np.array([True, False, False, False])
    batch = Batch.of(documents).with_verdicts(verdict, "quarantine", "bad")
    step = pickle.loads(pickle.dumps(CountTokens(TokensSettings(), TokenizerSettings(path=str(model)))))  # noqa: S301
    library = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json"))
    expected = [None, *(len(library.encode(text).ids) for text in SENTENCES[1:]), 0]
    assert step.process(batch)["token_count"].to_pylist() == expected
    assert step.identity()["tokenizer"]["sha256"] == content_hash(model / "tokenizer.json")


def shard(path: Path, texts: list[str], counts: np.ndarray, sources: list[str] | None = None) -> Path:
    columns = {
        "id": [f"{path.stem}-{row}" for row in range(len(texts))],
        "text": texts,
        "source": sources or ["s"] * len(texts),
        "token_count": pa.array(counts, pa.int64()),
    }
    write_parquet(path, pa.table(columns))
    return path


def test_a_store_has_a_shard_for_each_parquet_file_and_one_end_per_document(model: Path, tmp_path: Path) -> None:
    tokenizer = load(model)
    texts = [[*SENTENCES, f"spelled {END} out"], [], ["x", ""]]
    encoded = [tokenizer.encode(pa.array(part, pa.string())) for part in texts]
    shards = [
        shard(tmp_path / f"{number}.parquet", part, lengths)
        for number, (part, (_, lengths)) in enumerate(zip(texts, encoded, strict=True))
    ]
    store = build_store(shards, tmp_path / "store", tokenizer, {"test": 1})
    assert [len(part) for part in store.shards] == [len(ids) + len(lengths) for ids, lengths in encoded]
    everything = store.read(0, store.tokens)
    assert (everything == store.tokenizer.eos_id).sum() == 6
    documents = [everything[start:end].tolist() for start, end in zip([0, *store.ends], store.ends, strict=False)]
    expected = [[*ids, 0] for ids, lengths in (encoded[0], encoded[2]) for ids in split(ids, lengths)]
    assert documents == expected
    assert store.documents["bytes"].to_pylist() == [len(text.encode()) for part in texts for text in part]


def test_a_store_joined_from_those_of_its_shards_is_the_one_built_at_once(model: Path, tmp_path: Path) -> None:
    tokenizer = load(model)
    texts = [[f"{sentence} {number}" for number in range(count) for sentence in SENTENCES] for count in (300, 0, 7)]
    paths = [
        shard(tmp_path / f"{number}.parquet", part, tokenizer.encode(pa.array(part, pa.string()))[1])
        for number, part in enumerate(texts)
    ]
    once = build_store(paths, tmp_path / "once", tokenizer, {})
    for path in paths:
        build_store([path], tmp_path / path.stem, tokenizer, {})
    join_stores([tmp_path / path.stem for path in paths], tmp_path / "joined", {})
    joined = TokenStore.open(tmp_path / "joined")
    joined.verify()
    assert joined.manifest.files == once.manifest.files
    assert joined.manifest.totals == once.manifest.totals


def test_a_count_that_does_not_hold_is_a_data_error_and_publishes_nothing(model: Path, tmp_path: Path) -> None:
    tokenizer = load(model)
    _, lengths = tokenizer.encode(pa.array(SENTENCES))
    path = shard(tmp_path / "a.parquet", SENTENCES, lengths + np.array([0, 1, 0]))
    with pytest.raises(DataError, match="another number of tokens") as caught:
        build_store([path], tmp_path / "store", tokenizer, {})
    assert "a-1" in str(caught.value)
    assert "fever" not in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_documents_of_two_sources_keep_their_names(model: Path, tmp_path: Path) -> None:
    tokenizer = load(model)
    _, lengths = tokenizer.encode(pa.array(SENTENCES))
    path = shard(tmp_path / "a.parquet", SENTENCES, lengths, ["s", "t", "t"])
    store = build_store([path], tmp_path / "store", tokenizer, {})
    assert store.documents["source"].to_pylist() == ["s", "t", "t"]


def test_the_store_has_the_bytes_that_datatrove_writes(model: Path, tmp_path: Path) -> None:
    from datatrove.pipeline.tokens.tokenizer import TokenizedFile

    tokenizer = load(model)
    tokens, lengths = tokenizer.encode(pa.array(SENTENCES))
    path = shard(tmp_path / "a.parquet", SENTENCES, lengths)
    store = build_store([path], tmp_path / "store", tokenizer, {})
    theirs = TokenizedFile(str(tmp_path / "theirs"), "00000.ds", token_size=store.tokenizer.dtype.itemsize)
    for ids in split(tokens, lengths):
        theirs.write([*ids, store.tokenizer.eos_id], None)
    theirs.close()
    for name in ("00000.ds", "00000.ds.index"):
        assert (tmp_path / "store" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


@pytest.mark.slow
def test_datatrove_reads_the_store_with_its_document_boundaries(model: Path, tmp_path: Path) -> None:
    from datatrove.utils.dataset import DatatroveFileDataset

    tokenizer = load(model)
    _, lengths = tokenizer.encode(pa.array(SENTENCES))
    store = build_store([shard(tmp_path / "a.parquet", SENTENCES, lengths)], tmp_path / "store", tokenizer, {})
    window = 8
    theirs = DatatroveFileDataset(str(tmp_path / "store" / "00000.ds"), window - 1, return_positions=True)
    position = np.concatenate([np.arange(length + 1) for length in lengths])
    assert len(theirs) == store.tokens // window
    for number in range(len(theirs)):
        item = theirs[number]
        where = slice(number * window, (number + 1) * window)
        assert item["input_ids"].tolist() == store.read(where.start, where.stop).tolist()
        assert item["positions"].tolist() == np.minimum(position[where], np.arange(window)).tolist()
