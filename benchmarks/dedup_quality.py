"""How right deduplication is: against brute force on real source code, and on labelled pairs where they are there.

Brute force is exact and shares no code with what it judges: 5-grams of words as Python strings, all pairs by one
product of sparse matrices. The real code is that of transformers' models, which copy from each other all the time.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pyarrow as pa
from scipy.sparse import csr_array

from corpus.artifact import publish, write_parquet
from corpus.dedup.cluster import Clusters, DedupSettings, find_clusters
from corpus.dedup.curve import s_curve
from corpus.dedup.signature import Signature, SignatureSettings
from corpus.document import Batch, Document, batches
from corpus.engine import Workplace

FILES = 1500
SEEDS = range(1, 21)
Pairs = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Score:
    """Pairs found of those there, and what the bands promise."""

    what: str
    pairs: int
    recall: float
    precision: float
    theory: float | None = None

    @property
    def f1(self) -> float:
        return 2 * self.recall * self.precision / max(self.recall + self.precision, 1e-12)

    def __str__(self) -> str:
        promised = f" ({self.theory:.4f} promised by the bands)" if self.theory is not None else ""
        return (
            f"{self.what}: {self.pairs} pairs, recall {self.recall:.4f}{promised}, precision {self.precision:.4f}, "
            f"F1 {self.f1:.4f}"
        )


def brute_force(texts: Mapping[str, str], threshold: float, ngram: int = 5) -> Pairs:
    """Jaccard similarity of every pair (a < b) at the threshold or above."""
    names = sorted(texts)
    vocabulary: dict[tuple[str, ...], int] = {}
    columns, bounds = [], [0]
    for name in names:
        words = re.findall(r"\w+", texts[name].lower())
        grams = {tuple(words[at : at + ngram]) for at in range(len(words) - ngram + 1)}
        columns += [vocabulary.setdefault(gram, len(vocabulary)) for gram in grams]
        bounds.append(len(columns))
    sets = csr_array((np.ones(len(columns), np.int32), columns, bounds), shape=(len(names), len(vocabulary)))
    shared = (sets @ sets.T).tocoo()
    sizes = np.diff(bounds)
    similarity = shared.data / (sizes[shared.row] + sizes[shared.col] - shared.data)
    rows = np.flatnonzero((shared.row < shared.col) & (similarity >= threshold))
    return {(names[shared.row[at]], names[shared.col[at]]): float(similarity[at]) for at in rows}


def clusters_of(texts: Mapping[str, str], settings: DedupSettings) -> tuple[Clusters, dict[str, str]]:
    """The clusters of texts, and the name behind each id."""
    documents = [Document("s", name, 0, text, len(text.encode())) for name, text in sorted(texts.items())]
    with TemporaryDirectory() as folder:
        step = Signature(settings.signature)
        with publish(Path(folder) / "unit", kind="corpus.annotated", function={}) as draft:
            signed = [step.process(Batch(batch.data)).data for batch in batches(iter(documents))]
            write_parquet(draft.path / "documents.parquet", pa.Table.from_batches(signed))
        found = find_clusters({"s": [Path(folder) / "unit"]}, settings, Workplace(Path(folder) / "work"))
    return found, {document.id: document.file for document in documents}


def found_pairs(found: Clusters, names: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """All similar pairs by name: what holds for the first of an exact group holds for its copies."""
    edges = pl.DataFrame(pl.from_arrow(found.pairs))
    group = {name: [name] for name in names}
    for first, copy in edges.filter(pl.col("kind") == "exact").select("id_a", "id_b").iter_rows():
        group[first].append(copy)
    pairs = {pair: 1.0 for members in group.values() for pair in combinations(members, 2)}
    for a, b, similarity in edges.filter(pl.col("kind") == "near").select("id_a", "id_b", "similarity").iter_rows():
        pairs |= {(x, y): similarity for x in group[a] for y in group[b]}
    return {tuple(sorted((names[a], names[b]))): value for (a, b), value in pairs.items()}  # type: ignore[misc]


def compare(what: str, found: Pairs, truth: Pairs, theory: float | None = None) -> Score:
    hits = len(found.keys() & truth.keys())
    return Score(what, len(truth), hits / max(len(truth), 1), hits / max(len(found), 1), theory)


def real_code(files: int = FILES) -> dict[str, str]:
    """Source files of transformers' models, spread evenly; of exact copies (in lower case, white space apart) one."""
    found = find_spec("transformers")  # its files only: importing it takes seconds
    assert found is not None and found.origin is not None
    root = Path(found.origin).parent / "models"
    paths = sorted(path for path in root.rglob("*.py") if path.stat().st_size > 2_000)
    texts = {str(path.relative_to(root)): path.read_text() for path in paths[:: max(1, len(paths) // files)]}
    return dict({" ".join(text.lower().split()): (name, text) for name, text in texts.items()}.values())


def against_brute_force(settings: DedupSettings) -> Score:
    """Near pairs of real code, the mean of several draws of the hash functions (one draw is off by chance)."""
    texts = real_code()
    truth = brute_force(texts, settings.threshold)
    scores = []
    for seed in SEEDS:
        signature = settings.signature.model_dump() | {"seed": seed}
        drawn = settings.model_copy(update={"signature": SignatureSettings(**signature)})
        scores.append(compare("", found_pairs(*clusters_of(texts, drawn)), truth))
    promised = s_curve(settings.signature.bands, settings.signature.rows, np.array(list(truth.values())))
    return Score(
        f"{len(texts)} files of transformers, Jaccard ≥ {settings.threshold}",
        len(truth),
        float(np.mean([score.recall for score in scores])),
        float(np.mean([score.precision for score in scores])),
        float(np.mean(promised)),
    )


def labelled(folder: Path, settings: DedupSettings) -> Iterator[Score]:
    """The labelled pairs of `folder`.

    The labels of the Python files are 243 of the pairs in them, with the similarity of each; unlabelled files are
    alike as well. So precision and recall are taken among the labelled pairs, and then over all pairs by brute force.
    """
    articles = pl.read_parquet(folder / "minhash_articles_1000.parquet")
    texts = dict(articles.select("id", "text").iter_rows())
    labels = articles.filter(pl.col("dup_of").is_not_null()).select("id", "dup_of").iter_rows()
    truth = {tuple(sorted(pair)): 1.0 for pair in labels}
    yield compare("labelled articles", found_pairs(*clusters_of(texts, settings)), truth)  # type: ignore[arg-type]
    python = pl.read_parquet(folder / "vendored_python_pairs.parquet")
    texts = dict(python.select("id", "text").iter_rows())
    found = found_pairs(*clusters_of(texts, settings))
    known = {tuple(sorted((a, b))): value for a, b, value in python.select("id", "dup_of", "jaccard5").iter_rows()}
    alike = {pair: value for pair, value in known.items() if value >= settings.threshold}
    among = {pair: value for pair, value in found.items() if pair in known}
    yield compare(f"vendored Python files, among the {len(known)} labelled pairs", among, alike)
    yield compare("vendored Python files, all pairs by brute force", found, brute_force(texts, settings.threshold))
