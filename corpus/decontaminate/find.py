"""What of the corpus overlaps with evaluation sets and with its own held-out documents, and what becomes of it.

A document and an item overlap when they share an n-gram. They contaminate each other when the shared n-grams cover at
least `coverage` of the item's words or of the document's (0: one n-gram is enough): a document that quotes an item, and
one that is a piece of a long item. Documents are read without the cuts made before.

    sets-<i>   per part of the items   index of the items of an evaluation set       corpus/decontaminate/overlap.py
    sets       per unit                every kept document, held out or not, is dropped, or its shared words are cut
    held-out   per unit                the held-out documents that this left
    split-<i>  per part of these       each is an item for the documents to train on
    split      per unit                `remove` says on which side is dropped        corpus/decontaminate/search.py

Items are indexed in parts of PART bytes, and a unit is read once for each part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import Field, model_validator

from corpus.arrays import load
from corpus.artifact import Draft, read_parquet, scan_parquet
from corpus.cuts.kept import KeptDocuments
from corpus.cuts.spans import Cuts
from corpus.decontaminate.evaluation_sets import EvaluationSet, Items, read_items
from corpus.decontaminate.overlap import COMMON, ItemIndex, parts_of
from corpus.decontaminate.search import DROPS, Action, HeldOutWork, ItemPart, Search, SearchWork
from corpus.engine import Workplace
from corpus.settings import Settings

PART = 32 << 20  # bytes of items indexed at a time
HELD_OUT = "validation"  # what reports call the recipe's own held-out documents
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

    sets: tuple[EvaluationSet, ...] = Field((), description="evaluation sets whose items must not be trained on")
    ngram: int = Field(13, ge=2, description="words in an n-gram")
    min_words: int = Field(
        8, ge=1, description="an item of fewer than n words is looked for as a whole from so many on"
    )
    coverage: float = Field(0.0, ge=0, le=1, description="least share of the words of item or document; 0: one n-gram")
    action: Action = Field("document", description="drop the document, or cut the shared words out of it")
    common: int = Field(COMMON, ge=1, description="n-grams in more items of a set than this identify none of them")
    held_out: HeldOutSettings = Field(
        HeldOutSettings(), description="the recipe's own held-out documents against those to train on"
    )

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
    """What to cut: stages with a folder of spans for each unit; drops (schema DROPS, by set and id, action "document"
    or "span"); items (schema ITEMS)."""

    passes: tuple[Path, ...]
    drops: pa.Table
    items: pa.Table


def find_contamination(
    kept: KeptDocuments, cuts: Cuts, settings: DecontaminateSettings, place: Workplace
) -> Contamination:
    """Overlap of the kept documents, without `cuts`, with the evaluation sets and then of what is left of the training
    documents with the held-out ones."""
    gone: list[Path] = []
    passes: list[Path] = []
    drops, items = [DROPS.empty_table()], [ITEMS.empty_table()]
    units = [unit for unit in kept.units if unit.count]

    def search(stage: str, parts: Sequence[ItemPart], asked: Search) -> None:
        works = {u.name: SearchWork(u, cuts, tuple(gone), tuple(parts), asked) for u in units}
        found = place.make(stage, works)
        drops.extend(read_parquet(folder / "drops.parquet") for folder in found)
        items.append(_reported(parts, found))
        gone.append(place.folder / stage)
        passes.append(place.folder / stage)

    if settings.sets:
        parts = _index("sets", _set_parts([read_items(one) for one in settings.sets]), settings, place)
        search("sets", parts, Search(settings.coverage, settings.action, "all"))
        cuts = cuts.then(passes[-1])
    if any(unit.held_out for unit in units):
        asking = {u.name: HeldOutWork(u, cuts, tuple(gone)) for u in units if u.held_out}
        held = place.make("held-out", asking)
        parts = _index("split", _held_out_parts(held), settings, place)
        search("split", parts, Search(settings.held_out.coverage, settings.held_out.action, settings.held_out.remove))
    return Contamination(tuple(passes), _each_once(pa.concat_tables(drops)), pa.concat_tables(items))


def _set_parts(sets: Sequence[Items]) -> Iterator[tuple[str, list[str], pa.StringArray, np.ndarray]]:
    for items in sets:
        for texts, first, last in parts_of(items.texts, items.item, len(items.names), PART):
            yield items.set, items.names[first:last], items.texts[texts], items.item[texts] - first


def _held_out_parts(held: Sequence[Path]) -> Iterator[tuple[str, list[str], pa.StringArray, np.ndarray]]:
    """Held-out documents as items of one text each, about PART bytes of them at a time."""
    batches: list[pa.RecordBatch] = []
    for folder in held:
        for batch in scan_parquet(folder / "texts.parquet"):
            batches.append(batch)
            if sum(one.column("text").nbytes for one in batches) >= PART:
                yield _held_out_part(batches)
                batches = []
    if batches:
        yield _held_out_part(batches)


def _held_out_part(batches: list[pa.RecordBatch]) -> tuple[str, list[str], pa.StringArray, np.ndarray]:
    table = pa.Table.from_batches(batches).combine_chunks()
    texts = table["text"].chunk(0)
    return HELD_OUT, table["id"].to_pylist(), texts, np.arange(len(texts))


def _index(
    stage: str,
    parts: Iterator[tuple[str, list[str], pa.StringArray, np.ndarray]],
    settings: DecontaminateSettings,
    place: Workplace,
) -> list[ItemPart]:
    """The parts of the items, each with its published index."""
    options = {"ngram": settings.ngram, "min_words": settings.min_words, "common": settings.common}
    indexed = []
    for number, (name, names, texts, item) in enumerate(parts):

        def write(draft: Draft, texts: pa.StringArray = texts, item: np.ndarray = item, names: list = names) -> None:
            ItemPart.write(ItemIndex.of(texts, item, len(names), **options), names, draft)

        function = {"kind": f"{place.name}.index", "part": number, "of": place.function}
        indexed.append(ItemPart(name, place.one(f"{stage}-{number:05d}", function, write)))
    return indexed


def _reported(parts: Sequence[ItemPart], found: Sequence[Path]) -> pa.Table:
    """The items of the parts (schema ITEMS) with what all units counted."""
    tables = []
    for number, part in enumerate(parts):
        words = part.index().words
        documents, contaminated = np.zeros(len(words), np.int64), np.zeros(len(words), np.int64)
        coverage = np.zeros(len(words))
        for folder in found:
            counts = load(folder / f"counts-{number:05d}.npy")
            documents[counts["item"]] += counts["documents"]
            contaminated[counts["item"]] += counts["contaminated"]
            coverage[counts["item"]] = np.maximum(coverage[counts["item"]], counts["coverage"])
        columns = [[part.set] * len(words), part.names(), words, documents, contaminated, coverage]
        tables.append(pa.table([pa.array(column) for column in columns], schema=ITEMS))
    return pa.concat_tables([ITEMS.empty_table(), *tables])


def _each_once(drops: pa.Table) -> pa.Table:
    """Of the drops of a document for one set the first: its most covered pair where it was met first."""
    frame = pl.DataFrame(pl.from_arrow(drops)).unique(["id", "set"], keep="first", maintain_order=True)
    return frame.sort("set", "id").to_arrow(compat_level=pl.CompatLevel.oldest()).cast(DROPS)
