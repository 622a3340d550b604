import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.recipe import load_recipe, recipe_schema
from pipelines.recipe_file import RECIPES

SHIPPED = sorted(path.stem for path in RECIPES.glob("*.yaml"))


def test_the_recipes_that_are_shipped():
    assert SHIPPED == ["code", "demo", "medical", "study", "tapt"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_is_valid_and_dry_runs_without_its_data(name):
    recipe = load_recipe(name)
    assert recipe.mix is not None and recipe.train is not None
    for stage in ("corpus", "mix", "train"):
        shown = CliRunner().invoke(app, [stage, "run", name, "--dry-run"])
        assert shown.exit_code == 0, shown.output
        assert all(source.name in shown.output for source in recipe.corpus.sources)


def test_the_hospital_recipe_marks_its_text_as_phi_and_names_no_key():
    recipe = load_recipe("medical")
    assert recipe.phi
    dumped = json.loads(recipe.model_dump_json())
    kinds = [step["kind"] for step in dumped["corpus"]["sources"][2]["steps"]]
    assert "deidentify" in kinds and "key_file" in json.dumps(dumped)


def test_the_schema_knows_every_key_of_the_recipes():
    schema = json.loads(recipe_schema())
    assert {"name", "workspace", "corpus", "mix", "train", "tokenizer"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_the_readmes_ten_lines_are_a_valid_recipe(tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(readme.split("```yaml\n")[1].split("```")[0])
    recipe = load_recipe(str(path))
    assert recipe.name == "mine" and len(recipe.corpus.sources) == 2
