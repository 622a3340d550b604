"""`provender mix sweep` over token stores made here: rows, exactness, resuming after a kill, caps."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from corpus.artifact import Manifest, content_hash, publish
from corpus.errors import ConfigError
from corpus.tokens.store import TokenizerIdentity, TokenStoreWriter
from mixing.laws.runs import SWEEP, read_sweep
from pipelines.recipe import load_recipe
from pipelines.stages import training_stores
from pipelines.sweep import design_mixtures, run_sweep

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).parents[2]
CHANGES = ["sweep.steps=[3]", "sweep.evaluation_tokens=300", "train.checkpoint_every=1", "train.kl=null"]


@pytest.fixture
def sweep_recipe(write_recipe, tiny_model):
    """A recipe of three sources with token stores of their own; gives its path."""

    def make(name: str = "w") -> Path:
        path = write_recipe(name)
        folder = load_recipe(str(path)).folder
        identity = TokenizerIdentity(content_hash(tiny_model / "tokenizer.json"), 512, 0)
        for seed, source in enumerate(("papers", "notes", "general")):
            for split, documents in (("train", 60), ("validation", 4)):
                draws = np.random.default_rng([seed, documents])
                lengths = draws.integers(30, 100, documents)
                with (
                    publish(folder / "tokens" / source / split, kind="corpus.tokens", function={"n": source}) as draft,
                    TokenStoreWriter(draft, identity) as writer,
                ):
                    ids = pa.array([f"{source}-{row}" for row in range(documents)])
                    low = 1 + 100 * seed
                    writer.add(ids, source, lengths, draws.integers(low, low + 60, int(lengths.sum())), lengths * 3)
        return path

    return make


@pytest.fixture(autouse=True)
def one_thread():
    """The models are tiny: threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def loaded(path: Path, *changes: str):
    return load_recipe(str(path), [*CHANGES, *changes])


def test_every_run_and_source_has_a_row_and_the_shares_are_those_asked(sweep_recipe) -> None:
    recipe = loaded(sweep_recipe(), "sweep.design={kind: grid, shares: [0, 0.5, 1]}", "sweep.seeds=[1, 2]")
    path = run_sweep(recipe)
    frame = pl.read_parquet(path)
    assert frame.to_arrow().schema.names == SWEEP.names
    assert len(frame) == 3 * 2 * 3
    assert frame.filter(pl.col("loss").is_null()).is_empty()
    for _, run in frame.group_by("run"):
        assert run["source_tokens"].sum() == run["tokens"][0] == 3 * 4 * 64
        assert np.abs(run["share"] - run["asked_share"]).max() <= 1 / 12 + 1e-9
    Manifest.read(path.parent).verify(path.parent)
    assert not list(path.parents[2].glob("sweep-runs/main/.work-*"))
    runs = read_sweep(path)
    assert runs.roles == {"papers": "domain", "notes": "domain", "general": "replay"}
    assert sorted(set(np.round(runs.at.share_of(("papers", "notes")), 6))) == [0, 0.5, 1]
    assert (runs.losses["papers"] < runs.base["papers"]).any()


def test_a_second_sweep_makes_only_what_is_new(sweep_recipe) -> None:
    path = sweep_recipe()
    run_sweep(loaded(path, "sweep.design={kind: grid, shares: [0.5]}"))
    folder = loaded(path).folder / "sweep-runs" / "main"
    before = {each.name: (each / "manifest.json").stat().st_ino for each in folder.iterdir()}
    wider = pl.read_parquet(run_sweep(loaded(path, "sweep.design={kind: grid, shares: [0.5, 0.75]}")))
    assert wider["run"].n_unique() == 2
    assert {name: (folder / name / "manifest.json").stat().st_ino for name in before} == before


def test_killed_and_resumed_gives_the_same_table(sweep_recipe) -> None:
    changes = ["sweep.design={kind: grid, shares: [0.25, 0.75]}", "sweep.steps=[8]"]
    straight = run_sweep(loaded(sweep_recipe("a"), *changes)).read_bytes()
    path = sweep_recipe("b")
    options = [word for change in (*CHANGES, *changes) for word in ("--set", change)]
    command = [sys.executable, "-m", "pipelines", "mix", "sweep", str(path), *options]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, cwd=CHECKOUT, env=alone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    runs = loaded(path).folder / "sweep-runs" / "main"
    deadline = time.monotonic() + 120
    while child.poll() is None and time.monotonic() < deadline:
        if list(runs.glob(".work-*/step-*")):
            break
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (runs.parents[1] / "sweeps" / "main" / "sweep.parquet").exists()
    assert run_sweep(loaded(path, *changes)).read_bytes() == straight


def test_fresh_models_of_two_sizes_are_made_and_named(sweep_recipe) -> None:
    models = (
        "sweep.models=[{kind: fresh, layers: 1, hidden_size: 16, heads: 2}, {kind: fresh, layers: 2, hidden_size: 32}]"
    )
    frame = pl.read_parquet(run_sweep(loaded(sweep_recipe(), models, "sweep.design={kind: grid, shares: [0.5]}")))
    sizes = frame.group_by("model").agg(pl.col("parameters").first()).sort("parameters")
    assert sizes["model"].to_list() == ["fresh 1x16 seed 0", "fresh 2x32 seed 0"]
    assert sizes["parameters"].n_unique() == 2
    assert frame["base_loss"].min() == pytest.approx(np.log(512), abs=0.2)  # random weights know nothing


def test_the_design_stays_within_the_caps(sweep_recipe) -> None:
    design = "sweep.design={kind: dirichlet, runs: 12, seed: 3}"
    recipe = loaded(sweep_recipe(), design, "sweep.steps=[120]", "mix.sources.notes.max_epochs=0.5")
    stores = training_stores(recipe)
    mixtures = design_mixtures(recipe, stores, 120)
    assert mixtures == design_mixtures(recipe, stores, 120)
    cap = 0.5 * (stores["notes"].tokens // 64 * 64) / (120 * 4 * 64)
    assert 0 < cap < 0.2
    assert max(mixture["notes"] for mixture in mixtures) <= cap + 1e-9
    with pytest.raises(ConfigError, match="no mixture of the design"):
        design_mixtures(recipe, stores, 100_000)
