"""cc_net's head, middle and tail (Wenzek et al. 2020): how near a document is to what its language model knows.

    perplexity of the documents of a language, ascending
    ├── head ──┤├── middle ──┤├──────── tail ────────┤
    0         30%           60%                    100%

The bucket of every measured document is stored with its decision. Percentiles are over all measured documents, whether
rules drop them or not: no rule moves another's bound, and neither do the order and the number of workers.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl
from pydantic import Field, model_validator

from corpus.settings import Settings

Bucket = Literal["head", "middle", "tail"]
VALUE = "perplexity.value"
LANGUAGE = "language.label"
BUCKET = "perplexity_bucket"
HEAD_END, MIDDLE_END = "perplexity_head_end", "perplexity_middle_end"  # the bounds of a row's bucket; never stored
MEASURED = (VALUE, LANGUAGE)


class BucketSettings(Settings):
    """Where head ends and tail starts: shares of the documents, or perplexities."""

    by: Literal["percentile", "value"] = Field(
        "percentile",
        description="what `head` and `middle` are: shares of the documents, which fit any model, or perplexities",
    )
    head: float = Field(0.3, gt=0, description="head: up to this percentile or perplexity")
    middle: float = Field(0.6, gt=0, description="middle: above head and up to this; tail: above")
    per_language: bool = Field(True, description="percentiles of each language on its own")
    by_language: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="head and middle of a language, by label as the model has it"
    )
    over: Literal["source", "corpus"] = Field(
        "source", description="percentiles over the documents of a source, or of all sources measured by the same model"
    )

    @model_validator(mode="after")
    def _in_order(self) -> "BucketSettings":
        for head, middle in ((self.head, self.middle), *self.by_language.values()):
            if head <= 0:
                raise ValueError("head ends above 0")
            if head > middle:
                raise ValueError("head ends above middle")
            if self.by == "percentile" and middle > 1:
                raise ValueError("a percentile is between 0 and 1")
        if self.by_language and not self.per_language:
            raise ValueError("by_language needs per_language")
        return self

    def bounds(self, pool: pl.DataFrame) -> pl.DataFrame:
        """language → the perplexities where head and middle end, over the documents `pool` (columns MEASURED).

        Linear between neighbours, as numpy's default. A language with no measured document has no row.
        """
        rows = []
        measured = pool.select(_language(self), pl.col(VALUE).cast(pl.Float64)).drop_nulls(VALUE)
        for (language,), part in measured.group_by("language"):
            ends = self.by_language.get(str(language), (self.head, self.middle))
            found = [part[VALUE].quantile(end, "linear") for end in ends] if self.by == "percentile" else ends
            rows.append((language, *found))
        schema = {"language": pl.String, HEAD_END: pl.Float64, MIDDLE_END: pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row")


def with_buckets(frame: pl.DataFrame, bounds: pl.DataFrame, settings: BucketSettings) -> pl.DataFrame:
    """Adds perplexity_bucket (head, middle or tail; null where nothing was measured) and the bounds that made it.

    frame: documents of one source, with the columns MEASURED. bounds: of the settings, over the documents that
    percentiles are taken over.
    """
    found = frame.select(_language(settings), pl.col(VALUE).cast(pl.Float64)).join(
        bounds, on="language", how="left", nulls_equal=True, maintain_order="left"
    )
    value = pl.col(VALUE)
    bucket = (
        pl.when(value <= pl.col(HEAD_END))
        .then(pl.lit("head"))
        .when(value <= pl.col(MIDDLE_END))
        .then(pl.lit("middle"))
        .when(value > pl.col(MIDDLE_END))
        .then(pl.lit("tail"))
        .otherwise(pl.lit(None, pl.String))
    )
    return frame.with_columns(found.select(bucket.alias(BUCKET), HEAD_END, MIDDLE_END))


def pooled(
    measured: Mapping[str, pl.DataFrame], model: Mapping[str, object], settings: BucketSettings, source: str
) -> pl.DataFrame:
    """The documents that the percentiles of `source` are taken over. `measured`: columns MEASURED by source; `model`:
    what each source is measured by, for perplexities under two models cannot be compared."""
    if settings.over == "source":
        return measured[source]
    same: Sequence[pl.DataFrame] = [frame for name, frame in measured.items() if model[name] == model[source]]
    return pl.concat([frame.select(pl.col(VALUE).cast(pl.Float32), pl.col(LANGUAGE).cast(pl.String)) for frame in same])


def _language(settings: BucketSettings) -> pl.Expr:
    label = pl.col(LANGUAGE).cast(pl.String) if settings.per_language else pl.lit(None, pl.String)
    return label.alias("language")
