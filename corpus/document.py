"""Documents and the columnar batches they travel in.

One input record is one row from the reader to the ledger, whatever becomes of it: a malformed line is a row with an
empty text and a reason, so conservation of documents is a row count. A `Batch` is a slice of one source as an Arrow
record batch:

    id          32 hex digits, a function of (source, file, position) and of nothing else
    source      the recipe's name of the source
    file        path of the input file relative to the source's root
    position    0-based index of the record in its file (0 for a file that is one document)
    record_id   the record's own identifier, where it has one
    text        the text as it is now
    bytes_in    UTF-8 bytes of the record's payload before any edit (for an unreadable record, its raw bytes)
    step, reason   the reader's verdict: both null for a document that can be processed
    metadata    a JSON object of the fields the recipe asks to carry, or null
    edit.<kind>    signed change of the text's UTF-8 bytes by one kind of edit
    <step>.<name>  a measurement (annotation), null where it was not made

Rows are never removed from a batch and never reordered. `len(text) = bytes_in + Σ edit.*` for every readable row.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

BASE = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("record_id", pa.string()),
        pa.field("text", pa.string(), nullable=False),
        pa.field("bytes_in", pa.int64(), nullable=False),
        pa.field("step", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("metadata", pa.string()),
    ]
)
EDIT = "edit."
QUARANTINE = "quarantine"
VERDICT = "quarantine.reason"  # of a column file: why a document that the reader found readable is quarantined
DOCUMENTS = "documents.parquet"  # of an annotated unit: its records, with all their columns
SUBJECT = "subject"  # the key in `metadata` of whom a document is about: a patient


def document_id(source: str, file: str, position: int) -> str:
    """32 hex digits naming the record at `position` of `file` (relative to the root of `source`)."""
    return xxhash.xxh3_128_hexdigest(f"{source}\0{file}\0{position}".encode())


@dataclass(frozen=True, slots=True)
class Document:
    """One input record as a reader sees it: a text, or the reason why there is none.

    `step`/`reason` are None for a readable document; ("quarantine", why) for a record that could not be read, and
    (step, why) for one dropped at reading, such as an empty text. `bytes_in` counts the payload before any edit.
    """

    source: str
    file: str
    position: int
    text: str
    bytes_in: int
    record_id: str | None = None
    metadata: str | None = None
    step: str | None = None
    reason: str | None = None
    edits: Mapping[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return document_id(self.source, self.file, self.position)


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a document: kept, dropped (with the step, the rule and the bound that did it) or quarantined."""

    fate: Literal["kept", "dropped", "quarantined"]
    step: str | None = None
    reason: str | None = None
    detail: str | None = None


