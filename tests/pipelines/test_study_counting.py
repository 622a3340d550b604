"""The counting models against the formulas written out, one token at a time, in fractions."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.study.counting import chances
from pipelines.study.verdicts import COUNTED
from trainer.evaluation.evaluate import pack_windows

SIZE = 4
tokens = st.lists(st.integers(0, SIZE - 1), min_size=4, max_size=40)


def witten_bell(seen: list[int], context: tuple[int, ...], token: int) -> Fraction:
    """p(token | context) by its definition."""
    if not context:
        return Fraction(seen.count(token) + 1, len(seen) + SIZE)
    width = len(context)
    after = Counter(seen[at + width] for at in range(len(seen) - width) if tuple(seen[at : at + width]) == context)
    shorter = witten_bell(seen, context[1:], token)
    if not after:
        return shorter
    return (after[token] + len(after) * shorter) / (after.total() + len(after))


def packed(documents: list[list[int]], length: int):
    """Documents as an evaluation has them: windows of `length` tokens, several in a row."""
    windows = []
    for number, document in enumerate(documents):
        cuts = [document[first : first + length + 1] for first in range(0, len(document) - 1, length)]
        windows.append(
            [np.stack([cut[:-1], cut[1:], np.arange(len(cut) - 1), np.full(len(cut) - 1, number)]) for cut in cuts]
        )
    return pack_windows(windows, length, np.ones(len(documents), np.int64))


@given(tokens, st.lists(tokens, min_size=1, max_size=4), st.integers(3, 9))
def test_chances_are_those_of_the_formulas_and_see_nothing_before_their_window(
    seen: list[int], documents: list[list[int]], length: int
) -> None:
    rows = packed(documents, length)
    found = chances(np.array(seen), rows, SIZE)
    expected = []
    for row in range(len(rows.labels)):
        for at in np.flatnonzero(rows.labels[row] >= 0):
            first = at - rows.position_ids[row, at]
            window = rows.input_ids[row, first : at + 1].tolist()
            contexts = [tuple(window[-back:]) if back else () for back in range(len(COUNTED))]
            expected.append([float(witten_bell(seen, each, int(rows.labels[row, at]))) for each in contexts])
    assert np.stack(found, axis=1) == pytest.approx(np.array(expected), rel=1e-12)
