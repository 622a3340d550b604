"""The search of one unit for what it shares with items: a piece of a stage, on any worker.

A unit publishes the spans to cut, drops.parquet (schema DROPS, in the order in which they were met), gone.npy (int64,
rows of the unit that were dropped) and for each part of the items counts-<part>.npy, of the items that were met.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from corpus.arrays import load
from corpus.artifact import Draft, read_parquet, write_parquet
from corpus.cuts.kept import KeptUnit, Texts
from corpus.cuts.spans import Cuts, Spans, publish_spans, strings
from corpus.decontaminate.overlap import ItemIndex, Overlaps
from corpus.kernels.folding import tokens

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
COUNT = np.dtype([("item", "<i8"), ("documents", "<i8"), ("contaminated", "<i8"), ("coverage", "<f8")])
HELD_OUT_TEXTS = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("text", pa.string(), nullable=False)])


@dataclass(frozen=True)
class ItemPart:
    """Items of one set, with their index and names in a folder."""

    set: str
    folder: Path

    @classmethod
    def write(cls, index: ItemIndex, names: list[str], draft: Draft) -> None:
        index.save(draft.path)
        path = draft.path / "names.parquet"
        draft.rows[path.name] = write_parquet(path, pa.table({"name": pa.array(names, pa.string())}))

    def index(self) -> ItemIndex:
        return ItemIndex.open(self.folder)

    def names(self) -> list[str]:
        return read_parquet(self.folder / "names.parquet")["name"].to_pylist()


@dataclass(frozen=True)
class Search:
    """What contaminates, and what is removed: from `all` documents, or of the split `train` or `validation` documents
    where items are held-out documents and only documents to train on are looked at."""

    coverage: float
    action: Action
    remove: Literal["all", "train", "validation"]


@dataclass(frozen=True)
class HeldOutWork:
    """texts.parquet (schema HELD_OUT_TEXTS): the held-out documents of a unit that stay, without what was cut."""

    unit: KeptUnit
    cuts: Cuts
    gone: tuple[Path, ...]  # stages in which documents were dropped

    @property
    def weight(self) -> int:
        return self.unit.text_bytes

    def write(self, draft: Draft) -> None:
        path = draft.path / "texts.parquet"
        draft.rows[path.name] = write_parquet(path, self._batches(), HELD_OUT_TEXTS)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        wanted = self.unit.staying(held_out=True)
        wanted[gone_rows(self.gone, self.unit)] = False
        for texts in self.unit.texts(self.cuts.of(self.unit.number), wanted):
            columns = [texts.ids, strings(texts.data, texts.offsets)]
            yield pa.RecordBatch.from_arrays(columns, schema=HELD_OUT_TEXTS)


def gone_rows(stages: tuple[Path, ...], unit: KeptUnit) -> np.ndarray:
    """int64: the rows of a unit that were dropped in these stages."""
    return np.concatenate([np.zeros(0, np.int64), *(load(stage / unit.name / "gone.npy") for stage in stages)])


@dataclass(frozen=True)
class SearchWork:
    """One unit and all items."""

    unit: KeptUnit
    cuts: Cuts
    gone: tuple[Path, ...]
    parts: tuple[ItemPart, ...]
    search: Search

    @property
    def weight(self) -> int:
        return self.unit.text_bytes * len(self.parts)

    def write(self, draft: Draft) -> None:
        state = _UnitSearch(self.unit, self.cuts.of(self.unit.number), self.search)
        if self.search.remove == "all":
            looked_at = np.ones(len(self.unit.rows), bool)
        else:
            looked_at = self.unit.staying(held_out=False)
            looked_at[gone_rows(self.gone, self.unit)] = False
        for number, part in enumerate(self.parts):
            np.save(draft.path / f"counts-{number:05d}.npy", state.remove(part, looked_at))
            if self.search.remove == "train":
                looked_at &= ~state.gone
        publish_spans([state.found], draft)
        np.save(draft.path / "gone.npy", np.flatnonzero(state.gone))
        drops = pa.Table.from_pylist(state.drops, schema=DROPS)
        draft.rows["drops.parquet"] = write_parquet(draft.path / "drops.parquet", drops)


class _UnitSearch:
    """The state of a search: cuts and drops so far, by which the documents looked at become fewer and shorter."""

    def __init__(self, unit: KeptUnit, cuts: Spans, search: Search) -> None:
        self.unit, self.cuts, self.search = unit, cuts, search
        self.found = Spans.none()
        self.drops: list[dict[str, Any]] = []
        self.gone = np.zeros(len(unit.rows), bool)
        self._booked: dict[tuple[str, str], None] = {}

    def remove(self, part: ItemPart, looked_at: np.ndarray) -> np.ndarray:
        """Drop or cut what is contaminated by the items of `part`, until nothing is; COUNT[items that were met]."""
        index, names = part.index(), part.names()
        counts = np.zeros(len(names), COUNT)
        first = True
        while True:
            changed = np.zeros(len(looked_at), bool)
            cuts = []
            for texts in self.unit.texts(Spans.together([self.cuts, self.found]), looked_at):
                found = index.overlaps(texts)
                over = (found.of_item >= self.search.coverage) | (found.of_document >= self.search.coverage)
                if first:
                    _count(counts, found, over)
                if not over.any():
                    continue
                self._book(part.set, names, texts, found, over)
                rows = np.unique(found.document[over])
                if self.search.action == "span":
                    cuts.append(_cut(texts, found, rows))
                    changed[texts.rows[rows]] = True
            self.found = Spans.together([self.found, *cuts])
            if not cuts:
                break
            looked_at, first = changed, False  # what a cut brought together may be an n-gram again
        counts["item"] = np.arange(len(counts))
        return counts[counts["documents"] > 0]

    def _book(self, set: str, names: list[str], texts: Texts, found: Overlaps, over: np.ndarray) -> None:
        """Note the most covered pair of each document that goes."""
        backwards = self.search.remove == "validation"
        pairs = np.flatnonzero(over)
        goes = found.item[pairs] if backwards else found.document[pairs]
        share = np.maximum(found.of_item[pairs], found.of_document[pairs])
        order = np.lexsort((pairs, -share, goes))
        best = order[np.unique(goes[order], return_index=True)[1]]
        if self.search.action == "document" and not backwards:
            self.gone[texts.rows[goes[best]]] = True
        for pair in pairs[best]:
            document = texts.ids[int(found.document[pair])].as_py()
            item = names[found.item[pair]]
            gone, other = (item, document) if backwards else (document, item)
            if (gone, set) in self._booked:
                continue  # by an earlier part of the set, or a held-out document that an earlier batch met
            self._booked[gone, set] = None
            shares = (float(found.of_item[pair]), float(found.of_document[pair]))
            row = (gone, set, other, *shares, self.search.action)
            self.drops.append(dict(zip(DROPS.names, row, strict=True)))


def _count(counts: np.ndarray, found: Overlaps, over: np.ndarray) -> None:
    np.add.at(counts["documents"], found.item, 1)
    np.add.at(counts["contaminated"], found.item[over], 1)
    np.maximum.at(counts["coverage"], found.item, found.of_item)


def _cut(texts: Texts, found: Overlaps, documents: np.ndarray) -> Spans:
    """The cuts that take what the hits touch out of these documents of the batch, whole tokens."""
    starts, ends, _, bounds = tokens(texts.data, texts.offsets)
    mine = np.isin(found.hit_document, documents)
    edge = np.zeros(len(starts) + 1, np.int64)
    np.add.at(edge, np.searchsorted(ends, found.hit_start[mine], side="right"), 1)
    np.add.at(edge, np.searchsorted(starts, found.hit_stop[mine], side="left"), -1)
    return texts.spans("contamination", bounds, starts, ends, np.cumsum(edge[:-1]) > 0)
