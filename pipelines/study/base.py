"""The base: a tokenizer and a small Llama of our own, pre-trained on general text by the trainer, and how good it is.

Competent means: better than what counting can do. It is measured against a unigram and a bigram model of the very same
training tokens, scored on the same held-out documents.
"""

import json
from pathlib import Path

import numpy as np

from corpus.artifact import content_hash, current, publish
from corpus.errors import TrainingError
from corpus.tokens import TokenStore
from pipelines.demo.model import train_tokenizer
from pipelines.recipe import Recipe, load_recipe
from pipelines.stages import compile_mixture, train_model
from pipelines.study.recipes import RECIPE, Places, base_overrides
from pipelines.study.results import Scores
from pipelines.study.sizes import StudySize
from pipelines.study.texts import GENERAL
from trainer.evaluate import pack_evaluation
from trainer.fresh import make_model


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


def counted(train: list[TokenStore], test: TokenStore, tokens: int, length: int) -> dict[str, Scores]:
    """What counting gets on the documents that the study measures: `unigram` and `bigram`.

    The unigram is add-one, the bigram Witten–Bell: (c(v,w) + t(v)·p(w)) / (c(v) + t(v)), t(v) kinds of tokens after v
    (Witten & Bell 1991). Contexts do not cross windows, as the model's do not.
    """
    size = test.tokenizer.vocab_size
    seen = np.concatenate([store.read(0, store.tokens).astype(np.int64) for store in train])
    ones = np.bincount(seen, minlength=size).astype(np.float64)
    unigram = (ones + 1) / (ones.sum() + size)
    pairs, counts = np.unique(seen[:-1] * size + seen[1:], return_counts=True)
    contexts = np.bincount(pairs // size, weights=counts, minlength=size)
    kinds = np.bincount(pairs // size, minlength=size)
    rows = pack_evaluation("counted", test, tokens, length)
    predicted = rows.labels >= 0
    before, after = rows.input_ids[predicted], rows.labels[predicted]
    asked = before * size + after
    at = np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)
    together = np.where(pairs[at] == asked, counts[at], 0)
    total = contexts[before] + kinds[before]
    bigram = np.where(total > 0, (together + kinds[before] * unigram[after]) / np.maximum(total, 1), unigram[after])
    document, documents = rows.documents[predicted], len(rows.document_bytes)
    return {
        name: Scores(np.bincount(document, weights=-np.log(chances), minlength=documents), rows.document_bytes)
        for name, chances in (("unigram", unigram[after]), ("bigram", bigram))
    }
