"""Artefacts of a workspace to and from an object store: what another machine trains on, or goes on from."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from corpus.artifact import MANIFEST
from corpus.engine import Progress
from corpus.errors import ArtifactError
from corpus.object_store import HANDED_ON, RemoteArtefact, artefacts, inside
from pipelines import progress
from pipelines.recipe import Recipe
from pipelines.stages import workspace


def push(recipe: Recipe, url: str, only: list[str]) -> None:
    """Publish the artefacts of the recipe's workspace that match one of `only` (all, when empty) under `url`/<path>."""
    with workspace(recipe):
        names = [name for name in artefacts(recipe.folder) if not only or any(fnmatchcase(name, p) for p in only)]
        if not names:
            raise ArtifactError(
                "there is nothing to push", where=recipe.folder, found=", ".join(only), todo="run `provender corpus`"
            )
        for name in names:
            with progress.stage(f"push {name}") as meter:
                pushed = RemoteArtefact(f"{url.rstrip('/')}/{name}").push(recipe.folder / name, _bytes(meter))
                meter.close(f"{pushed.sent} files sent, {pushed.there} there already")


def pull(recipe: Recipe, url: str, only: list[str]) -> None:
    """Fetch what was pushed under `url` into the recipe's workspace."""
    with workspace(recipe) as lock:
        names = [name for name in published(url) if not only or any(fnmatchcase(name, p) for p in only)]
        if not names:
            raise ArtifactError("nothing is published there", where=url, todo="check the address, or push first")
        for name in names:
            with progress.stage(f"pull {name}") as meter:
                fetched = RemoteArtefact(f"{url.rstrip('/')}/{name}").pull(
                    inside(recipe.folder, name), lock, _bytes(meter)
                )
                meter.close("fetched" if fetched else "unchanged, skipped")


def published(url: str) -> Iterator[str]:
    """Relative paths of the artefacts under a URL."""
    root = RemoteArtefact(url)
    for pattern in HANDED_ON:
        for path in sorted(root.filesystem.glob(f"{root.path}/{pattern}/{MANIFEST}")):
            yield path[len(root.path) :].strip("/").removesuffix(f"/{MANIFEST}").removesuffix(MANIFEST)


def _bytes(meter: progress.Meter) -> Progress:
    def update(done: int, total: int, units: int, all_units: int) -> None:
        meter.update(done, total, f"({units} of {all_units} files)")

    return update
