"""Steps: datatrove pipeline blocks over columnar batches.

A step of ours is a datatrove `PipelineStep` whose stream is of `Batch`, so that a stage is a datatrove pipeline run by
any of its executors. Measuring steps add columns and drop nothing; editing steps change the text and book the bytes.
Any stock datatrove block can stand between them through `Stock`, which turns the readable rows into datatrove
documents and back, one batch at a time: a document the block swallows is a drop with the block's name as reason.

A step of your own is a subclass of `Step` with a `process` method; a recipe names it by its import path, as it names
stock blocks: `{kind: datatrove, block: my_package.my_steps.DropDrafts}`.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, ClassVar, Literal

import datatrove.data
import numpy as np
import pyarrow as pa
from datatrove.pipeline.base import PipelineStep
from pydantic import Field

from corpus.document import Batch
from corpus.errors import ConfigError
from corpus.settings import Settings


class Step(PipelineStep):
    """A columnar step. `columns` declares the annotation columns it adds and their types, so that the schema of a
    shard is known before its first document."""

    name: ClassVar[str] = "step"
    type: ClassVar[str] = "columnar step"
    columns: ClassVar[dict[str, pa.DataType]] = {}
    edits: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()  # annotation columns read by a step that measures stored documents
    pace: ClassVar[float] = 1.0  # times the seconds that the guard of documents allows, for a step that is slow

    @abstractmethod
    def process(self, batch: Batch) -> Batch:
        """Measure or edit one batch: the same rows in the same order, with new columns or a new text."""

    def identity(self) -> dict[str, Any]:
        """What of this step decides its output: settings and content hashes of model files, no paths."""
        settings = getattr(self, "settings", None)
        return {"step": self.name} | (settings.identity() if isinstance(settings, Settings) else {})

    def run(self, data: Iterable[Batch] | None, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:  # type: ignore[override]
        for batch in data or ():
            with self.track_time("batch"):
                batch = self.process(batch)
            self.stat_update("documents", value=len(batch), unit="batch")
            yield batch


class StockSettings(Settings):
    """A stock datatrove block by its import path, or a `Step` of your own that can be imported."""

    kind: Literal["datatrove"]
    block: str = Field(description="such as datatrove.pipeline.filters.C4QualityFilter")
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of the block, by name")

    def build(self) -> "Step":
        """The block, wrapped unless it is a columnar step already. Raises ConfigError when it cannot be made."""
        module, _, name = self.block.rpartition(".")
        try:
            block = getattr(import_module(module), name)(**self.options)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise ConfigError(
                "this block cannot be made",
                where=self.block,
                found=error,
                todo="check its import path and the names of its options",
            ) from None
        return block if isinstance(block, Step) else Stock(block)


class Stock(Step):
    """A stock datatrove filter, formatter or other per-document block as a columnar step."""

    def __init__(self, block: PipelineStep, name: str | None = None) -> None:
        super().__init__()
        self.block = block
        self.name = name or type(block).__name__  # type: ignore[misc]
        self.edits = (self.name,)  # type: ignore[misc]

    def identity(self) -> dict[str, Any]:
        plain = (bool, int, float, str, list, tuple, type(None))
        options = {key: repr(value) for key, value in vars(self.block).items() if isinstance(value, plain)}
        return {"step": f"datatrove.{type(self.block).__name__}", "options": dict(sorted(options.items()))}

    def process(self, batch: Batch) -> Batch:
        rows = np.flatnonzero(batch.readable)
        texts = batch.text.to_pylist()
        ids = batch["id"].to_pylist()
        row_of = {ids[row]: row for row in rows}
        documents = (datatrove.data.Document(text=texts[row], id=ids[row]) for row in rows)
        dropped = np.zeros(len(batch), dtype=bool)
        dropped[rows] = True
        for document in self.block.run(documents):
            row = row_of[document.id]
            dropped[row] = False
            texts[row] = document.text
        edited = batch.with_text(pa.array(texts, pa.string()), edit=self.name)
        return edited.with_verdicts(
            dropped, step=self.name, reason=f"dropped by datatrove's {type(self.block).__name__}"
        )
