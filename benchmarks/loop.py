"""What the loop costs: plan, loader, checks, metrics and progress around a step, beside a bare torch loop on the same.

    trainer.loop.train ──on_progress──► a bare step on a twin of the model, the same rows ──► back to train ─► …

The two take turns within one process, so a busy machine slows both. The bare step is the least that trains the same
weights: forward through the same head, backward, clipping, fused AdamW, one read of the loss. The time of ours is all
that passes between two reports of progress: waiting for the loader, token ids checked, spikes, a line of metrics.

`python -m benchmarks.loop` takes about six minutes on two quiet cores; PROVENDER_BENCH=small shrinks everything,
PROVENDER_BENCH=busy counts the process's own time on one thread instead of the clock's.
"""

import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks.measure import Asked, Rate, Row

SMALL, BUSY = (os.environ.get("PROVENDER_BENCH") == kind for kind in ("small", "busy"))
clock = process_time if BUSY else perf_counter
WIDTH, LAYERS, VOCABULARY = (384, 6, 49_152) if not SMALL else (128, 4, 8_192)
ROWS, LENGTH = (4, 512) if not SMALL else (4, 256)
STEPS = 24 if not (SMALL or BUSY) else 40 if SMALL else 16
BAR = 0.015


def make_model(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=WIDTH * 8 // 3,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=LENGTH,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": {"type": "WordLevel", "vocab": {}}}))


def make_stores(folder: Path, model: Path) -> dict[str, Any]:
    """Two sources of random documents."""
    import numpy as np
    import pyarrow as pa

    from corpus.artifact import content_hash, publish
    from corpus.tokens.store import TokenizerIdentity, TokenStore, TokenStoreWriter

    tokenizer = TokenizerIdentity(content_hash(model / "tokenizer.json"), VOCABULARY, 0)
    for seed, name in enumerate(("domain", "general")):
        random = np.random.default_rng(seed)
        lengths = random.integers(50, 700, 300)
        with publish(folder / name, kind="corpus.tokens", function={"seed": seed}) as draft:
            writer = TokenStoreWriter(draft, tokenizer)
            ids = pa.array([f"{name}-{index}" for index in range(len(lengths))])
            writer.add(ids, name, lengths, random.integers(1, VOCABULARY, int(lengths.sum())), lengths * 4)
            writer.close()
    return {name: TokenStore.open(folder / name) for name in ("domain", "general")}


class BareLoop:
    """A twin of the model that is trained without us."""

    def __init__(self, model: Path, settings: Any, batches: list[Any]) -> None:
        import torch

        from trainer.model.packed import build_model
        from trainer.step import make_optimizer

        self.model = build_model(model, settings, "fp32")
        self.optimizer = make_optimizer(self.model, settings)
        self.batches = [
            [torch.from_numpy(array.copy()) for array in (batch.input_ids, batch.position_ids, batch.labels)]
            for batch in batches
        ]

    def step(self, index: int) -> float:
        import torch

        inputs, positions, labels = self.batches[index]
        weights = torch.full(labels.shape, 1 / labels.numel())
        self.model.train()
        loss = self.model(inputs, positions, labels, weights).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())


def seconds() -> tuple[list[float], list[float]]:
    """Of each of STEPS steps, ours and the bare loop's, the first ones left out."""
    import torch

    from mixing.budget import MixSettings
    from mixing.compile import compile_plan
    from mixing.loader import Loader
    from trainer.loop import train
    from trainer.record.progress import Progress
    from trainer.settings import TrainSettings

    if BUSY:
        torch.set_num_threads(1)
    ours: list[float] = []
    bare: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model")
        stores = make_stores(folder / "tokens", folder / "model")
        mix = MixSettings.model_validate(
            {
                "sequence_length": LENGTH,
                "global_batch": ROWS,
                "steps": STEPS + 3,
                "sources": {"domain": {}, "general": {"role": "replay"}},
            }
        )
        plan = compile_plan(stores, mix)
        settings = TrainSettings.model_validate(
            {
                "model": str(folder / "model"),
                "precision": "fp32",
                "micro_batch": ROWS,
                "evaluation_tokens": LENGTH,
                "evaluate_every": 10**6,
                "checkpoint_every": 10**6,
            }
        )
        loader = Loader(plan, stores)
        twin = BareLoop(folder / "model", settings, [loader.batch(step) for step in range(plan.steps)])
        left: float | None = None

        def taking_turns(progress: Progress) -> None:
            nonlocal left
            now = clock()
            if progress.phase != "train" or progress.step == progress.steps:
                return  # the last step is followed by an evaluation
            if left is not None:
                ours.append(now - left)
            began = clock()
            twin.step(progress.step)
            bare.append(clock() - began)
            left = clock()

        train(settings, plan, loader, stores, {"general"}, folder / "run", on_progress=taking_turns)
    return ours[1:], bare[1:]


def rows() -> Iterator[Row]:
    ours, bare = seconds()
    rates = [_rate(each) for each in (ours, bare)]
    work, asked = "training loop with plan, metrics and checks", (Asked(8, 1 - BAR),)
    speed = statistics.median(theirs / mine for mine, theirs in zip(ours, bare, strict=False))
    yield Row(work, "tokens/s", rates[0], "bare torch loop, same head", rates[1], asked, speed)


def _rate(steps: list[float]) -> Rate:
    return Rate.of(*(ROWS * LENGTH / each for each in steps))


def main() -> None:
    ours, bare = seconds()
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=False)]
    overhead = statistics.median(ratios) - 1
    print(f"median of {len(ratios)} turns: ours {statistics.median(ours):.4f} s, bare {statistics.median(bare):.4f} s")
    print(f"overhead {overhead:+.2%} (bar: at most {BAR:.1%})")


if __name__ == "__main__":
    main()
