"""Training steps of one small Llama, each way of training in a process of its own, and what a FLOP limit would give.

    the same 30 M-parameter Llama (D 384, 6 layers, V 49,152 tied), the same rows, AdamW, fp32, clipping at 1

A process measures its tokens a second (median of its steps) and its peak memory (VmHWM). The ways are
started in turn, `ROUNDS` times over, and a ratio is the median of the ratios within a round, so that a busy machine
slows both sides. What regularizers cost beside cross-entropy alone is a matter of percents: one process (`terms`) takes
a step of each in turn. The FLOP limit is the best rate of matrix products of the model's own shapes.

`python -m benchmarks.trainer` prints the ratios beside the bars, in about eight minutes on two quiet cores; names of
ways, comma between, run these only. PROVENDER_BENCH=small shrinks everything; PROVENDER_BENCH=busy counts the process's
own time on one thread instead of the clock's, for ratios on a machine that others use.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks.measure import Asked, Rate, Row
from corpus.memory import peak_bytes

SMALL, BUSY = (os.environ.get("PROVENDER_BENCH") == kind for kind in ("small", "busy"))
clock = process_time if BUSY else perf_counter
WIDTH, LAYERS, VOCABULARY = (384, 6, 49_152) if not SMALL else (128, 2, 8_192)
ROWS, LENGTH = (4, 512) if not SMALL else (4, 128)
STEPS, ROUNDS = (4, 3) if not (SMALL or BUSY) else (2, 1)
STEPS_OF_A_TERM = 2 * STEPS  # percents, not tens of them, are between one term and another
CHUNK = 256
TERMS = ("ce", "kl_top", "kl_rows", "kl_rows_sampled", "kl_rows_top")  # steps of one process, in turn
IDEAS = {  # what to try where a bar is missed, by the way that misses it
    "terms.kl_rows": "a cached top-32, below: the copy's forward pass is a twelfth of a step, so .92 is the most",
    "terms.kl_rows_top": "more steps: on all tokens the same cache costs less than the noise of a step",
    "terms.kl_rows_sampled": "the same: sampling saves the head's share of the copy's pass, not its layers'",
}
WAYS = ("flops", "bare", "hf", "ce", "kl_naive", "kl_all", "terms")

# What is compared: name, ours, the other's, the bar on speed and the bar on memory (ours / the other's).
Comparison = tuple[str, str, str, float | None, float | None]
COMPARISONS: tuple[Comparison, ...] = (
    ("cross-entropy, fused head beside HF Trainer", "ce", "hf", 1.08, 0.65),
    ("cross-entropy, fused head beside a bare loop on all logits", "ce", "bare", None, None),
    ("cross-entropy beside the FLOP limit", "ce", "flops", 0.68, None),
    ("KL on all tokens beside two full logits", "kl_all", "kl_naive", 1.3, 0.5),
    ("KL to a cached top-32 on all tokens beside cross-entropy alone", "terms.kl_top", "terms.ce", 0.98, None),
    ("KL on 25% replay rows, frozen copy, beside cross-entropy alone", "terms.kl_rows", "terms.ce", 0.95, None),
    ("the same on a quarter of these rows' tokens", "terms.kl_rows_sampled", "terms.ce", 0.95, None),
    ("the same on all of them to a cached top-32", "terms.kl_rows_top", "terms.ce", 0.95, None),
)


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


def median_seconds(step: Callable[[int], object]) -> float:
    """Of STEPS steps after one that is not measured."""
    return medians({"": step}, STEPS)[""]


def medians(steps: dict[str, Callable[[int], object]], count: int) -> dict[str, float]:
    """Seconds of `count` steps of each, in turn, after one each that is not measured."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for index in range(count + 1):
        for name, step in steps.items():
            started = clock()
            step(index)
            seconds[name].append(clock() - started)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def by_flops() -> float:
    """Tokens a second at the best rate of products of the head's and the decoder's shapes and of a square one."""
    import torch

    best = 0.0
    for rows, inner, columns in ((1024, WIDTH, VOCABULARY), (2048, WIDTH, WIDTH * 8 // 3), (1024, 1024, 1024)):
        left, right = torch.randn(rows, inner), torch.randn(inner, columns)
        out = torch.empty(rows, columns)
        for _ in range(8):
            started = clock()
            torch.mm(left, right, out=out)
            best = max(best, 2 * rows * inner * columns / (clock() - started))
    return ROWS * LENGTH / (best / flops_per_token(make_model()))


def by_bare_loop(teacher: bool) -> float:
    """A plain torch loop on all logits; with `teacher` KL to a second model's logits, as it is usually written."""
    import torch
    from torch.nn.functional import cross_entropy, kl_div, log_softmax

    model, rows = make_model(), make_rows(ROWS)
    other = make_model(seed=1).eval().requires_grad_(False) if teacher else None
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    inputs, labels = rows[:, :-1], rows[:, 1:].flatten()

    def step(index: int) -> None:
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

    return median_seconds(step)


def by_hf_trainer() -> float:
    """Hugging Face's Trainer on the same rows."""
    import tempfile

    from transformers import Trainer, TrainerCallback, TrainingArguments

    rows, seconds = make_rows(ROWS * (STEPS + 1)), []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = clock()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(clock() - self.started)

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=ROWS,
            max_steps=STEPS + 1,
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
        Trainer(make_model(), arguments, train_dataset=data, callbacks=[Clock()]).train()
    return statistics.median(seconds[1:])


class Cache:
    """The likeliest tokens of some other model, in memory: what a memory-mapped file is once it was read."""

    everywhere = False

    def __init__(self) -> None:
        import torch

        from trainer.divergence import top_and_rest

        some = top_and_rest(torch.randn(16, VOCABULARY, generator=torch.Generator().manual_seed(2)), 32)
        self.ids, self.log_q = (part.repeat(ROWS * LENGTH // 16, 1) for part in some)
        self.log_q = self.log_q.half()

    def reference(self, micro: Any, rows: Any, held: Any) -> Any:
        from trainer.divergence import TopReference

        count = int(held.sum())
        return TopReference(self.ids[:count], self.log_q[:count].float().log_softmax(1))


def by_ours(ways: tuple[str, ...]) -> dict[str, float]:
    """`trainer.step.TrainStep`, which `provender train` runs, on the same rows; all ways on one model."""
    import numpy as np
    import torch
    from accelerate import Accelerator

    from mixing.batch import TokenBatch
    from trainer.model import PackedModel
    from trainer.regularizers.assemble import Regularizers
    from trainer.regularizers.kl import FrozenBase, KlToBase
    from trainer.settings import TrainSettings
    from trainer.step import TrainStep, make_optimizer

    settings = TrainSettings.model_validate({"model": "unused", "micro_batch": ROWS, "chunk": CHUNK})
    packed = PackedModel(make_model(), precision="fp32", chunk=CHUNK)
    optimizer = make_optimizer(packed, settings)
    copy: Any = None
    if any(way in ("kl_all", "kl_rows", "kl_rows_sampled") for way in ways):
        copy = FrozenBase(PackedModel(make_model(1).requires_grad_(False), precision="fp32", chunk=CHUNK).eval())
    rows = make_rows(ROWS).numpy()
    sources = np.zeros(ROWS, np.int64)
    sources[: ROWS // 4] = 1
    positions = np.broadcast_to(np.arange(LENGTH), (ROWS, LENGTH))
    documents = np.zeros((ROWS, LENGTH), np.int64)

    def stepper(way: str) -> Callable[[int], object]:
        held = torch.tensor([way in ("kl_all", "kl_top"), True])  # of the sources domain and replay
        share = 0.25 if way.endswith("sampled") else 1.0
        base = Cache() if way.endswith("_top") else copy
        kl = KlToBase(base, held, 0.1, "forward", share) if way != "ce" else None
        step = TrainStep(Accelerator(cpu=True), packed, optimizer, settings, ["domain", "replay"])
        step.regularizers = Regularizers(kl)

        def take(index: int) -> object:
            return step(TokenBatch(rows[:, :-1], rows[:, 1:], positions, documents, sources, index), 1e-4)

        return take

    return medians({way: stepper(way) for way in ways}, STEPS_OF_A_TERM if len(ways) > 1 else STEPS)


def measure(way: str) -> dict[str, dict[str, float]]:
    """Tokens a second and the peak of this process's memory in MiB, by way."""
    import warnings

    warnings.simplefilter("ignore")
    if way == "flops":
        seconds = {way: by_flops()}
    elif way == "hf":
        seconds = {way: by_hf_trainer()}
    elif way in ("bare", "kl_naive"):
        seconds = {way: by_bare_loop(way == "kl_naive")}
    elif way == "terms":
        seconds = {f"terms.{name}": each for name, each in by_ours(TERMS).items()}
    else:
        seconds = by_ours((way,))
    peak = peak_bytes() / (1 << 20)
    return {name: {"rate": ROWS * LENGTH / each, "mib": peak} for name, each in seconds.items()}


Found = dict[str, list[dict[str, float]]]


def rounds(ways: tuple[str, ...] = WAYS) -> Found:
    """Every way in a process of its own, in turn, ROUNDS times over; the order turns round between rounds."""
    found: Found = {}
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    if BUSY:
        environment["OMP_NUM_THREADS"] = "1"  # threads that wait for each other would count as work
    for index in range(ROUNDS):
        for way in ways if index % 2 == 0 else reversed(ways):
            command = [sys.executable, "-m", "benchmarks.trainer", "--one", way]
            done = subprocess.run(command, env=environment, cwd=root, check=True, capture_output=True, text=True)
            for name, each in json.loads(done.stdout.strip().splitlines()[-1]).items():
                found.setdefault(name, []).append(each)
    return found


def rate_of(measured: list[dict[str, float]]) -> Rate:
    return Rate.of(*(each["rate"] for each in measured))


def ratio(found: Found, ours: str, other: str, what: str) -> float:
    """The median over rounds of ours / the other's."""
    return statistics.median(one[what] / two[what] for one, two in zip(found[ours], found[other], strict=True))


def rows() -> Iterator[Row]:
    found = rounds()
    for name, ours, other, bar, memory_bar in COMPARISONS:
        asked = () if bar is None else (Asked(8, bar, idea=IDEAS.get(ours, "")),)
        speed = ratio(found, ours, other, "rate")
        yield Row(name, "tokens/s", rate_of(found[ours]), other, rate_of(found[other]), asked, speed)
        if memory_bar is not None:
            sizes = [Rate.of(*(each["mib"] for each in found[way])) for way in (ours, other)]
            yield Row(f"{name}: peak memory", "MiB", sizes[0], other, sizes[1], (Asked(8, memory_bar, most=True),))


def main() -> None:
    """The ways named, or all, and the ratios beside their bars; `--one` way prints its figures as JSON."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2])))
        return
    found = rounds(tuple(way for way in WAYS if not sys.argv[1:] or way in sys.argv[1].split(",")))
    for way, measured in found.items():
        print(f"{way:22} {rate_of(measured)} tokens/s, {measured[0]['mib']:,.0f} MiB")
    for name, ours, other, speed, memory in COMPARISONS:
        if ours in found and other in found:
            line = f"{name}: {ratio(found, ours, other, 'rate'):.3f}× speed" + (f" (bar {speed})" if speed else "")
            if memory is not None:
                line += f", {ratio(found, ours, other, 'mib'):.3f}× memory (bar {memory})"
            print(line)


if __name__ == "__main__":
    main()
