"""What of the corpus overlaps with evaluation sets and with its own held-out documents, and what becomes of it.

A document and an item overlap when they share an n-gram. They contaminate each other when the shared n-grams cover at
least `coverage` of the item's words or of the document's (0: one n-gram is enough): a document that quotes an item, and
one that is a piece of a long item. Documents are read without the cuts made before.

    evaluation sets     every kept document, held out or not, is dropped, or its shared words are cut
    held-out documents  each is an item for the documents to train on; `remove` says on which side is dropped

Items stand in memory in parts of PART bytes, and the documents are read once for each part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from corpus.cuts.kept import KeptDocuments, Texts
from corpus.cuts.spans import Spans, strings
from corpus.decontaminate.evaluation_sets import EvaluationSet, Items, read_items
from corpus.decontaminate.overlap import COMMON, ItemIndex, Overlaps, parts_of
from corpus.kernels.folding import tokens
from corpus.settings import Settings

PART = 32 << 20  # bytes of items indexed at a time
HELD_OUT = "validation"  # what reports call the recipe's own held-out documents
Action = Literal["document", "span"]

DROPS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # the document that is dropped, or was cut
        pa.field("set", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),  # the item it overlaps most with
        pa.field("item_coverage", pa.float64(), nullable=False),
        pa.field("document_coverage", pa.float64(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
    ]
)
ITEMS = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("words", pa.int64(), nullable=False),  # 0: too short to be looked for
        pa.field("documents", pa.int64(), nullable=False),  # that share an n-gram with it
        pa.field("contaminated", pa.int64(), nullable=False),  # of these, by the coverage asked for
        pa.field("coverage", pa.float64(), nullable=False),  # the largest share of its words in one document
    ]
)


class HeldOutSettings(Settings):
    """The held-out documents against those to train on. Documents of one source share phrases, so that a coverage is
    asked for by default."""

    coverage: float = Field(
        0.5, ge=0, le=1, description="least share of the words of either that both have; 0: one n-gram"
    )
    remove: Literal["train", "validation"] = Field("train", description="on which side a contaminated document goes")
    action: Action = Field("document", description="drop the document, or cut the shared words out of it")

    @model_validator(mode="after")
    def _items_are_whole(self) -> "HeldOutSettings":
        if self.action == "span" and self.remove == "validation":
            raise ValueError("held-out documents are dropped whole: use action: document, or remove: train")
        return self


class DecontaminateSettings(Settings):
    """Overlap of documents with evaluation items by n-grams of words."""

    sets: tuple[EvaluationSet, ...] = ()
    ngram: int = Field(13, ge=2, description="words in an n-gram")
    min_words: int = Field(
        8, ge=1, description="an item of fewer than n words is looked for as a whole from so many on"
    )
    coverage: float = Field(0.0, ge=0, le=1, description="least share of the words of item or document; 0: one n-gram")
    action: Action = Field("document", description="drop the document, or cut the shared words out of it")
    common: int = Field(COMMON, ge=1, description="n-grams in more items of a set than this identify none of them")
    held_out: HeldOutSettings = HeldOutSettings()

    @model_validator(mode="after")
    def _names(self) -> "DecontaminateSettings":
        names = [HELD_OUT, *(one.name for one in self.sets)]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two evaluation sets are called {', '.join(repeated)}")
        return self

    def identity(self) -> dict[str, Any]:
        """The sets count by their items, not by where they lie. Reads them."""
        return super().identity() | {"sets": [[one.name, read_items(one).content] for one in self.sets]}


@dataclass(frozen=True)
class Contamination:
    """Cuts; drops (schema DROPS, by set and id, action "document" or "span"); items (schema ITEMS)."""

    spans: Spans
    drops: pa.Table
    items: pa.Table


@dataclass
class _Part:
    """Some items with their index, and what is counted of them."""

    index: ItemIndex
    sets: list[str]  # the set of each item
    names: list[str]
    ids: list[str] | None  # for held-out documents: their ids

    def __post_init__(self) -> None:
        self.documents = np.zeros(len(self.names), np.int64)
        self.contaminated = np.zeros(len(self.names), np.int64)
        self.coverage = np.zeros(len(self.names))

    def count(self, found: Overlaps, over: np.ndarray) -> None:
        np.add.at(self.documents, found.item, 1)
        np.add.at(self.contaminated, found.item[over], 1)
        np.maximum.at(self.coverage, found.item, found.of_item)

    def rows(self) -> Iterator[dict[str, Any]]:
        columns = (self.sets, self.names, self.index.words, self.documents, self.contaminated, self.coverage)
        for row in zip(*(list(column) for column in columns), strict=True):
            yield dict(zip(ITEMS.names, row, strict=True))


def find_contamination(kept: KeptDocuments, cuts: Spans, settings: DecontaminateSettings) -> Contamination:
    """Overlap of the kept documents, without `cuts`, with the evaluation sets and then of what is left of the training
    documents with the held-out ones."""
    search = _Search(kept, settings, cuts)
    for part in search.parts([read_items(one) for one in settings.sets]):
        search.remove(part, settings.coverage, settings.action)
    if any(mask.any() for mask in kept.held_out):
        for part in search.held_out():
            search.remove(part, settings.held_out.coverage, settings.held_out.action)
    drops = pa.Table.from_pylist(search.drops, schema=DROPS).sort_by([("set", "ascending"), ("id", "ascending")])
    return Contamination(search.found, drops, pa.Table.from_pylist(search.items, schema=ITEMS))


class _Search:
    """The state of a search: cuts and drops so far, by which the documents looked at become fewer and shorter."""

    def __init__(self, kept: KeptDocuments, settings: DecontaminateSettings, cuts: Spans) -> None:
        self.kept, self.settings, self.cuts = kept, settings, cuts
        self.found = Spans.none()
        self.drops: list[dict[str, Any]] = []
        self.items: list[dict[str, Any]] = []
        self._gone = [np.zeros(len(rank), bool) for rank in kept.rank]
        self._booked: set[tuple[str, str]] = set()
        self._place: dict[str, tuple[int, int]] = {}  # where held-out documents are, by id

    def texts(self, rows: Sequence[np.ndarray] | None = None) -> Iterator[Texts]:
        """The documents as cut so far, all or those of `rows` (masks by unit)."""
        asked = None if rows is None else lambda unit: rows[unit]
        return self.kept.texts(Spans.together([self.cuts, self.found]), rows=asked)

    def staying(self, held_out: bool) -> list[np.ndarray]:
        """bool[rows] by unit: the documents of one side of the split that are not dropped so far."""
        return [(mask == held_out) & ~gone for mask, gone in zip(self.kept.held_out, self._gone, strict=True)]

    def parts(self, sets: Sequence[Items]) -> Iterator[_Part]:
        for items in sets:
            for texts, first, last in parts_of(items.texts, items.item, len(items.names), PART):
                names = items.names[first:last]
                yield self._part(items.texts[texts], items.item[texts] - first, [items.set] * len(names), names, None)

    def held_out(self) -> Iterator[_Part]:
        """Held-out documents as items of one text each, PART bytes of them at a time."""
        held: list[Texts] = []
        for texts in self.texts(self.staying(held_out=True)):
            held.append(texts)
            if sum(len(one.data) for one in held) >= PART:
                yield self._held_out(held)
                held = []
        if held:
            yield self._held_out(held)

    def _held_out(self, held: list[Texts]) -> _Part:
        ids = [name for texts in held for name in texts.ids.to_pylist()]
        places = [(texts.unit, int(row)) for texts in held for row in texts.rows]
        self._place = dict(zip(ids, places, strict=True))
        text = pa.concat_arrays([strings(texts.data, texts.offsets) for texts in held])
        return self._part(text, np.arange(len(ids)), [HELD_OUT] * len(ids), ids, ids)

    def _part(
        self, texts: pa.StringArray, item: np.ndarray, sets: list[str], names: list[str], ids: list[str] | None
    ) -> _Part:
        settings = self.settings
        options = {"ngram": settings.ngram, "min_words": settings.min_words, "common": settings.common}
        return _Part(ItemIndex(texts, item, np.zeros(len(names), np.int64), **options), sets, names, ids)

    def remove(self, part: _Part, coverage: float, action: Action) -> None:
        """Drop or cut what is contaminated by the items of `part`, until nothing is."""
        looked_at = None if part.ids is None else self.staying(held_out=False)
        first = True
        while True:
            changed = [np.zeros(len(rank), bool) for rank in self.kept.rank]
            cuts = []
            for texts in self.texts(looked_at):
                found = part.index.overlaps(texts)
                over = (found.of_item >= coverage) | (found.of_document >= coverage)
                if first:
                    part.count(found, over)
                if not over.any():
                    continue
                self._book(part, texts, found, over, action)
                rows = np.unique(found.document[over])
                if action == "span":
                    cuts.append(_cut(texts, found, rows))
                    changed[texts.unit][texts.rows[rows]] = True
            self.found = Spans.together([self.found, *cuts])
            if not cuts:
                break
            looked_at, first = changed, False  # what a cut brought together may be an n-gram again
        self.items += part.rows()

    def _book(self, part: _Part, texts: Texts, found: Overlaps, over: np.ndarray, action: Action) -> None:
        """Note the most covered pair of each document that goes, and take it out of what is looked at from now on."""
        backwards = part.ids is not None and self.settings.held_out.remove == "validation"
        pairs = np.flatnonzero(over)
        goes = found.item[pairs] if backwards else found.document[pairs]
        share = np.maximum(found.of_item[pairs], found.of_document[pairs])
        order = np.lexsort((pairs, -share, goes))
        best = order[np.unique(goes[order], return_index=True)[1]]
        for pair in pairs[best]:
            document = texts.ids[int(found.document[pair])].as_py()
            item = part.names[found.item[pair]]
            gone, other = (item, document) if backwards else (document, item)
            place = self._place[item] if backwards else (texts.unit, int(texts.rows[found.document[pair]]))
            name = part.sets[found.item[pair]]
            if action == "document":
                self._gone[place[0]][place[1]] = True
            if (gone, name) in self._booked:
                continue  # by an earlier part of the set, or a held-out document that an earlier batch met
            self._booked.add((gone, name))
            shares = (float(found.of_item[pair]), float(found.of_document[pair]))
            self.drops.append(dict(zip(DROPS.names, (gone, name, other, *shares, action), strict=True)))


def _cut(texts: Texts, found: Overlaps, documents: np.ndarray) -> Spans:
    """The cuts that take what the hits touch out of these documents of the batch, whole tokens."""
    starts, ends, _, bounds = tokens(texts.data, texts.offsets)
    mine = np.isin(found.hit_document, documents)
    edge = np.zeros(len(starts) + 1, np.int64)
    np.add.at(edge, np.searchsorted(ends, found.hit_start[mine], side="right"), 1)
    np.add.at(edge, np.searchsorted(starts, found.hit_stop[mine], side="left"), -1)
    return texts.spans("contamination", bounds, starts, ends, np.cumsum(edge[:-1]) > 0)
