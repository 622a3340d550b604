"""provender push, pull and plan-cluster on a prepared workspace."""

import subprocess
import sys
from pathlib import Path

import pytest
from test_line import digests, provender

from corpus.engine.spent import read_records

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, recipe_text):
    recipe = tmp_path_factory.mktemp("prepared") / "w.yaml"
    recipe.write_text(recipe_text(recipe.with_suffix("")))
    provender("corpus", recipe)
    return recipe


def test_another_workspace_gets_what_was_pushed_and_mixes_from_it(prepared, tmp_path):
    store = f"file://{tmp_path}/store"
    provender("push", prepared, store)
    elsewhere = tmp_path / "elsewhere"
    there = ["--set", f"workspace={elsewhere}"]
    pulled = provender("pull", prepared, store, *there)
    assert "tokens/papers/train" in pulled.stderr
    patterns = ("corpus/**/*", "tokens/**/*")
    assert digests(elsewhere, *patterns) == digests(prepared.with_suffix(""), *patterns)
    provender("mix", prepared, *there)
    provender("push", prepared, store, *there, "--only", "plans/*")
    provender("pull", prepared, store)
    assert (prepared.with_suffix("") / "plans/main/plan.json").is_file()


def test_a_plan_for_a_cluster_comes_from_the_stages_of_the_run(prepared):
    stages = {record.stage for record in read_records(prepared.with_suffix("") / "logs")}
    assert {"annotate", "duplicates", "decide", "select", "tokens"} <= stages
    shown = provender("plan-cluster", prepared, "--input-gb", "100", "--workers", "64", "--price", "0.04").stdout
    assert "100.00 GB of input, 64 workers" in shown and "cost" in shown
    assert all(stage in shown for stage in stages)
    nothing = provender("plan-cluster", prepared, "--from", "/nowhere", check=False)
    assert nothing.returncode == 4 and "prepare a sample first" in nothing.stderr


def test_an_address_of_an_unknown_kind_is_refused(prepared):
    command = [sys.executable, "-m", "pipelines", "push", str(prepared), "s4://bucket"]
    refused = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
