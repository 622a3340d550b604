"""The whole line beside stock datatrove 0.10.1: HTML → text, repair, language, quality, perplexity, tokens, parquet.

    python -m benchmarks.line [megabytes]       ratio, stage table, memory at 1× and 10×, two workers

Each measurement is a process of its own, pinned to one core (two for two workers), warmed on a few pages, timed on the
same pages. Ours is `Preparation` as `provender corpus` runs it, with ledger, manifests and token stores; theirs is a
reader, its blocks and a writer. datatrove filters as it goes, so its later blocks see fewer documents than ours. Ours
has a fixed cost of about a second a run, which counts. Megabytes are of text after extraction, unless said.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from benchmarks.measure import Asked, Rate, Row, alone, figure
from benchmarks.quality import documents as prose

MEGABYTES = 8.0
FASTER = "blocks of a page by one walk of our own parser; KenLM's look-ups of several documents at once"
LARGE = 16  # times as much, for the rate of a long run, its memory, and two workers
REPEATS = 3
FILE = 4 << 20  # bytes of pages in a file
LEARNED = 4 << 20  # bytes of text the language model learns from
WARM = "warm"
SMOLLM = Path("work/cache/models/smollm2-135m")

STEPS = [
    {"kind": "extract"},
    {"kind": "repair"},
    {"kind": "language"},
    {"kind": "quality"},
    {"kind": "c4"},
    {"kind": "fineweb"},
]
RULES = [
    {"rule": "language", "allow": ["en"], "min_score": 0.5},
    {"rule": "gopher_repetition"},
    {"rule": "gopher_quality"},
    {"rule": "c4"},
    {"rule": "fineweb"},
    {"rule": "perplexity", "max": 1e6},
]


def page(text: str, random: Random) -> str:
    """A web page round a text: menu, header, list of other pages, footer; one paragraph in twenty is mojibake."""
    topics = [f"topic {random.randrange(1000)}" for _ in range(20)]
    links = "".join(f'<li><a href="/{t.replace(" ", "-")}">{t.title()}</a></li>' for t in topics)
    paragraphs = []
    for paragraph in text.split("\n\n"):
        if random.random() < 0.05:
            paragraph = paragraph.replace("'", "’").encode().decode("cp1252", errors="replace")
        paragraphs.append(f"<p>{escape(paragraph)}</p>")
    return (
        f"<!doctype html><html><head><title>{escape(text[:40])}</title><script>var a = [1, 2];</script>"
        f"<style>p {{ margin: 0 }}</style></head><body><nav><ul>{links}</ul></nav><header><h1>{escape(text[:60])}</h1>"
        f"</header><main><article>{''.join(paragraphs)}</article></main><aside><ul>{links}</ul></aside>"
        f"<footer><p>All rights reserved. <a href='/privacy'>Privacy</a></p></footer></body></html>"
    )


def write_inputs(folder: Path, megabytes: float) -> None:
    """pages/*.jsonl with about `megabytes` of text, a few pages to warm up on, a tokenizer and a language model."""
    from corpus.perplexity import LmSettings, find_kenlm_tools, normalised, train_kenlm

    random = Random(3)
    texts = [document.text for document in prose(megabytes)]
    for name, chosen in ((WARM, texts[:20]), ("pages", texts)):
        (folder / name).mkdir(parents=True)
        parts = max(4, int(megabytes * 1e6) // FILE)
        for part in range(parts):
            lines = [json.dumps({"text": page(text, random)}) for text in chosen[part::parts]]
            (folder / name / f"{part:03d}.jsonl").write_text("".join(line + "\n" for line in lines))
    import pyarrow as pa

    (folder / "lm").mkdir()
    some = texts[:: max(2, int(megabytes * 1e6) // LEARNED)]
    train_kenlm(normalised(pa.array(some)), folder / "lm" / "lm.binary", LmSettings(order=3), *find_kenlm_tools())
    write_tokenizer(folder / "tokenizer", some)


def write_tokenizer(folder: Path, texts: list[str]) -> None:
    """SmolLM2's where the demo has put it, else one trained on the texts."""
    from pipelines.demo.model import train_tokenizer

    folder.mkdir()
    if (SMOLLM / "tokenizer.json").is_file():
        for path in SMOLLM.glob("*token*.json"):
            (folder / path.name).write_bytes(path.read_bytes())
        return
    train_tokenizer(folder, texts, 16_000)


def ours(inputs: Path, name: str, output: Path, workers: int) -> dict[str, Any]:
    """Prepare the pages of one folder; the corpus manifest's totals."""
    from contextlib import nullcontext
    from types import SimpleNamespace

    from corpus.artifact import RunLock
    from corpus.engine import LocalSettings
    from corpus.prepare import Preparation
    from corpus.recipe import CorpusSettings
    from corpus.tokens.tokenize import TokenizerSettings

    source = {
        "name": "pages",
        "reader": {"kind": "jsonl", "path": str(inputs / name)},
        "perplexity": str(inputs / "lm" / "lm.binary"),
    }
    settings = CorpusSettings.model_validate(
        {
            "sources": [source],
            "steps": STEPS,
            "decide": RULES,
            "duplicates": None,
            "validation": 0,
            **({"unit_bytes": 1} if name == WARM else {}),  # a unit a file, so that every worker is warmed
        }
    )
    silent = SimpleNamespace(update=lambda *_: None, close=lambda *_: None)
    with RunLock(output) as lock:
        preparation = Preparation(
            settings,
            TokenizerSettings(path=str(inputs / "tokenizer"), eos_token="<|endoftext|>"),
            output,
            executor=LocalSettings(workers=workers),
            seed=0,
            phi=False,
            lock=lock,
            watch=lambda title: nullcontext(silent),
        )
        manifest = preparation.run(lambda totals: "", {})
    return manifest.totals["sources"]["pages"]


def theirs(inputs: Path, name: str, output: Path) -> int:
    """datatrove's blocks on the same pages; kept documents."""
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        LambdaFilter,
        LanguageFilter,
    )
    from datatrove.pipeline.formatters import FTFYFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import TokensCounter
    from datatrove.pipeline.writers import ParquetWriter
    from datatrove.utils.perplexity import KenlmModel
    from fasttext.FastText import _FastText
    from kenlm import Model

    from corpus.language import packaged_model

    language = LanguageFilter("en", language_threshold=0.5)
    language.model._model = _FastText(str(packaged_model()))  # it would download one
    perplexity = KenlmModel("wikipedia", "en")
    perplexity._model = Model(str(inputs / "lm" / "lm.binary"))
    perplexity._tokenizer = type("Words", (), {"tokenize": staticmethod(lambda text: text)})()  # so would its pieces
    steps = [
        JsonlReader(str(inputs / name)),
        Trafilatura(),
        FTFYFormatter(),
        language,
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(),
        FineWebQualityFilter(),
        LambdaFilter(lambda document: perplexity.get_perplexity(document.text) < 1e6),
        TokensCounter(str(inputs / "tokenizer" / "tokenizer.json")),
        ParquetWriter(str(output)),
    ]
    data: Any = None
    for step in steps:
        data = step.run(data)
    return sum(1 for _ in data)


def measured(side: str, inputs: Path, cores: int = 1, workers: int = 1) -> dict[str, float]:
    """One process: seconds and peak memory (MB) of it and of its largest child."""
    return json.loads(alone("benchmarks.line", "--run", side, str(inputs), str(cores), str(workers)).splitlines()[-1])


def run(side: str, inputs: Path, cores: int, workers: int) -> None:
    """The process that `measured` starts."""
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if side == "ours":
            ours(inputs, WARM, folder / WARM, workers)
            started = perf_counter()
            totals = ours(inputs, "pages", folder / "out", workers)
            seconds, kept, memory = perf_counter() - started, totals["kept"]["documents"], _peak()
            text = text_bytes(folder / "out")
        else:
            theirs(inputs, WARM, folder / WARM)
            started = perf_counter()
            kept = theirs(inputs, "pages", folder / "out")
            seconds, text, memory = perf_counter() - started, 0, _peak()
    print(json.dumps({"seconds": seconds, "kept": kept, "memory": memory, "text": text}))


def _peak() -> float:
    """Peak memory in MB of this process or of the largest it started."""
    import resource

    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def text_bytes(workspace: Path) -> int:
    """Bytes of extracted text of all documents, kept or not."""
    import pyarrow.compute as pc

    from corpus.artifact import read_parquet

    paths = (workspace / "annotate" / "pages").glob("*/documents.parquet")
    return sum(pc.sum(pc.binary_length(read_parquet(path, ["text"])["text"])).as_py() for path in paths)


