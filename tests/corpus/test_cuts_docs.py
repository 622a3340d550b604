"""docs/cuts.md tells the truth: its recipe parses, its table has every part of a recipe that cuts."""

import re
from pathlib import Path

from ruamel.yaml import YAML

from corpus.cuts.spans import KINDS
from corpus.recipe import CorpusSettings

PAGE = (Path(__file__).parents[2] / "docs/cuts.md").read_text()


def test_the_recipe_parses_and_asks_for_every_finder():
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    settings = CorpusSettings.model_validate(YAML(typ="safe").load(block)["corpus"])
    assert settings.semantic and settings.repeated and settings.substring and len(settings.decontaminate.sets) == 2
    assert settings.repeated.sources == ("notes",) and settings.repeated.digits


def test_the_defaults_it_names_are_the_defaults():
    settings = CorpusSettings.model_validate({"sources": [{"name": "a", "reader": {"kind": "jsonl", "path": "x"}}]})
    contaminated = settings.decontaminate
    assert (contaminated.ngram, contaminated.min_words, contaminated.common) == (13, 8, 100)
    assert (contaminated.coverage, contaminated.action) == (0, "document")
    assert (contaminated.held_out.coverage, contaminated.held_out.remove) == (0.5, "train")
    assert settings.cuts() is not None and settings.repeated is None
    assert all(f"`{kind}`" in PAGE for kind in KINDS)
