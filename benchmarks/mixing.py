"""The mixture: the loader beside the limit of copying memory and other loaders, packing, and a trillion tokens.

The peers run in the interpreter that $PROVENDER_PEERS names (a Python with mosaicml-streaming, litdata, grain, datasets
and megatron-core, whose pins clash with ours), each in a process of its own that loads when it is told to; one that
does not start there is reported as not installed.
"""

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa

from benchmarks.measure import Asked, Row, figure, interleaved
from benchmarks.mixing_peers import PEERS
from corpus.artifact import publish
from corpus.memory import peak_bytes
from corpus.tokens.store import TokenizerIdentity, TokenStore, TokenStoreWriter
from mixing.bins import best_fit
from mixing.budget import MixSettings, SourceBudget, Supply
from mixing.compile import compile_plan
from mixing.loader import Loader
from mixing.plan import MixturePlan

TOKENS = 8_000_000  # of each of three sources
STEPS, BATCH, LENGTH = 60, 64, 2048
DOCUMENTS = 2_000_000  # to pack
TRILLION = {"sequence_length": 4096, "global_batch": 1026, "steps": 238_000}
SOURCES = 20
WIDE = "int32 positions and documents: our four arrays are eight times as wide as a peer's bare ids"
ASKED_BESIDE = {  # five times the best peer, thirty times Megatron's, four arrays beside what the peer's batch holds
    "datasets": (Asked(6, 5),),
    "datasets, numpy uint16": (Asked(6, 5, idea=WIDE),),
    "litdata": (Asked(6, 5),),
    "grain": (Asked(6, 5),),
    "mosaicml-streaming": (Asked(6, 5),),
    "megatron-core": (Asked(6, 30),),
}