class Batch:
    """A slice of one source, immutable; every method returns a new batch sharing the untouched columns."""

    def __init__(self, data: pa.RecordBatch) -> None:
        self.data = data
        self._memo: dict[str, Any] = {}

    @classmethod
    def of(cls, documents: list[Document], edit_kinds: tuple[str, ...] = ()) -> Self:
        """Build a batch; `edit_kinds` names the edit columns a reader may fill (0 where a document has none)."""
        columns: dict[str, Any] = {name: [getattr(document, name) for document in documents] for name in BASE.names}
        fields = list(BASE)
        for kind in edit_kinds:
            columns[EDIT + kind] = [document.edits.get(kind, 0) for document in documents]
            fields.append(pa.field(EDIT + kind, pa.int64()))
        schema = pa.schema(fields)
        return cls(pa.RecordBatch.from_pydict(columns, schema=schema))

    def __len__(self) -> int:
        return self.data.num_rows

    def __getitem__(self, column: str) -> pa.Array:
        return self.data.column(column)

    def __contains__(self, column: str) -> bool:
        return column in self.data.schema.names

    @property
    def text(self) -> pa.StringArray:
        return self.data.column("text")

    @property
    def readable(self) -> np.ndarray:
        """bool[rows]: the reader found a text and passed no verdict."""
        return np.asarray(pc.is_null(self.data.column("step")))

    def memo(self, name: str, compute: Any) -> Any:
        """`compute(self)`, once per batch: for what several steps share, such as the split into words."""
        if name not in self._memo:
            self._memo[name] = compute(self)
        return self._memo[name]

    def remembers(self, name: str) -> bool:
        """Whether `memo` has computed what goes by this name, or was given it."""
        return name in self._memo

    def with_columns(self, columns: Mapping[str, pa.Array]) -> "Batch":
        """Add or replace annotation columns; what was memoised of the text stays valid."""
        data = self.data
        for name, values in columns.items():
            data = _set_column(data, name, values)
        batch = Batch(data)
        batch._memo = self._memo
        return batch

    def with_text(self, text: pa.StringArray, edit: str) -> "Batch":
        """Replace the text; the change of bytes of each row is added to the column `edit.<edit>`."""
        if len(text) != len(self):
            raise ValueError(f"{edit}: {len(text)} texts for {len(self)} documents")
        delta = pc.subtract(_byte_length(text), _byte_length(self.text))
        name = EDIT + edit
        if name in self:
            delta = pc.add(delta, self[name])
        return Batch(_set_column(_set_column(self.data, "text", text), name, delta))

    def with_verdicts(self, rows: np.ndarray, step: str, reason: str) -> "Batch":
        """Drop the rows of the mask `rows` (bool[rows]) that have no verdict yet; they stay in the batch as rows."""
        mask = pa.array(np.asarray(rows, dtype=bool) & self.readable)
        data = _set_column(self.data, "step", pc.if_else(mask, step, self["step"]))
        batch = Batch(_set_column(data, "reason", pc.if_else(mask, reason, self["reason"])))
        batch._memo = self._memo
        return batch

    def quarantined(self, reason: str) -> "Batch":
        """The rows as if the reader had found them unreadable for `reason`: without text."""
        rows = len(self)
        data = _set_column(self.data, "text", pa.array([""] * rows, self.text.type))
        data = _set_column(data, "step", pa.array([QUARANTINE] * rows, pa.string()))
        return Batch(_set_column(data, "reason", pa.array([reason] * rows, pa.string())))

    @property
    def edit_kinds(self) -> list[str]:
        return [name.removeprefix(EDIT) for name in self.data.schema.names if name.startswith(EDIT)]

    def unbalanced(self) -> np.ndarray:
        """Indices of the readable rows whose text is not as long as `bytes_in` plus their edits say: must be empty."""
        expected = self["bytes_in"]
        for kind in self.edit_kinds:
            expected = pc.add(expected, pc.fill_null(self[EDIT + kind], 0))
        off = pc.not_equal(expected, _byte_length(self.text))
        return np.flatnonzero(np.asarray(off) & self.readable)


def utf8_buffers(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """(bytes uint8, offsets int64[rows + 1]) of a string array without nulls, slices included: what compiled loops
    read. Nothing is copied but the offsets."""
    _, offsets, data = text.buffers()
    width = np.int64 if pa.types.is_large_string(text.type) else np.int32
    bounds = np.frombuffer(offsets, width)[text.offset : text.offset + len(text) + 1] if len(text) else np.zeros(1)
    # Of no text an array like those of texts, which can be written to: kernels are compiled for each kind.
    return np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), bounds.astype(np.int64)


def _byte_length(text: pa.StringArray) -> pa.Array:
    return pc.cast(pc.binary_length(text), pa.int64())


def _set_column(data: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    index = data.schema.get_field_index(name)
    if index < 0:
        return data.append_column(pa.field(name, values.type), values)
    return data.set_column(index, data.schema.field(index).with_type(values.type), values)


def batches(
    documents: Iterator[Document], edit_kinds: tuple[str, ...] = (), *, rows: int = 1024, size: int = 2 << 20
) -> Iterator[Batch]:
    """Group documents into batches of at most `rows` documents and about `size` bytes of text (one large document
    makes a batch of its own). Boundaries depend on the documents only."""
    held: list[Document] = []
    weight = 0
    for document in documents:
        held.append(document)
        weight += document.bytes_in
        if len(held) >= rows or weight >= size:
            yield Batch.of(held, edit_kinds)
            held, weight = [], 0
    if held:
        yield Batch.of(held, edit_kinds)
