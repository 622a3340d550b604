"""Does selection pay: a small model trained on the tenth of a pool that is most like a task, beside a random tenth.

    texts ─ provender corpus ─► task (one half held out), pool ─ DSIR, Moore-Lewis, random ─► a tenth of the tokens each
          ─ the same plan settings, steps and first weights ─ provender train ─► perplexity of the task's held-out half

The pool is MedQuAD, code and general text. The task is one collection of MedQuAD (neurology: NINDS, 273 pages), and no
page of it is in the pool, so a selection can win by likeness only. Each measure is run with several seeds, which decide
the order of the documents (and which are random); a difference is paired by seed.

`python -m benchmarks.selection` takes about five minutes on two cores; PROVENDER_BENCH=small takes a third of the text.
Besides, the speed of the two measures beside the same scores computed the plain way.
"""

import itertools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.measure import Asked, Rate, Row, interleaved
from benchmarks.shared import DATA, SHARED
from pipelines.recipe import Recipe

SMALL = os.environ.get("PROVENDER_BENCH") == "small"
BYTES = 300_000 if SMALL else 1_000_000  # of each of the pool's kinds
TASK = "6_NINDS"
SEEDS = (0, 1, 2)
SHARE = 0.1
RANDOM = "random"
MEASURES: dict[str, dict[str, Any]] = {"dsir": {"kind": "dsir"}, "moore_lewis": {"kind": "moore_lewis"}}
Texts = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Outcome:
    """Of one way to choose: the held-out perplexity by seed, and the share of chosen documents by kind of the pool."""

    perplexity: Sequence[float]
    chosen: Mapping[str, float]

    def less_than(self, other: "Outcome") -> tuple[float, float]:
        """How much lower the perplexity is than another's, by seed: (mean, its standard error)."""
        paired = np.subtract(other.perplexity, self.perplexity)
        return float(paired.mean()), float(paired.std(ddof=1) / np.sqrt(len(paired)))


def compare(
    folder: Path,
    task: Sequence[str],
    pool: Texts,
    model: Path,
    *,
    sequence_length: int,
    global_batch: int,
    learning_rate: float,
    measures: Mapping[str, Mapping[str, Any]] = MEASURES,
    seeds: Sequence[int] = SEEDS,
) -> dict[str, Outcome]:
    """Prepare `task` and `pool` (texts by kind), choose by each measure and at random, train `model` on each choice for
    the same tokens, once through a tenth of the pool; outcomes by measure, RANDOM among them. Everything lies in
    `folder`."""
    from pipelines.stages import prepare_corpus, token_stores

    written = {"task": task, **{f"pool/{kind}": texts for kind, texts in pool.items()}}
    for name, texts in written.items():
        path = folder / "texts" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    base = _recipe(folder, model, sequence_length, global_batch, learning_rate)
    prepare_corpus(base)
    tokens = token_stores(base)["pool"].tokens
    steps = int(SHARE * tokens) // (sequence_length * global_batch)
    ways = {RANDOM: None, **measures}
    runs = {way: [_trained(base, way, measure, seed, steps) for seed in seeds] for way, measure in ways.items()}
    return {way: Outcome([each for each, _ in found], found[0][1]) for way, found in runs.items()}


def _recipe(folder: Path, model: Path, sequence_length: int, global_batch: int, learning_rate: float) -> Recipe:
    """Nothing is filtered: what is compared is the choice."""
    sources = [
        {"name": "task", "reader": {"kind": "jsonl", "path": str(folder / "texts/task.jsonl")}, "validation": 0.5},
        {"name": "pool", "reader": {"kind": "jsonl", "path": str(folder / "texts/pool")}, "priority": 1},
    ]
    return Recipe.model_validate(
        {
            "name": "selection",
            "workspace": str(folder / "work"),
            "tokenizer": {"path": str(model)},
            "corpus": {"sources": sources, "validation": 0},
            "mix": {
                "sequence_length": sequence_length,
                "global_batch": global_batch,
                "steps": 1,
                "replay_floor": None,
                "schedule": {"kind": "constant", "share": 1},
                "sources": {"pool": {"role": "domain"}},
            },
            "train": {
                "model": str(model),
                "precision": "fp32",
                "learning_rate": learning_rate,
                "micro_batch": global_batch,
                "evaluate_every": 10**6,
                "evaluation_tokens": 40_000,
                "checkpoint_every": 10**6,
                "gate": {"action": "warn"},
            },
        }
    )


