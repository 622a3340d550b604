"""Units of given texts for tests of what looks across documents."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from corpus.artifact import write_parquet
from corpus.cuts.kept import KeptDocuments, KeptUnit
from corpus.cuts.spans import Cuts, Spans
from corpus.document import Batch, Document
from corpus.engine import Workplace


def documents_of(texts: Sequence[str], source: str = "s") -> list[Document]:
    return [Document(source, "f", number, text, len(text.encode())) for number, text in enumerate(texts)]


def kept(
    folder: Path, texts: Sequence[str], held_out: Sequence[int] = (), units: int = 1, rank: Sequence[int] | None = None
) -> KeptDocuments:
    """All texts as kept documents of one source in `units` units; by default the keep order is that of the texts."""
    bounds = [len(texts) * unit // units for unit in range(units + 1)]
    ranks = np.arange(len(texts)) if rank is None else np.array(rank)
    held = np.isin(np.arange(len(texts)), list(held_out))
    documents = documents_of(texts)
    made = []
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        path, rows = folder / f"{number}.parquet", folder / f"{number}.npy"
        write_parquet(path, pa.Table.from_batches([Batch.of(documents[start:stop]).data]))
        size = sum(document.bytes_in for document in documents[start:stop])
        chosen = {"rank": ranks[start:stop], "held_out": held[start:stop]}
        made.append(KeptUnit.write(number, 0, path, rows, **chosen, text_bytes=size))
    return KeptDocuments(tuple(made))


@contextmanager
def workplace() -> Iterator[Workplace]:
    """A place to work that is gone afterwards; in memory, where flushing costs nothing, if that can be."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Workplace(Path(folder))


def spans(documents: KeptDocuments, passes: Sequence[Path]) -> Spans:
    """All that a finder cuts."""
    cuts = Cuts(passes=tuple(passes))
    return Spans.together([cuts.of(unit.number) for unit in documents.units])


def left(documents: KeptDocuments, cuts: Spans) -> list[str]:
    """What the cuts leave of every document."""
    return [
        batch.data[start:stop].tobytes().decode()
        for unit in documents.units
        for batch in unit.texts(cuts)
        for start, stop in zip(batch.offsets, batch.offsets[1:], strict=False)
    ]


def removed(text: str, cuts: Spans, row: int) -> list[str]:
    """The pieces of one document of a corpus in one unit that the cuts take out."""
    data = text.encode()
    mine = np.flatnonzero(cuts.row == row)
    return [data[cuts.start[i] : cuts.stop[i]].decode() for i in mine]
