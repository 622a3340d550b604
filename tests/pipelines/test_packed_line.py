"""Mix, train and audit on padded rows, one source being a token store that datatrove wrote."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from test_line import provender

from corpus.artifact import MANIFEST
from mixing.loader import Loader
from mixing.plan import MixturePlan
from pipelines.audit.verify import verify
from pipelines.recipe import load_recipe
from pipelines.stages import plan_folder, training_stores

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory, recipe_text) -> tuple[Path, list[str]]:
    """A finished run, best-fit packed, with a copy of the general tokens as datatrove would have left them."""
    folder = tmp_path_factory.mktemp("packed")
    recipe = folder / "w.yaml"
    recipe.write_text(recipe_text(folder / "w"))
    provender("corpus", recipe)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    for path in (folder / "w/tokens/general/train").glob("*.ds*"):
        shutil.copy(path, elsewhere / path.name)
    assert not (elsewhere / MANIFEST).exists()
    sets = [
        "mix.sources.papers.packing.method=best_fit",
        "mix.sources.notes.packing.method=best_fit",
        "mix.schedule={kind: learning_rate}",
        f"mix.sources.web={{role: replay, store: {elsewhere}, packing: {{method: best_fit}}}}",
    ]
    words = [word for entry in sets for word in ("--set", entry)]
    for stage in ("mix", "train", "audit"):
        done = provender(stage, recipe, *words)
    assert "everything adds up" in done.stdout
    return recipe, sets


def test_padded_rows_are_planned_trained_and_audited(trained) -> None:
    path, sets = trained
    recipe = load_recipe(str(path), sets)
    plan, stores = MixturePlan.load(plan_folder(recipe)), training_stores(recipe)
    assert {source.name for source in plan.sources if source.padding_tokens} >= {"papers", "notes"}
    assert plan.names == ["general", "notes", "papers", "web"]
    batches = list(Loader(plan, stores).iterate())
    assert any((batch.document_ids == -1).any() for batch in batches)
    events = [json.loads(line) for line in (recipe.folder / "runs/main/metrics.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    assert len(steps) == plan.steps
    seen = sum(int((batch.document_ids >= 0).sum()) for batch in batches)
    assert sum(event["tokens"] for event in steps) == seen < plan.tokens
    checks = verify(recipe.folder)
    assert all(check.passed for check in checks), [check for check in checks if not check.passed]
    switch = plan.segments[0].schedule["at"] * plan.steps
    rates = [recipe.train.rate(step, plan.steps) for step in range(plan.steps)]
    assert rates[round(switch)] <= 0.2 * max(rates) < rates[round(switch) - 1]


def test_a_store_that_changed_elsewhere_is_noticed(trained, tmp_path: Path) -> None:
    path, sets = trained
    recipe = load_recipe(str(path), sets)
    shard = next((path.parent / "elsewhere").glob("*.ds"))
    whole = shard.read_bytes()
    try:
        shard.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        failed = [check.name for check in verify(recipe.folder) if not check.passed]
        assert "stores of plans/main/" in failed
    finally:
        shard.write_bytes(whole)


def test_documents_are_selected_and_a_mixture_takes_the_choice(trained) -> None:
    path, _ = trained
    sets = ["select={task: {source: notes}, pool: [papers, general], choose: {share: 0.5}}", "run=chosen"]
    words = [word for entry in sets for word in ("--set", entry)]
    shown = provender("mix", "select", path, *words).stdout
    assert "weight_column: chosen" in shown
    chosen = path.with_suffix("") / "selection/chosen/chosen"
    sources = {"papers": "domain", "general": "replay"}
    for name in sources:
        entry = f"{{method: best_fit, weights: {chosen / name}.parquet, weight_column: chosen}}"
        words += ["--set", f"mix.sources.{name}.packing={entry}"]
    provender("mix", path, *words)
    loaded = load_recipe(str(path), [word for word in words if word != "--set"])
    stores = training_stores(loaded)
    for name in sources:
        rows = pl.read_parquet(chosen / f"{name}.parquet")
        left_out = set(rows.filter(pl.col("chosen") == 0)["id"])
        ids = stores[name].store.documents["id"].to_pylist()
        held = {ids[p.document] for q in range(stores[name].sequences) for p in stores[name].pieces(q)}
        assert held and not held & left_out
