"""Forgetting a patient or an author: their documents leave the workspace and do not come back.

    forgotten.json   source → file → metadata field and keyed digest of each subject that is forgotten in it
    forgotten.key    32 random bytes, readable by the owner only: without it the digests name nobody

`forget` writes the register first. Annotated units are then published again with those documents blanked: the row
stays, with its bytes in and the reason, so that the ledger still adds up; text, metadata, the record's own identifier
and every measurement go. Every later stage is a function of the annotated units, so running the preparation afterwards
makes decisions, shards, ledger and token stores without them, each published in one rename.

The register is a part of what a unit is a function of, and reading consults it. So a later run never brings the
documents back, whatever else of the recipe, the code or the file has changed. It names files: a new file with the same
subject needs the subject to be forgotten again.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.artifact import Manifest, RunLock, canonical_json, open_parquet, publish, scan_parquet, write_atomic
from corpus.document import DOCUMENTS
from corpus.errors import ArtifactError, DataError

REGISTER, KEY = "forgotten.json", "forgotten.key"
STEP, REASON = "forget", "forgotten on request"
_KEPT_COLUMNS = {"id", "source", "file", "position", "bytes_in"}


class ForgottenDocument(NamedTuple):
    """One document that was forgotten, and where its raw record lies (which is not touched)."""

    id: str
    source: str
    file: str
    position: int


@dataclass(frozen=True)
class Register:
    """Whose documents are forgotten, by source and file. An empty register has no key and changes nothing."""

    key: bytes = field(default=b"", repr=False)
    subjects: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    @classmethod
    def read(cls, workspace: Path) -> "Register":
        """ArtifactError where there is a register and its key is lost: going on would bring documents back."""
        path = Path(workspace) / REGISTER
        if not path.is_file():
            return cls()
        try:
            body = orjson.loads(path.read_bytes())
            subjects = {s: {f: tuple(digests) for f, digests in files.items()} for s, files in body["subjects"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ArtifactError(
                "the register of what is forgotten cannot be read", where=path, todo="restore it from a backup"
            ) from None
        try:
            return cls((Path(workspace) / KEY).read_bytes(), subjects)
        except OSError:
            raise ArtifactError(
                "the key of the register of what is forgotten is missing",
                where=Path(workspace) / KEY,
                todo="restore it from a backup; without it the forgotten documents cannot be told from the others",
            ) from None

    def digest(self, field: str, subject: str) -> str:
        """What names a subject in the register: HMAC-SHA256 of the metadata field and its value."""
        return hmac.new(self.key, f"{field}\0{subject}".encode(), hashlib.sha256).hexdigest()

    def of(self, source: str, files: Iterable[str]) -> dict[str, list[str]]:
        """The part of the register that concerns these files, as the function of a unit names it."""
        own = self.subjects.get(source, {})
        return {file: list(own[file]) for file in files if file in own}

    def rows(self, data: pa.RecordBatch, part: Mapping[str, Iterable[str]]) -> np.ndarray:
        """bool[rows]: the document's file is in `part` and its metadata name a subject forgotten in it."""
        concerned = np.asarray(pc.is_in(data["file"], pa.array(list(part), pa.string())))
        mask = np.zeros(data.num_rows, bool)
        for row in np.flatnonzero(concerned).tolist():
            metadata = data["metadata"][row].as_py()
            values = orjson.loads(metadata) if metadata else {}
            forgotten = [name.partition(":") for name in part[data["file"][row].as_py()]]
            mask[row] = any(
                field in values and self.digest(field, str(values[field])) == digest for field, _, digest in forgotten
            )
        return mask


def blanked(data: pa.RecordBatch, mask: np.ndarray) -> pa.RecordBatch:
    """The rows of the mask without anything that came from their record: a drop of the step `forget`."""
    chosen = pa.array(mask)
    columns = []
    for column in data.schema:
        values = data[column.name]
        if column.name == "text":
            values = pc.if_else(chosen, "", values)
        elif column.name in ("step", "reason"):
            values = pc.if_else(chosen, STEP if column.name == "step" else REASON, values)
        elif column.name.startswith("edit."):
            values = pc.if_else(chosen, pa.scalar(0, column.type), values)
        elif column.name not in _KEPT_COLUMNS:
            values = pc.if_else(chosen, pa.scalar(None, column.type), values)
        columns.append(values.cast(column.type))
    return pa.RecordBatch.from_arrays(columns, schema=data.schema)