def stages(inputs: Path) -> Iterator[tuple[str, float, float]]:
    """Each stage on its own, on one core: name, MB of text per second, share of the time of all."""
    import pyarrow as pa

    from corpus.artifact import write_parquet
    from corpus.document import Batch, batches
    from corpus.perplexity import PerplexitySettings
    from corpus.readers import Tally
    from corpus.recipe import CorpusSettings, source_line
    from corpus.tokens.tokenize import CountTokens, TokenizerSettings, TokensSettings

    source = {"name": "pages", "reader": {"kind": "jsonl", "path": str(inputs / "pages")}}
    settings = CorpusSettings.model_validate({"sources": [source], "steps": STEPS})
    tokenizer = TokenizerSettings(path=str(inputs / "tokenizer"), eos_token="<|endoftext|>")
    ends = [
        PerplexitySettings(model=str(inputs / "lm" / "lm.binary")).build(),
        CountTokens(TokensSettings(), tokenizer),
    ]
    line = source_line(settings, settings.sources[0], ends)
    spent: dict[str, float] = {}
    data: list[Batch] = []
    for _ in range(2):  # the second time is warm
        started = perf_counter()
        tally = Tally()
        data = list(batches(d for file in line.reader.files() for d in line.reader.read(file, tally)))
        spent["read"] = perf_counter() - started
        for step in line.steps:
            started = perf_counter()
            data = [step.process(batch) for batch in data]
            spent[step.name] = perf_counter() - started
        with tempfile.TemporaryDirectory() as folder:
            started = perf_counter()
            tables = [batch.data for batch in data]
            write_parquet(Path(folder) / "out.parquet", pa.Table.from_batches(tables))
            spent["write parquet"] = perf_counter() - started
    megabytes = sum(batch.text.nbytes for batch in data) / 1e6
    total = sum(spent.values())
    for name, seconds in spent.items():
        yield name, megabytes / seconds, seconds / total


