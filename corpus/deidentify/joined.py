"""Many documents in one buffer, so that a compiled loop is entered once and not once for each document."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

SEPARATOR = 0xFF  # stands between documents: no UTF-8 text has this byte, and no pattern matches it


class Joined:
    """Texts (UTF-8) with a separator between them; document i is data[begins[i]:stops[i]]."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.texts = texts
        self.data = texts[0] if len(texts) == 1 else bytes([SEPARATOR]).join(texts)
        sizes = np.array([len(text) for text in texts], np.int64)
        self.stops = np.cumsum(sizes + 1) - 1
        self.begins = self.stops - sizes
        self._found: dict[Callable[[np.ndarray], np.ndarray], np.ndarray] = {}

    @cached_property
    def view(self) -> np.ndarray:
        """uint8[bytes]"""
        return np.frombuffer(self.data, np.uint8)

    @cached_property
    def letters(self) -> str:
        """The bytes as characters of the same number: where they are ASCII, the text."""
        return self.data.decode("latin-1")

    def once(self, loop: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """What a loop finds in the bytes; whoever asks for the same again is given the same."""
        if loop not in self._found:
            self._found[loop] = loop(self.view)
        return self._found[loop]

    def documents_of(self, starts: np.ndarray) -> np.ndarray:
        """int64: the document in which each byte offset lies."""
        return np.searchsorted(self.begins, starts, side="right") - 1
