"""The whole line on generated text and a tiny model, through the command line."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from as_a_user import CHECKOUT, provender

from corpus.artifact import Manifest
from corpus.errors import ConfigError
from corpus.perplexity import find_kenlm_tools

pytestmark = pytest.mark.slow


def digests(folder: Path, *patterns: str) -> dict[str, str]:
    """Content hashes of the artefacts under a workspace, by relative path."""
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]
    assert paths
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


ARTEFACTS = ("annotate/**/*", "decisions/*", "selected/**/*", "corpus/**/*", "tokens/**/*", "plans/**/*")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, recipe_text):
    """A workspace with everything made by one worker; tests that change it take a copy."""
    recipe = tmp_path_factory.mktemp("finished") / "w.yaml"
    recipe.write_text(recipe_text(recipe.with_suffix("")))
    for stage in ("corpus", "mix", "train", "audit"):
        provender(stage, recipe)
    return recipe, recipe.with_suffix("")


def test_the_line_runs_adds_up_and_is_skipped_the_second_time(finished):
    recipe, workspace = finished
    audit = provender("audit", recipe)
    assert "everything adds up" in audit.stdout
    assert (workspace / "report" / "report.html").stat().st_size > 10_000
    before = digests(workspace, *ARTEFACTS, "runs/main/model/*")
    again = provender("corpus", recipe)
    stages = [line for line in again.stderr.splitlines() if line]
    assert stages and all("unchanged, skipped" in line for line in stages)
    provender("mix", recipe)
    provender("train", recipe)
    assert digests(workspace, *ARTEFACTS, "runs/main/model/*") == before


def test_every_record_is_accounted_for(finished, inputs):
    _, workspace = finished
    ledger = pl.concat([pl.read_parquet(path) for path in sorted((workspace / "corpus" / "ledger").rglob("*.parquet"))])
    lines = sum(len(path.read_text().splitlines()) for path in (inputs / "papers").iterdir())
    assert ledger.filter(pl.col("source") == "papers").height == lines
    assert ledger.filter(pl.col("source") == "general").height == len(list((inputs / "general").iterdir()))
    papers = ledger.filter(pl.col("source") == "papers").group_by("fate", "step").len()
    counts = {(fate, step): count for fate, step, count in papers.iter_rows()}
    assert counts["quarantined", "quarantine"] == 3 and counts["dropped", "read"] == 3
    assert counts["dropped", "duplicates"] == 2
    copies = ledger.filter(pl.col("step") == "duplicates")
    assert sorted(copies["duplicate_kind"]) == ["exact", "near"]
    assert copies.filter(pl.col("duplicate_kind") == "exact")["similarity"].to_list() == [1.0]
    notes = ledger.filter(pl.col("source") == "notes").explode("pii").unnest("pii")
    assert notes.filter(pl.col("key") == "PHONE")["value"].sum() == 30


def test_what_was_removed_is_in_no_file_of_the_workspace(finished):
    _, workspace = finished
    for path in workspace.rglob("*"):
        if path.is_file():
            assert b"736-5001" not in path.read_bytes(), path
    texts = pl.concat(pl.read_parquet(p, columns=["text"]) for p in (workspace / "corpus/data/notes").iterdir())
    assert texts["text"].str.contains(r"\[PHONE\]").all()
    assert not texts["text"].str.contains("3/4/1987").any()


def test_the_trainer_saw_the_plans_tokens_by_source(finished):
    _, workspace = finished
    plan = pl.read_parquet(workspace / "plans/main/plan.parquet")
    names = [source["name"] for source in json.loads((workspace / "plans/main/plan.json").read_text())["sources"]]
    planned = {
        names[source]: 64 * n for source, n in plan.group_by("source").agg(pl.col("sequences").sum()).iter_rows()
    }
    events = [json.loads(line) for line in (workspace / "runs/main/metrics.jsonl").read_text().splitlines()]
    trained: dict[str, int] = {}
    for event in events:
        for source, tokens in event.get("source_tokens", {}).items() if event["event"] == "step" else ():
            trained[source] = trained.get(source, 0) + tokens
    assert trained == planned and sum(planned.values()) == 12 * 4 * 64


def test_the_corpus_is_a_data_set(finished, monkeypatch):
    import datasets

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    _, workspace = finished
    loaded = datasets.load_dataset(str(workspace / "corpus"), cache_dir=str(workspace / "hf"))
    totals = Manifest.read(workspace / "corpus").totals["sources"]
    kept = sum(source["kept"]["documents"] for source in totals.values())
    assert sum(split.num_rows for split in loaded.values()) == kept


def test_the_model_loads(finished):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, workspace = finished
    model = AutoModelForCausalLM.from_pretrained(workspace / "runs/main/model")
    tokenizer = AutoTokenizer.from_pretrained(workspace / "runs/main/model")
    assert model.config.vocab_size >= len(tokenizer)


def test_two_workers_give_the_bytes_of_one(finished, write_recipe):
    _, one = finished
    recipe = write_recipe("two", workers=2)
    provender("corpus", recipe)
    provender("mix", recipe)
    assert digests(recipe.with_suffix(""), *ARTEFACTS) == digests(one, *ARTEFACTS)


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_killed_preparation_ends_as_the_undisturbed_one(finished, write_recipe, share):
    _, undisturbed = finished
    recipe = write_recipe("killed", workers=2)
    workspace = recipe.with_suffix("")
    started = time.monotonic()
    command = [sys.executable, "-m", "pipelines", "corpus", str(recipe)]
    process = subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    units = len(list(undisturbed.glob("annotate/*/*/manifest.json")))
    while len(list(workspace.glob("annotate/*/*/manifest.json"))) < units * share and process.poll() is None:
        assert time.monotonic() - started < 120
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    provender("corpus", recipe)
    provender("mix", recipe)
    assert digests(workspace, *ARTEFACTS) == digests(undisturbed, *ARTEFACTS)


@pytest.mark.faults
def test_a_killed_training_ends_as_the_undisturbed_one(finished, write_recipe):
    _, undisturbed = finished
    recipe = write_recipe("killed")
    workspace = recipe.with_suffix("")
    provender("corpus", recipe)
    provender("mix", recipe)
    command = [sys.executable, "-m", "pipelines", "train", str(recipe)]
    process = subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not list(workspace.glob("runs/main/step-*/manifest.json")) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    provender("train", recipe)
    weights = "runs/main/model/model.safetensors"
    assert digests(workspace, weights) == digests(undisturbed, weights)


@pytest.mark.faults
def test_a_stopped_training_saves_says_how_to_go_on_and_exits_well(finished, tmp_path):
    recipe, original = finished
    workspace = tmp_path / "copy"
    shutil.copytree(original, workspace)
    words = [str(recipe), "--set", f"workspace={workspace}", "--set", "run=long", "--set", "mix.steps=300"]
    provender("mix", *words)
    command = [sys.executable, "-m", "pipelines", "train", *words]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    metrics = workspace / "runs/long/metrics.jsonl"
    while not (metrics.exists() and '"event":"step"' in metrics.read_text().replace(" ", "")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "to go on: " in output and " train " in output and "run=long" in output
    assert list(workspace.glob("runs/long/step-*/manifest.json"))


@pytest.mark.faults
def test_a_second_run_on_the_workspace_is_refused(write_recipe):
    from corpus.artifact import RunLock

    recipe = write_recipe()
    with RunLock(recipe.with_suffix("")):
        refused = provender("corpus", recipe, check=False)
    assert refused.returncode == 4
    assert f"process {os.getpid()}" in refused.stderr and "Traceback" not in refused.stderr


def test_a_changed_threshold_decides_again_without_reading_raw_text(finished, tmp_path):
    recipe, original = finished
    workspace = tmp_path / "copy"
    shutil.copytree(original, workspace)
    before = digests(workspace, "annotate/**/*")
    again = provender("corpus", recipe, "--set", f"workspace={workspace}", "--set", "corpus.decide.0.min_words=150")
    stages = {line.split()[0]: "unchanged" in line for line in again.stderr.splitlines() if line}
    assert stages["annotate"] and stages["duplicates"] and not stages["decide"] and not stages["select"]
    assert digests(workspace, "annotate/**/*") == before
    ledger = pl.concat([pl.read_parquet(path) for path in sorted((workspace / "corpus" / "ledger").rglob("*.parquet"))])
    assert ledger.filter(pl.col("reason") == "too few words")["detail"].str.contains("< 150").all()


def stages_run(*words: object) -> dict[str, bool]:
    """Which stages of `provender corpus` ran, by name."""
    shown = [line for line in provender("corpus", *words).stderr.splitlines() if line and line[0] != " "]
    return {line[:14].strip(): "unchanged" not in line for line in shown}


def test_a_changed_density_of_personal_data_decides_again(finished, tmp_path):
    recipe, original = finished
    workspace = tmp_path / "copy"
    shutil.copytree(original, workspace)
    words = [recipe, "--set", f"workspace={workspace}", "--set", "corpus.sources.1.steps.1.remove_above=0.0001"]
    ran = stages_run(*words)
    assert not ran["annotate"] and not ran["duplicates"] and ran["decide"]
    ledger = pl.concat([pl.read_parquet(path) for path in sorted((workspace / "corpus/ledger/notes").iterdir())])
    assert ledger["reason"].unique().to_list() == ["too dense in personal data"]


def test_a_changed_bound_on_perplexity_learns_and_measures_nothing_again(write_recipe):
    try:
        find_kenlm_tools()
    except ConfigError:
        pytest.skip("lmplz is not built: make setup")
    recipe = write_recipe()
    model = "corpus.lm={own: {sources: [general], kenlm: {order: 2, prune: [0], memory: 100M}}}"
    rules = "corpus.decide=[{rule: length, min_words: 60}, {rule: perplexity, max: %s}]"
    words = [recipe, "--set", model, "--set", "corpus.sources.2.perplexity=own", "--set"]
    first, second = stages_run(*words, rules % 100_000), stages_run(*words, rules % 90_000)
    assert first["lm own"] and first["perplexity"] and first["decide"]
    assert not second["lm own"] and not second["perplexity"] and second["decide"]


def test_step_and_where_answer_from_the_plan_alone(finished):
    recipe, workspace = finished
    store = pl.read_parquet(workspace / "tokens/papers/train/documents.parquet")
    shown = provender("mix", "show", recipe, "--step", "0").stdout
    assert "papers" in shown or "notes" in shown
    found = [provender("mix", "where", recipe, store["id"][row]).stdout for row in range(2)]
    assert all("step" in answer for answer in found)
    wrong = provender("mix", "show", recipe, "--step", "99", check=False)
    assert wrong.returncode == 2 and "no such step" in wrong.stderr
