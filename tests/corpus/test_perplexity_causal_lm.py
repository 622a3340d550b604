import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.document import Batch, Document
from corpus.errors import ConfigError
from corpus.perplexity import CausalLmSettings
from corpus.perplexity.causal_lm import windows

TEXT = "the cat sees the dog and the dog hears the sea while the old cat sleeps by the new sea"


@given(st.integers(1, 60), st.integers(2, 20), st.data())
def test_every_token_is_scored_once_with_the_context_there_is(length, context, data):
    stride = data.draw(st.integers(1, context - 1))
    scored = []
    for start, end, first in windows(length, context, stride):
        assert end - start == min(context, length)
        assert all(at - start >= min(at, context - stride) for at in range(first, end))
        scored += range(first, end)
    assert scored == list(range(1, length))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("llama")
    words = ["<unk>", "<s>", *sorted(set(TEXT.split()))]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>").save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(words), max_position_embeddings=32, initializer_range=0.5, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def measured(model, *texts, **settings):
    step = CausalLmSettings(kind="causal_lm", model=str(model), **settings).build()
    batch = step.process(Batch.of([Document("s", "f", i, text, len(text)) for i, text in enumerate(texts)]))
    return batch["perplexity.value"].to_pylist(), batch["perplexity.tokens"].to_pylist()


def brute_force(model, text, context, stride):
    """Each token by a forward pass of its own, over the tokens its window gives it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
    nats = 0.0
    for at in range(1, len(ids)):
        end = context + max(0, -(-(at + 1 - context) // stride)) * stride
        begin = max(0, min(end, len(ids)) - context)
        with torch.no_grad():
            logits = network(torch.tensor([ids[begin:at]])).logits[0, -1].double()
        nats -= torch.log_softmax(logits, -1)[ids[at]].item()
    return math.exp(nats / (len(ids) - 1)), len(ids) - 1


@pytest.mark.slow
@pytest.mark.parametrize(("context", "stride"), [(5, 1), (5, 2), (8, 3), (8, 7), (32, 16), (2, 1)])
def test_values_are_those_of_one_forward_pass_per_token(model, context, stride):
    texts = [TEXT, "the cat", "dog", "", " \n "]
    found, counts = measured(model, *texts, context=context, stride=stride)
    expected = [brute_force(model, text, context, stride) for text in texts[:3]]
    assert found == [*(pytest.approx(value, rel=1e-5) for value, _ in expected), None, None]
    assert counts == [*(count for _, count in expected), None, None]


@pytest.mark.slow
def test_the_context_is_by_default_all_the_model_can_see(model):
    assert measured(model, TEXT * 3) == measured(model, TEXT * 3, context=32, stride=16)
    with pytest.raises(ConfigError, match="more than the model can see"):
        measured(model, TEXT, context=64)
    with pytest.raises(ConfigError, match="without context"):
        measured(model, TEXT, stride=32)


@pytest.mark.slow
def test_the_number_of_threads_is_given_back(model):
    import torch

    before = torch.get_num_threads()
    measured(model, TEXT)
    assert torch.get_num_threads() == before


def test_identity_follows_the_bytes_of_the_model(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")

    def identity(name):
        return CausalLmSettings(kind="causal_lm", model=str(tmp_path / name)).build().identity()

    assert {k: v for k, v in identity("one").items() if k != "model"}["kind"] == "causal_lm"
    assert identity("one") == identity("two")
    (tmp_path / "two" / "config.json").write_text("{ }")
    assert identity("one") != identity("two")
    with pytest.raises(ConfigError, match="no such causal language model"):
        identity("three")


def test_a_stride_that_is_not_below_the_context_is_refused():
    with pytest.raises(ValueError, match="stride must be below context"):
        CausalLmSettings(kind="causal_lm", model="m", context=4, stride=4)


@pytest.mark.slow
def test_a_folder_that_is_no_model_is_a_config_error(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ConfigError, match="not a causal language model"):
        measured(tmp_path, "text")
