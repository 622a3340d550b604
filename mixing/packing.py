"""Packing: how the documents of a store become training sequences of equal length, an offline transform per source.

    concatenate   documents one after another, cut every S tokens: no padding, but documents are cut wherever that falls
    best_fit      a document is cut only when longer than S; the rest is put together with the least padding
    bucketed      as best_fit, but documents of like length share a sequence: more padding, even attention cost

Concatenation without quality weights follows from the store's length alone and needs no files; every other packing is
published once, as a list of pieces that point into the store (24 bytes each; the tokens are not copied):

    rows.i64          int64[sequences + 1]: first piece of each sequence
    pieces.i64        int64[pieces, 3]: document, first token in the store, tokens
    by_document.i64   int64[pieces]: the pieces sorted by document, for the way from a document to its steps
    manifest.json     what it is a function of; totals: the report

Boundaries of documents are kept by all three: attention and positions never cross them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from pydantic import Field

from corpus.artifact import RunLock, content_hash, current, publish
from corpus.errors import ConfigError, DataError
from corpus.settings import Settings
from corpus.tokens.store import TokenStore
from mixing.sequences import PACKING, Sequences
from mixing.weights import copies, order_of, read_weights

Method = Literal["concatenate", "best_fit", "bucketed"]
FORMAT = "provender.packing/1"  # of the files and of what the methods do


class PackingSettings(Settings):
    """How a source is cut into sequences, and how often each of its documents comes."""

    method: Method = Field(
        default="concatenate",
        description="concatenate: no padding; best_fit: cut only what is longer than a sequence; bucketed: by length",
    )
    weights: Path | None = Field(
        default=None, description="parquet file (or pattern) with a quality weight of each document: copies per epoch"
    )
    weight_column: str = Field(default="weight", description="the column of `weights` that holds them, beside id")

    def identity(self) -> dict[str, Any]:
        """The weights go by their content."""
        plain = super().identity()
        if self.weights is not None:
            plain["weights"] = [content_hash(path) for path in _files(self.weights)]
        return plain

    @property
    def plain(self) -> bool:
        """Whether the chunks of the bare store are meant: there is nothing to compute."""
        return self.method == "concatenate" and self.weights is None


def _files(pattern: Path) -> list[Path]:
    """The files that hold weights. Raises ConfigError when there is none."""
    if pattern.is_dir():
        found = sorted(pattern.rglob("*.parquet"))
    else:
        found = [path for path in sorted(pattern.parent.glob(pattern.name)) if path.is_file()]
    if not found:
        raise ConfigError("there is no file of quality weights", where=pattern, todo="give a parquet file or a pattern")
    return found


def pack(
    store: TokenStore,
    settings: PackingSettings,
    sequence_length: int,
    folder: Path,
    *,
    source: str,
    seed: int = 0,
    lock: RunLock | None = None,
) -> Sequences:
    """Cut a store into sequences; what is to be kept is published in `folder`, or found there when nothing changed.

    Raises DataError when there is no sequence, or a document has no weight. Memory: some 60 bytes a document.
    """
    if settings.plain:
        return Sequences(store, sequence_length)
    function = {
        "format": FORMAT,
        "store": store.manifest.fingerprint,
        "sequence_length": sequence_length,
        "packing": settings.identity(),
    } | ({"source": source, "seed": seed} if settings.weights is not None else {})
    if current(folder, function) is None:
        store.verify()  # a packing of ends that were damaged would outlive the damage
        packed = arrange(store, settings, sequence_length, source, seed)
        if len(packed.rows) == 1:
            raise DataError(
                f"the documents of {source} do not fill a sequence of {sequence_length} tokens",
                where=store.folder,
                found=f"{store.tokens:,} tokens",
                todo="lower sequence_length, or pack by best_fit",
            )
        with publish(folder, kind=PACKING, function=function, lock=lock) as draft:
            by_document = np.argsort(packed.pieces[:, 0], kind="stable")
            for name, array in {"rows": packed.rows, "pieces": packed.pieces, "by_document": by_document}.items():
                array.astype("<i8", copy=False).tofile(draft.path / f"{name}.i64")
            draft.totals |= report(packed, store, sequence_length)
    return Sequences.open(store, folder)


@dataclass(frozen=True)
class Arranged:
    """`rows` and `pieces` as `Sequences.layout` has them, and the documents (copies) and tokens there were to place."""

    rows: np.ndarray
    pieces: np.ndarray
    documents: int
    tokens: int


def arrange(store: TokenStore, settings: PackingSettings, sequence_length: int, source: str, seed: int) -> Arranged:
    """The pieces of a packing, also of plain concatenation, in memory."""
    ends = np.asarray(store.ends)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    lengths, order = ends - starts, None
    if settings.weights is not None:
        ids = store.documents["id"].to_pylist()
        order = order_of(
            copies(read_weights(_files(settings.weights), settings.weight_column, ids, source), seed, source)
        )
        lengths = lengths[order]
    from mixing import bins  # compiled loops, which whoever only reads a plan does not load

    methods = {"concatenate": bins.chunked, "best_fit": bins.best_fit, "bucketed": bins.bucketed}
    rows, pieces = methods[settings.method](lengths, sequence_length)
    if order is not None:
        pieces[:, 0] = order[pieces[:, 0]]
    pieces[:, 1] += starts[pieces[:, 0]]
    return Arranged(rows, pieces, len(lengths), int(lengths.sum()))


def report(packed: Arranged, store: TokenStore, sequence_length: int) -> dict[str, Any]:
    """What a packing does to the documents, per epoch.

    `tokens` of the stream (copies included), `tail_tokens` of them in no sequence, `truncated` documents (copies) whose
    end is not in the sequence of their beginning, `cut_tokens` that do not see the beginning of their document,
    `padding_tokens`: places without a token.
    """
    document, start, size = packed.pieces.T
    ends = np.asarray(store.ends)
    begins = start == np.concatenate([[0], ends[:-1]])[document]
    finishes = start + size == ends[document]
    sequences, placed = len(packed.rows) - 1, int(size.sum())
    return {
        "sequences": sequences,
        "tokens": packed.tokens,
        "tail_tokens": packed.tokens - placed,
        "documents": packed.documents,
        "truncated": int((begins & ~finishes).sum()),
        "cut_tokens": int(size[~begins].sum()),
        "padding_tokens": sequences * sequence_length - placed,
    }


def compare(store: TokenStore, sequence_length: int) -> pl.DataFrame:
    """The report of each method on a store, one row each, with the shares to choose by: truncated documents, cut tokens
    and padding."""
    rows = []
    for method in get_args(Method):
        settings = PackingSettings.model_validate({"method": method})
        entry = report(arrange(store, settings, sequence_length, "", 0), store, sequence_length)
        places = entry["sequences"] * sequence_length
        rows.append(
            {"method": method, "sequences": entry["sequences"]}
            | {"truncated": entry["truncated"], "truncated_share": entry["truncated"] / max(entry["documents"], 1)}
            | {"cut_tokens": entry["cut_tokens"], "cut_share": entry["cut_tokens"] / max(store.tokens, 1)}
            | {"padding_tokens": entry["padding_tokens"], "padding_share": entry["padding_tokens"] / max(places, 1)}
            | {"tail_tokens": entry["tail_tokens"]}
        )
    return pl.DataFrame(rows)
