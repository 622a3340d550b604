"""The guides and the method pages keep to the code: their recipes parse, and every kind of a recipe is on a page."""

import os
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from docs.building.examples import answered
from docs.building.recipe_keys import kinds_below
from mixing.budget import MixSettings
from pipelines.recipe import Recipe
from trainer.settings import TrainSettings

DOCS = Path(__file__).parents[2] / "docs"
ADVISING = [
    *(page for page in sorted(DOCS.glob("*.md")) if page.stem not in ("log", "study")),
    *sorted((DOCS.parent / "pipelines" / "recipes").glob("*.yaml")),
]
RECIPES = re.findall(r"```yaml\n(.*?)```", (DOCS / "guide-training.md").read_text(), re.DOTALL)
ALL_PAGES = "\n".join(page.read_text() for page in DOCS.glob("*.md") if page.stem not in ("log", "benchmarks"))


@pytest.mark.parametrize("block", RECIPES, ids=lambda block: block.split("learning_rate")[0][-40:])
def test_every_recipe_of_the_training_guide_is_one(block):
    sections = YAML(typ="safe", pure=True).load(block)
    assert set(sections) == {"mix", "train"}
    mix, train = MixSettings.model_validate(sections["mix"]), TrainSettings.model_validate(sections["train"])
    source = {"reader": {"kind": "jsonl", "path": "x"}}
    recipe = Recipe.model_validate(
        {
            "name": "guide", "workspace": "w", "tokenizer": {"path": "x"}, "mix": mix, "train": train,
            "corpus": {"sources": [{"name": name, **source} for name in mix.sources]},
        }
    )  # fmt: skip
    assert recipe.mix.sources


@pytest.mark.parametrize("path", ADVISING, ids=lambda path: path.name)
def test_a_row_of_the_study_that_a_recommendation_names_is_on_its_page(path):
    named = set(re.findall(r"\b(?:(?:docs|code)-r\d\d(?:-[a-z0-9]+)*|select-[a-z-]+)\b", path.read_text()))
    page = (DOCS / "study.md").read_text()
    assert [name for name in named if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize(("key", "value"), sorted(kinds_below(Recipe)))
def test_every_kind_of_a_recipe_is_named_on_a_page(key, value):
    assert re.search(rf"`{value}`|\b{key}: {value}\b", ALL_PAGES), f"no page of docs/ names {key}: {value}"


def test_the_questions_of_the_data_guide_have_the_answers_it_shows(mine):
    page = DOCS / "guide-data.md"
    now = answered(page.read_text())
    if os.environ.get("PROVENDER_WRITE_ANSWERS"):
        page.write_text(now)
    assert now == page.read_text()
    assert "```text\n```" not in now