def _trained(
    base: Recipe, way: str, measure: Mapping[str, Any] | None, seed: int, steps: int
) -> tuple[float, dict[str, float]]:
    """(perplexity of the held-out task, chosen share of the documents by kind) of one run."""
    from pipelines.selection import choose_at_random, select_documents
    from pipelines.stages import compile_mixture, train_model
    from trainer.record.metrics import read_metrics

    values = base.model_dump(mode="json", exclude_unset=True) | {"run": f"{way}-{seed}"}
    chosen = base.folder / "selection" / values["run"] / "chosen" / "pool.parquet"
    values["mix"]["sources"]["pool"]["packing"] = {"weights": str(chosen), "weight_column": "chosen"}
    values["mix"] |= {"steps": steps, "seed": seed}
    values["train"]["seed"] = seed
    if measure is None:
        choose_at_random(Recipe.model_validate(values), "pool", SHARE, seed)
    else:
        values["select"] = {
            "task": {"source": "task"}, "pool": ["pool"], "by": [measure], "choose": {"share": SHARE}, "seed": seed
        }  # fmt: skip
        select_documents(Recipe.model_validate(values))
    recipe = Recipe.model_validate(values)
    compile_mixture(recipe)
    train_model(recipe)
    events = read_metrics(recipe.folder / "runs" / recipe.run / "metrics.jsonl")
    scores = [event["sets"]["task"] for event in events if event["event"] == "eval" and event["step"] == steps]
    return float(scores[-1]["perplexity"]), _kinds(base, chosen)


def _kinds(base: Recipe, chosen: Path) -> dict[str, float]:
    """The share of each kind of the pool, by its file, among the chosen documents."""
    ledger = pl.read_parquet(
        sorted((base.folder / "corpus" / "ledger" / "pool").glob("*.parquet")), columns=["id", "file"]
    )
    taken = pl.read_parquet(chosen).filter(pl.col("chosen") > 0).join(ledger, on="id", how="left")
    kinds = taken["file"].str.extract(r"([^/]+)\.jsonl$", 1).value_counts(normalize=True)
    return dict(sorted(kinds.iter_rows()))


def task_and_pool(size: int = BYTES) -> tuple[list[str], dict[str, list[str]]]:
    """The texts of the benchmark: the pages of one collection, and `size` bytes of each kind in pieces of 1,500
    characters, so that no kind is chosen or left for its length."""
    pages = pl.read_parquet(DATA / "medical/medquad.parquet")
    of_task = pl.col("source").str.contains(f":{TASK}_QA", literal=True)
    kinds = {
        "medical": pages.filter(~of_task)["text"].to_list(),
        "code": pl.read_parquet(DATA / "code/thealgorithms_python.parquet")["text"].to_list(),
        "general": [
            text
            for name in ("python_peps", "us_presidential_speeches", "standard_ebooks")
            for text in pl.read_parquet(DATA / f"general/{name}.parquet")["text"].to_list()
        ],
    }
    random = np.random.default_rng(0)
    return pages.filter(of_task)["text"].to_list(), {name: pieces(texts, size, random) for name, texts in kinds.items()}


def pieces(texts: Sequence[str], size: int, random: np.random.Generator, length: int = 1500) -> list[str]:
    """About `size` bytes of the texts, cut into pieces of `length` characters and drawn at random."""
    cut = [text[at : at + length] for text in texts for at in range(0, max(len(text) - 200, 1), length)]
    drawn, total = [], 0
    for place in random.permutation(len(cut)).tolist():
        if total >= size:
            break
        drawn.append(cut[place])
        total += len(cut[place].encode())
    return drawn


