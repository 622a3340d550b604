"""Units of given texts for tests of what looks across documents."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus.artifact import write_parquet
from corpus.cuts.kept import KeptDocuments
from corpus.cuts.spans import Spans
from corpus.document import Batch, Document


def documents_of(texts: Sequence[str], source: str = "s") -> list[Document]:
    return [Document(source, "f", number, text, len(text.encode())) for number, text in enumerate(texts)]


def kept(
    folder: Path, texts: Sequence[str], held_out: Sequence[int] = (), units: int = 1, rank: Sequence[int] | None = None
) -> KeptDocuments:
    """All texts as kept documents of one source in `units` units; by default the keep order is that of the texts."""
    bounds = [len(texts) * unit // units for unit in range(units + 1)]
    ranks = np.arange(len(texts)) if rank is None else np.array(rank)
    held = np.isin(np.arange(len(texts)), list(held_out))
    parts = [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
    paths = [folder / f"{number}.parquet" for number in range(units)]
    documents = documents_of(texts)
    for path, part in zip(paths, parts, strict=True):
        write_parquet(path, pa.Table.from_batches([Batch.of(documents[part]).data]))
    size = sum(document.bytes_in for document in documents)
    return KeptDocuments(
        tuple(paths), (0,) * units, tuple(ranks[p] for p in parts), tuple(held[p] for p in parts), size
    )


def left(documents: KeptDocuments, cuts: Spans) -> list[str]:
    """What the cuts leave of every document."""
    return [
        batch.data[start:stop].tobytes().decode()
        for batch in documents.texts(cuts)
        for start, stop in zip(batch.offsets, batch.offsets[1:], strict=False)
    ]


def removed(text: str, cuts: Spans, row: int) -> list[str]:
    """The pieces of one document of a corpus in one unit that the cuts take out."""
    data = text.encode()
    mine = np.flatnonzero(cuts.row == row)
    return [data[cuts.start[i] : cuts.stop[i]].decode() for i in mine]
