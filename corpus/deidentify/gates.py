"""Gates: cheap patterns without which some recognisers have nothing to find in a document."""

from collections.abc import Sequence

import numpy as np
import re2

from corpus.deidentify.joined import Joined

_BLOCK = 1 << 12  # bytes of short documents that are looked at together; only where something matches each by itself


class Gates:
    """Patterns of re2 that are looked for together. Several documents may be looked at as one text, so a pattern does
    not ask for the beginning or the end of it."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        options = re2.Options()
        options.max_mem = 64 << 20  # the set's automaton; too little makes it start over again and again
        self._set = re2.Set.SearchSet(options)
        for pattern in self.patterns:
            self._set.Add(pattern)
        self._set.Compile()

    def open(self, joined: Joined) -> list[tuple[int, list[int]]]:
        """(document, places of the patterns that match it) of each document that one matches, in order."""
        if not self.patterns:
            return []
        found = []
        number = len(joined.texts)
        firsts = np.unique(np.searchsorted(joined.begins, np.arange(0, len(joined.data) + 1, _BLOCK)))
        for first, last in zip(firsts.tolist(), [*firsts.tolist()[1:], number], strict=True):
            if last - first > 1 and not self._set.Match(joined.data[joined.begins[first] : joined.stops[last - 1]]):
                continue
            for document in range(first, last):
                if places := self._set.Match(joined.texts[document]):
                    found.append((document, sorted(places)))
        return found
