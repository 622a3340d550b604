"""Extraction quality and speed on pages whose main text is known, beside trafilatura.

    python -m benchmarks.extraction FOLDER      (or PROVENDER_EXTRACTION_BENCHMARK=FOLDER:FOLDER)

FOLDER is laid out as github.com/scrapinghub/article-extraction-benchmark: ground-truth.json of {id: {"articleBody"}}
and html/<id>.html.gz. Its measure is taken over shingles of four tokens: precision and recall of each page, their
means, and the F1 of the means; the same over single words stands beside it. The settings of
`fast` were chosen on every second page by id ("tuned"), not on the others ("held out"); those of `resiliparse` on both.

Or FOLDER is `tests` of github.com/adbar/trafilatura: evaldata.json names pages with passages that must (`with`) and
must not (`without`) come out; precision and recall of the passages over all pages, and over every second one, on which
nothing was chosen ("held out").
"""

import gzip
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from benchmarks.measure import Asked, Rate, Row, figure, interleaved
from corpus.extract.worker import load

FOLDER = "PROVENDER_EXTRACTION_BENCHMARK"
PEER = "trafilatura"
ENGINES = ("resiliparse", "fast", "trafilatura", "plain")
REPEATS = 3
TOKEN = re.compile(r"\w+")


@dataclass(frozen=True)
class Score:
    """Means over pages; F1 of the means."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-12)


def shingles(text: str, size: int) -> Counter[tuple[str, ...]]:
    """How often each run of `size` tokens occurs; a shorter text is one run."""
    tokens = TOKEN.findall(text)
    return Counter(tuple(tokens[at : at + size]) for at in range(max(1, len(tokens) - size + 1)) if tokens)


def score(pairs: Iterable[tuple[str, str]], size: int) -> Score:
    """Score of (found, true) texts; a page without found (true) text does not count for precision (recall)."""
    precisions, recalls = [], []
    for found_text, true_text in pairs:
        found, true = shingles(found_text, size), shingles(true_text, size)
        hits = (found & true).total()
        if found:
            precisions.append(hits / found.total())
        if true:
            recalls.append(hits / true.total())
    return Score(fmean(precisions or [0.0]), fmean(recalls or [0.0]))


def read(folder: Path) -> tuple[list[bytes], list[str]]:
    """Pages and their true texts, by id."""
    truth = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))
    pages = [gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes()) for name in sorted(truth)]
    return [page.decode("utf-8", "replace").encode() for page in pages], [
        truth[n]["articleBody"] for n in sorted(truth)
    ]


def rows() -> Iterator[Row]:
    """Nothing where no folder is named."""
    place = os.environ.get(FOLDER)
    if not place:
        print(f"extraction: left out, {FOLDER} names no benchmark's folder")
        return
    for folder in map(Path, place.split(os.pathsep)):
        yield from of_passages(folder) if (folder / "evaldata.json").is_file() else of_articles(folder)


def of_articles(folder: Path, repeats: int = REPEATS) -> Iterator[Row]:
    """Each engine's quality and speed, all in one process and one run."""
    pages, truth = read(folder)
    engines = {name: load(name) for name in ENGINES}
    texts = {name: [engine(page).decode() for page in pages] for name, engine in engines.items()}
    megabytes = sum(map(len, pages)) / 1e6
    works = [lambda engine=engine: [engine(page) for page in pages] for engine in engines.values()]  # type: ignore[misc]
    rates = dict(zip(ENGINES, interleaved(megabytes, *works, repeats=repeats), strict=True))
    title = f"{len(pages)} articles, {megabytes:.1f} MB of HTML"
    peer = rates[PEER]
    scores: dict[str, dict[str, Score]] = {}
    for name, found in texts.items():
        pairs = list(zip(found, truth, strict=True))
        parts = {"tuned": score(pairs[::2], 4), "held out": score(pairs[1::2], 4), "words": score(pairs, 1)}
        scores[name] = parts | {"all": score(pairs, 4)}
    yield from _beside(title, scores)
    for name, rate in rates.items():
        if name != PEER:
            yield Row(f"{title}: {name}", "MB/s", rate, PEER, peer)


def of_passages(folder: Path) -> Iterator[Row]:
    """Which passages came out, white space aside."""
    truth = [entry for _, entry in sorted(json.loads((folder / "evaldata.json").read_bytes()).items())]
    places = [
        next(p for p in (folder / "cache" / t["file"], folder / "eval" / t["file"]) if p.is_file()) for t in truth
    ]
    pages = [decoded(place.read_bytes()) for place in places]
    scores: dict[str, dict[str, Score]] = {}
    for name in ENGINES:
        engine = load(name)
        counts = []
        for entry, page in zip(truth, pages, strict=True):
            text = " ".join(engine(page).decode().split())
            hits, wrong = (sum(" ".join(p.split()) in text for p in entry[side]) for side in ("with", "without"))
            counts.append((hits, wrong, len(entry["with"])))
        scores[name] = {}
        for label, part in (("all", counts), ("held out", counts[1::2])):
            hits, wrong, wanted = map(sum, zip(*part, strict=True))
            scores[name][label] = Score(hits / max(hits + wrong, 1), hits / wanted)
    yield from _beside(f"{len(pages)} pages with marked passages", scores)


def _beside(title: str, scores: dict[str, dict[str, Score]]) -> Iterator[Row]:
    """F1 of each engine and part beside the peer's; what is asked is asked of the default engine."""
    for name, parts in scores.items():
        for part, own in parts.items():
            if name == PEER:
                continue
            other = scores[PEER][part]
            yield Row(f"{title}, {part}: {name}", "F1", Rate.of(own.f1), PEER, Rate.of(other.f1))
            if name == ENGINES[0] and part == "all":
                asked = Asked(3, -0.02, "ours")
                yield figure(f"{title}: F1 of {name} beyond {PEER}'s", "F1", own.f1 - other.f1, asked)


def decoded(page: bytes) -> bytes:
    """The page in UTF-8, by resiliparse's guess where it is not."""
    try:
        return page.decode().encode()
    except UnicodeDecodeError:
        return bytes_to_str(page, detect_encoding(page)).encode("utf-8", "replace")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.environ[FOLDER] = sys.argv[1]
    for row in rows():
        print(row, flush=True)
