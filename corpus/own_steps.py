"""Steps of your own: a function in a Python file, named in the recipe.

    steps:
      - {kind: filter, file: our_steps.py, function: about_our_products}
      - {kind: formatter, file: our_steps.py, function: without_ticket_numbers}

    def about_our_products(text: str) -> bool:              keep the document?
    def without_ticket_numbers(text: str) -> str:           its new text

A function may take a second argument, the document's metadata (a dict). A filter may return a string instead of False:
the reason of the drop, which must not quote the text. Drops and edits are booked under the function's name. The file's
content is part of the fingerprint, so a changed file is run again; what it imports is not, and it must give the same
answer for the same text, on any worker.

For a step that works on whole columns, subclass `corpus.step.Step` and name it by `{kind: datatrove, block: …}`.
"""

import inspect
from collections.abc import Callable
from functools import cached_property
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import pyarrow as pa
from pydantic import Field

from corpus.artifact import content_hash
from corpus.document import Batch
from corpus.errors import ConfigError, DataError
from corpus.settings import Settings
from corpus.step import Step


class OwnSettings(Settings):
    """Where the function is."""

    file: str = Field(description="the Python file, from where the command runs")
    function: str = Field(description="its name: text, or text and metadata, to a verdict or a new text")
    label: str | None = Field(None, description="what drops and edits are booked under; default: the function's name")

    def identity(self) -> dict[str, Any]:
        return {"function": self.function, "content": content_hash(self.path()), "as": self.title}

    @property
    def title(self) -> str:
        """The name under which drops and edits are booked."""
        return self.label or self.function

    def path(self) -> Path:
        path = Path(self.file)
        if not path.is_file():
            raise ConfigError("no such file of steps", where=self.file, todo="name a Python file, from where you run")
        return path

    def load(self) -> Callable[[str, dict[str, Any]], Any]:
        """The function, as one of text and metadata. Raises ConfigError when it cannot be had."""
        path = self.path()
        spec = spec_from_file_location(f"own_steps_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise ConfigError("this is not a Python file", where=path, todo="its name must end in .py")
        module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # whatever the user's file does wrong
            raise ConfigError("this file of steps cannot be imported", where=path, found=repr(error)) from None
        function = getattr(module, self.function, None)
        if not callable(function):
            known = [name for name, value in vars(module).items() if inspect.isfunction(value)]
            raise ConfigError(
                f'there is no function "{self.function}"', where=path, found=", ".join(known) or "no function at all"
            )
        wanted = len(inspect.signature(function).parameters)
        if wanted not in (1, 2):
            raise ConfigError(
                f'"{self.function}" must take the text, or the text and the metadata',
                where=path,
                found=f"{wanted} arguments",
            )
        return function if wanted == 2 else lambda text, metadata: function(text)


class FilterSettings(OwnSettings):
    """Drop documents by a function of yours."""

    kind: Literal["filter"]

    def build(self) -> "OwnFilter":
        return OwnFilter(self)


class FormatterSettings(OwnSettings):
    """Edit documents by a function of yours."""

    kind: Literal["formatter"]

    def build(self) -> "OwnFormatter":
        return OwnFormatter(self)


class _Own(Step):
    """Calls the function on every readable document; it is loaded in each worker, for functions do not travel."""

    def __init__(self, settings: OwnSettings) -> None:
        super().__init__()
        self.settings = settings
        self.name = settings.title  # type: ignore[misc]
        settings.load()  # a mistake is told before any work

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_function"}

    @cached_property
    def _function(self) -> Callable[[str, dict[str, Any]], Any]:
        return self.settings.load()

    def _answers(self, batch: Batch) -> list[Any]:
        """What the function says of each row, None for unreadable ones. Raises DataError naming the document."""
        texts, metadata = batch.text.to_pylist(), batch["metadata"].to_pylist()
        answers: list[Any] = [None] * len(batch)
        for row in np.flatnonzero(batch.readable):
            try:
                answers[row] = self._function(texts[row], orjson.loads(metadata[row]) if metadata[row] else {})
            except MemoryError:  # the document's own fault, which the guard of documents looks into
                raise
            except Exception as error:
                # The message may quote the text, so only its kind is shown.
                raise self._fault(batch, int(row), f"{type(error).__name__} in it") from None
        return answers

    def _fault(self, batch: Batch, row: int, found: str) -> DataError:
        return DataError(
            f'"{self.settings.function}" fails on a document',
            where=f"{self.settings.file}, {batch['file'][row]} record {batch['position'][row]}",
            found=found,
            todo="mend the function; nothing of this unit was published",
        )


class OwnFilter(_Own):
    """Drops the documents for which the function says False, or says why."""

    def process(self, batch: Batch) -> Batch:
        answers = self._answers(batch)
        for row in np.flatnonzero(batch.readable):
            if not isinstance(answers[row], bool | str):
                raise self._fault(batch, int(row), f"it returned {type(answers[row]).__name__}, not True, False or why")
        reasons = [None if answer in (True, None) else answer or "not kept" for answer in answers]
        for reason in sorted({reason for reason in reasons if reason is not None}):
            batch = batch.with_verdicts(np.array([r == reason for r in reasons]), step=self.name, reason=reason)
        return batch


class OwnFormatter(_Own):
    """Replaces each text by what the function returns."""

    def __init__(self, settings: FormatterSettings) -> None:
        super().__init__(settings)
        self.edits = (self.name,)  # type: ignore[misc]

    def process(self, batch: Batch) -> Batch:
        answers = self._answers(batch)
        texts = batch.text.to_pylist()
        for row in np.flatnonzero(batch.readable):
            if not isinstance(answers[row], str):
                raise self._fault(batch, int(row), f"it returned {type(answers[row]).__name__}, not a string")
            texts[row] = answers[row]
        return batch.with_text(pa.array(texts, pa.string()), edit=self.name)
