"""What cuts and contamination change of a decision: the last word on documents that passed rules and duplicates."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
from pydantic import Field

from corpus.artifact import read_parquet
from corpus.cuts.overlay import LEFT, OVERLAY
from corpus.rules import Rule, at_least
from corpus.settings import Settings

STEP = "cuts"


class AfterCutsSettings(Settings):
    """Which documents are dropped for what cuts left of them. Other rules decide on the text before its cuts."""

    min_characters: int = Field(100, ge=1, description="of a document that was cut; a shorter rest is dropped")

    def rules(self) -> list[Rule]:
        return [at_least(STEP, "left too short after cuts", LEFT, self.min_characters)]


def left_characters(overlays: Sequence[Path]) -> pl.DataFrame:
    """id and characters left of the documents of one source that were cut, from its overlays' folders."""
    frames = [pl.DataFrame(schema={"id": pl.String, LEFT: pl.Int64})]
    for folder in overlays:
        frames.append(pl.DataFrame(pl.from_arrow(read_parquet(folder / OVERLAY, ["id", LEFT]))).drop_nulls())
    return pl.concat(frames)


def settle(decisions: pl.DataFrame, left: pl.DataFrame, drops: pa.Table, settings: AfterCutsSettings) -> pl.DataFrame:
    """The decisions with documents dropped for contamination, then for what is left of them; rows stay in order.

    decisions: one source, before cuts. left: see `left_characters`. drops: schema DROPS of corpus.decontaminate.
    """
    dropped = pl.DataFrame(pl.from_arrow(drops)).filter(pl.col("action") == "document")
    share = pl.max_horizontal("item_coverage", "document_coverage").round(3)
    dropped = dropped.unique("id", keep="first", maintain_order=True).select(
        "id",
        _reason=pl.format("overlaps {}", "set"),
        _detail=pl.format("{} shared with {}", share, "item"),
    )
    frame = decisions.join(dropped, on="id", how="left", maintain_order="left")
    frame = _drop(frame, pl.col("_reason").is_not_null(), "decontaminate", pl.col("_reason"), pl.col("_detail"))
    frame = frame.drop("_reason", "_detail").join(left, on="id", how="left", maintain_order="left")
    for rule in settings.rules():
        frame = _drop(frame, rule.fails.fill_null(False), rule.step, pl.lit(rule.reason), rule.detail)
    return frame.drop(LEFT)


def _drop(frame: pl.DataFrame, which: pl.Expr, step: str, reason: pl.Expr, detail: pl.Expr) -> pl.DataFrame:
    goes = which & (pl.col("fate") == "kept")
    return frame.with_columns(
        fate=pl.when(goes).then(pl.lit("dropped")).otherwise("fate"),
        step=pl.when(goes).then(pl.lit(step)).otherwise("step"),
        reason=pl.when(goes).then(reason).otherwise("reason"),
        detail=pl.when(goes).then(detail).otherwise("detail"),
        split=pl.when(goes).then(None).otherwise("split"),
    )
