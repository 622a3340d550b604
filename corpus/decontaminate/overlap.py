"""N-gram overlap of documents with items, measured exactly.

    items ─ words in lower case ─ n-grams ─► index            documents ─ words ─ rolling hashes ─► hits, word by word
    hits of one document and one item ─► shares of the item's and of the document's words that shared n-grams cover

Words are runs of letters and digits (for scripts without spaces, characters); case, punctuation and white space do not
count. A text of an item with fewer than n words, but at least `min_words`, is one n-gram as a whole. N-grams that
stand in more than `common` items of a set (instructions, templates) identify none of them and are left out.

Cost: about 70 MB/s of documents, reading included; memory of an index about 15 bytes per byte of items.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus.arrays import mapped
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


@dataclass(frozen=True)
class ItemIndex:
    """The n-grams of some items, in arrays that map from files: their bytes and where in them words begin and end, the
    item of each word, the words of each item that are looked for; of gram g the postings places[postings[g] :
    postings[g + 1]], numbers of words, and its length in words; the table from hashes to grams."""

    data: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    item_of: np.ndarray
    words: np.ndarray
    places: np.ndarray
    postings: np.ndarray
    lengths: np.ndarray
    table: np.ndarray
    grams: np.ndarray

    @classmethod
    def of(
        cls, texts: pa.StringArray, item: np.ndarray, items: int, *, ngram: int, min_words: int, common: int
    ) -> "ItemIndex":
        """The index of the items of one set; `texts` in order of their `item`s, numbers below `items`."""
        data, offsets = utf8_buffers(texts)
        data, offsets = data[offsets[0] : offsets[-1]], offsets - offsets[0]
        starts, ends, hashes, bounds = folded_words(data, offsets, lower_table())
        words = np.diff(bounds)
        lengths = np.where(words >= ngram, ngram, np.where(words >= min(min_words, ngram), words, 0))
        item_of = np.repeat(item, words)
        in_item = np.bincount(item[lengths > 0], words[lengths > 0], minlength=items).astype(np.int64)
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
        keep = _identifying(hashed, item_of[place], common)
        hashed, place, size = hashed[keep], place[keep], size[keep]
        first = np.flatnonzero(np.diff(hashed, prepend=hashed[:1] ^ np.uint64(1)) != 0)
        postings = np.append(first, len(hashed))
        table = map_of(hashed[first], np.arange(len(first)))
        return cls(data, starts, ends, item_of, in_item, place, postings, size[first], *table)

    def save(self, folder: Path) -> None:
        for column in fields(self):
            np.save(folder / f"{column.name}.npy", getattr(self, column.name))

    @classmethod
    def open(cls, folder: Path) -> "ItemIndex":
        """Mapped: processes of one machine share the pages. Not read-only, which to the kernels is another type."""
        return cls(*(mapped(folder / f"{column.name}.npy", writable=True) for column in fields(cls)))

    @cached_property
    def sizes(self) -> list[int]:
        """The lengths in words that grams have."""
        return np.unique(self.lengths).tolist()

    def overlaps(self, texts: Texts) -> Overlaps:
        """What the documents share with the items."""
        starts, ends, hashes, bounds = folded_words(texts.data, texts.offsets, lower_table())
        found = [(np.zeros(0, np.int64),) * 3]
        for size in self.sizes:
            windows = window_hashes(hashes, bounds, size)
            where = (texts.data, starts, ends, windows, size, self.table, self.grams, self.postings, self.places)
            word, gram = hits(*where, self.data, self.starts, self.ends, lower_table())
            right = self.lengths[gram] == size
            found.append((word[right], gram[right], np.full(int(right.sum()), size)))
        word, gram, length = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.argsort(word, kind="stable")
        word, gram, length = word[order], gram[order], length[order]
        document = np.searchsorted(bounds, word, side="right") - 1
        table = pairs(word, gram, length, document, self.postings, self.places, self.item_of)
        own_words = np.diff(bounds)
        return Overlaps(
            document=table[:, 0],
            item=table[:, 1],
            of_item=table[:, 2] / self.words[table[:, 1]],
            of_document=table[:, 3] / own_words[table[:, 0]],
            hit_document=document,
            hit_start=starts[word],
            hit_stop=ends[word + length - 1],
        )


def _identifying(hashed: np.ndarray, item: np.ndarray, common: int) -> np.ndarray:
    """bool[postings] of grams in at most `common` items; postings by ascending hash and item."""
    fresh = np.ones(len(hashed), bool)
    fresh[1:] = (hashed[1:] != hashed[:-1]) | (item[1:] != item[:-1])
    gram = np.cumsum(np.diff(hashed, prepend=hashed[:1] ^ np.uint64(1)) != 0) - 1
    return np.bincount(gram[fresh], minlength=1)[gram] <= common


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
