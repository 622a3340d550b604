"""Compile every kernel into the cache (`python -m corpus.kernels`), so that the first documents need not wait."""

import pyarrow as pa

from corpus.dedup.signature import Signature
from corpus.document import Batch, Document
from corpus.kernels.repetition import line_measures, ngram_measures
from corpus.kernels.statistics import word_statistics
from corpus.kernels.words import split_words


def compile_kernels() -> None:
    """Call each kernel once with the types it is called with later."""
    words = split_words(pa.array(["a few words and a few words more"]))
    for measure in (word_statistics, line_measures, ngram_measures):
        measure(words)
    Signature().process(Batch.of([Document("compile", "", 0, "a few words to sign", 19)]))


if __name__ == "__main__":
    compile_kernels()
