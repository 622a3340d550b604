"""Data sets of the Hugging Face hub, or a local folder in its layout, streamed by `datasets`.

    path ─► the data set's files of the split (its config resolves them) ─► rows of each, streamed

The files are the units of work, so ranks share a data set by its files, and a row's id is its place in its file: the
same whatever the number of workers, and for a local copy the same as from the hub.
"""

import os
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal

import fsspec
import pyarrow as pa
from pydantic import Field

from corpus.document import Document
from corpus.errors import DataError
from corpus.readers.base import Reading, RecordSettings, Tally, quarantined
from corpus.readers.files import DamagedError, InputFile, unreadable
from corpus.readers.parquet import ROWS, ParquetReader


class HuggingFaceSettings(RecordSettings):
    """A data set by its hub name (`owner/name`) or folder, streamed; `glob` chooses among the files of the split."""

    kind: Literal["hugging_face"] = "hugging_face"
    path: str = Field(description="Name of a data set on the hub, or a local folder.")
    config: str | None = Field(None, description="Configuration of the data set, where it has several.")
    split: str = Field("train", description="Split to read.")
    revision: str | None = Field(None, description="Branch, tag or commit of the data set; pin it for a corpus.")


class DatasetRoot:
    """Where the files of a data set lie: what Root is to a folder."""

    def __init__(self, settings: HuggingFaceSettings) -> None:
        self.path = settings.path
        self.module, urls = _resolve(settings)
        filesystem, _ = fsspec.core.url_to_fs(urls[0])
        self.filesystem = filesystem
        locations = [filesystem._strip_protocol(url) for url in urls]
        self.folder = _folder(settings.path, locations)
        self.urls = {
            location[len(self.folder) :].lstrip("/"): url for location, url in zip(locations, urls, strict=True)
        }

    def find(self, matches: Callable[[str], bool]) -> list[InputFile]:
        """The files for which `matches(relative path)`, sorted. Raises DataError for none."""
        paths = sorted(path for path in self.urls if matches(path))
        if not paths:
            raise DataError(
                "no file of the split matches",
                where=self.path,
                found=f"{len(self.urls)} files, such as {min(self.urls)}",
                todo="correct `glob` of the source",
            )
        return [InputFile(path, int(self.filesystem.info(f"{self.folder}/{path}")["size"])) for path in paths]


class HuggingFaceReader(ParquetReader):
    """Records are rows, in Arrow batches; damage ends its file, a failing network ends the run."""

    settings: HuggingFaceSettings

    @cached_property
    def root(self) -> Any:
        return DatasetRoot(self.settings)

    def matches(self, path: str) -> bool:
        return self.settings.glob is None or super().matches(path)

    def read(self, file: InputFile, tally: Tally) -> Iterator[Document]:
        position = 0
        readings = self._rows(file, tally)
        try:
            for reading in readings:
                yield self._document(file, position, reading, None)
                position += 1
        except DamagedError as damage:
            pending = damage.pending if position else file.bytes
            tally.count(pending)
            yield self._document(file, position, quarantined(damage.reason, pending), None)

    def try_first(self, file: InputFile) -> None:
        next(self._rows(file, Tally()), None)

    def _rows(self, file: InputFile, tally: Tally) -> Iterator[Reading]:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError

        where = f"{self.root.folder}/{file.path}"
        try:
            files = {"data": [self.root.urls[file.path]]}
            with without_torch():
                rows = load_dataset(self.root.module, data_files=files, split="data", streaming=True)
                rows = rows.with_format("arrow")
            checked = False
            for table in rows.iter(batch_size=ROWS):
                if not checked:
                    self.require_fields(table.column_names, file.bytes)
                    checked = True
                for batch in table.select(list(self.fields)).combine_chunks().to_batches():
                    yield from self.batch_readings(batch, tally)
        except OSError as error:
            if _of_storage(error):
                raise unreadable(where, error) from None
            raise DamagedError from None
        except (DatasetsError, pa.ArrowException, ValueError, TypeError, KeyError):
            raise DamagedError from None


@contextmanager
def without_torch() -> Iterator[None]:
    """Streams made in the body do not import torch, which `datasets` makes a base of every one where it is installed:
    two seconds and 150 MB of a worker, in the middle of a read, for nothing that is used here."""
    from datasets import config

    there, config.TORCH_AVAILABLE = config.TORCH_AVAILABLE, False
    try:
        yield
    finally:
        config.TORCH_AVAILABLE = there


def _folder(path: str, locations: list[str]) -> str:
    """The folder that the files' paths are relative to: the local one, or the data set at its commit on the hub."""
    local = os.path.abspath(path)  # noqa: PTH100
    if all(location.startswith(local + "/") for location in locations):
        return local
    parts = locations[0].split("/")  # datasets/<owner>/<name>@<commit>/…
    at = next((index for index, part in enumerate(parts) if "@" in part), None)
    return "/".join(parts[: at + 1]) if at is not None else posixpath.commonpath(map(posixpath.dirname, locations))


def _of_storage(error: OSError) -> bool:
    """Whether an error is the storage's or the network's; Arrow reports a damaged file as an OSError with no number."""
    return error.errno is not None or type(error).__module__ != "builtins"


def unreachable(path: str, error: ConnectionError) -> DataError:
    """The error of a hub that does not answer, or is not to be asked. What the hub's cache holds of a data set may be a
    part of it, so it never stands in: the corpus would depend on the network of an earlier day."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        found = "HF_HUB_OFFLINE is set, and the cache may hold a part of the data set only"
    else:
        found = f"no answer from {constants.ENDPOINT} ({type(error).__name__})"
    return DataError(
        "the Hugging Face hub cannot be reached",
        where=path,
        found=found,
        todo="check the network and HF_ENDPOINT, or fetch it once with `hf download --repo-type dataset "
        f"{path} --local-dir FOLDER` and name that local folder as `path`",
    )


def _resolve(settings: HuggingFaceSettings) -> tuple[str, list[str]]:
    """The name of the loader of `datasets` and the addresses of the split's files."""
    from datasets import load_dataset_builder

    try:
        builder = load_dataset_builder(settings.path, settings.config, revision=settings.revision)
    except ConnectionError as error:
        raise unreachable(settings.path, error) from None
    except Exception as error:  # whatever the hub, the network or the layout of the folder made of it
        raise DataError(
            "the data set cannot be found",
            where=settings.path,
            found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            todo="check `path`, `config` and `revision`, the network, and `hf auth login` for a gated data set",
        ) from None
    splits: dict[str, Any] = dict(builder.config.data_files or {})
    if settings.split not in splits:
        raise DataError(
            f"no split {settings.split!r}",
            where=settings.path,
            found=f"splits {', '.join(map(str, splits)) or 'none'}",
            todo="correct `split` of the source",
        )
    module = type(builder).__module__.rsplit(".", 1)[-1]
    return module, [str(url) for url in splits[settings.split]]
