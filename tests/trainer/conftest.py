"""A tiny Llama and token stores to evaluate on."""

import json
from pathlib import Path

import pytest
from fake_training import VOCABULARY, make_store

from corpus.artifact import content_hash
from corpus.tokens.store import TokenizerIdentity, TokenStore


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.1,
    )
    folder = tmp_path_factory.mktemp("model") / "tiny"
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": {"type": "WordLevel", "vocab": {}}}))
    return folder


@pytest.fixture
def evaluation(tmp_path: Path, model_folder: Path) -> dict[str, TokenStore]:
    tokenizer = TokenizerIdentity(content_hash(model_folder / "tokenizer.json"), VOCABULARY, 0)
    return {
        "domain": make_store(tmp_path / "tokens" / "domain", tokenizer, 1, 3),
        "general": make_store(tmp_path / "tokens" / "general", tokenizer, 2, 5),
    }
