"""The main content of pages, as their parser wrote them out: the compiled loops over a batch of them."""

from collections.abc import Sequence

import numpy as np

from corpus.extract.page_blocks import kinds, words, writing
from corpus.kernels.characters import class_table
from corpus.kernels.main_content import main_contents
from corpus.kernels.page_writing import write_pages


def main_content(bodies: Sequence[bytes]) -> list[memoryview]:
    """The main content of each body, in HTML; both in UTF-8."""
    out, bounds = main_contents(*_joined(bodies), class_table(), kinds(), words())
    return _parts(out, bounds)


def plain_texts(contents: Sequence[memoryview]) -> list[memoryview | None]:
    """The text of each content that is built plainly, None for the others."""
    out, bounds, untold = write_pages(*_joined(contents), writing())
    return [None if left else text for text, left in zip(_parts(out, bounds), untold.tolist(), strict=True)]


def _joined(pages: Sequence[bytes | memoryview]) -> tuple[np.ndarray, np.ndarray]:
    return np.frombuffer(bytearray().join(pages), np.uint8), np.cumsum([0, *map(len, pages)], dtype=np.int64)


def _parts(data: np.ndarray, bounds: np.ndarray) -> list[memoryview]:
    whole = data.data
    return [whole[begin:end] for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
