"""N-gram overlap of documents with items, measured exactly.

    items ─ words in lower case ─ n-grams ─► index            documents ─ words ─ rolling hashes ─► hits, word by word
    hits of one document and one item ─► shares of the item's and of the document's words that shared n-grams cover

Words are runs of letters and digits (for scripts without spaces, characters); case, punctuation and white space do not
count. A text of an item with fewer than n words, but at least `min_words`, is one n-gram as a whole. N-grams that
stand in more than `common` items of a set (instructions, templates) identify none of them and are left out.

Cost: about 70 MB/s of documents, reading included; memory of an index about 15 bytes per byte of items.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpus.cuts.kept import Texts
from corpus.document import utf8_buffers
from corpus.kernels.folding import folded_words, lower_table, window_hashes
from corpus.kernels.hashing import map_of
from corpus.kernels.overlap import hits, pairs

COMMON = 100


@dataclass(frozen=True)
class Overlaps:
    """The overlaps of a batch: of pair p the document (its place in the batch), the item, and the shares of the words
    of either that are covered; and the hits, words words[h] … words[h] + lengths[h] of the batch."""

    document: np.ndarray  # int64[pairs]
    item: np.ndarray  # int64[pairs]
    of_item: np.ndarray  # float64[pairs]
    of_document: np.ndarray  # float64[pairs]
    hit_document: np.ndarray  # int64[hits]
    hit_start: np.ndarray  # int64[hits], bytes in the batch's data
    hit_stop: np.ndarray  # int64[hits]


class ItemIndex:
    """The n-grams of some items. `texts` in order of their `item`s (numbers from 0 to `items` − 1), `sets` the number
    of each item's set."""

    def __init__(
        self, texts: pa.StringArray, item: np.ndarray, sets: np.ndarray, *, ngram: int, min_words: int, common: int
    ) -> None:
        self._data, offsets = utf8_buffers(texts)
        self._starts, self._ends, hashes, bounds = folded_words(self._data, offsets, lower_table())
        words = np.diff(bounds)
        lengths = np.where(words >= ngram, ngram, np.where(words >= min(min_words, ngram), words, 0))
        self._item_of = np.repeat(item, words)
        self.words = np.bincount(item[lengths > 0], words[lengths > 0], minlength=len(sets)).astype(np.int64)
        found, places, sizes = [], [], []
        for length in np.unique(lengths[lengths > 0]):
            windows = window_hashes(hashes, bounds, int(length))
            windows[np.repeat(lengths != length, words)] = 0
            place = np.flatnonzero(windows)
            found.append(windows[place])
            places.append(place)
            sizes.append(np.full(len(place), length))
        hashed = np.concatenate([np.zeros(0, np.uint64), *found])
        place = np.concatenate([np.zeros(0, np.int64), *places])
        size = np.concatenate([np.zeros(0, np.int64), *sizes])
        order = np.lexsort((place, hashed))
        hashed, place, size = hashed[order], place[order], size[order]
        keep = self._identifying(hashed, place, sets, common)
        hashed, self._place, size = hashed[keep], place[keep], size[keep]
        starts = np.flatnonzero(np.diff(hashed, prepend=hashed[:1] ^ np.uint64(1)) != 0)
        self._postings = np.append(starts, len(hashed))
        self._gram_length = size[starts]
        self._table, self._grams = map_of(hashed[starts], np.arange(len(starts)))
        self._lengths = np.unique(self._gram_length).tolist()

    def _identifying(self, hashed: np.ndarray, place: np.ndarray, sets: np.ndarray, common: int) -> np.ndarray:
        """bool[postings] of grams in at most `common` items of any one set; postings by ascending hash and place."""
        item = self._item_of[place]
        fresh = np.ones(len(hashed), bool)
        fresh[1:] = (hashed[1:] != hashed[:-1]) | (item[1:] != item[:-1])
        gram = np.cumsum(np.diff(hashed, prepend=hashed[:1] ^ np.uint64(1)) != 0) - 1
        together = np.stack([gram[fresh], sets[item[fresh]]], axis=1)
        which, count = np.unique(together, axis=0, return_counts=True)
        frequent = np.zeros(int(gram[-1]) + 1 if len(gram) else 0, bool)
        frequent[which[count > common, 0]] = True
        return ~frequent[gram] if len(gram) else np.zeros(0, bool)

    def overlaps(self, texts: Texts) -> Overlaps:
        """What the documents share with the items."""
        starts, ends, hashes, bounds = folded_words(texts.data, texts.offsets, lower_table())
        found = [(np.zeros(0, np.int64),) * 3]
        for length in self._lengths:
            windows = window_hashes(hashes, bounds, length)
            where = (texts.data, starts, ends, windows, length, self._table, self._grams, self._postings, self._place)
            word, gram = hits(*where, self._data, self._starts, self._ends, lower_table())
            right = self._gram_length[gram] == length
            found.append((word[right], gram[right], np.full(int(right.sum()), length)))
        word, gram, length = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.argsort(word, kind="stable")
        word, gram, length = word[order], gram[order], length[order]
        document = np.searchsorted(bounds, word, side="right") - 1
        table = pairs(word, gram, length, document, self._postings, self._place, self._item_of)
        size = np.diff(bounds)
        return Overlaps(
            document=table[:, 0],
            item=table[:, 1],
            of_item=table[:, 2] / self.words[table[:, 1]],
            of_document=table[:, 3] / size[table[:, 0]],
            hit_document=document,
            hit_start=starts[word],
            hit_stop=ends[word + length - 1],
        )


def parts_of(texts: pa.StringArray, item: np.ndarray, items: int, size: int) -> Iterator[tuple[slice, int, int]]:
    """(slice of the texts, first item, item behind the last): consecutive items of about `size` bytes, one index each.

    item: the item of each text, ascending, below `items`.
    """
    _, offsets = utf8_buffers(texts)
    first = 0
    while first < items:
        text = int(np.searchsorted(item, first))
        full = int(np.searchsorted(offsets, offsets[text] + size))
        last = items if full >= len(item) else max(int(item[full]), first + 1)
        yield slice(text, int(np.searchsorted(item, last))), first, last
        first = last


def index_of(
    texts: Sequence[str] | pa.StringArray, *, ngram: int = 13, min_words: int = 8, common: int = COMMON
) -> ItemIndex:
    """The index of items of one text each, of one set."""
    array = texts if isinstance(texts, pa.Array) else pa.array(list(texts), pa.string())
    number = np.arange(len(array))
    return ItemIndex(array, number, np.zeros_like(number), ngram=ngram, min_words=min_words, common=common)
