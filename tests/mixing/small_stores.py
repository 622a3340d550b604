"""Small token stores with documents of 0 to 39 tokens, in several shards."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus.artifact import publish
from corpus.tokens.store import TokenizerIdentity, TokenStore, TokenStoreWriter


def make_store(folder: Path, name: str, documents: int, shards: int, vocabulary: int = 1000) -> TokenStore:
    draws = np.random.default_rng([documents, shards])
    tokenizer = TokenizerIdentity("0" * 64, vocabulary, 0)
    with publish(folder / name, kind="corpus.tokens", function={"name": name, "documents": documents}) as draft:
        writer = TokenStoreWriter(draft, tokenizer)
        for shard, part in enumerate(np.array_split(np.arange(documents), shards)):
            writer.start_shard()
            lengths = draws.integers(0, 40, len(part))
            tokens = draws.integers(1, 1000, int(lengths.sum()))
            ids = pa.array([f"{name}-{shard}-{row}" for row in part])
            writer.add(ids, name, lengths, tokens, lengths * 4)
        writer.close()
    return TokenStore.open(folder / name)
