"""The measures of Gopher's quality and repetition rules (Rae et al. 2021, tables A1 and A2), all from one split into
words.

They follow datatrove 0.10.1's filters, and the split into words follows spaCy's, by which those count; docs/quality.md
has how far the decisions agree and what kinds of document differ.

Lengths are in characters, shares in [0, 1].
"""

from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa

from corpus.document import Batch
from corpus.kernels.lines import lines_of
from corpus.kernels.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS, line_measures, ngram_measures
from corpus.kernels.statistics import STATISTICS, word_statistics
from corpus.kernels.words import words_of
from corpus.settings import Settings
from corpus.step import Step

LINES = ("duplicate_lines", "duplicate_line_chars", "duplicate_paragraphs", "duplicate_paragraph_chars")
NGRAMS = tuple(f"top_{n}gram_chars" for n in TOP_NGRAMS) + tuple(f"duplicate_{n}gram_chars" for n in DUPLICATE_NGRAMS)
COUNTS = ("words", "characters", "lines", "stop_words")


class QualitySettings(Settings):
    """Measure length, symbols, lines, stop words and repetition of each document."""

    kind: Literal["quality"]

    def build(self) -> "Quality":
        return Quality(self)


class Quality(Step):
    """Adds the quality.* columns; rows without a text have zeros."""

    name: ClassVar[str] = "quality"
    columns: ClassVar[dict[str, pa.DataType]] = {
        f"quality.{name}": pa.int32() if name in COUNTS else pa.float32() for name in (*STATISTICS, *LINES, *NGRAMS)
    }

    def __init__(self, settings: QualitySettings) -> None:
        super().__init__()
        self.settings = settings

    def process(self, batch: Batch) -> Batch:
        words = words_of(batch)
        measures = np.concatenate(
            [word_statistics(words), line_measures(lines_of(batch)), ngram_measures(words)], axis=1
        )
        return batch.with_columns(
            {
                name: pa.array(measures[:, index].astype(kind.to_pandas_dtype()))
                for index, (name, kind) in enumerate(self.columns.items())
            }
        )
