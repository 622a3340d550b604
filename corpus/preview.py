"""A preview: a sample of each source through the recipe's steps and rules, with nothing written.

    files in an order drawn by the seed ─ read up to a budget ─ N documents drawn ─ steps ─ rules, each on its own

The documents are drawn evenly from what was read: all of a source that fits the budget, else some whole files of it and
the beginning of one more. What looks across documents (duplicates, repeated lines, contamination, a language model that
is still to be learned) is not previewed.

The forecast of tokens: documents per byte of input, times the mean of kept tokens per document, times the bytes of all
input files. Its 95% interval is that of the drawn documents (normal, finite population); where files were left unread,
what differs between files is not in it.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import sqrt
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import xxhash

from corpus.annotate import SourceLine, conform
from corpus.decide import apply_rules
from corpus.document import Document, batches
from corpus.perplexity import MEASURED, with_buckets
from corpus.readers import InputFile, Tally
from corpus.readers.files import DamagedError, decompressed
from corpus.recipe import CorpusSettings, SourceSettings, source_line
from corpus.rules import Rule
from corpus.step import Step

READ_BYTES = 64 << 20  # decompressed bytes of a source that are read for its sample, at the most
READ_PER_DOCUMENT = 50  # and records, per document of the sample
RATE_BYTES = 8 << 20  # decompressed, to learn how far a file is compressed
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
class Forecast:
    """Kept documents and tokens of a whole source, with the half-width of the 95% interval of the tokens."""

    documents: float
    tokens: float
    margin: float
    read_share: float  # of the bytes of all input files


@dataclass(frozen=True)
class SourcePreview:
    """One source: documents in the sample, of those kept, and what each rule and each step would drop."""

    name: str
    sampled: int
    kept: int
    rules: tuple[RulePreview, ...]
    forecast: Forecast
    unread_perplexity: bool = False  # its language model is still to be learned


@dataclass
class _Sample:
    """The documents drawn, and what was read to draw them."""

    documents: list[Document] = field(default_factory=list)
    records: int = 0
    read_bytes: float = 0.0  # of the files as they lie
    all_bytes: int = 0


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
    sample = _draw(line, documents, seed)
    rules = settings.decisions_of(source)
    frame = _measured(line, sample.documents)
    missing = set(MEASURED).union(*(rule.columns() for rule in rules)) - set(frame.columns)
    frame = frame.with_columns(pl.lit(None).alias(name) for name in sorted(missing))
    frame = with_buckets(frame, frame, settings.buckets_of(source))
    decided = apply_rules(frame, rules)
    kept = decided["fate"] == "kept"
    return SourcePreview(
        name=source.name,
        sampled=len(sample.documents),
        kept=int(kept.sum()),
        rules=tuple(_previews(frame, decided, rules, examples, show_text)),
        forecast=_forecast(sample, np.where(kept, frame["token_count"].fill_null(0), 0), np.asarray(kept)),
        unread_perplexity=source.perplexity is not None and perplexity is None,
    )


def _draw(line: SourceLine, count: int, seed: int) -> _Sample:
    """`count` documents drawn evenly (reservoir sampling) from what the budget allows to read, in order of file."""
    files = line.reader.files()
    line.reader.check(files)
    files.sort(key=lambda file: xxhash.xxh3_64_intdigest(f"{seed}\0{line.name}\0{file.path}".encode()))
    sample = _Sample(all_bytes=sum(file.bytes for file in files))
    random, tally = Random(f"{seed} {line.name}"), Tally()
    for file in files:
        before = tally.bytes
        whole = True
        for document in line.reader.read(file, tally):
            sample.records += 1
            if len(sample.documents) < count:
                sample.documents.append(document)
            elif (place := random.randrange(sample.records)) < count:
                sample.documents[place] = document
            if tally.bytes >= READ_BYTES or sample.records >= READ_PER_DOCUMENT * count:
                whole = False
                break
        sample.read_bytes += file.bytes if whole else min(file.bytes, _stored(line, file, tally.bytes - before))
        if not whole:
            break
    sample.documents.sort(key=lambda document: (document.file, document.position))
    return sample


def _stored(line: SourceLine, file: InputFile, read: int) -> float:
    """Bytes of a file as it lies that `read` bytes of its records stand for, at the rate of its first megabytes."""
    root = line.reader.root
    with root.stored(file) as stored:
        stream, out = decompressed(stored, file.path, RATE_BYTES), 0
        with contextlib.suppress(DamagedError):  # also raised at the limit
            while piece := stream.read(1 << 20):
                out += len(piece)
                if out >= RATE_BYTES:
                    break
        return read * stored.tell() / max(out, 1)


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


def _forecast(sample: _Sample, tokens: np.ndarray, kept: np.ndarray) -> Forecast:
    n = len(tokens)
    if not n or not sample.read_bytes:
        return Forecast(0.0, 0.0, 0.0, 1.0)
    share = sample.read_bytes / sample.all_bytes
    records = sample.records / share
    spread = float(tokens.std(ddof=1)) if n > 1 else float(tokens.mean())
    unseen = sqrt(max(0.0, 1 - n / records))
    return Forecast(
        documents=records * float(kept.mean()),
        tokens=records * float(tokens.mean()),
        margin=1.96 * records * spread / sqrt(n) * unseen,
        read_share=share,
    )
