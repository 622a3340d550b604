"""Forgetting a subject in a workspace: which plans and checkpoints have seen them, then the corpus without them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.errors import ArtifactError
from corpus.forget import ForgottenDocument, find_subject, forget
from corpus.tokens.store import TokenStore
from pipelines.audit.workspace import followed_plan, training_store
from pipelines.recipe import Recipe
from pipelines.stages import prepare_corpus, workspace

if TYPE_CHECKING:
    from mixing.plan import MixturePlan


@dataclass(frozen=True)
class Exposure:
    """What one plan makes of the documents: the steps that train them, and the checkpoints that came after one.

    `unreadable` says why a plan could not be asked: then every checkpoint of its run is named.
    """

    plan: str
    steps: tuple[int, ...]
    checkpoints: tuple[str, ...]
    unreadable: str | None = None


@dataclass(frozen=True)
class Forgetting:
    documents: list[ForgottenDocument]
    exposures: list[Exposure]


def forget_subject(recipe: Recipe, subject: str, field: str) -> Forgetting:
    """Remove every document whose metadata field `field` is `subject`; what has seen them.

    The plans are asked first, while the stores they were made of are there. Afterwards they fit no store any more, so
    training on them is refused until they are made anew. Raw input and checkpoints are the user's to remove.
    """
    with workspace(recipe) as lock:
        documents = find_subject(recipe.folder, subject, field)
        exposures = [_exposure(recipe.folder, plan, documents) for plan in sorted((recipe.folder / "plans").glob("*"))]
        forget(recipe.folder, subject, field=field, lock=lock)
    prepare_corpus(recipe)
    return Forgetting(documents, exposures)


def _exposure(folder: Path, plan_folder: Path, documents: list[ForgottenDocument]) -> Exposure:
    from mixing.plan import MixturePlan

    run = folder / "runs" / plan_folder.name
    checkpoints = sorted(path for path in run.glob("step-[0-9]*") if path.is_dir())
    try:
        plan = MixturePlan.load(followed_plan(folder, plan_folder.name))
        stores = {name: training_store(folder, name) for name in plan.names}
        plan.check_stores(stores)
        steps = tuple(sorted(_steps(plan, stores, documents)))
    except ArtifactError as error:
        return Exposure(plan_folder.name, (), tuple(map(str, checkpoints)), unreadable=error.what)
    seen = [path for path in checkpoints if steps and int(path.name.removeprefix("step-")) > steps[0]]
    return Exposure(plan_folder.name, steps, tuple(map(str, seen)))


def _steps(plan: "MixturePlan", stores: Mapping[str, TokenStore], documents: list[ForgottenDocument]) -> set[int]:
    """Steps that train one of the documents. Those a rule dropped or that are held out are in no training store."""
    steps: set[int] = set()
    for source, store in stores.items():
        for document in documents:
            if (row := store.row_of(document.id)) is not None:
                steps.update(visit.step for visit in plan.steps_of(source, row, store))
    return steps
