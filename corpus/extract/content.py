"""The main content of pages, as their parser wrote them out: the compiled loops over a batch of them."""

from collections.abc import Sequence

import numpy as np

from corpus.extract.page_blocks import kinds, words
from corpus.kernels.characters import class_table
from corpus.kernels.main_content import main_contents


def main_content(bodies: Sequence[bytes]) -> list[memoryview]:
    """The main content of each body, in HTML; both in UTF-8."""
    offsets = np.cumsum([0, *map(len, bodies)], dtype=np.int64)
    data = np.frombuffer(bytearray().join(bodies), np.uint8)
    out, bounds = main_contents(data, offsets, class_table(), kinds(), words())
    whole = out.data
    return [whole[begin:end] for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
