from pathlib import Path

import pytest

from corpus.artifact import content_hash
from pipelines.demo.model import pretrain, tiny_model

pytestmark = pytest.mark.slow
TEXTS = [
    "the cat sat on the mat and the dog lay by the door " * 20,
    "a bird in the hand is worth two in the bush " * 20,
]


def test_the_same_seed_makes_the_same_tiny_model_and_its_end_is_token_0(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    first, again = (tiny_model(tmp_path / name, TEXTS, seed=1) for name in "ab")
    assert content_hash(first) == content_hash(again)
    assert content_hash(tiny_model(tmp_path / "c", TEXTS, seed=2)) != content_hash(first)
    tokenizer = AutoTokenizer.from_pretrained(first)
    assert tokenizer.eos_token_id == 0
    text = "the cat, Zürich & 😀\n\tend"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    model = AutoModelForCausalLM.from_pretrained(first)
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.eos_token_id == 0


def test_pretraining_lowers_the_loss(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "m", TEXTS, seed=1)
    assert pretrain(folder, TEXTS, 20) < 0.8 * pretrain(tiny_model(tmp_path / "n", TEXTS, seed=1), TEXTS, 1)
