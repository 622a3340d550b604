"""The ledger: one row per input record, and the law that it adds up.

    in = kept + dropped, by reason + quarantined        in documents, bytes and tokens
    bytes_out = bytes_in + Σ edits                       for every kept document

`check` asserts this against counts taken elsewhere (the reader's own count of records, the byte lengths of the text
column that is about to be published); a shard that does not add up is not committed. The ledger holds no text.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from corpus.artifact import read_parquet
from corpus.errors import ArtifactError


def entries(value: pa.DataType) -> pa.DataType:
    """A map as a list of (key, value): the one form that polars, DuckDB (`map_from_entries`) and datasets all read."""
    return pa.list_(pa.struct([pa.field("key", pa.string()), pa.field("value", value)]))


LEDGER = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("record_id", pa.string()),
        pa.field("split", pa.string()),  # "train" or "validation" for a kept document
        pa.field("fate", pa.string(), nullable=False),  # "kept", "dropped" or "quarantined"
        pa.field("step", pa.string()),  # the step that dropped it
        pa.field("reason", pa.string()),  # the rule of that step
        pa.field("detail", pa.string()),  # measured value and bound, such as "41 < 50"
        pa.field("bytes_in", pa.int64(), nullable=False),
        pa.field("bytes_out", pa.int64(), nullable=False),  # 0 unless kept
        pa.field("tokens_in", pa.int64()),  # tokens of the text as decided on; null where there is no text
        pa.field("tokens_out", pa.int64(), nullable=False),  # 0 unless kept
        pa.field("edits", entries(pa.int64())),  # signed bytes by kind of edit
        pa.field("pii", entries(pa.int32())),  # removed values by type
        pa.field("cluster", pa.string()),  # smallest id of its duplicate cluster; null when it is alone
        pa.field("duplicate_of", pa.string()),  # the keeper
        pa.field("duplicate_kind", pa.string()),  # "exact" or "near"
        pa.field("similarity", pa.float32()),  # measured Jaccard with the keeper
        pa.field("language", pa.string()),  # label as the model has it; null where none was identified
        pa.field("perplexity_bucket", pa.string()),  # "head", "middle" or "tail"; null where nothing was measured
    ]
)


@dataclass(frozen=True)
class Ledger:
    """The ledger of one shard, source or corpus, as a polars frame with the columns of `LEDGER`.

    `edits` and `pii` read as lists of {key, value} structs.
    """

    frame: pl.DataFrame

    @classmethod
    def read(cls, *paths: Path) -> "Ledger":
        tables = [read_parquet(path) for path in paths]
        table = pa.concat_tables(tables) if tables else LEDGER.empty_table()
        return cls(pl.DataFrame(pl.from_arrow(table)))

    def totals(self) -> dict[str, Any]:
        """Documents, bytes and tokens, in and by fate; drops by step and reason."""
        frame = self.frame
        totals: dict[str, Any] = {
            "documents_in": frame.height,
            "bytes_in": int(frame["bytes_in"].sum()),
            "tokens_in": int(frame["tokens_in"].sum() or 0),
        }
        for fate in ("kept", "dropped", "quarantined"):
            part = frame.filter(pl.col("fate") == fate)
            totals[fate] = {
                "documents": part.height,
                "bytes_in": int(part["bytes_in"].sum()),
                "bytes_out": int(part["bytes_out"].sum()),
                "tokens": int(part["tokens_in"].sum() or 0),
            }
        totals["reasons"] = [
            {"step": step, "reason": reason, "documents": documents, "bytes": bytes_in, "tokens": tokens or 0}
            for step, reason, documents, bytes_in, tokens in frame.filter(pl.col("fate") != "kept")
            .group_by("step", "reason")
            .agg(pl.len(), pl.col("bytes_in").sum(), pl.col("tokens_in").sum())
            .sort("step", "reason")
            .iter_rows()
        ]
        totals["edits"] = counts_by_key(frame.filter(pl.col("fate") == "kept"), "edits")
        totals["pii"] = counts_by_key(frame, "pii")
        return totals

    def check(
        self,
        *,
        where: object,
        records: int,
        text_bytes: int | None = None,
        text_tokens: int | None = None,
    ) -> None:
        """Raise ArtifactError unless the ledger adds up.

        records: input records by the reader's own count. text_bytes, text_tokens: sums over the kept text that is
        about to be published, measured on the text itself and not on the ledger.
        """
        frame = self.frame
        failures = []
        if frame.height != records:
            failures.append(f"{frame.height} rows for {records} input records")
        if frame["id"].n_unique() != frame.height:
            failures.append(f"{frame.height - frame['id'].n_unique()} repeated ids")
        kept = frame.filter(pl.col("fate") == "kept")
        rest = frame.filter(pl.col("fate") != "kept")
        edits = pl.col("edits").list.eval(pl.element().struct.field("value")).list.sum().fill_null(0)
        unexplained = kept.filter(pl.col("bytes_out") != pl.col("bytes_in") + edits)
        if unexplained.height:
            failures.append(f"{unexplained.height} kept documents whose change of bytes no edit explains")
        if rest.filter((pl.col("bytes_out") != 0) | (pl.col("tokens_out") != 0)).height:
            failures.append("documents that were not kept have output")
        if rest.filter(pl.col("reason").is_null()).height:
            failures.append("documents were dropped without a reason")
        if kept.filter(pl.col("tokens_out") != pl.col("tokens_in").fill_null(0)).height:
            failures.append("kept documents whose tokens in and out differ")
        if text_bytes is not None and kept["bytes_out"].sum() != text_bytes:
            failures.append(f"{kept['bytes_out'].sum()} bytes in the ledger, {text_bytes} in the text")
        if text_tokens is not None and kept["tokens_out"].sum() != text_tokens:
            failures.append(f"{kept['tokens_out'].sum()} tokens in the ledger, {text_tokens} in the text")
        if failures:
            raise ArtifactError(
                "the ledger does not add up; the shard is not committed",
                where=where,
                found="; ".join(failures),
                todo="this is a fault of a step, not of your data: report it with the recipe",
            )


def counts_by_key(frame: pl.DataFrame, column: str) -> dict[str, int]:
    """Sum a map column (`edits`, `pii`) by key."""
    if not frame.height:
        return {}
    flat = frame.select(pl.col(column)).explode(column).unnest(column).drop_nulls()
    summed = flat.group_by("key").agg(pl.col("value").cast(pl.Int64).sum()).sort("key")
    return dict(summed.iter_rows())
