"""A tiny Llama, token stores and a stand-in plan made by the tests themselves."""

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpus.artifact import content_hash, publish
from corpus.tokens import TokenizerIdentity, TokenStore, TokenStoreWriter
from mixing.batch import IGNORE, TokenBatch

VOCABULARY = 64
LENGTH = 16


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


def make_store(folder: Path, tokenizer: TokenizerIdentity, seed: int, stride: int, documents: int = 12) -> TokenStore:
    """Documents that walk the vocabulary in steps of `stride`, so that there is something to learn."""
    random = np.random.default_rng(seed)
    lengths = random.integers(3, 40, documents)
    starts = random.integers(0, VOCABULARY, documents)
    tokens = [(start + stride * np.arange(size)) % VOCABULARY for start, size in zip(starts, lengths, strict=True)]
    with publish(folder, kind="corpus.tokens", function={"seed": seed, "stride": stride}) as draft:
        writer = TokenStoreWriter(draft, tokenizer)
        ids = pa.array([f"d{index}" for index in range(documents)])
        writer.add(ids, folder.name, lengths, np.concatenate(tokens), lengths * 3)
        writer.close()
    return TokenStore.open(folder)


@pytest.fixture
def evaluation(tmp_path: Path, model_folder: Path) -> dict[str, TokenStore]:
    tokenizer = TokenizerIdentity(content_hash(model_folder / "tokenizer.json"), VOCABULARY, 0)
    return {
        "domain": make_store(tmp_path / "tokens" / "domain", tokenizer, 1, 3),
        "general": make_store(tmp_path / "tokens" / "general", tokenizer, 2, 5),
    }


@dataclass(frozen=True)
class FakeSource:
    name: str
    role: str


@dataclass(frozen=True)
class FakePlan:
    steps: int = 6
    fingerprint: str = "plan-of-the-tests"
    sources: tuple[FakeSource, ...] = (FakeSource("domain", "domain"), FakeSource("general", "replay"))


@dataclass(frozen=True)
class FakeLoader:
    """Rows of two documents each, the second source every fourth row; `rank` takes a slice of the rows."""

    plan: FakePlan
    rows: int = 5
    rank: int = 0
    world_size: int = 1

    def batch(self, step: int) -> TokenBatch:
        random = np.random.default_rng(1000 + step)
        cuts = random.integers(2, LENGTH - 2, self.rows)
        sources = (np.arange(self.rows) % 4 == 3).astype(np.int64)
        position = np.arange(LENGTH)
        documents = (position >= cuts[:, None]).astype(np.int64)
        positions = position - documents * cuts[:, None]
        strides = np.where(sources, 5, 3)[:, None]
        ids = (random.integers(0, VOCABULARY, (self.rows, 1)) + 7 * documents + strides * positions) % VOCABULARY
        labels = np.where(documents[:, 1:] == documents[:, :-1], ids[:, 1:], IGNORE)
        labels = np.concatenate([labels, np.full((self.rows, 1), IGNORE)], axis=1)
        mine = slice(self.rank, None, self.world_size)
        arrays = (ids, labels, positions, documents, sources)
        return TokenBatch(*(np.ascontiguousarray(array[mine], dtype=np.int64) for array in arrays), step=step)

    def iterate(self, start_step: int) -> Generator[TokenBatch, None, None]:
        for step in range(start_step, self.plan.steps):
            yield self.batch(step)