def outcomes() -> dict[str, Outcome]:
    """The comparison on the real texts with the base model of 260,000 parameters."""
    import torch

    torch.set_num_threads(1)  # the model is tiny: threads would wait for each other, on a busy machine for long
    task, pool = task_and_pool()
    with TemporaryDirectory() as name:
        model = SHARED / "data/models/stories260K"
        return compare(Path(name), task, pool, model, sequence_length=256, global_batch=8, learning_rate=2e-3)


def speeds() -> Iterator[Row]:
    """DSIR and Moore-Lewis on the pool's texts, MB/s, beside the same scores in plain Python and by KenLM's module."""
    from mixing.select.cross_entropy import MooreLewisSettings
    from mixing.select.dsir import DsirSettings

    task, pool = task_and_pool(300_000 if SMALL else 1_500_000)
    texts = [text for kind in pool.values() for text in kind]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6

    def stream(held: Sequence[str]) -> Callable[[], Iterator[pa.StringArray]]:
        return lambda: (pa.array(held[at : at + 512], pa.string()) for at in range(0, len(held), 512))

    for name, settings, plain in (
        ("DSIR", DsirSettings(), _plain_dsir),
        ("Moore-Lewis", MooreLewisSettings(), _plain_cross_entropies),
    ):
        with TemporaryDirectory() as folder:
            scorer: Any = settings.fit(stream(task), stream(texts), Path(folder), 0)
            batches = list(stream(texts)())
            ours, theirs = interleaved(
                megabytes,
                lambda scorer=scorer, batches=batches: [scorer.score(batch) for batch in batches],
                lambda plain=plain, scorer=scorer: plain(texts, scorer),
                repeats=3,
            )
        yield Row(
            f"selection: scores by {name}", "MB/s", ours, "the same by Python's words", theirs, (Asked(7, 10, "ours"),)
        )


def _plain_dsir(texts: Sequence[str], scorer: Any) -> list[float]:
    """Words by a regular expression, n-grams by Python's hash: as much work as the paper's own code does."""
    ratios = scorer.ratios
    words = re.compile(r"\w+|[^\w\s]+")
    out = []
    for text in texts:
        found = words.findall(text.lower())
        grams = [*found, *itertools.pairwise(found)]
        out.append(float(sum(ratios[hash(gram) % len(ratios)] for gram in grams)))
    return out


def _plain_cross_entropies(texts: Sequence[str], scorer: Any) -> list[float]:
    """Lines as the general way writes them, and KenLM's own module, a line at a time."""
    import kenlm

    from corpus.perplexity.normalisation import normalised_documents

    inside, general = kenlm.Model(str(scorer.in_domain)), kenlm.Model(str(scorer.general))
    written = normalised_documents(pa.array(texts, pa.string()), scorer.writing)
    return [sum(inside.score(line) - general.score(line) for line in lines) for lines in written]


def rows() -> Iterator[Row]:
    """Nothing where the texts are not on this machine."""
    if not DATA.is_dir():
        print(f"selection: left out, the texts of {DATA} are not on this machine")
        return
    yield from speeds()
    found = outcomes()
    for way in found:
        if way != RANDOM:
            unit = "perplexity, lower is better"
            ours, theirs = (Rate.of(*found[name].perplexity) for name in (way, RANDOM))
            asked = (Asked(7, 1, most=True),)
            yield Row(f"selection: held-out task after a tenth by {way}", unit, ours, RANDOM, theirs, asked)


def main() -> None:
    found = outcomes()
    print(f"task {TASK}: perplexity of its held-out half by seed, after a tenth of the pool chosen by")
    for way, outcome in found.items():
        kinds = ", ".join(f"{kind} {share:.3f}" for kind, share in outcome.chosen.items())
        print(f"  {way:<12} {'  '.join(f'{each:.3f}' for each in outcome.perplexity)}   chosen: {kinds}")
        if way != RANDOM:
            gain, error = outcome.less_than(found[RANDOM])
            print(f"  {'':<12} lower than random by {gain:.3f} ± {error:.3f} (bar: above 0)")
    for row in speeds():
        print(row)


if __name__ == "__main__":
    main()
