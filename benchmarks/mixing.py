"""The loader beside the limit of copying memory: 2,048-token rows from three sources, warm."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.measure import Row, interleaved
from corpus.artifact import publish
from corpus.tokens import TokenizerIdentity, TokenStore, TokenStoreWriter
from mixing.budget import MixSettings, SourceBudget
from mixing.compile import compile_plan
from mixing.loader import Loader

TOKENS = 8_000_000
STEPS, BATCH, LENGTH = 60, 64, 2048


def store(folder: Path, name: str, seed: int) -> TokenStore:
    random = np.random.default_rng(seed)
    lengths = random.integers(200, 1800, TOKENS // 1000)
    with publish(folder / name, kind="benchmark", function={"name": name, "seed": seed}) as draft:
        writer = TokenStoreWriter(draft, TokenizerIdentity("benchmark", 49_152, 0))
        ids = pa.array([f"{name}-{index}" for index in range(len(lengths))])
        writer.add(ids, name, lengths, random.integers(1, 49_152, int(lengths.sum())), lengths * 4)
        writer.close()
    return TokenStore.open(folder / name)


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        stores = {name: store(Path(scratch), name, seed) for seed, name in enumerate(("one", "two", "three"))}
        sources = {name: SourceBudget(role="replay" if name == "three" else "domain") for name in stores}
        settings = MixSettings(sequence_length=LENGTH, global_batch=BATCH, steps=STEPS, sources=sources)
        loader = Loader(compile_plan(stores, settings), stores)
        flat = np.zeros((BATCH, LENGTH), np.int64)

        def load() -> None:
            for step in range(STEPS):
                loader.batch(step)

        def copy() -> None:
            for _ in range(STEPS * 4):  # a batch is four arrays
                flat.copy()

        rates = interleaved(STEPS * BATCH * LENGTH / 1e6, load, copy)
        yield Row("loader, 64 × 2,048, three sources", "M tokens/s", rates[0], "limit: copying the arrays", rates[1])
