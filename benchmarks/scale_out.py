"""What other places of work cost: a Ray cluster and an object store beside this machine, and predictions beside runs.

    python -m benchmarks.scale_out [megabytes] [workers|ray|s3|prediction …] [--repeats N]

Ratios at that size; of the prediction, a quarter of it and ten times the quarter. A part at a time keeps a run short.
The same preparation each time, with two workers: repair, language, quality, rules, duplicates, tokens. Ray is a cluster
of this machine, started before the clock; the object store is moto's server in a process of its own, from which inputs
are read and to which corpus and token stores are pushed. A fixed cost a stage counts for less the longer the job.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import perf_counter, sleep
from types import SimpleNamespace
from typing import Any

from benchmarks.line import write_tokenizer
from benchmarks.measure import Asked, Rate, Row, interleaved
from benchmarks.quality import documents as prose

MEGABYTES = 20.0
REPEATS = 3
WORKERS = 2
STEPS = [{"kind": "repair"}, {"kind": "language"}, {"kind": "quality"}, {"kind": "c4"}]
RULES = [{"rule": "language", "allow": ["en"], "min_score": 0.5}, {"rule": "gopher_quality"}]
PORT = "51737"
STORE = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
    "NO_PROXY": "127.0.0.1",
}
MOTO = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"


def write_inputs(folder: Path, megabytes: float) -> None:
    """pages/*.jsonl and a tokenizer."""
    texts = [document.text for document in prose(megabytes)]
    (folder / "pages").mkdir(parents=True)
    for part in range(16):
        lines = (json.dumps({"text": text}) + "\n" for text in texts[part::16])
        (folder / "pages" / f"{part:02d}.jsonl").write_text("".join(lines))
    write_tokenizer(folder / "tokenizer", texts[:2000])


def prepare(pages: str, tokenizer: Path, workspace: Path, executor: Any) -> None:
    """One preparation of the pages at a path or URL."""
    from corpus.artifact import RunLock
    from corpus.prepare import Preparation
    from corpus.recipe import CorpusSettings
    from corpus.tokens.tokenize import TokenizerSettings

    source = {"name": "pages", "reader": {"kind": "jsonl", "path": pages}}
    parts = {"sources": [source], "steps": STEPS, "decide": RULES, "validation": 0.02, "unit_bytes": 4 << 20}
    silent = SimpleNamespace(update=lambda *_: None, close=lambda *_: None)
    with RunLock(workspace) as lock:
        Preparation(
            CorpusSettings.model_validate(parts),
            TokenizerSettings(path=str(tokenizer), eos_token="<|endoftext|>"),
            workspace,
            executor=executor,
            seed=0,
            phi=False,
            lock=lock,
            watch=lambda title: nullcontext(silent),
        ).run(lambda totals: "", {})


class Fresh:
    """Preparations in ever new workspaces."""

    def __init__(self, root: Path) -> None:
        self.root, self.count = root, 0

    def workspace(self) -> Path:
        self.count += 1
        return self.root / str(self.count)


PARTS = ("workers", "ray", "s3", "prediction")


def rows(megabytes: float = MEGABYTES, parts: Sequence[str] = PARTS[:3], repeats: int = REPEATS) -> Iterator[Row]:
    """Two workers beside one, Ray and an object store beside this machine."""
    from corpus.engine.executors import LocalSettings, RaySettings
    from corpus.engine.ray_cluster import connect

    os.environ.update(STORE)  # before the first worker: they are forked from a server that keeps its environment
    with tempfile.TemporaryDirectory() as scratch:
        inputs, fresh = Path(scratch) / "inputs", Fresh(Path(scratch))
        write_inputs(inputs, megabytes)
        here, tokenizer = LocalSettings(workers=WORKERS), inputs / "tokenizer"

        def on(executor: Any, pages: str) -> Path:
            workspace = fresh.workspace()
            prepare(pages, tokenizer, workspace, executor)
            return workspace

        def beside(*works: Callable[[], object]) -> list[Rate]:
            return interleaved(megabytes, *works, repeats=repeats)

        local = str(inputs / "pages")
        if "workers" in parts:
            alone = LocalSettings(workers=1)
            two, one = beside(lambda: on(here, local), lambda: on(alone, local))
            work = f"preparation, {megabytes:.0f} MB, two workers"
            yield Row(work, "MB/s", two, "one worker", one, (Asked(10, 1.8),))
        if "ray" in parts:
            there = RaySettings(kind="ray", workers=WORKERS, mem_per_cpu_gb=1)
            connect(there)
            ray, mine = beside(lambda: on(there, local), lambda: on(here, local))
            work = f"preparation on Ray, {megabytes:.0f} MB"
            asked = (Asked(10, 0.9, idea="a longer job; fewer, larger units"),)
            yield Row(work, "MB/s", ray, "this machine's executor", mine, asked)
        if "s3" in parts:
            with object_store() as bucket:
                _upload(inputs / "pages", f"{bucket}/pages")
                through, mine = beside(
                    lambda: _push(on(here, f"{bucket}/pages"), f"{bucket}/out-{fresh.count}"), lambda: on(here, local)
                )
            work = f"preparation from S3 and push to it, {megabytes:.0f} MB"
            asked = (Asked(10, 0.8, idea="reading ahead of the line; pushing while later stages run"),)
            yield Row(work, "MB/s", through, "local files", mine, asked)


@contextmanager
def object_store() -> Iterator[str]:
    """A bucket of moto's server, in a process of its own."""
    import fsspec

    server = subprocess.Popen([sys.executable, "-c", MOTO, PORT], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        sleep(5)
        fsspec.filesystem("s3").mkdir("s3://provender-bench")
        yield "s3://provender-bench"
    finally:
        server.terminate()
        server.wait()


def _upload(folder: Path, url: str) -> None:
    import fsspec

    fsspec.filesystem("s3").put(str(folder), url, recursive=True)


def _push(workspace: Path, url: str) -> None:
    from corpus.object_store import RemoteArtefact, artefacts

    for name in artefacts(workspace):
        RemoteArtefact(f"{url}/{name}").push(workspace / name)


def prediction_rows(megabytes: float = MEGABYTES / 4) -> Iterator[Row]:
    """Time, disk and memory of ten times the size as they are predicted from runs of it and of twice it, and as they
    are."""
    from corpus.engine.executors import LocalSettings
    from corpus.engine.spent import read_records
    from pipelines.plan_cluster import measured, plan_cluster

    runs, real, took = [], None, 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for factor in (1, 2, 10):
            inputs, workspace = Path(scratch) / f"in{factor}", Path(scratch) / f"out{factor}"
            write_inputs(inputs, factor * megabytes)
            began = perf_counter()
            prepare(str(inputs / "pages"), inputs / "tokenizer", workspace, LocalSettings(workers=WORKERS))
            took = perf_counter() - began
            real = measured(workspace)
            if factor < 10:
                runs.append(real)
        assert real is not None
        records = {record.stage: record for record in read_records(workspace / "logs")}
    plan = plan_cluster(runs, real.input_bytes, 4 << 20, WORKERS)
    work = f"plan-cluster: ten times {megabytes:.0f} MB,"
    for stage in plan.stages:
        record = records[stage.stage]
        for what, unit, said, found in (
            ("seconds", "s", stage.wall_seconds, record.wall), ("memory", "MB", stage.rss / 1e6, record.rss / 1e6)
        ):  # fmt: skip
            yield Row(f"{work} {what} of {stage.stage}, predicted", unit, Rate.of(said), "the run", Rate.of(found))
    yield Row(f"{work} seconds of all, predicted", "s", Rate.of(plan.wall_seconds), "the run", Rate.of(took))
    yield Row(f"{work} disk, predicted", "MB", Rate.of(plan.disk / 1e6), "the run", Rate.of(real.disk / 1e6))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("megabytes", nargs="?", type=float, default=MEGABYTES)
    parser.add_argument("parts", nargs="*", default=PARTS, help="of " + ", ".join(PARTS))
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    for row in rows(asked.megabytes, asked.parts, asked.repeats):
        print(row, flush=True)
    if "prediction" in asked.parts:
        for row in prediction_rows(asked.megabytes / 4):
            print(row, flush=True)


if __name__ == "__main__":
    main()
