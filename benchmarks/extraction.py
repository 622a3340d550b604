"""Quality of extraction on the pages of a public benchmark: ours, trafilatura and plain in one run.

    python -m benchmarks.extraction FOLDER          or PROVENDER_EXTRACTION_PAGES=FOLDER

FOLDER is a checkout of one of these, told apart by the file of its truth; nothing of them is part of this project:

    scrapinghub/article-extraction-benchmark   ground-truth.json: the article's body of 181 news pages
    adbar/trafilatura, its folder tests        evaldata.json: passages that must and must not come out, 990 pages

The first is scored as its authors do, by multisets of words and of 4-word shingles: the mean precision and
recall of the pages, F1 of the means. The second by passages found, over all pages. The engines run in the
guard's child, as in a run.
"""

import gzip
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import perf_counter

from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from corpus.extract.guard import Failure, Guard

FOLDER_VARIABLE = "PROVENDER_EXTRACTION_PAGES"
ENGINES = ("resiliparse", "trafilatura", "plain")
SECONDS = 30.0
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Score:
    """Precision and recall of what was extracted."""

    measure: str
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True)
class Pages:
    """A benchmark: its pages, and the scores of the texts that an engine made of them."""

    pages: list[str]
    scores: Callable[[list[str]], list[Score]]


def articles(folder: Path) -> Pages:
    """scrapinghub's: pages with the text of their article."""
    truth = json.loads((folder / "ground-truth.json").read_bytes())
    pages = [decoded(gzip.decompress((folder / "html" / f"{key}.html.gz").read_bytes())) for key in truth]
    bodies = [article.get("articleBody", "") for article in truth.values()]
    return Pages(pages, lambda texts: [by_shingles(bodies, texts, size) for size in (1, 4)])


def passages(folder: Path) -> Pages:
    """trafilatura's: pages with passages that are content (`with`) and that are not (`without`)."""
    truth = list(json.loads((folder / "evaldata.json").read_bytes()).values())
    places = [
        next(p for p in (folder / "cache" / t["file"], folder / "eval" / t["file"]) if p.is_file()) for t in truth
    ]

    def scores(texts: list[str]) -> list[Score]:
        found = wrong = wanted = 0
        for entry, text in zip(truth, texts, strict=True):
            spaced = " ".join(text.split())
            found += sum(" ".join(passage.split()) in spaced for passage in entry["with"])
            wrong += sum(" ".join(passage.split()) in spaced for passage in entry["without"])
            wanted += len(entry["with"])
        return [Score("passages", found / max(found + wrong, 1), found / wanted)]

    return Pages([decoded(place.read_bytes()) for place in places], scores)


def decoded(page: bytes) -> str:
    try:
        return page.decode()
    except UnicodeDecodeError:
        return bytes_to_str(page, detect_encoding(page))


def by_shingles(truths: list[str], texts: list[str], size: int) -> Score:
    """Precision and recall of runs of `size` words, as multisets, each the mean of the pages that have any."""
    precisions, recalls = [], []
    for truth, text in zip(truths, texts, strict=True):
        expected, found = shingles(truth, size), shingles(text, size)
        common = (expected & found).total()
        if found:
            precisions.append(common / found.total())
        if expected:
            recalls.append(common / expected.total())
    return Score(f"{size}-word shingles" if size > 1 else "words", mean(precisions), mean(recalls))


def shingles(text: str, size: int) -> Counter[tuple[str, ...]]:
    words = WORD.findall(text)
    return Counter(tuple(words[at : at + size]) for at in range(max(1, len(words) - size + 1)) if words)


def lines(folder: Path) -> Iterator[str]:
    """One line for each engine and measure."""
    benchmark = passages(folder) if (folder / "evaldata.json").is_file() else articles(folder)
    megabytes = sum(len(page.encode()) for page in benchmark.pages) / 1e6
    yield f"{len(benchmark.pages)} pages, {megabytes:.1f} MB"
    for engine in ENGINES:
        guard = Guard(engine, SECONDS)
        try:
            guard.map(["<p>warm</p>"])
            started = perf_counter()
            results = guard.map(benchmark.pages)
            rate = megabytes / (perf_counter() - started)
        finally:
            guard.close()
        texts = ["" if isinstance(result, Failure) else result for result in results]
        failed = sum(isinstance(result, Failure) for result in results)
        for score in benchmark.scores(texts):
            yield (
                f"{engine:12} {score.measure:16} F1 {score.f1:.4f}  precision {score.precision:.4f}  "
                f"recall {score.recall:.4f}  {rate:.1f} MB/s of HTML" + (f"  {failed} failed" if failed else "")
            )


if __name__ == "__main__":
    named = sys.argv[1:2] or [os.environ.get(FOLDER_VARIABLE, "")]
    if not named[0] or not Path(named[0]).is_dir():
        raise SystemExit(f"name the folder of a benchmark's pages, as argument or in {FOLDER_VARIABLE}\n\n{__doc__}")
    for line in lines(Path(named[0])):
        print(line, flush=True)
