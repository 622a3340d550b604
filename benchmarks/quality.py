"""Word-based quality filters beside stock datatrove 0.10.1's, one process, one core, the same documents.

`python -m benchmarks.quality [megabytes]` prints the table of stages alone. The documents are prose of the shared
collection where it lies beside the checkout, else the topics and docstrings of Python's own documentation.
"""

import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from pydoc_data.topics import topics

import polars as pl
from datatrove.data import Document as StockDocument
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter

from benchmarks.measure import Asked, Row, interleaved
from benchmarks.shared import DATA
from corpus.decide import apply_rules
from corpus.document import Batch, Document, batches
from corpus.kernels.lines import split_lines
from corpus.kernels.repetition import line_measures, ngram_measures
from corpus.kernels.statistics import word_statistics
from corpus.kernels.words import split_words
from corpus.quality import (
    C4Rule,
    C4Settings,
    FineWebRule,
    FineWebSettings,
    GopherQualityRule,
    GopherRepetitionRule,
    QualitySettings,
)
from corpus.step import Step

PROSE = ("medical", "general", "eval")
MEGABYTES = 1.0
REPEATS = 3
STEPS = (QualitySettings(kind="quality"), C4Settings(kind="c4"), FineWebSettings(kind="fineweb"))
# Each family with the step that measures for it, in the order of `stock_filters`.
FAMILIES = {
    "Gopher repetition": (STEPS[0], GopherRepetitionRule(rule="gopher_repetition")),
    "Gopher quality": (STEPS[0], GopherQualityRule(rule="gopher_quality")),
    "C4": (STEPS[1], C4Rule(rule="c4")),
    "FineWeb": (STEPS[2], FineWebRule(rule="fineweb")),
}
RULES = [rule for _, settings in FAMILIES.values() for rule in settings.rules()]


def texts() -> Iterator[str]:
    """Prose, sources taking turns."""
    if DATA.is_dir():
        columns = []
        for path in sorted(file for folder in PROSE for file in (DATA / folder).glob("*.parquet")):
            if "text" in pl.read_parquet_schema(path):
                columns.append(pl.read_parquet(path, columns=["text"])["text"].drop_nulls())
        for turn in range(max(map(len, columns), default=0)):
            # Evenly through each source, not its head alone.
            yield from (column[turn * 7919 % len(column)] for column in columns)
        return
    yield from topics.values()
    for module in pkgutil.iter_modules():
        found = module.module_finder.find_spec(module.name, None)  # type: ignore[call-arg]
        if found is not None and found.origin and found.origin.endswith(".py"):
            yield Path(found.origin).read_text(encoding="utf-8", errors="replace")


def documents(megabytes: float) -> list[Document]:
    """Documents of 500 to 50,000 characters, about so many megabytes of them."""
    found: list[Document] = []
    size = 0
    for text in texts():
        if 500 <= len(text) <= 50_000:
            found.append(Document("prose", str(len(found)), 0, text, len(text.encode())))
            size += found[-1].bytes_in
        if size > megabytes * 1e6:
            break
    return found


def rows(megabytes: float = MEGABYTES) -> Iterator[Row]:
    """The four filters together, as two ways of running the stock ones, then each alone."""
    given = documents(megabytes)
    amount = sum(document.bytes_in for document in given) / 1e6
    columnar = [batch.data for batch in batches(iter(given))]
    line: list[Step] = [settings.build() for settings in STEPS]
    repetition, quality, c4, fineweb = stock_filters()

    def ours() -> None:
        for data in columnar:
            batch = Batch(data)
            for step in line:
                batch = step.process(batch)
            apply_rules(pl.DataFrame(pl.from_arrow(batch.data.drop_columns(["text", "metadata"]))), RULES)

    def alone(step: Step) -> Callable[[], None]:
        return lambda: [step.process(Batch(data)) for data in columnar] and None

    def measured(measure: Callable[[Batch], object]) -> Callable[[], None]:
        return lambda: [measure(Batch(data)) for data in columnar] and None

    def stock(*filters: BaseFilter) -> Callable[[], None]:
        """Every filter on every document; the words of one document are split once, by datatrove's cache."""

        def run() -> None:
            for document in given:
                theirs = StockDocument(text=document.text, id=document.file)
                for block in filters:
                    block.filter(theirs)

        return run

    def pipeline() -> None:
        """As datatrove runs it: what one filter drops the next does not see."""
        data: object = (StockDocument(text=document.text, id=document.file) for document in given)
        for block in (repetition, quality, c4, fineweb):
            data = block.run(data)
        for _ in data:  # type: ignore[attr-defined]
            pass

    ours_rate, every, dropping = interleaved(
        amount, ours, stock(repetition, quality, c4, fineweb), pipeline, repeats=REPEATS
    )
    work = "quality: Gopher quality and repetition, C4, FineWeb"
    yield Row(work, "MB/s", ours_rate, "datatrove's four filters, each on every document", every, (Asked(3, 50),))
    yield Row(work, "MB/s", ours_rate, "datatrove's four filters, a pipeline that drops", dropping)
    stages: tuple[tuple[str, Callable[[], None], BaseFilter], ...] = (
        ("Gopher quality", measured(lambda b: word_statistics(split_words(b.text))), quality),
        ("Gopher repetition", measured(_repetition), repetition),
        ("C4", alone(line[1]), c4),
        ("FineWeb", alone(line[2]), fineweb),
    )
    for name, work_of, block in stages:
        rates = interleaved(amount, work_of, stock(block), repeats=REPEATS)
        peer = f"datatrove {type(block).__name__}"
        yield Row(f"quality, alone with its split: {name}", "MB/s", rates[0], peer, rates[1])


def _repetition(batch: Batch) -> None:
    ngram_measures(split_words(batch.text))
    line_measures(split_lines(batch.text))


def stock_filters() -> tuple[BaseFilter, BaseFilter, BaseFilter, BaseFilter]:
    """In FineWeb's order; without Gopher's bounds on the number of words, which are the rule `length` here."""
    unbounded = GopherQualityFilter(min_doc_words=None, max_doc_words=None)
    return GopherRepetitionFilter(), unbounded, C4QualityFilter(), FineWebQualityFilter()


if __name__ == "__main__":
    for row in rows(float(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES):
        print(row, flush=True)
