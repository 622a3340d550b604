"""Streams of texts: a pool that is read several times, batch by batch, and never held."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus.artifact import scan_parquet
from corpus.readers import ReaderSettings, Tally, make_reader

ROWS = 512  # of one batch
Texts = Callable[[], Iterator[pa.StringArray]]  # a new pass over the same texts with every call


def texts_of_shards(shards: Sequence[Path]) -> Texts:
    """The texts of parquet shards with a column `text`, in order."""

    def read() -> Iterator[pa.StringArray]:
        for shard in shards:
            for batch in scan_parquet(shard, ["text"], rows=ROWS):
                yield batch.column("text")

    return read


def texts_of_reader(settings: ReaderSettings) -> Texts:
    """The readable texts of files, as any source of a corpus is read."""

    def read() -> Iterator[pa.StringArray]:
        reader = make_reader(settings, "task")
        documents = (document for file in reader.files() for document in reader.read(file, Tally()))
        readable = (document.text for document in documents if document.step is None)
        while group := list(islice(readable, ROWS)):
            yield pa.array(group, pa.string())

    return read


def sample_of(texts: Texts, size: int, seed: int) -> list[str]:
    """A uniform sample of at most `size` texts in one pass (reservoir, algorithm R), in the order of the pool."""
    random = np.random.Generator(np.random.PCG64(seed))
    kept: list[tuple[int, str]] = []
    seen = 0
    for batch in texts():
        places = random.integers(0, np.arange(seen + 1, seen + len(batch) + 1))
        for row, place in enumerate(places.tolist()):
            if len(kept) < size:
                kept.append((seen + row, batch[row].as_py()))
            elif place < size:
                kept[place] = (seen + row, batch[row].as_py())
        seen += len(batch)
    return [text for _, text in sorted(kept)]


def batches_of(texts: Sequence[str]) -> Iterator[pa.StringArray]:
    """Texts that are held, as a pass over a pool gives them."""
    return (pa.array(texts[at : at + ROWS], pa.string()) for at in range(0, len(texts), ROWS))
