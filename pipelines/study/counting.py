"""What counting gets, which a competent base has to beat: models of one to three tokens of the base's training text.

They see the same tokens as the base and are scored on the same held-out documents.
"""

from collections.abc import Sequence

import numpy as np

from corpus.tokens.store import TokenStore
from pipelines.study.results import Scores
from pipelines.study.verdicts import COUNTED
from trainer.evaluation.evaluate import EvaluationRows, pack_evaluation


def counted(train: Sequence[TokenStore], test: TokenStore, tokens: int, length: int) -> dict[str, Scores]:
    """What each of COUNTED, of all tokens of the stores in `train`, gets on the documents that the study measures."""
    seen = np.concatenate([store.read(0, store.tokens).astype(np.int64) for store in train])
    rows = pack_evaluation("counted", test, tokens, length)
    predicted = rows.labels >= 0
    document, documents = rows.documents[predicted], len(rows.document_bytes)
    return {
        name: Scores(np.bincount(document, weights=-np.log(found), minlength=documents), rows.document_bytes)
        for name, found in zip(COUNTED, chances(seen, rows, test.tokenizer.vocab_size), strict=True)
    }


def chances(seen: np.ndarray, rows: EvaluationRows, size: int) -> list[np.ndarray]:
    """The probability that each of COUNTED gives each predicted token of `rows`, row by row; `size`: of the vocabulary.

    The unigram is add-one, the others Witten–Bell: p(w|h) = (c(hw) + t(h)·p(w|h')) / (c(h) + t(h)), with t(h) kinds of
    tokens after the context h, and h' without its first token (Witten & Bell 1991). A context ends where its window
    begins, as the model's does.
    """
    predicted = rows.labels >= 0
    after, place = rows.labels[predicted], rows.position_ids[predicted]
    ones = np.bincount(seen, minlength=size).astype(np.float64)
    found = [((ones + 1) / (ones.sum() + size))[after]]
    for back in range(1, len(COUNTED)):
        # A context is a number in base `size`, its last token the lowest digit.
        before = sum(np.roll(rows.input_ids, step, axis=1)[predicted] * size**step for step in range(back))
        context = sum(seen[back - 1 - step : len(seen) - 1 - step] * size**step for step in range(back))
        grams, counts = np.unique(context * size + seen[back:], return_counts=True)
        contexts, first = np.unique(grams // size, return_index=True)
        together = _looked_up(grams, counts, before * size + after)
        total = _looked_up(contexts, np.add.reduceat(counts, first), before)
        kinds = _looked_up(contexts, np.diff(first, append=len(grams)), before)
        known = (total > 0) & (place >= back - 1)
        longer = (together + kinds * found[-1]) / np.maximum(total + kinds, 1)
        found.append(np.where(known, longer, found[-1]))
    return found


def _looked_up(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The values of the asked keys, 0 for those that are not among the sorted `keys`."""
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, values[at], 0)
