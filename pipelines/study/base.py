"""The base: a tokenizer and a small Llama of our own, pre-trained on general text by the trainer."""

import json
from pathlib import Path

from corpus.artifact import content_hash, current, publish
from corpus.errors import TrainingError
from pipelines.demo.model import train_tokenizer
from pipelines.recipe import Recipe, load_recipe
from pipelines.stages import compile_mixture, train_model
from pipelines.study.recipes import RECIPE, Places, base_overrides
from pipelines.study.sizes import StudySize
from pipelines.study.texts import GENERAL
from trainer.model.fresh import make_model


def make_tokenizer(places: Places, vocabulary: int) -> Path:
    """A byte-level BPE learned from the general training text, as a base model's would be."""
    files = [places.texts / kind / "texts.jsonl" for kind in GENERAL]
    function = {"texts": [content_hash(path) for path in files], "vocabulary": vocabulary}
    if current(places.tokenizer, function) is None:
        with publish(places.tokenizer, kind="study.tokenizer", function=function) as draft:
            lines = (json.loads(line)["text"] for path in files for line in path.read_text().splitlines())
            train_tokenizer(draft.path, lines, vocabulary)
    return places.tokenizer


def base_recipe(places: Places, size: StudySize) -> Recipe:
    return load_recipe(RECIPE, base_overrides(places, size))


def pretrain_base(places: Places, size: StudySize) -> Path:
    """The base model in `runs/base`; at once when it is there. The corpus must be prepared."""
    make_model(size.model, places.tokenizer, places.fresh, size.sequence_length)
    recipe = base_recipe(places, size)
    compile_mixture(recipe)
    return finished(recipe)


def finished(recipe: Recipe) -> Path:
    """The model of a run, trained to its end. Raises TrainingError when a signal stopped it."""
    result = train_model(recipe)
    if result.model_path is None:
        raise TrainingError("the study was stopped", where=recipe.run, todo="run the same command to go on")
    return result.model_path
