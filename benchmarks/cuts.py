"""What looks across documents, beside datatrove 0.10.1 where it runs, one process, one core.

Documents are modules of the standard library with planted lines, spans and items, on a memory file system. The peer of
repeated lines is datatrove's sentence deduplication by lines, all three stages (its SingleBloomFilter drops nearly
everything at this size); that of decontamination its filter, with an index written here (its indexer wants lighteval).
datatrove has no finder of repeated substrings, only a remover of what another tool found: the peer is our reading pass.
"""

import json
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import numpy as np
import pyarrow as pa
from datatrove.data import Document as StockDocument
from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter
from datatrove.pipeline.dedup.sentence_dedup import (
    SentDedupConfig,
    SentenceDedupFilter,
    SentenceDedupSignature,
    SentenceFindDedups,
)
from datatrove.utils.text import ngrams, simplify_text

from benchmarks.measure import Row, interleaved
from corpus.artifact import publish, write_parquet
from corpus.cuts.kept import KeptDocuments, KeptUnit
from corpus.cuts.spans import Cuts
from corpus.decontaminate import DecontaminateSettings, EvaluationSet, find_contamination
from corpus.dedup.cosine import similar_pairs
from corpus.dedup.repeated import RepeatedSettings, find_repeated
from corpus.dedup.substring import SubstringSettings, find_substrings
from corpus.document import Document, batches
from corpus.engine import LocalSettings, Workplace

MEGABYTES = 3  # for the peers' sake
NOTICE = "# " + " ".join(f"notice{number}" for number in range(60))


def planted(megabytes: float) -> list[Document]:
    """Modules of the standard library, every third with the same line and every seventh with the same span of words."""
    found: list[Document] = []
    size = 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        text = path.read_bytes().decode(errors="replace")
        if len(found) % 3 == 0:
            text = "# All rights reserved by their several holders.\n" + text
        if len(found) % 7 == 0:
            text += f"\n\n{NOTICE}\n"
        found.append(Document("stdlib", str(path.name), len(found), text, len(text.encode())))
        size += found[-1].bytes_in
        if size > megabytes * 1e6:
            break
    return found


def written(documents: list[Document], folder: Path, units: int = 1) -> KeptDocuments:
    """The documents in so many units, all of them kept."""
    made = []
    for number, places in enumerate(np.array_split(np.arange(len(documents)), units)):
        own = [documents[place] for place in places]
        path, rows = folder / f"documents-{number}.parquet", folder / f"rows-{number}.npy"
        write_parquet(path, pa.Table.from_batches([batch.data for batch in batches(iter(own))]))
        size = sum(document.bytes_in for document in own)
        held_out = np.zeros(len(own), bool)
        made.append(KeptUnit.write(number, 0, path, rows, rank=places, held_out=held_out, text_bytes=size))
    return KeptDocuments(tuple(made))


@contextmanager
def workplace(folder: Path, workers: int = 1) -> Iterator[Workplace]:
    """A place to work that is gone afterwards, as every run of a finder begins."""
    try:
        yield Workplace(folder / "work", LocalSettings(workers=workers))
    finally:
        rmtree(folder / "work")


def items(documents: list[Document]) -> list[str]:
    """A hundred words out of every fiftieth document, and as many of no document."""
    words = [document.text.split() for document in documents[::50]]
    return [" ".join(part[20:120]) for part in words] + [" ".join(reversed(part[20:120])) for part in words]


def rows(megabytes: float = MEGABYTES) -> Iterator[Row]:
    """Each finder beside its peer."""
    folder = Path(mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        yield from _rows(folder, megabytes)
    finally:
        rmtree(folder)


def _rows(folder: Path, megabytes: float) -> Iterator[Row]:
    documents = planted(megabytes)
    size = sum(document.bytes_in for document in documents) / 1e6
    kept = written(documents, folder)
    stock = [StockDocument(text=document.text, id=document.id) for document in documents]

    def reading() -> object:
        return [None for _ in kept.texts(Cuts())]

    def repeated() -> object:
        with workplace(folder) as place:
            return find_repeated(kept, ("stdlib",), RepeatedSettings(paragraphs=None), place)

    def by_sentence() -> None:
        config = SentDedupConfig(n_sentences=1, split_sentences=False)
        places = [str(folder / name) for name in ("signatures", "found")]
        for place in places:
            rmtree(place, ignore_errors=True)
        SentenceDedupSignature(places[0], config=config).run(iter(stock))
        SentenceFindDedups(places[0], places[1], config=config).run()
        fresh = (StockDocument(text=document.text, id=document.id) for document in documents)
        for _ in SentenceDedupFilter(places[1], config=config).run(fresh):
            pass

    ours, theirs = interleaved(size, repeated, by_sentence, repeats=3)
    yield Row("repeated lines", "MB/s", ours, "datatrove sentence dedup by lines", theirs)

    asked = items(documents)
    (folder / "bench.jsonl").write_text("".join(json.dumps({"q": item}) + "\n" for item in asked))
    sets = (EvaluationSet(name="bench", path=str(folder / "bench.jsonl"), fields=("q",)),)

    def contaminated() -> object:
        with workplace(folder) as place:
            return find_contamination(kept, Cuts(), DecontaminateSettings(sets=sets), place)

    config = NGramsDecontConfig(n_grams=13)
    stock_filter = NGramsDecontFilter(str(folder / "index"), config=config)
    hashed = {
        stock_filter.hash_func(" ".join(gram))
        for item in asked
        for gram in ngrams(stock_filter.tokenizer.word_tokenize(simplify_text(item, config.norm_config)), 13)
    }
    (folder / "index").mkdir()
    np.array(sorted(hashed), config.hash_config.np_descr).tofile(folder / "index/bench.index.hashes")
    few = stock[:: max(1, int(size))]  # the peer is slow
    few_size = sum(len(document.text.encode()) for document in few) / 1e6

    def filtered() -> object:
        return [stock_filter.filter(document) for document in few]

    (ours,) = interleaved(size, contaminated)
    (theirs,) = interleaved(few_size, filtered, repeats=3)
    yield Row("decontamination, 13-grams", "MB/s", ours, "datatrove NGramsDecontFilter", theirs)

    def substrings() -> object:
        with workplace(folder) as place:
            return find_substrings(kept, Cuts(), SubstringSettings(), place)

    ours, theirs = interleaved(size, substrings, reading, repeats=3)
    yield Row("repeated substrings of 50 tokens, both rounds", "MB/s", ours, "limit: reading the texts", theirs)

    vectors = np.random.default_rng(1).standard_normal((10_000, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    with publish(folder / "vectors", kind="vectors", function={}) as draft:
        np.save(draft.path / "vectors.npy", vectors)

    def semantic() -> object:
        with workplace(folder) as place:
            return similar_pairs(folder / "vectors/vectors.npy", 0.95, 5, 1, place)

    ours, theirs = interleaved(
        len(vectors) / 1e3,
        semantic,
        lambda: [vectors[i : i + 1024] @ vectors.T for i in range(0, 10_000, 1024)],
        repeats=3,
    )
    yield Row("semantic pairs, 384 dimensions", "k documents/s", ours, "limit: all products", theirs)
