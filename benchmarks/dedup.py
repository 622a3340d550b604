"""Deduplication beside datatrove 0.10.1's four MinHash stages: the same documents, n-grams, bands and rows, one core.

    python -m benchmarks.dedup                 speed, recall and precision, the labelled pairs if they are there
    python -m benchmarks.dedup scale 100000    time and peak memory of so many documents, in a process of its own

End to end means raw parquet to parquet without the copies. Datatrove: signatures, buckets, clusters, filter. Ours:
signatures stored with the texts, the stages of `find_clusters`, the keep policy with a measured similarity for each
removal, and the kept rows written.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from io import StringIO
from itertools import chain, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.hashing import HashConfig
from loguru import logger

from benchmarks.measure import Asked, Rate, Row, alone, figure, interleaved
from benchmarks.planted import planted
from benchmarks.shared import DATA
from corpus.artifact import publish, scan_parquet, write_parquet
from corpus.dedup.cluster import Clusters, DedupSettings, find_clusters
from corpus.dedup.join import join_band
from corpus.dedup.keep import KeepSettings, UnitMeasure, choose_keepers
from corpus.dedup.signature import Signature, SignatureSettings
from corpus.document import BASE, Batch, document_id
from corpus.engine import LocalSettings, Workplace
from corpus.memory import peak_bytes

DOCUMENTS = 10_000  # of the comparison, about 10 MB
UNIT = 20_000  # documents of a raw file
LABELLED = DATA / "dup"  # real pairs with their Jaccard similarity, if this machine has them
SETTINGS = DedupSettings(signature=SignatureSettings(ngram=5, bands=14, rows=8), threshold=0.8)


def write_raw(folder: Path, documents: int) -> tuple[list[Path], int]:
    """Raw parquet files (id, text) of planted documents, and the bytes of their texts."""
    folder.mkdir(parents=True)
    made = planted(documents)
    files, size = [], 0
    while block := list(islice(made, UNIT)):
        text = [document.text for document in block]
        size += sum(map(len, map(str.encode, text)))
        files.append(folder / f"{len(files):05d}.parquet")
        ids = [document_id("planted", "planted", document.number) for document in block]
        pq.write_table(pa.table({"id": ids, "text": text}), files[-1], compression="zstd")
    return files, size


def batch_of(rows: pa.RecordBatch) -> Batch:
    """Rows of (id, text) as a batch of documents."""
    count = rows.num_rows
    given: dict[str, Any] = {"id": rows["id"], "text": rows["text"], "bytes_in": pa.compute.binary_length(rows["text"])}
    given |= {"source": ["planted"] * count, "file": ["planted"] * count, "position": np.arange(count)}
    columns = [
        pa.nulls(count, field.type) if field.name not in given else pa.array(given[field.name]).cast(field.type)
        for field in BASE
    ]
    return Batch(pa.RecordBatch.from_arrays(columns, schema=BASE))


def sign(files: Sequence[Path], folder: Path, settings: SignatureSettings) -> list[Path]:
    """Units of signed documents."""
    step = Signature(settings)
    schema = pa.schema([*BASE, *(pa.field(name, kind) for name, kind in step.columns.items())])
    for file in files:
        with publish(folder / file.stem, kind="corpus.annotated", function={"raw": str(file)}) as draft:
            batches = (step.process(batch_of(rows)).data for rows in scan_parquet(file, ["id", "text"]))
            draft.rows["documents.parquet"] = write_parquet(draft.path / "documents.parquet", batches, schema)
    return [folder / file.stem for file in files]


def remove(units: Sequence[Path], found: Clusters, folder: Path) -> pl.DataFrame:
    """The removals, after writing the kept rows of each unit."""
    clustered = pl.DataFrame(pl.from_arrow(found.clusters))
    sizes = pl.concat(
        [pl.scan_parquet(unit / "documents.parquet").select("id", bytes="bytes_in").collect() for unit in units]
    )
    members = clustered.join(sizes, on="id").with_columns(
        priority=pl.lit(0), quality=pl.lit(None, pl.Float64), passes=pl.lit(True)
    )
    measure = UnitMeasure(units, SETTINGS.signature.ngram)
    removals = choose_keepers(members, found.pairs, measure, SETTINGS.threshold, KeepSettings())
    gone = removals["id"].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
    folder.mkdir(parents=True)
    for unit in units:
        batches = scan_parquet(unit / "documents.parquet", ["id", "text"], rows=1 << 14)
        kept = (rows.filter(pa.compute.invert(pa.compute.is_in(rows["id"], gone))) for rows in batches)
        write_parquet(folder / f"{unit.name}.parquet", kept, pa.schema([BASE.field("id"), BASE.field("text")]))
    return removals


def ours(files: Sequence[Path], work: Path, workers: int = 1) -> pl.DataFrame:
    """Raw files to kept files; the removals."""
    shutil.rmtree(work, ignore_errors=True)
    units = sign(files, work / "units", SETTINGS.signature)
    found = find_clusters({"planted": units}, SETTINGS, Workplace(work / "dedup", LocalSettings(workers=workers)))
    return remove(units, found, work / "kept")


def theirs(raw: Path, work: Path) -> float:
    """The same by datatrove; the seconds of its stage of buckets, which is its LSH join."""
    shutil.rmtree(work, ignore_errors=True)
    signature = SETTINGS.signature
    config = MinhashConfig(
        n_grams=signature.ngram,
        num_buckets=signature.bands,
        hashes_per_bucket=signature.rows,
        hash_config=HashConfig(precision=64),
    )
    signatures, buckets, removed = (str(work / name) for name in ("signatures", "buckets", "removed"))

    def run(tasks: int, *steps: Any) -> float:
        started = perf_counter()
        logger.remove()
        with redirect_stderr(StringIO()):  # where it logs every task
            LocalPipelineExecutor(
                pipeline=list(steps), tasks=tasks, workers=1, logging_dir=str(work / "logs" / str(steps[-1]))
            ).run()
        return perf_counter() - started

    run(1, ParquetReader(str(raw)), MinhashDedupSignature(output_folder=signatures, config=config))
    joined = run(signature.bands, MinhashDedupBuckets(signatures, buckets, config=config))
    run(1, MinhashDedupCluster(buckets, removed, config=config))
    run(1, ParquetReader(str(raw)), MinhashDedupFilter(removed), ParquetWriter(str(work / "kept")))
    return joined


def rows() -> Iterator[Row]:
    """End to end, and the join alone in signatures × bands."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        files, size = write_raw(work / "raw", DOCUMENTS)
        joins: list[float] = []
        rates = interleaved(
            size / 1e6,
            lambda: ours(files, work / "ours"),
            lambda: joins.append(theirs(work / "raw", work / "theirs")),
            repeats=3,
        )
        bands = SETTINGS.signature.bands
        work_done = f"deduplication end to end, {DOCUMENTS:,} documents, {bands} bands of {SETTINGS.signature.rows}"
        yield Row(work_done, "MB/s", rates[0], "datatrove's four MinHash stages", rates[1], (Asked(5, 40),))
        peer = Rate.of(*(DOCUMENTS * bands / seconds / 1e6 for seconds in joins[1:]))
        asked = (Asked(5, 5, "ours"),)
        yield Row("LSH join", "M signature-bands/s", join_rate(), "datatrove MinhashDedupBuckets", peer, asked)


