"""Compile every kernel into the cache (`python -m corpus.kernels`), so that the first documents need not wait."""

import pyarrow as pa

from corpus.dedup.signature import Signature
from corpus.document import Batch, Document
from corpus.kernels.lines import split_lines
from corpus.kernels.repetition import line_measures, ngram_measures
from corpus.kernels.statistics import word_statistics
from corpus.kernels.words import split_words


def compile_kernels() -> None:
    """Call each kernel once with the types it is called with later."""
    text = pa.array(["a few words and a few words more"])
    words = split_words(text)
    word_statistics(words)
    ngram_measures(words)
    line_measures(split_lines(text))
    Signature().process(Batch.of([Document("compile", "", 0, "a few words to sign", 19)]))


if __name__ == "__main__":
    compile_kernels()
