"""A store as training sequences: what the plan, the loader and the lookups ask of it, whatever packed it.

`Sequences` are either the chunks of the store's stream, which follow from its length alone, or the rows of a packing
that mixing/packing.py has published. Both say how many sequences an epoch has, which pieces of documents a sequence
holds and which sequences hold a document.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from corpus.artifact import Manifest
from corpus.errors import ArtifactError
from corpus.mapping import map_file
from corpus.tokens.store import TokenizerIdentity, TokenStore, same_tokenizer

PACKING = "mixing.packing"


@dataclass(frozen=True)
class Piece:
    """`size` tokens of a document at `place` of a sequence; `start` is the first one's place in the store."""

    place: int
    size: int
    document: int
    start: int


@dataclass(frozen=True)
class Stretch:
    """Where a part of a document lies: `size` tokens at `place` of `sequence`."""

    sequence: int
    place: int
    size: int


@dataclass(frozen=True)
class Sequences:
    """A store cut into sequences; `folder` is that of a published packing, None for concatenate-and-chunk."""

    store: TokenStore
    sequence_length: int
    folder: Path | None = None

    @classmethod
    def of(cls, entry: "TokenStore | Sequences", sequence_length: int) -> "Sequences":
        """A bare store is chunked. Raises ArtifactError when a packing is of another sequence length."""
        if isinstance(entry, TokenStore):
            return cls(entry, sequence_length)
        if entry.sequence_length != sequence_length:
            raise ArtifactError(
                "a source was packed for another sequence length",
                where=entry.folder,
                found=f"{entry.sequence_length}, the mixture has {sequence_length}",
                todo="pack it again: `provender mix`",
            )
        return entry

    @classmethod
    def open(cls, store: TokenStore, folder: Path) -> "Sequences":
        """A published packing. Raises ArtifactError when it is absent, damaged or of another store."""
        found = Manifest.read(folder)
        if found.kind != PACKING or found.function.get("store") != store.manifest.fingerprint:
            raise ArtifactError(
                "this is no packing of the token store",
                where=folder,
                found=found.kind
                if found.kind != PACKING
                else f"a packing of store {str(found.function.get('store'))[:12]}",
                todo="pack the source again: `provender mix`",
            )
        return cls(store, int(found.function["sequence_length"]), Path(folder))

    def verify(self) -> None:
        """Hash the files of the store and of the packing. Raises ArtifactError at the first that differs."""
        self.store.verify()
        if self._manifest is not None and self.folder is not None:
            self._manifest.verify(self.folder)
            if not self._holds_together():
                raise ArtifactError(
                    "the packing does not fit its store", where=self.folder, todo="pack it again: `provender mix`"
                )

    def _holds_together(self) -> bool:
        """Whether every row is of pieces that are there, and every piece of tokens that are: a hash says only that the
        files are those of the manifest, whoever wrote it."""
        assert self.folder is not None
        sizes = {name: (self.folder / f"{name}.i64").stat().st_size for name in ("rows", "pieces", "by_document")}
        if sizes["rows"] % 8 or sizes["pieces"] % 24 or sizes["by_document"] * 3 != sizes["pieces"]:
            return False
        assert self.layout is not None
        rows, pieces = self.layout
        document, start, size = pieces.T
        return bool(
            len(rows) == self.sequences + 1
            and rows[0] == 0
            and rows[-1] == len(pieces)
            and (np.diff(rows) >= 0).all()
            and (size > 0).all()
            and (start >= 0).all()
            and (start + size <= self.store.tokens).all()
            and (document >= 0).all()
            and (document < self.store.document_count).all()
            and (self._by_document >= 0).all()
            and (self._by_document < len(pieces)).all()
        )

    @cached_property
    def _manifest(self) -> Manifest | None:
        return None if self.folder is None else Manifest.read(self.folder)

    @property
    def fingerprint(self) -> str:
        """Of the packing, or of the bare store: what a plan records."""
        return (self._manifest or self.store.manifest).fingerprint

    @property
    def tokens(self) -> int:
        """Tokens of one epoch's stream: with quality weights, copies included."""
        return self.store.tokens if self._manifest is None else int(self._manifest.totals["tokens"])

    @property
    def sequences(self) -> int:
        """Sequences of one epoch."""
        if self._manifest is None:
            return self.store.tokens // self.sequence_length
        return int(self._manifest.totals["sequences"])

    @property
    def padding_tokens(self) -> int:
        """Places of one epoch's sequences that hold no token."""
        return 0 if self._manifest is None else int(self._manifest.totals["padding_tokens"])

    @cached_property
    def layout(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Memory maps: `rows` int64[sequences + 1], the first piece of each, and `pieces` int64[pieces, 3]: document,
        first token in the store, tokens. None for chunks."""
        if self.folder is None:
            return None
        rows, flat = self._map("rows.i64"), self._map("pieces.i64")
        return rows, flat.reshape(-1, 3)

    def _map(self, name: str) -> np.ndarray:
        assert self.folder is not None
        return map_file(self.folder / name, "<i8")

    @cached_property
    def _by_document(self) -> np.ndarray:
        return self._map("by_document.i64")

    def filled(self, sequences: np.ndarray) -> np.ndarray:
        """int64[k]: the tokens of sequences int64[k], without padding."""
        if self.layout is None:
            return np.full(len(sequences), self.sequence_length, np.int64)
        rows, pieces = self.layout
        until = np.concatenate([[0], np.cumsum(pieces[:, 2])])
        return until[rows[sequences + 1]] - until[rows[sequences]]

    def pieces(self, sequence: int) -> list[Piece]:
        """The pieces of a sequence in order; what they leave free at its end is padding."""
        if self.layout is None:
            return self._chunk(sequence)
        rows, pieces = self.layout
        found, place = [], 0
        for document, start, size in pieces[rows[sequence] : rows[sequence + 1]].tolist():
            found.append(Piece(place, size, document, start))
            place += size
        return found

    def _chunk(self, sequence: int) -> list[Piece]:
        first, last = sequence * self.sequence_length, (sequence + 1) * self.sequence_length
        low, high = self.store.documents_at(np.array([first, last - 1])).tolist()
        found = []
        for document in range(low, high + 1):
            start, stop = self.store.span_of(document)
            start, stop = max(start, first), min(stop, last)
            if start < stop:
                found.append(Piece(start - first, stop - start, document, start))
        return found

    def stretches(self, document: int) -> list[Stretch]:
        """Every part of a document in one epoch, in order; none when it lies in the tail or has no copy."""
        if self.layout is None:
            first, last = self.store.span_of(document)
            length = self.sequence_length
            within = range(first // length, min(-(-last // length), self.sequences)) if last > first else ()
            bounds = [(q, max(first, q * length), min(last, (q + 1) * length)) for q in within]
            return [Stretch(q, start - q * length, stop - start) for q, start, stop in bounds]
        rows, pieces = self.layout
        order = self._by_document
        found = []
        for k in range(bisect_left(order, document, key=lambda piece: pieces[piece, 0]), len(order)):
            piece = int(order[k])
            if pieces[piece, 0] != document:
                break
            row = int(np.searchsorted(rows, piece, side="right")) - 1
            found.append(Stretch(row, int(pieces[rows[row] : piece, 2].sum()), int(pieces[piece, 2])))
        return found


def of_one_tokenizer(sequences: Iterable[Sequences]) -> TokenizerIdentity:
    """The tokenizer of all. Raises ArtifactError when they differ."""
    return same_tokenizer(entry.store for entry in sequences)


Stores = Mapping[str, TokenStore | Sequences]
