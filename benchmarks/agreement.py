"""How often the decisions of the four rule families are those of datatrove 0.10.1's filters, on real mixed text.

    python -m benchmarks.agreement [documents]      by family: documents, the share that agrees, those that do not

Documents are taken evenly from every parquet file of the shared collection; docs/quality.md explains the differences.
"""

import sys
from collections.abc import Iterator

import polars as pl
import pyarrow as pa
from datatrove.data import Document as StockDocument

from benchmarks.measure import Asked, Row, figure
from benchmarks.quality import FAMILIES, stock_filters
from benchmarks.shared import DATA
from corpus.decide import apply_rules
from corpus.document import Batch, Document

DOCUMENTS = 1600
LONGEST = 20_000  # characters: datatrove's split takes seconds for a document beyond


def texts(documents: int) -> list[str]:
    """About so many texts, evenly of every file and evenly through each."""
    paths = [path for path in sorted(DATA.rglob("*.parquet")) if "text" in pl.read_parquet_schema(path)]
    found: list[str] = []
    for path in paths:
        column = pl.read_parquet(path, columns=["text"])["text"].drop_nulls()
        found += column.gather_every(max(len(column) * len(paths) // documents, 1)).to_list()
    return [text for text in found if len(text) <= LONGEST and any(map(str.isalpha, text))]


def agreement(documents: int) -> Iterator[tuple[str, int, list[str]]]:
    """(family, documents, for each that is decided otherwise what we say and why) of the four families."""
    given = texts(documents)
    batch = Batch.of([Document("text", str(row), 0, text, len(text.encode())) for row, text in enumerate(given)])
    for (name, (step, rule)), block in zip(FAMILIES.items(), stock_filters(), strict=True):
        measured: pa.RecordBatch = step.build().process(batch).data
        ours = apply_rules(pl.DataFrame(pl.from_arrow(measured)), rule.rules())
        theirs = [block.filter(StockDocument(text=text, id="0")) for text in given]
        others = [
            f"{fate} {reason or ''} {detail or ''}"
            for fate, reason, detail, verdict in zip(ours["fate"], ours["reason"], ours["detail"], theirs, strict=True)
            if (fate == "kept") != (verdict is True)
        ]
        yield name, len(given), others


def rows(documents: int = DOCUMENTS) -> Iterator[Row]:
    """The share that agrees, by family; nothing where the texts are not on this machine."""
    if not DATA.is_dir():
        print(f"agreement: left out, the texts of {DATA} are not on this machine")
        return
    for family, count, others in agreement(documents):
        work = f"decisions of {family} that are datatrove's, of {count:,} documents"
        yield figure(work, "share", 1 - len(others) / count, Asked(3, 0.995, "ours"))
        for other in others[:5]:
            print(f"  {other}", flush=True)


if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENTS):
        print(row, flush=True)