def find_subject(workspace: Path, subject: str, field: str) -> list[ForgottenDocument]:
    """The documents of the workspace's annotated units whose metadata field `field` is `subject`."""
    found = []
    for unit in _units(workspace):
        for rows in scan_parquet(unit / DOCUMENTS, ["id", "source", "file", "position", "metadata"]):
            for row in np.flatnonzero(_names(rows, field, subject)).tolist():
                id, source, file, position = (rows[n][row].as_py() for n in ("id", "source", "file", "position"))
                found.append(ForgottenDocument(id, source, file, position))
    return found


def forget(workspace: Path, subject: str, *, field: str, lock: RunLock) -> list[ForgottenDocument]:
    """Register the subject's documents as forgotten and blank them in the annotated units; the documents.

    The caller runs the preparation next, which remakes all that follows. DataError when nothing names the subject.
    Killed in between, the next preparation reads the register and does the rest.
    """
    documents = find_subject(workspace, subject, field)
    if not documents:
        raise DataError(
            "no document names this subject",
            where=workspace,
            found=f"no metadata field `{field}` with this value",
            todo="name the field in --field, and in `metadata` of the source's reader so that it is carried along",
        )
    register = _registered(workspace, subject, field, documents)
    sources = {document.source for document in documents}
    for unit in _units(workspace):
        if unit.parent.name in sources:
            _publish_without(unit, register, lock)
    return documents


def _units(workspace: Path) -> list[Path]:
    return sorted(path.parent for path in (Path(workspace) / "annotate").glob(f"*/*/{DOCUMENTS}"))


def _names(rows: pa.RecordBatch, field: str, subject: str) -> np.ndarray:
    mask = np.zeros(rows.num_rows, bool)
    for row, metadata in enumerate(rows["metadata"].to_pylist()):
        values: dict[str, Any] = orjson.loads(metadata) if metadata else {}
        mask[row] = field in values and str(values[field]) == subject
    return mask


def _registered(workspace: Path, subject: str, field: str, documents: list[ForgottenDocument]) -> Register:
    """The register with these documents in it, written."""
    register = Register.read(workspace)
    if not register.key:
        register = Register(secrets.token_bytes(32))
        write_atomic(workspace / KEY, register.key)
        os.chmod(workspace / KEY, 0o600)
    name = f"{field}:{register.digest(field, subject)}"
    subjects = {source: {file: set(own) for file, own in files.items()} for source, files in register.subjects.items()}
    for document in documents:
        subjects.setdefault(document.source, {}).setdefault(document.file, set()).add(name)
    ordered = {source: {file: sorted(own) for file, own in files.items()} for source, files in subjects.items()}
    write_atomic(workspace / REGISTER, canonical_json({"subjects": ordered}) + b"\n")
    return Register.read(workspace)


def _publish_without(unit: Path, register: Register, lock: RunLock) -> None:
    """Publish an annotated unit again under the function that the register now gives it."""
    manifest = Manifest.read(unit)
    files = [file for file, _ in manifest.function["inputs"]]
    part = register.of(unit.parent.name, files)
    function = manifest.function | {"forgotten": part}
    if not part or function == manifest.function:
        return
    with publish(unit, kind=manifest.kind, function=function, lock=lock) as draft:
        rows = 0
        schema = pa.schema([_without_ids(field) for field in pq.read_schema(unit / DOCUMENTS)])
        with pq.ParquetFile(unit / DOCUMENTS) as old, open_parquet(draft.path / DOCUMENTS, schema) as new:
            for group in range(old.num_row_groups):  # the same row groups as annotating again would write
                for batch in old.read_row_group(group).combine_chunks().to_batches():
                    new.write_batch(blanked(batch.cast(schema), register.rows(batch, part)))
                    rows += batch.num_rows
        draft.rows[DOCUMENTS] = rows
        draft.totals |= manifest.totals


def _without_ids(field: pa.Field) -> pa.Field:
    """The field as it was written: parquet numbers columns and calls what a list holds `element`."""
    kind = field.type
    if pa.types.is_list(kind):
        kind = pa.list_(_without_ids(kind.value_field).with_name("item"))
    elif pa.types.is_struct(kind):
        kind = pa.struct([_without_ids(kind.field(index)) for index in range(kind.num_fields)])
    return pa.field(field.name, kind, field.nullable)
