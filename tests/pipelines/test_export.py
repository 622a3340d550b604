"""Export on a workspace made by hand: the card's figures, what is refused, and that nothing is uploaded unasked."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from synthetic_workspace import Written, write_all

from corpus.artifact import Manifest, publish
from corpus.errors import ArtifactError, ConfigError
from pipelines import export
from pipelines.audit.training_questions import evaluations


@pytest.fixture
def workspace(tmp_path: Path) -> Written:
    return write_all(tmp_path / "medical")


def recipe(written: Written, run: str) -> Any:
    """What export asks of a recipe; the model is a folder whose path must not show."""
    train = SimpleNamespace(
        model="/secret/place/base-1b", learning_rate=1e-4, min_ratio=None, warmup_steps=None, weight_decay=0.1,
        micro_batch=4, clip=1.0, seed=0, schedule=SimpleNamespace(kind="cosine"), kl=None, ewc=None, l2sp=0.1,
        das=None, lora=None, ema=None, freeze=None,
    )  # fmt: skip
    mix = SimpleNamespace(sources={"notes": SimpleNamespace(role="domain")})
    sources = [SimpleNamespace(name="notes", license="CC-BY-4.0")]
    parts = {"train": train, "mix": mix}
    return SimpleNamespace(
        name="medical", run=run, folder=written.folder, phi=True, need=parts.__getitem__,
        corpus=SimpleNamespace(sources=sources),
    )  # fmt: skip


def with_model(written: Written) -> tuple[str, int]:
    """Give the first run a model; its name and the step the model is of."""
    frame = evaluations(written.folder)
    run = str(frame["run"][0])
    steps = sorted(set(frame.filter(frame["run"] == run)["step"].to_list()))
    best = int(steps[-2]) if len(steps) > 2 else int(steps[-1])
    with publish(written.folder / "runs" / run / "model", kind="trainer.model", function={"run": run}) as draft:
        (draft.path / "config.json").write_text("{}")
        (draft.path / "model.safetensors").write_bytes(b"weights")
        draft.totals |= {"step": int(steps[-1]), "best_step": best, "reason": "finished", "tokens_by_source": {}}
    return run, best


def test_the_card_says_what_the_exported_step_scored_and_no_path(workspace: Written) -> None:
    run, best = with_model(workspace)
    folder = export.export_run(recipe(workspace, run))
    assert folder == workspace.folder / "export" / run
    Manifest.read(folder).verify(folder)
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    card = (folder / "README.md").read_text()
    assert "/secret" not in card and "base-1b" in card
    frame = evaluations(workspace.folder)
    for row in frame.filter((frame["run"] == run) & (frame["step"] == best)).iter_rows(named=True):
        assert f"{row['bits_per_byte']:.4f}" in next(
            line for line in card.splitlines() if line.startswith(f"| {row['set']} |") and "±" in line
        )
    assert f"| exported step | {best} |" in card and "| held near the base by | l2sp |" in card
    assert "No licence is stated for" in card and "health information" in card
    events = (workspace.folder / "runs" / run / "metrics.jsonl").read_text().splitlines()
    tokens = sum(json.loads(line)["tokens"] for line in events if json.loads(line)["event"] == "step")
    assert f"on {tokens:,} tokens" in card


def test_exporting_again_replaces_what_was_exported_and_nothing_else(workspace: Written, tmp_path: Path) -> None:
    run, _ = with_model(workspace)
    target = tmp_path / "out"
    export.export_run(recipe(workspace, run), target)
    export.export_run(recipe(workspace, run), target)
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_text("meow")
    with pytest.raises(ConfigError, match="holds something else"):
        export.export_run(recipe(workspace, run), other)
    assert (other / "cat.jpg").read_text() == "meow"


def test_a_run_without_a_model_is_refused(workspace: Written) -> None:
    with pytest.raises(ArtifactError, match="has no model to export"):
        export.export_run(recipe(workspace, str(evaluations(workspace.folder)["run"][0])))


def test_the_matrix_has_every_set_and_step(workspace: Written) -> None:
    from io import StringIO

    from rich.console import Console

    run = str(evaluations(workspace.folder)["run"][0])
    text = StringIO()
    Console(file=text, width=300).print(export.matrix_table(recipe(workspace, run)))
    frame = evaluations(workspace.folder)
    for row in frame.filter(frame["run"] == run).iter_rows(named=True):
        assert f"{row['bits_per_byte']:.4f}" in text.getvalue()
    assert "backward transfer" in text.getvalue()
