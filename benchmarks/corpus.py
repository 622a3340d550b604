"""Corpus steps beside stock datatrove 0.10.1, one process, one core, the same documents (Python's standard library)."""

import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

from datatrove.data import Document as StockDocument
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.utils.hashing import HashConfig

from benchmarks.measure import Asked, Row, interleaved
from corpus.dedup.signature import Signature, SignatureSettings
from corpus.deidentify import DeidentifySettings
from corpus.document import Batch, Document, batches
from corpus.step import Step

MEGABYTES = 3


def documents() -> list[Document]:
    """Modules of the standard library, about MEGABYTES of them."""
    found: list[Document] = []
    size = 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        data = path.read_bytes()
        found.append(Document("stdlib", path.name, 0, data.decode(errors="replace"), len(data)))
        size += len(data)
        if size > MEGABYTES * 1_000_000:
            break
    return found


def rows() -> Iterator[Row]:
    """Each step beside the datatrove block that does the same, or less."""
    given = documents()
    megabytes = sum(document.bytes_in for document in given) / 1e6
    columnar = list(batches(iter(given)))

    def ours(step: Step) -> Callable[[], object]:
        return lambda: [step.process(Batch(batch.data)) for batch in columnar]

    def theirs(block: PipelineStep) -> Callable[[], object]:
        return lambda: [None for _ in block.run(StockDocument(text=d.text, id=d.id) for d in given)]

    settings = SignatureSettings(ngram=5, bands=14, rows=8)
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64))
    stock = MinhashDedupSignature(output_folder="/dev/shm/provender-bench", config=config)

    def signatures() -> object:
        return [stock.get_signature(stock.get_shingles(document.text)) for document in given]

    rates = interleaved(megabytes, ours(Signature(settings)), signatures, repeats=3)
    work = "MinHash signatures, 112 hashes of 5-grams"
    asked = (Asked(5, 20, "ours"),)
    yield Row(work, "MB/s", rates[0], "datatrove MinhashDedupSignature", rates[1], asked)

    eight = DeidentifySettings(kind="deidentify", profile="code", key_env=None, replace="tag")
    rates = interleaved(megabytes, ours(eight.build()), theirs(PIIFormatter()), repeats=3)
    work = "de-identification: eight types, against e-mail and IP"
    yield Row(work, "MB/s", rates[0], "datatrove PIIFormatter", rates[1])
