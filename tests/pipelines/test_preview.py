"""The preview, re-deciding on stored columns, and the example of steps of one's own, through the command line."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from corpus.artifact import Manifest
from corpus.errors import ArtifactError
from corpus.preview import preview_source
from corpus.tokens.tokenize import CountTokens, TokensSettings
from pipelines.cli import app
from pipelines.preview import preview
from pipelines.recipe import load_recipe
from pipelines.stages import prepare_corpus

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, recipe_text):
    recipe = tmp_path_factory.mktemp("decide") / "w.yaml"
    recipe.write_text(recipe_text(recipe.with_suffix("")))
    prepare_corpus(load_recipe(str(recipe)))
    return recipe


def kept(recipe: Path) -> dict[str, int]:
    totals = Manifest.read(recipe.with_suffix("") / "corpus").totals["sources"]
    return {name: source["kept"]["documents"] for name, source in totals.items()}


def test_a_preview_of_everything_is_what_happens(prepared):
    recipe = load_recipe(str(prepared), ["corpus.duplicates=null", "corpus.decide=[{rule: length, min_words: 130}]"])
    found = {source.name: source for source in preview(recipe, documents=1000, examples=2)}
    truth = prepare_corpus(recipe).totals["sources"]
    for name, source in found.items():
        assert source.sampled == truth[name]["documents_in"]
        assert source.kept == truth[name]["kept"]["documents"]
        assert source.forecast.read_share == 1.0 and source.forecast.margin == 0.0
        assert round(source.forecast.tokens) == truth[name]["kept"]["tokens"]
    short = next(rule for rule in found["papers"].rules if rule.step == "length")
    assert short.fails == short.first == short.alone > 2 and len(short.examples) == 2
    assert all(float(example.detail.split(" < ")[0]) < 130 for example in short.examples)


def test_the_interval_of_the_forecast_holds_the_truth_about_as_often_as_it_says(prepared):
    recipe = load_recipe(str(prepared), ["corpus.duplicates=null"])
    truth = prepare_corpus(recipe).totals["sources"]["general"]["kept"]["tokens"]
    source = next(source for source in recipe.corpus.sources if source.name == "general")
    counting = CountTokens(TokensSettings(), recipe.tokenizer)
    hits = 0
    for seed in range(30):
        drawn = preview_source(
            recipe.corpus, source, counting, None, documents=15, examples=0, seed=seed, show_text=False
        )
        hits += abs(drawn.forecast.tokens - truth) <= drawn.forecast.margin
    assert hits >= 23  # 28.5 expected of 30; fewer than 23 has a chance of about 1 in 3,000


def test_a_preview_writes_nothing_and_shows_no_text_of_a_phi_recipe(tmp_path, recipe_text):
    path = tmp_path / "w.yaml"
    path.write_text(recipe_text(tmp_path / "w"))
    shown = CliRunner().invoke(app, ["corpus", "preview", str(path), "--set", "phi=true", "--documents", "20"])
    assert shown.exit_code == 0, shown.output
    assert not (tmp_path / "w").exists()
    recipe = load_recipe(str(path), ["phi=true"])
    assert "3 of 3" in shown.output  # files read
    texts = [e.text for source in preview(recipe, 40, 2) for rule in source.rules for e in rule.examples]
    assert not any(texts)


def test_deciding_again_reads_no_raw_text(tmp_path, prepared, inputs):
    recipe = tmp_path / "moved.yaml"
    away = tmp_path / "inputs"
    shutil.copytree(inputs, away)
    recipe.write_text(
        prepared.read_text()
        .replace(str(inputs), str(away))
        .replace(str(prepared.with_suffix("")), str(tmp_path / "moved"))
    )
    assert CliRunner().invoke(app, ["corpus", "run", str(recipe)]).exit_code == 0
    before = kept(recipe)
    shutil.rmtree(away)
    again = CliRunner().invoke(
        app, ["corpus", "decide", str(recipe), "--set", "corpus.decide=[{rule: length, min_words: 130}]"]
    )
    assert again.exit_code == 0, again.output
    assert kept(recipe)["papers"] < before["papers"]
    assert "papers: 3 records could not be read (3.1%): 3 malformed JSON" in again.output


def test_deciding_refuses_columns_of_other_steps(prepared):
    shown = CliRunner().invoke(app, ["corpus", "decide", str(prepared), "--set", "corpus.steps=[{kind: repair}]"])
    assert isinstance(shown.exception, ArtifactError) and "another steps" in str(shown.exception)


def test_the_example_of_own_steps_runs(tmp_path, tiny_model, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    workspace = tmp_path / "own"
    overrides = ["--set", f"tokenizer.path={tiny_model}", "--set", f"workspace={workspace}"]
    shown = CliRunner().invoke(app, ["corpus", "run", "examples/own_steps/recipe.yaml", *overrides])
    assert shown.exit_code == 0, shown.output
    ledger = pl.concat([pl.read_parquet(path) for path in (workspace / "corpus" / "ledger").rglob("*.parquet")])
    assert ledger.filter(pl.col("fate") == "dropped")["reason"].to_list() == ["no product named"]
    texts = pl.read_parquet(workspace / "corpus" / "data" / "tickets" / "*.parquet")["text"]
    assert len(texts) == 3 and not texts.str.contains("Ticket").any()
