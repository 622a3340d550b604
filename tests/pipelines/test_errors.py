"""A user's mistake: what, where, what was found, what to do; the right exit code and no traceback."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpus.errors import ArtifactError, ConfigError, DataError, ProvenderError, TrainingError
from pipelines.recipe import load_recipe
from pipelines.stages import compile_mixture, prepare_corpus, train_model

SMALL = """\
name: small
workspace: w
tokenizer: {path: model}
corpus:
  sources:
    - name: papers
      reader: {kind: jsonl, path: papers}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("tokenizer:", "tokeniser:"), 3, 'tokeniser: unknown key, did you mean "tokenizer"?'),
        (("path: papers", "pth: papers"), 7, 'corpus.sources.0.reader.pth: unknown key, did you mean "path"?'),
        (("kind: jsonl", "kind: json"), 7, 'unknown kind "json", did you mean "jsonl"?'),
        (("name: papers", "name: My Papers"), 6, "corpus.sources.0.name: string should match pattern"),
        (("corpus:", "corpus:\n  validation: 2"), 5, "corpus.validation: input should be less than 1, found 2"),
        (("workspace: w\n", ""), 1, 'workspace: missing key "workspace"'),
    ],
)
def test_a_wrong_recipe_names_the_line_the_key_and_the_remedy(tmp_path, change, line, says):
    path = written(tmp_path, SMALL.replace(*change))
    with pytest.raises(ConfigError) as raised:
        load_recipe(path)
    assert any(part.startswith(f"{path}:{line} ") and says in part for part in str(raised.value).splitlines())


def test_a_duplicate_key_and_bad_yaml_name_their_line(tmp_path):
    with pytest.raises(ConfigError, match=r"recipe.yaml:8: .*duplicate key"):
        load_recipe(written(tmp_path, SMALL + "name: again\n"))
    with pytest.raises(ConfigError, match=r"recipe.yaml:\d+: not valid YAML"):
        load_recipe(written(tmp_path, SMALL + "mix: {a: [1, 2}\n"))


def test_no_and_numbers_are_read_as_written(tmp_path):
    path = written(tmp_path, SMALL + "  decide: [{rule: language, allow: [en, no], min_score: 5e-1}]\n")
    assert load_recipe(path).corpus.decide[0].allow == ("en", "no")
    assert load_recipe(path).corpus.decide[0].min_score == 0.5


def test_an_override_is_named_in_its_error(tmp_path):
    path = written(tmp_path, SMALL)
    assert load_recipe(path, ["seed=4", "corpus.sources.0.priority=2"]).corpus.sources[0].priority == 2
    with pytest.raises(ConfigError, match=r"--set corpus.validatoin=0.1 .*did you mean \"validation\""):
        load_recipe(path, ["corpus.validatoin=0.1"])
    with pytest.raises(ConfigError, match="nothing to set here"):
        load_recipe(path, ["corpus.sources.7.name=x"])
    with pytest.raises(ConfigError, match="form key=value"):
        load_recipe(path, ["seed"])


def test_a_missing_recipe_says_where_recipes_are(tmp_path):
    with pytest.raises(ConfigError, match="pipelines/recipes"):
        load_recipe(str(tmp_path / "none.yaml"))


def test_mixing_a_source_the_corpus_lacks_is_refused(tmp_path):
    mix = "mix: {global_batch: 2, steps: 3, sources: {paper: {}}}\n"
    with pytest.raises(ConfigError, match="names paper, which the corpus does not have"):
        load_recipe(written(tmp_path, SMALL + mix))


@pytest.mark.slow
def test_missing_files_an_empty_corpus_and_a_broken_model(write_recipe, tmp_path):
    recipe = str(write_recipe())
    with pytest.raises(DataError, match="no input file matches"):
        prepare_corpus(load_recipe(recipe, [f"corpus.sources.0.reader.path={tmp_path}/nowhere"]))
    with pytest.raises(DataError, match="no document was kept") as raised:
        prepare_corpus(load_recipe(recipe, ["corpus.decide.0.min_words=100000"]))
    assert "too few words" in str(raised.value) and "decide" in str(raised.value)
    with pytest.raises(ConfigError, match=r"no tokenizer.json here"):
        prepare_corpus(load_recipe(recipe, [f"tokenizer.path={tmp_path}"]))
    with pytest.raises(ArtifactError, match="provender corpus"):
        compile_mixture(load_recipe(recipe))


@pytest.mark.slow
def test_a_model_that_does_not_fit_is_refused(write_recipe, tiny_model, tmp_path):
    recipe = str(write_recipe())
    prepare_corpus(load_recipe(recipe))
    compile_mixture(load_recipe(recipe))
    with pytest.raises(ProvenderError) as raised:
        train_model(load_recipe(recipe, [f"train.model={tmp_path}/nowhere"]))
    assert "nowhere" in str(raised.value)
    from pipelines.demo.model import tiny_model as make

    other = make(tmp_path / "other", ["a few words of another text"] * 20, seed=1, vocabulary=300)
    with pytest.raises((TrainingError, ConfigError, ArtifactError)) as raised:
        train_model(load_recipe(recipe, [f"train.model={other}"]))
    assert "tokenizer" in str(raised.value) or "vocabulary" in str(raised.value)
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    (broken / "config.json").write_text(json.dumps({"model_type": "none such"}))
    with pytest.raises((TrainingError, ConfigError)):
        train_model(load_recipe(recipe, [f"train.model={broken}"]))


def test_the_command_line_prints_the_error_and_its_exit_code(tmp_path, capsys, monkeypatch):
    from pipelines import cli

    monkeypatch.setattr("sys.argv", ["provender", "corpus", str(tmp_path / "none.yaml")])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and "Traceback" not in shown


def test_an_unknown_option_is_a_usage_error():
    from pipelines.cli import app

    assert CliRunner().invoke(app, ["corpus", "run", "demo", "--sett", "a=b"]).exit_code == 2
