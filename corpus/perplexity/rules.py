"""Decisions on perplexity: bounds, percentiles, and buckets (head, middle, tail; see corpus/perplexity/buckets.py).

Percentiles are over the measured documents of a source, or of a language within it, whether other rules drop them or
not: so no rule moves another's bound.
"""

from collections.abc import Mapping
from typing import Literal

import polars as pl
from pydantic import Field, model_validator

from corpus.perplexity.buckets import BUCKET, HEAD_END, LANGUAGE, MIDDLE_END, VALUE, Bucket
from corpus.rules import Rule, at_least, at_most, shown
from corpus.settings import Settings


def percentile(share: float, per_language: bool) -> pl.Expr:
    """The perplexity that `share` of a source's (or of its languages') measured documents have at most; linear between
    neighbours."""
    found = pl.col(VALUE).quantile(share, interpolation="linear")
    return found.over(pl.col(LANGUAGE).cast(pl.String)) if per_language else found


class PerplexityRule(Settings):
    """Drop documents above or below a bound, absolute or by percentile of their source, or outside of some buckets.
    All that is stated holds: a document must pass each."""

    rule: Literal["perplexity"]
    max: float | None = Field(
        None,
        gt=1,
        description="largest perplexity; its scale is the model's, so look at a sample first (`corpus preview`)",
    )
    min: float | None = Field(
        None, ge=1, description="least perplexity: below it text is mostly boilerplate that the model knows by heart"
    )
    max_percentile: float | None = Field(None, gt=0, le=1, description="the share of a source with the lowest stays")
    min_percentile: float | None = Field(None, ge=0, lt=1, description="the share with the lowest goes")
    per_language: bool = Field(False, description="percentiles of each language of a source on its own")
    max_by_language: Mapping[str, float] = Field(
        default_factory=dict, description="max by label as the model has it, in place of `max`"
    )
    keep: tuple[Bucket, ...] | None = Field(None, min_length=1, description="of head, middle and tail, which stay")

    @model_validator(mode="after")
    def _some_bound(self) -> "PerplexityRule":
        bounds = (self.max, self.min, self.max_percentile, self.min_percentile, self.keep, self.max_by_language or None)
        if all(bound is None for bound in bounds):
            raise ValueError("state max, min or max_percentile, or which buckets to keep")
        return self

    def rules(self) -> list[Rule]:
        stated = []
        if self.max_by_language:
            stated.append(self._high_in_language())
        elif self.max is not None:
            stated.append(at_most("perplexity", "high perplexity", VALUE, self.max))
        if self.min is not None:
            stated.append(at_least("perplexity", "low perplexity", VALUE, self.min))
        value = pl.col(VALUE)
        if self.max_percentile is not None:
            bound = percentile(self.max_percentile, self.per_language)
            detail = pl.format("{} > {} (percentile {})", shown(value), shown(bound), pl.lit(self.max_percentile))
            stated.append(Rule("perplexity", "perplexity percentile", value > bound, detail))
        if self.min_percentile is not None:
            bound = percentile(self.min_percentile, self.per_language)
            detail = pl.format("{} < {} (percentile {})", shown(value), shown(bound), pl.lit(self.min_percentile))
            stated.append(Rule("perplexity", "low perplexity percentile", value < bound, detail))
        if self.keep is not None:
            stated += [self._outside(bucket) for bucket in ("head", "middle", "tail") if bucket not in self.keep]
        return stated

    def _high_in_language(self) -> Rule:
        label, value = pl.col(LANGUAGE).cast(pl.String), pl.col(VALUE)
        bound = label.replace_strict(dict(self.max_by_language), default=self.max, return_dtype=pl.Float64)
        detail = pl.format("{} > {} ({})", shown(value), shown(bound), label)
        return Rule("perplexity", "high perplexity", value > bound, detail)

    def _outside(self, bucket: str) -> Rule:
        head, middle = shown(pl.col(HEAD_END)), shown(pl.col(MIDDLE_END))
        bound = {"head": pl.format("≤ {}", head), "tail": pl.format("> {}", middle)}.get(
            bucket, pl.format("in ({}, {}]", head, middle)
        )
        detail = pl.format("{} {}", shown(pl.col(VALUE)), bound)
        return Rule("perplexity", f"perplexity {bucket}", pl.col(BUCKET) == bucket, detail)
