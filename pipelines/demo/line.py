"""The demo: the whole line, twice trained, and what it found of what was planted."""

import os
from pathlib import Path

from pipelines import progress
from pipelines.audit.training_questions import forgetting
from pipelines.demo.prepare import prepare
from pipelines.demo.score import score_planted
from pipelines.outline import corpus_summary, framed
from pipelines.progress import table_console
from pipelines.recipe import load_recipe
from pipelines.stages import audit_workspace, compile_mixture, prepare_corpus, train_model
from trainer.model.packed import quiet

SEED = 17
# The demo's identities are made up, so its key may be known; a corpus of real people needs a secret one.
KEY = "provender demo: no secret"
# The tiny model of the fast demo trains a hundred times faster and has much less to lose.
FAST = [
    "mix.steps=60",
    "mix.global_batch=4",
    "mix.sequence_length=256",
    "train.micro_batch=4",
    "train.learning_rate=1e-3",
]
FAST += ["train.evaluate_every=30", "train.checkpoint_every=30", "train.evaluation_tokens=8000"]
FAST += ["corpus.unit_bytes=1000000", "corpus.validation=0.15"]
# As many steps without what guards the model: no replay in the mixture, no KL to the base.
UNGUARDED = ["run=unguarded", "train.kl=null", "mix.replay_floor=0"]
UNGUARDED += ["mix.sources={code: {role: domain}, docs: {role: domain}}"]


def run_demo(workspace: Path, *, fast: bool) -> None:
    """Fetch, prepare, mix, train guarded and unguarded, audit; prints where the report and the model are."""
    os.environ["PROVENDER_DEMO_KEY"] = KEY
    console = table_console()
    size = "fast" if fast else "demo"
    with quiet():
        inputs = prepare(
            workspace / f"{size}-input", workspace / "cache", fast=fast, seed=SEED, progress=progress.console.print
        )
    overrides = [f"workspace={workspace / size}", f"tokenizer.path={inputs.model}", f"train.model={inputs.model}"]
    overrides += [f"corpus.sources.{i}.reader.path={path}" for i, path in enumerate(inputs.paths.values())]
    overrides += FAST if fast else []
    recipe = load_recipe("demo", overrides)

    console.print(corpus_summary(prepare_corpus(recipe)))
    score_planted(inputs.truth, recipe.folder)
    compile_mixture(recipe)
    model = train_model(recipe).model_path
    unguarded = load_recipe("demo", [*overrides, *UNGUARDED])
    compile_mixture(unguarded)
    train_model(unguarded)
    report, passed = audit_workspace(recipe)

    console.print(framed(forgetting(recipe.folder), "Bits per byte on held-out text, before and after"))
    console.print(f"report: {report}" + ("" if passed else " (some checks failed, see its head)"))
    console.print(f"model:  {model}")
    console.print("generate from it:")
    console.print(f"  .venv/bin/provender generate {model} --prompt 'def read_lines(path):'", soft_wrap=True)
