"""`provender mix select`: the documents of the prepared corpus measured against a task, and a choice among them."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from corpus.artifact import Manifest
from corpus.errors import ArtifactError
from pipelines import progress
from pipelines.outline import framed
from pipelines.recipe import Recipe
from pipelines.stages import workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mixing.select.run import Pool, Task


def select_documents(recipe: Recipe) -> RenderableType:
    """Measure, choose and publish under `selection/<run>/`; what was chosen by source, and how a mixture takes it.

    Raises ArtifactError when the corpus is not prepared yet.
    """
    from mixing.select.run import select

    settings = recipe.need("select")
    folder = recipe.folder / "selection" / recipe.run
    with workspace(recipe) as lock:
        table = select(settings, _task(recipe), _pool(recipe, settings.pool), folder, lock, _watch)
    some = set(table.filter(table["chosen_documents"] > 0)["source"])
    taken = [f"  {name}: {{packing: {{weights: {folder / 'chosen' / name}.parquet, weight_column: chosen}}}}"
             if name in some else f"  # {name}: nothing chosen, leave it out"
             for name in settings.pool]  # fmt: skip
    return Group(framed(table, f"Selection, by {', '.join(m.kind for m in settings.by)}"), "mix.sources:", *taken)


def choose_at_random(recipe: Recipe, source: str, share: float, seed: int) -> "Path":
    """What a choice has to beat: a share of the source's tokens, every document as likely as another, as weights of a
    mixture in `selection/<run>/chosen/`, like those of `select_documents`."""
    import numpy as np
    import polars as pl

    from corpus.artifact import read_parquet, write_parquet
    from mixing.select.choose import ChoiceSettings, choose

    documents = pl.concat(
        [pl.DataFrame(pl.from_arrow(read_parquet(path, ["id", "token_count"]))) for path in _shards(recipe, source)]
    )
    scores = np.random.default_rng(seed).random(len(documents))
    taken = choose(
        documents["id"], documents["token_count"].to_numpy(), scores, ChoiceSettings(share=share), seed, False
    )
    path = recipe.folder / "selection" / recipe.run / "chosen" / f"{source}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame({"id": documents["id"], "chosen": taken.astype(np.float64)}).to_arrow()
    write_parquet(path, table)
    return path


@contextmanager
def _watch(name: str) -> "Iterator[None]":
    with progress.stage(name) as meter:
        yield
        meter.close("done")


def _pool(recipe: Recipe, sources: "Sequence[str]") -> "Pool":
    from mixing.select.run import Pool

    return Pool({name: _shards(recipe, name) for name in sources}, Manifest.read(recipe.folder / "corpus").fingerprint)


def _task(recipe: Recipe) -> "Task":
    from mixing.select.run import Task
    from mixing.select.settings import reader_identity
    from mixing.select.texts import texts_of_reader, texts_of_shards

    task = recipe.need("select").task
    if task.reader is not None:
        return Task(texts_of_reader(task.reader), reader_identity(task.reader))
    # The pool's fingerprint is the whole corpus', so it covers this source as well.
    return Task(texts_of_shards(_shards(recipe, task.source)), {"source": task.source})


def _shards(recipe: Recipe, source: str) -> "list[Path]":
    found = sorted((recipe.folder / "corpus" / "data" / source).glob("train-*.parquet"))
    if not found:
        raise ArtifactError(
            f'the corpus has no training documents of "{source}"',
            where=recipe.folder / "corpus",
            todo="run `provender corpus` with this recipe first",
        )
    return found
