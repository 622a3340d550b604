"""Training a quality classifier from two folders of documents, good and bad, into a fastText model.

    output/
      classifier.bin   the model, which any fastText loads
      report.json      how it does on documents held out by a hash of their text
      manifest.json

The same files and settings give the same bytes (`corpus.kernels.classify` says why fastText's own trainer cannot).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from pydantic import Field
from scipy.stats import rankdata

from corpus.artifact import code_version, publish
from corpus.errors import DataError
from corpus.kernels.classify import Features, Tokens, tokens_of, train_model
from corpus.quality.classifier import MODEL_FILE, prepared, scores_of
from corpus.quality.fasttext_file import write_fasttext
from corpus.readers import JsonlSettings, ParquetSettings, Tally, TextSettings, make_reader
from corpus.settings import Settings

REPORT_FILE = "report.json"
LABELS = ("good", "bad")
_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class ClassifierTraining(Settings):
    """How a classifier is trained."""

    characters: int = Field(5000, ge=1, description="only the first characters of a document are learned from")
    dim: int = Field(16, ge=1, le=1000, description="dimensions of a word's vector")
    epochs: int = Field(5, ge=1, description="times every document is seen")
    learning_rate: float = Field(0.5, gt=0, description="of the first step; falls linearly to 0")
    word_ngrams: int = Field(2, ge=1, le=5, description="runs of so many words count as features of their own")
    buckets: int = Field(1 << 18, ge=0, description="rows that n-grams are hashed into; 4 × dim bytes each")
    min_count: int = Field(2, ge=1, description="a rarer word has no vector of its own")
    held_out: float = Field(0.1, gt=0, lt=1, description="share of the documents the report is measured on")
    text_field: str = Field("text", description="the field of jsonl and parquet files that holds the text")
    seed: int = 0


@dataclass(frozen=True)
class ClassifierReport:
    """What was learned from and how it does on the held-out documents; rates are shares of them.

    `auc`: the chance that a good document scores above a bad one. `thresholds`: at a lowest score of "good", the share
    of good documents that stay and of bad ones that go.
    """

    trained_on: dict[str, int]
    held_out: dict[str, int]
    unreadable: int  # quarantined or empty
    repeated: int  # texts seen before, under either label
    words: int
    accuracy: float
    majority: float  # accuracy of always naming the more frequent label
    auc: float
    thresholds: tuple[dict[str, float], ...]

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=2, sort_keys=True) + "\n").encode()


def train_classifier(
    good: Path, bad: Path, output: Path, settings: ClassifierTraining | None = None
) -> ClassifierReport:
    """Learn to tell the documents of `good` from those of `bad` (folders or files: txt, jsonl, parquet; compressed too)
    and publish the folder `output`. Raises DataError when there are too few of either to learn from and to hold out.

    Memory: the first `characters` of all documents, and (words + buckets) × dim × 4 bytes.
    """
    settings = settings or ClassifierTraining()
    texts: list[str] = []
    labels: list[int] = []
    hashes: list[str] = []
    unreadable = repeated = 0
    seen: set[str] = set()
    for label, folder in enumerate((good, bad)):
        for text in _texts(folder, settings):
            line = None if text is None else prepared(text, settings.characters)
            if not line:
                unreadable += 1
                continue
            key = xxhash.xxh3_128_hexdigest(line.encode())
            if key in seen:
                repeated += 1
                continue
            seen.add(key)
            texts.append(line)
            labels.append(label)
            hashes.append(key)
    target = np.array(labels, np.int64)
    held = np.array([int(key[:8], 16) / 2.0**32 for key in hashes]) < settings.held_out
    for label, name in enumerate(LABELS):
        here = target == label
        if (here & held).sum() < 1 or (here & ~held).sum() < 2:
            raise DataError(
                "too few documents to train a classifier",
                where=(good, bad)[label],
                found=f"{int(here.sum())} different {name} documents, of which {int((here & held).sum())} held out",
                todo="give some hundred documents of either kind",
            )
    function = {
        "kind": "corpus.classifier",
        "texts": xxhash.xxh3_128_hexdigest("".join(f"{k}{label}" for k, label in zip(hashes, labels, strict=True))),
        "settings": settings.identity(),
        "code": code_version("corpus"),
    }
    with publish(Path(output), kind="corpus.classifier", function=function) as draft:
        model = draft.path / MODEL_FILE
        train_lines = pa.array([text for text, out in zip(texts, held, strict=True) if not out], pa.large_string())
        words = _write_model(model, train_lines, target[~held], settings)
        scores = scores_of(model, [text for text, out in zip(texts, held, strict=True) if out])[LABELS[0]]
        report = _report(target, held, scores, words, unreadable, repeated)
        (draft.path / REPORT_FILE).write_bytes(report.to_json())
        draft.totals |= {"documents": len(texts), "words": words}
    return report


def _texts(folder: Path, settings: ClassifierTraining) -> Any:
    """The text of every record, None for one that cannot be read or is empty."""
    fields = {"path": str(folder), "text_field": settings.text_field}
    readers = [
        make_reader(kind, "classifier")
        for kind in (TextSettings(path=str(folder)), JsonlSettings(**fields), ParquetSettings(**fields))
    ]
    files = 0
    for reader in readers:
        try:
            found = reader.files() if Path(folder).is_dir() or reader.matches(str(folder)) else []
        except DataError:
            continue  # a folder without files of this kind
        reader.check(found)
        for file in found:
            files += 1
            for document in reader.read(file, Tally()):
                yield document.text if document.step is None else None
    if not files:
        raise DataError(
            "no documents to train a classifier from",
            where=folder,
            found="no .txt, .md, .jsonl or .parquet file",
            todo="name a folder or file of examples",
        )


def _write_model(path: Path, lines: pa.LargeStringArray, labels: np.ndarray, settings: ClassifierTraining) -> int:
    """Train and write the model; returns the words of its vocabulary."""
    tokens = tokens_of(lines)
    vocabulary, rows = _vocabulary(tokens, settings.min_count)
    generator = np.random.Generator(np.random.PCG64(settings.seed))
    order = np.concatenate([generator.permutation(len(lines)) for _ in range(settings.epochs)])
    vectors, output = train_model(
        Features(rows, tokens.hashes, tokens.offsets),
        labels,
        order,
        words=len(vocabulary),
        buckets=settings.buckets if settings.word_ngrams > 1 else 0,
        ngrams=settings.word_ngrams,
        dim=settings.dim,
        classes=len(LABELS),
        rate=settings.learning_rate,
        seed=settings.seed + 1,
    )
    counts = np.bincount(labels, minlength=len(LABELS))
    write_fasttext(
        path,
        vocabulary,
        [(name, int(counts[label])) for label, name in enumerate(LABELS)],
        vectors,
        output,
        ngrams=settings.word_ngrams,
        epochs=settings.epochs,
        min_count=settings.min_count,
    )
    return len(vocabulary)


def _vocabulary(tokens: Tokens, min_count: int) -> tuple[list[tuple[bytes, int]], np.ndarray]:
    """(words with their counts, the most frequent first; int32[tokens], the row of each token's word or -1)."""
    _, first, inverse, counts = np.unique(tokens.keys, return_index=True, return_inverse=True, return_counts=True)
    frequent = np.flatnonzero(counts >= min_count)
    words = sorted((-int(counts[key]), tokens.word(int(first[key])), int(key)) for key in frequent)
    row_of = np.full(len(counts), -1, np.int32)
    for row, (_, _, key) in enumerate(words):
        row_of[key] = row
    return [(word, -negative) for negative, word, _ in words], row_of[inverse]


def _report(
    target: np.ndarray, held: np.ndarray, scores: np.ndarray, words: int, unreadable: int, repeated: int
) -> ClassifierReport:
    good = target[held] == 0
    counts = {name: int((target[held] == label).sum()) for label, name in enumerate(LABELS)}
    return ClassifierReport(
        trained_on={name: int((target[~held] == label).sum()) for label, name in enumerate(LABELS)},
        held_out=counts,
        unreadable=unreadable,
        repeated=repeated,
        words=words,
        accuracy=float(((scores >= 0.5) == good).mean()),
        majority=max(counts.values()) / len(good),
        auc=area_under_curve(scores, good),
        thresholds=tuple(
            {
                "score": bound,
                "good_kept": float((scores[good] >= bound).mean()),
                "bad_dropped": float((scores[~good] < bound).mean()),
            }
            for bound in _THRESHOLDS
        ),
    )


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float:
    """The share of (positive, negative) pairs that the scores put in order, ties counting half (Mann–Whitney)."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))
