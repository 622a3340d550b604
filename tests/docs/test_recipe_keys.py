"""The reference of recipe keys, and what an editor shows of them, leave no key without words."""

from docs.building.recipe_keys import DISCRIMINATORS, models_below, recipe_page
from pipelines.recipe import Recipe


def test_every_key_of_a_recipe_says_what_it_is() -> None:
    silent = [
        f"{model.__qualname__}.{name}"
        for model in models_below(Recipe)
        for name, field in model.model_fields.items()
        if name not in DISCRIMINATORS and not (field.description or "").strip()
    ]
    assert not silent


def test_the_words_of_a_key_are_on_its_page_and_in_the_schema() -> None:
    words = Recipe.model_fields["workspace"].description
    assert words and words in recipe_page()
    assert Recipe.model_json_schema()["properties"]["workspace"]["description"] == words
