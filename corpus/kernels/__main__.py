"""Compile every kernel into the cache (`python -m corpus.kernels`), so that the first documents need not wait."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.artifact import publish, write_parquet
from corpus.cuts.kept import KeptDocuments
from corpus.cuts.spans import Spans
from corpus.decontaminate import DecontaminateSettings, HeldOutSettings, find_contamination
from corpus.dedup.cluster import DedupSettings, Workplace, find_clusters
from corpus.dedup.repeated import RepeatedSettings, RepeatSettings, find_repeated
from corpus.dedup.signature import Signature
from corpus.dedup.substring import SubstringSettings, find_substrings
from corpus.document import Batch, Document
from corpus.kernels.join import greedy_cover
from corpus.kernels.lines import split_lines
from corpus.kernels.repetition import line_measures, ngram_measures
from corpus.kernels.statistics import word_statistics
from corpus.kernels.words import split_words

TEXTS = ("a few words to sign, again", "a few words to sign. Again!")


def compile_kernels() -> None:
    """Call each kernel once with the types it is called with later."""
    text = pa.array(["a few words and a few words more"])
    words = split_words(text)
    word_statistics(words)
    ngram_measures(words)
    line_measures(split_lines(text))
    signed = Signature().process(
        Batch.of([Document("compile", str(row), 0, text, 27) for row, text in enumerate(TEXTS)])
    )
    with TemporaryDirectory() as folder:
        with publish(Path(folder) / "unit", kind="corpus.annotated", function={}) as draft:
            write_parquet(draft.path / "documents.parquet", pa.Table.from_batches([signed.data]))
        for verify in (True, False):
            find_clusters({"compile": [Path(folder) / "unit"]}, DedupSettings(verify=verify), Workplace(Path(folder)))
        across_documents(Path(folder))
    nobody = np.zeros(0, np.int64)
    greedy_cover(nobody, np.zeros(1, np.int64), nobody, nobody)


def across_documents(folder: Path) -> None:
    """The kernels of repeated lines, substrings and decontamination, on a document and its copy."""
    documents = folder / "unit/documents.parquet"
    rows = pq.read_metadata(documents).num_rows
    kept = KeptDocuments((documents,), (0,), (np.arange(rows),), (np.arange(rows) == 0,), 1)
    once = RepeatSettings(min_documents=2, share=0, min_characters=1)
    cuts = find_repeated(kept, ("compile",), RepeatedSettings(lines=once, paragraphs=None)).spans
    find_substrings(kept, Spans.none(), SubstringSettings(tokens=2))
    find_contamination(kept, cuts, DecontaminateSettings(ngram=2, held_out=HeldOutSettings(action="span", coverage=0)))


if __name__ == "__main__":
    compile_kernels()