def join_rate(documents: int = 1_000_000) -> Rate:
    """Bands joined of a million random keys, a fifth of which copy another's."""
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 1 << 64, documents, np.uint64)
    copies = rng.choice(documents, documents // 5, replace=False)
    keys[copies] = keys[rng.integers(0, documents, len(copies))]
    ranks = rng.permutation(documents).astype(np.uint32)
    return interleaved(documents / 1e6, lambda: join_band(keys, ranks))[0]


def scale(documents: int) -> dict[str, float]:
    """Seconds and peak memory (MB, VmHWM of this process) of so many planted documents; making them counts for
    memory and not for time."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        ours(write_raw(work / "warm", 1_000)[0], work / "ours")
        files, size = write_raw(work / "raw", documents)
        started = perf_counter()
        removals = ours(files, work / "ours")
        seconds = perf_counter() - started
    peak = peak_bytes() / 2**20
    return {"documents": documents, "MB": size / 1e6, "seconds": seconds, "peak": peak, "removed": removals.height}


def scale_rows(few: int = 100_000, many: int = 1_000_000) -> Iterator[Row]:
    """How time and memory grow, each size in a process of its own."""
    small, large = (json.loads(alone("benchmarks.dedup", "scale", str(size))) for size in (few, many))
    times = [Rate.of(run["seconds"]) for run in (large, small)]
    asked = (Asked(5, 12, most=True),)
    yield Row(f"deduplication of {many:,} documents", "s", times[0], f"{few:,} documents", times[1], asked)
    yield figure(
        f"its peak memory, {large['MB']:,.0f} MB of text", "MB", large["peak"], Asked(5, 3072, "ours", most=True)
    )


def right_rows() -> Iterator[Row]:
    """Recall and precision, against brute force and on labelled pairs."""
    from benchmarks import dedup_quality

    scores = [dedup_quality.against_brute_force(SETTINGS)]
    scores += dedup_quality.labelled(LABELLED, SETTINGS) if LABELLED.is_dir() else []
    for score in scores:
        work = f"{score.what}: {score.pairs:,} pairs"
        if score.theory is None:
            yield figure(f"{work}: F1", "share", score.f1, Asked(5, 0.97, "ours"))
            continue
        recall = Rate.of(score.recall - score.theory)
        yield figure(f"{work}: recall", "share", score.recall)
        yield Row(f"{work}: recall beyond what the bands promise", "share", recall, asked=(Asked(5, -0.02, "ours"),))
        yield figure(f"{work}: precision", "share", score.precision, Asked(5, 0.99, "ours"))


def main(words: Sequence[str]) -> None:
    if words[:1] == ["scale"] and len(words) == 2:
        print(json.dumps(scale(int(words[1]))))
        return
    for row in scale_rows(*map(int, words[1:])) if words[:1] == ["scale"] else chain(right_rows(), rows()):
        print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
