"""Training steps of one small Llama, each way of training in a process of its own, and what a FLOP limit would give.

    the same 30 M-parameter Llama (D 384, 6 layers, V 49,152 tied), the same rows, AdamW, fp32, clipping at 1

    ours    ▇   ▇   ▇        two processes, one step at a time in turn: each of our steps is set beside the mean of the
    other ▇   ▇   ▇   ▇      other's steps before and after it, and the median of these ratios counts

The speed of a virtual machine changes by tens of percents from minute to minute; what changes within two steps is what
is left of that. Peak memory is each process's own (VmHWM). The FLOP limit is the best rate of matrix products of the
model's own shapes. A turn on a sampled quarter of the rows is four steps of which the draw takes exactly one.

`python -m benchmarks.trainer` prints the ratios beside the bars, in about eight minutes on two quiet cores; names of
ways, comma between, run the comparisons with these only. PROVENDER_BENCH=small shrinks everything;
PROVENDER_BENCH=busy counts the process's own time on one thread instead of the clock's, for ratios on a machine that
others use.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks.measure import Asked, Rate, Row
from corpus.memory import peak_bytes

SMALL, BUSY = (os.environ.get("PROVENDER_BENCH") == kind for kind in ("small", "busy"))
clock = process_time if BUSY else perf_counter
WIDTH, LAYERS, VOCABULARY = (384, 6, 49_152) if not SMALL else (128, 2, 8_192)
ROWS, LENGTH = (4, 512) if not SMALL else (4, 128)
TURNS = 6 if not (SMALL or BUSY) else 3
CHUNK = 256
SHARE = 0.25


@dataclass(frozen=True)
class Comparison:
    """Two ways, and the bars on ours / the other's tokens a second and peak memory; `idea` is what to try where the
    first is missed."""

    name: str
    ours: str
    other: str
    speed: float | None = None
    memory: float | None = None
    idea: str = ""


COMPARISONS = (
    Comparison("cross-entropy, fused head beside HF Trainer", "ce", "hf", 1.08, 0.65),
    Comparison("cross-entropy, fused head beside a bare loop on all logits", "ce", "bare"),
    Comparison("cross-entropy beside the FLOP limit", "ce", "flops", 0.68),
    Comparison("KL on all tokens beside two full logits", "kl_all", "kl_naive", 1.3, 0.5),
    Comparison("KL to a cached top-32 on all tokens beside cross-entropy alone", "kl_top", "ce", 0.98),
    Comparison(
        "KL on 25% replay rows, a quarter of them drawn, frozen copy, beside cross-entropy alone",
        "kl_rows_sampled", "ce", 0.95,
    ),
    Comparison("KL on 25% replay rows, cached top-32, beside cross-entropy alone", "kl_rows_top", "ce", 0.95),
    Comparison(
        "KL on 25% replay rows, frozen copy on every one of them, beside cross-entropy alone", "kl_rows", "ce", 0.95,
        idea="kl.sample or a cache, above: the copy's forward pass is a twelfth of a step, so .92 is the most",
    ),
)  # fmt: skip


def make_model(seed: int = 0) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=WIDTH * 8 // 3,
        num_hidden_layers=LAYERS,
        num_attention_heads=6 if WIDTH == 384 else 4,
        num_key_value_heads=6 if WIDTH == 384 else 4,
        max_position_embeddings=LENGTH,
        tie_word_embeddings=True,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def flops_per_token(model: Any) -> float:
    """6 per parameter that a product uses, the tied embedding once, and 12 · layers · length · D for attention."""
    return 6.0 * sum(p.numel() for p in model.parameters()) + 12.0 * LAYERS * LENGTH * WIDTH


def make_rows(count: int) -> Any:
    """int64 [count, LENGTH + 1]"""
    import torch

    return torch.randint(0, VOCABULARY, (count, LENGTH + 1), generator=torch.Generator().manual_seed(1))


class Turns:
    """Seconds of steps that are taken when a line comes on standard input, until it ends; then the peak of memory."""

    def __init__(self) -> None:
        self.answers = os.fdopen(os.dup(1), "w")  # what libraries print goes to standard error
        os.dup2(2, 1)

    def begin(self) -> None:
        """Raises EOFError when no more steps are asked for."""
        if not sys.stdin.readline():
            raise EOFError
        self.began = clock()

    def end(self, steps: int = 1) -> None:
        self.say((clock() - self.began) / steps)

    def say(self, figure: float) -> None:
        print(figure, file=self.answers, flush=True)

    def take(self, step: Callable[[], object], steps: int = 1) -> None:
        """`step` is so many steps."""
        while True:
            self.begin()
            step()
            self.end(steps)


def by_flops(turns: Turns) -> None:
    """Seconds a step would take at the turn's best rate of products of the head's and the decoder's shapes and of a
    square one."""
    import torch

    pairs = [
        (torch.randn(rows, inner), torch.randn(inner, columns), torch.empty(rows, columns))
        for rows, inner, columns in ((1024, WIDTH, VOCABULARY), (2048, WIDTH, WIDTH * 8 // 3), (1024, 1024, 1024))
    ]
    work = ROWS * LENGTH * flops_per_token(make_model())
    while True:
        turns.begin()
        best = 0.0
        for left, right, out in pairs * 8:
            began = clock()
            torch.mm(left, right, out=out)
            best = max(best, 2 * left.numel() * right.shape[1] / (clock() - began))
        turns.say(work / best)


def by_bare_loop(turns: Turns, teacher: bool) -> None:
    """A plain torch loop on all logits; with `teacher` KL to a second model's logits, as it is usually written."""
    import torch
    from torch.nn.functional import cross_entropy, kl_div, log_softmax

    model, rows = make_model(), make_rows(ROWS)
    other = make_model(seed=1).eval().requires_grad_(False) if teacher else None
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    inputs, labels = rows[:, :-1], rows[:, 1:].flatten()

    def step() -> None:
        logits = model(input_ids=inputs, use_cache=False).logits.flatten(0, 1)
        loss = cross_entropy(logits, labels)
        if other is not None:
            with torch.no_grad():
                target = log_softmax(other(input_ids=inputs, use_cache=False).logits.flatten(0, 1), 1)
            loss = loss + 0.1 * kl_div(log_softmax(logits, 1), target, reduction="batchmean", log_target=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    turns.take(step)


def by_hf_trainer(turns: Turns) -> None:
    """Hugging Face's Trainer on the same rows."""
    import tempfile

    from transformers import Trainer, TrainerCallback, TrainingArguments

    rows = make_rows(ROWS)

    class OneAtATime(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            turns.begin()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            turns.end()

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=ROWS,
            max_steps=1000,
            learning_rate=1e-4,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            optim="adamw_torch_fused",
        )
        # Trainer shifts the labels itself: both sides predict LENGTH − 1 tokens a row or one more.
        data = [{"input_ids": row[:-1], "labels": row[:-1]} for row in rows]
        Trainer(make_model(), arguments, train_dataset=data, callbacks=[OneAtATime()]).train()


class Cache:
    """The likeliest tokens of some other model, in memory: what a memory-mapped file is once it was read."""

    everywhere = False

    def __init__(self) -> None:
        import torch

        from trainer.head.divergence import top_and_rest

        some = top_and_rest(torch.randn(16, VOCABULARY, generator=torch.Generator().manual_seed(2)), 32)
        self.ids, self.log_q = (part.repeat(ROWS * LENGTH // 16, 1) for part in some)
        self.log_q = self.log_q.half()

    def reference(self, micro: Any, rows: Any, held: Any) -> Any:
        from trainer.head.divergence import TopReference

        count = int(held.sum())
        return TopReference(self.ids[:count], self.log_q[:count].float().log_softmax(1))


def by_ours(turns: Turns, way: str) -> None:
    """`trainer.step.TrainStep`, which `provender train` runs, on the same rows."""
    step, steps = stepper(way)
    turns.take(step, steps)


def stepper(way: str) -> tuple[Callable[[], object], int]:
    """What a turn of ours does, and how many steps that is."""
    import numpy as np
    import torch
    from accelerate import Accelerator

    from mixing.batch import TokenBatch
    from trainer.model.packed import PackedModel
    from trainer.regularizers.assemble import Regularizers
    from trainer.regularizers.kl import FrozenBase, KlToBase
    from trainer.settings import TrainSettings
    from trainer.step import TrainStep, make_optimizer

    settings = TrainSettings.model_validate({"model": "unused", "micro_batch": ROWS, "chunk": CHUNK})
    packed = PackedModel(make_model(), precision="fp32", chunk=CHUNK)
    rows = make_rows(ROWS).numpy()
    sources = np.zeros(ROWS, np.int64)
    sources[: ROWS // 4] = 1
    positions = np.broadcast_to(np.arange(LENGTH), (ROWS, LENGTH))
    documents = np.zeros((ROWS, LENGTH), np.int64)

    def batch(step: int) -> TokenBatch:
        return TokenBatch(rows[:, :-1], rows[:, 1:], positions, documents, sources, step)

    take = TrainStep(Accelerator(cpu=True), packed, make_optimizer(packed, settings), settings, ["domain", "replay"])
    if way == "ce":
        return lambda: take(batch(0), 1e-4), 1
    base: Any = Cache()
    if not way.endswith("_top"):
        base = FrozenBase(PackedModel(make_model(1).requires_grad_(False), precision="fp32", chunk=CHUNK).eval())
    held = torch.tensor([way in ("kl_all", "kl_top"), True])  # of the sources domain and replay
    kl = KlToBase(base, held, 0.1, "forward", SHARE if way == "kl_rows_sampled" else 1.0)
    take.regularizers = Regularizers(kl)
    if kl.share == 1:
        return lambda: take(batch(0), 1e-4), 1
    drawn = {step: bool(kl.drawn(take.micro_batches(batch(step))[0]).any()) for step in range(100)}
    some, none = ([step for step in drawn if drawn[step] is chosen] for chosen in (True, False))
    steps = [some[0], *none[: round(1 / SHARE) - 1]]
    return lambda: [take(batch(step), 1e-4) for step in steps], len(steps)


def take_turns(way: str) -> None:
    """The process of one way."""
    import warnings

    warnings.simplefilter("ignore")
    turns = Turns()
    with suppress(EOFError):
        if way == "flops":
            by_flops(turns)
        elif way == "hf":
            by_hf_trainer(turns)
        elif way in ("bare", "kl_naive"):
            by_bare_loop(turns, way == "kl_naive")
        else:
            by_ours(turns, way)
    turns.say(peak_bytes())


class Process:
    """A way in a process of its own, which waits while it is not its turn."""

    def __init__(self, way: str) -> None:
        root = str(Path(__file__).parents[1])
        environment = os.environ | {"PYTHONPATH": root, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        if BUSY:
            environment["OMP_NUM_THREADS"] = "1"  # threads that wait for each other would count as work
        command = [sys.executable, "-m", "benchmarks.trainer", "--one", way]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env=environment, cwd=root, text=True, **pipes)

    def turn(self) -> float:
        """Seconds of a step."""
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        return self._answer()

    def end(self) -> float:
        """Its peak memory in MiB."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self._answer() / (1 << 20)

    def _answer(self) -> float:
        assert self.process.stdout is not None
        if answer := self.process.stdout.readline():
            return float(answer)
        raise SystemExit(f"{' '.join(map(str, self.process.args))}: ended with {self.process.wait()}")  # type: ignore[union-attr]


@dataclass(frozen=True)
class Found:
    """Tokens a second and peak MiB of our way and the other, and the median of the ratios of speed within a turn."""

    rates: tuple[Rate, Rate]
    mib: tuple[float, float]
    speed: float

    @property
    def memory(self) -> float:
        return self.mib[0] / self.mib[1]


def side_by_side(ours: str, other: str) -> Found:
    """TURNS turns of ours, each between two of the other way's, after one each that is not measured."""
    one, two = Process(ours), Process(other)
    for process in (one, two):
        process.turn()
    mine, theirs = [], [two.turn()]
    for _ in range(TURNS):
        mine.append(one.turn())
        theirs.append(two.turn())
    between = [(before + after) / 2 for before, after in pairwise(theirs)]
    speed = statistics.median(their / my for my, their in zip(mine, between, strict=True))
    rates = [Rate.of(*(ROWS * LENGTH / each for each in seconds)) for seconds in (mine, theirs)]
    return Found((rates[0], rates[1]), (one.end(), two.end()), speed)


def rows() -> Iterator[Row]:
    for each in COMPARISONS:
        found = side_by_side(each.ours, each.other)
        asked = () if each.speed is None else (Asked(8, each.speed, idea=each.idea),)
        yield Row(each.name, "tokens/s", found.rates[0], each.other, found.rates[1], asked, found.speed)
        if each.memory is not None:
            sizes = [Rate.of(mib) for mib in found.mib]
            asked = (Asked(8, each.memory, most=True),)
            yield Row(f"{each.name}: peak memory", "MiB", sizes[0], each.other, sizes[1], asked)


def main() -> None:
    """The comparisons with the ways named, or all, beside their bars; `--one` way is a process that takes turns."""
    if sys.argv[1:2] == ["--one"]:
        take_turns(sys.argv[2])
        return
    chosen = set(sys.argv[1].split(",")) if sys.argv[1:] else None
    for each in COMPARISONS:
        if chosen is not None and not chosen & {each.ours, each.other}:
            continue
        found = side_by_side(each.ours, each.other)
        rates = f"{each.ours} {found.rates[0]} tokens/s, {each.other} {found.rates[1]}"
        speed = f"{found.speed:.3f}× speed" + (f" (bar {each.speed})" if each.speed else "")
        memory = f"{found.memory:.3f}× memory" + (f" (bar {each.memory})" if each.memory else "")
        print(f"{each.name}: {speed}, {memory}; {rates}", flush=True)


if __name__ == "__main__":
    main()
