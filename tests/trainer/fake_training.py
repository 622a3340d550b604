"""Token stores and a stand-in plan and loader made by the tests themselves."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus.artifact import publish
from corpus.tokens.store import TokenizerIdentity, TokenStore, TokenStoreWriter
from mixing.batch import IGNORE, TokenBatch

VOCABULARY = 64
LENGTH = 16


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


class OnlyDomain(FakeLoader):
    """The rows of the first source alone."""

    def batch(self, step: int) -> TokenBatch:
        whole = super().batch(step)
        rows = whole.source_ids == 0
        names = ("input_ids", "labels", "position_ids", "document_ids", "source_ids")
        return TokenBatch(*(getattr(whole, name)[rows] for name in names), step=step)