def store(folder: Path, name: str, seed: int, tokens: int = TOKENS) -> TokenStore:
    """Random tokens in documents of 200 to 1,800."""
    random = np.random.default_rng(seed)
    lengths = random.integers(200, 1800, tokens // 1000)
    with publish(folder / name, kind="benchmark", function={"name": name, "seed": seed, "tokens": tokens}) as draft:
        writer = TokenStoreWriter(draft, TokenizerIdentity("benchmark", 49_152, 0))
        ids = pa.array([f"{name}-{index}" for index in range(len(lengths))])
        writer.add(ids, name, lengths, random.integers(1, 49_152, int(lengths.sum())), lengths * 4)
        writer.close()
    return TokenStore.open(folder / name)


def three(folder: Path, tokens: int = TOKENS) -> tuple[MixturePlan, dict[str, TokenStore]]:
    stores = {name: store(folder, name, seed, tokens) for seed, name in enumerate(("one", "two", "three"))}
    sources = {name: SourceBudget(role="replay" if name == "three" else "domain") for name in stores}
    settings = MixSettings(sequence_length=LENGTH, global_batch=BATCH, steps=STEPS, sources=sources)
    return compile_plan(stores, settings), stores


def rows() -> Iterator[Row]:
    """The loader's rates, then packing, then what is bounded rather than compared (`bounds`)."""
    with tempfile.TemporaryDirectory() as scratch:
        yield from _loaders(Path(scratch))
    yield from _packing()
    yield from _bounds()


def _loaders(folder: Path) -> Iterator[Row]:
    plan, stores = three(folder)
    loader = Loader(plan, stores)
    flat, held = np.zeros((BATCH, LENGTH), np.int64), np.empty((4, BATCH, LENGTH), np.int64)

    def load() -> None:
        for step in range(STEPS):
            loader.batch(step)

    def copy() -> None:
        for _ in range(STEPS):
            held[:] = flat

    def ids(kind: type) -> Callable[[], None]:
        def load_ids() -> None:
            for step in range(STEPS):
                loader.ids(step, kind)

        return load_ids

    alone = {"datasets": np.int64, "datasets, numpy uint16": np.uint16, "litdata": np.int64}
    amount, work = STEPS * BATCH * LENGTH / 1e6, "loader, 64 × 2,048, three sources"
    rates = interleaved(amount, load, copy)
    yield Row(work, "M tokens/s", rates[0], "limit: copying the arrays", rates[1], (Asked(6, 500, "ours", idea=WIDE),))
    for name, entry in stores.items():
        for suffix in (".ds", ".ds.index"):
            shutil.copy(Path(entry.folder) / f"00000{suffix}", folder / f"{name}{suffix}")
    for peer in PEERS:
        with ExitStack() as stack:
            turn = stack.enter_context(_peer(peer, folder))
            if turn is None:
                print(f"{work}: {peer} not installed (set PROVENDER_PEERS to a Python that has it)", flush=True)
                continue
            rates = interleaved(amount, load, turn, repeats=3)
            yield Row(work, "M tokens/s", rates[0], peer, rates[1], ASKED_BESIDE.get(peer, ()))
            if peer in alone:  # the others' batches are ids alone: the same of ours
                rates = interleaved(amount, ids(alone[peer]), turn, repeats=3)
                yield Row(f"{work}: ids alone", "M tokens/s", rates[0], peer, rates[1], (Asked(6, 5),))


@contextmanager
def _peer(name: str, folder: Path) -> Iterator[Callable[[], None] | None]:
    """A peer's process, ready, as a function that makes it load once; None when it does not start."""
    command = [os.environ.get("PROVENDER_PEERS", sys.executable), str(Path(__file__).with_name("mixing_peers.py"))]
    process = subprocess.Popen(
        [*command, name, str(folder), str(STEPS * BATCH)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    source, answers = process.stdin, process.stdout

    def turn() -> None:
        source.write("go\n")
        source.flush()
        if answers.readline() != "done\n":
            raise RuntimeError(f"{name} stopped in the middle of its work")

    try:
        yield turn if answers.readline() == "ready\n" else None
    finally:
        process.kill()
        process.wait()


def _packing() -> Iterator[Row]:
    random = np.random.default_rng(0)
    lengths = np.maximum(random.lognormal(6, 1.2, DOCUMENTS).astype(np.int64), 1)
    few = lengths[:20_000]

    def ours() -> None:
        best_fit(lengths, LENGTH)

    def naive() -> None:
        for _ in range(DOCUMENTS // len(few)):
            np.sort(few)  # what every best-fit decreasing begins with

    rates = interleaved(DOCUMENTS / 1e6, ours, naive, repeats=3)
    work, asked = "best-fit packing, log-normal documents", (Asked(6, 5, "ours"),)
    yield Row(work, "M documents/s", rates[0], "limit: sorting 20,000", rates[1], asked)


def _bounds() -> Iterator[Row]:
    """Figures that the issue bounds."""
    with ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn")
    ) as pool:  # its own process: peaks of memory are its
        figures = pool.submit(bounds).result()
    for work, unit, value, bound in figures:
        yield figure(work, unit, value, Asked(6, bound, "ours", most=True))


def bounds() -> list[tuple[str, str, float, float]]:
    """(what, unit, measured, bound): a plan of a trillion tokens, first batch, resume, where."""
    with tempfile.TemporaryDirectory() as scratch:
        return [*_trillion(Path(scratch)), *_loading(Path(scratch))]


def _trillion(folder: Path) -> Iterator[tuple[str, str, float, float]]:
    random = np.random.default_rng(0)
    tokens = (random.dirichlet(np.full(SOURCES, 0.7)) * 6e11).astype(np.int64) + 10**9
    length = TRILLION["sequence_length"]
    supplies = [Supply(f"s{i:02d}", int(n), int(n) // length) for i, n in enumerate(tokens)]
    sources = {
        s.name: SourceBudget(role="domain" if i % 4 else "replay", max_epochs=20) for i, s in enumerate(supplies)
    }
    settings = MixSettings.model_validate(TRILLION | {"sources": sources})
    compile_plan(supplies, settings.model_copy(update={"steps": 10}))
    before = peak_bytes()
    started = perf_counter()
    plan = compile_plan(supplies, settings)
    yield "1 T tokens, 20 sources, 238,000 steps: compile the plan", "s", perf_counter() - started, 10
    plan.save(folder / "plan")
    size = sum(file.stat().st_size for file in (folder / "plan").iterdir())
    yield "the same plan on disk", "MB", size / 1e6, 20
    MixturePlan.load(folder / "plan")
    yield "memory to compile, save and load it", "MB", (peak_bytes() - before) / 1e6, 500
    steps = [0, 1, plan.steps // 2, plan.steps - 1]
    yield "batch(step) of it, slowest", "ms", max(_seconds(plan.batch, step) for step in steps) * 1e3, 1
    small = store(folder, "small", 0)  # its sequences are the first ones of a source of the plan
    documents = [0, 1000, small.document_count - 1]
    slowest = max(_seconds(lambda row: plan.steps_of("s01", row, small), row) for row in documents)
    yield "where: every step of a document in it, slowest", "ms", slowest * 1e3, 5


def _loading(folder: Path) -> Iterator[tuple[str, str, float, float]]:
    plan, stores = three(folder)
    Loader(plan, stores).batch(0)  # compiled kernels
    fresh = {name: TokenStore.open(Path(entry.folder)) for name, entry in stores.items()}
    started = perf_counter()
    Loader(plan, fresh).batch(0)
    yield "first batch of a new loader", "ms", (perf_counter() - started) * 1e3, 50
    started = perf_counter()
    resumed = Loader(plan, fresh).iterate(STEPS - 7)
    next(resumed)
    yield "resume at a step", "ms", (perf_counter() - started) * 1e3, 50
    resumed.close()
    yield from _memory(folder)


def _memory(folder: Path) -> Iterator[tuple[str, str, float, float]]:
    """Pages that are the process's own (not of the mapped files), of a loader over 1 and over 8 times the tokens."""
    held = []
    for times in (1, 8):
        plan, stores = three(folder / f"times-{times}", times * TOKENS // 4)
        loader = Loader(plan, stores)
        before = _own_memory()
        for step in range(STEPS):
            loader.batch(step)
        held.append(_own_memory() - before)
    yield "own memory of a loader over 8 × the tokens, more than over 1 ×", "MB", max(0, held[1] - held[0]) / 1e6, 4


def _own_memory() -> int:
    """Resident bytes that are not shared with files."""
    pages = Path("/proc/self/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * resource.getpagesize()


def _seconds(work: Callable[[int], object], argument: int) -> float:
    """The least of five, the first of which warms."""
    taken = []
    for _ in range(5):
        started = perf_counter()
        work(argument)
        taken.append(perf_counter() - started)
    return min(taken)