def rows(megabytes: float = MEGABYTES) -> Iterator[Row]:
    """The line beside datatrove's, on the same pages; then a long run: its rate, memory, two workers; its stages."""
    yield _beside_datatrove(megabytes)
    with tempfile.TemporaryDirectory() as scratch:
        small, large = Path(scratch) / "1", Path(scratch) / str(LARGE)
        for folder, size in ((small, megabytes), (large, LARGE * megabytes)):
            folder.mkdir()
            write_inputs(folder, size)
        short, long, two = (measured("ours", *given) for given in ((small,), (large,), (large, 2, 2)))
        text = long["text"] / 1e6
        rates = [text / run["seconds"] for run in (long, two)]
        work = f"the whole line, {text:,.0f} MB of text"
        yield figure(f"{work}, one worker", "MB/s", rates[0], Asked(3, 5, "ours", idea=FASTER))
        asked = Asked(3, 1.8, idea="less work between the stages by one process")
        yield Row(f"{work}, two workers", "MB/s", Rate.of(rates[1]), "one worker", Rate.of(rates[0]), (asked,))
        memory = [Rate.of(run["memory"]) for run in (long, short)]
        asked_of_memory = (Asked(3, 1536, "ours", most=True), Asked(10, 1.1, most=True))
        yield Row(f"{work}: peak memory of a process", "MB", memory[0], f"{LARGE}th of it", memory[1], asked_of_memory)
        for name, rate, share in stages(small):
            yield figure(f"stage {name}, {share:.1%} of the time", "MB/s", rate)


def _beside_datatrove(megabytes: float) -> Row:
    with tempfile.TemporaryDirectory() as scratch:
        inputs = Path(scratch)
        write_inputs(inputs, megabytes)
        pairs = [(measured("ours", inputs), measured("theirs", inputs)) for _ in range(REPEATS)]
        text = pairs[0][0]["text"] / 1e6
        rates = [Rate.of(*(text / pair[side]["seconds"] for pair in pairs)) for side in (0, 1)]
        asked = (Asked(3, 30),)
        return Row("the whole line, HTML to parquet", "MB/s", rates[0], "datatrove, the same steps", rates[1], asked)


if __name__ == "__main__":
    if "--run" in sys.argv:
        side, inputs, cores, workers = sys.argv[2:6]
        run(side, Path(inputs), int(cores), int(workers))
    else:
        for row in rows(float(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES):
            print(row, flush=True)
