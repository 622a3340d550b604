"""A preview: a sample of each source through the recipe's steps and rules, with nothing written.

    several files read up to a budget ─ N documents drawn ─ steps ─ rules, each on its own ─ a forecast of tokens

The documents are drawn evenly from what was read (corpus/sample.py). What looks across documents (duplicates, repeated
lines, contamination, a language model that is still to be learned) is not previewed, nor is it in the forecast
(corpus/forecast.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from corpus.annotate import SourceLine, conform
from corpus.decide import apply_rules
from corpus.document import Document, batches
from corpus.forecast import FileSample, Forecast, forecast
from corpus.perplexity import MEASURED, with_buckets
from corpus.recipe import CorpusSettings, SourceSettings, source_line
from corpus.rules import Rule
from corpus.sample import Sample, draw, share_read
from corpus.step import Step

SNIPPET = 160  # characters of an example


@dataclass(frozen=True)
class Example:
    """A document that a rule would drop. `text` is its beginning after the steps, null where it must not be shown."""

    file: str
    position: int
    detail: str | None
    text: str | None


@dataclass(frozen=True)
class RulePreview:
    """What one rule would drop of a sample: documents for which it is the first to fail, for which it fails at all,
    and for which nothing else does."""

    step: str
    reason: str
    first: int
    fails: int
    alone: int
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class SourcePreview:
    """One source: documents in the sample, of those kept, and what each rule and each step would drop."""

    name: str
    sampled: int
    kept: int
    rules: tuple[RulePreview, ...]
    forecast: Forecast
    unread_perplexity: bool = False  # its language model is still to be learned


def preview_source(
    settings: CorpusSettings,
    source: SourceSettings,
    counting: Step,
    perplexity: Step | None,
    *,
    documents: int,
    examples: int,
    seed: int,
    show_text: bool,
) -> SourcePreview:
    """Preview one source on `documents` drawn documents. `counting` measures tokens; `perplexity` is null where its
    model is not there yet. Raises DataError when the source has no files."""
    ends = [counting] if perplexity is None else [counting, perplexity]
    line = source_line(settings, source, ends)
    sample = draw(line, documents, seed)
    rules = settings.decisions_of(source)
    frame = _measured(line, [document for document, _ in sample.drawn])
    missing = set(MEASURED).union(*(rule.columns() for rule in rules)) - set(frame.columns)
    frame = frame.with_columns(pl.lit(None).alias(name) for name in sorted(missing))
    buckets = settings.buckets_of(source)
    frame = with_buckets(frame, buckets.bounds(frame), buckets)
    decided = apply_rules(frame, rules)
    kept = decided["fate"] == "kept"
    return SourcePreview(
        name=source.name,
        sampled=len(sample.drawn),
        kept=int(kept.sum()),
        rules=tuple(_previews(frame, decided, rules, examples, show_text)),
        forecast=_forecast(line, sample, np.where(kept, frame["token_count"].fill_null(0), 0), np.asarray(kept)),
        unread_perplexity=source.perplexity is not None and perplexity is None,
    )


def _measured(line: SourceLine, documents: Sequence[Document]) -> pl.DataFrame:
    """The drawn documents with their columns after all steps, `text` included."""
    data: Any = batches(iter(documents))
    for step in line.steps:
        data = step.run(data)
    schema = line.schema()
    tables = [pa.Table.from_batches([conform(batch, schema, line.name)]) for batch in data]
    return pl.DataFrame(pl.from_arrow(pa.concat_tables([schema.empty_table(), *tables])))


def _previews(
    frame: pl.DataFrame, decided: pl.DataFrame, rules: list[Rule], examples: int, show_text: bool
) -> Iterator[RulePreview]:
    """What the reader and the steps dropped, then the rules in their order."""
    readable = frame["step"].is_null()
    for (step, reason), part in decided.filter(~readable).group_by(["step", "reason"], maintain_order=True):
        yield RulePreview(str(step), str(reason), len(part), len(part), len(part))
    fails = [frame.select(f=rule.fails.fill_null(False))["f"] & readable for rule in rules]
    failing = sum((mask.cast(pl.Int32) for mask in fails), pl.repeat(0, len(frame), dtype=pl.Int32, eager=True))
    details = [frame.select(pl.col("id"), d=rule.detail.cast(pl.String))["d"] for rule in rules]
    gone = pl.repeat(False, len(frame), dtype=pl.Boolean, eager=True)
    for rule, mask, detail in zip(rules, fails, details, strict=True):
        rows = mask.arg_true().to_list()[:examples]
        texts = [" ".join(frame["text"][row][: 2 * SNIPPET].split())[:SNIPPET] if show_text else None for row in rows]
        yield RulePreview(
            rule.step,
            rule.reason,
            first=int((mask & ~gone).sum()),
            fails=int(mask.sum()),
            alone=int((mask & (failing == 1)).sum()),
            examples=tuple(
                Example(frame["file"][row], frame["position"][row], detail[row], text)
                for row, text in zip(rows, texts, strict=True)
            ),
        )
        gone |= mask


def _forecast(line: SourceLine, sample: Sample, tokens: np.ndarray, kept: np.ndarray) -> Forecast:
    places = np.array([place for _, place in sample.drawn], np.int64)
    parts = [
        FileSample(own.file.bytes, share_read(line, own), own.records, tokens[places == place], kept[places == place])
        for place, own in enumerate(sample.read)
    ]
    return forecast(parts, sample.files, sample.all_bytes)
