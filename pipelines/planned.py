"""The compiled plan of a run with its stores, for look-ups: `provender mix show` and `mix where`.

A workspace and the name of its run are enough. Of a recipe nothing but these and its token stores is read, since a
look-up should be over before a recipe's models would have loaded.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from corpus.errors import ConfigError
from mixing.plan import MixturePlan
from mixing.sequences import Stores
from pipelines.audit.workspace import existing, followed_plan, planned_sequences, settings_of
from pipelines.recipe_file import recipe_file


@dataclass(frozen=True)
class Planned:
    """The plan that the run of `recipe`, as plain values, follows in `workspace`."""

    workspace: Path
    recipe: dict[str, Any]

    @classmethod
    def of(cls, name: str, overrides: list[str] | None = None) -> "Planned":
        """By a workspace's folder, whose recipe is the one that was last run, or by a recipe."""
        if Path(name).is_dir():
            if overrides:
                raise ConfigError("a folder has nothing to set", where=name, found=overrides, todo="name the recipe")
            workspace = existing(Path(name))
            return cls(workspace, settings_of(workspace))
        named = recipe_file(name, overrides)
        return cls(existing(named.workspace), named.values)

    @cached_property
    def folder(self) -> Path:
        return followed_plan(self.workspace, str(self.recipe.get("run", "main")))

    @cached_property
    def plan(self) -> MixturePlan:
        """Raises ArtifactError when it is absent or damaged."""
        return MixturePlan.load(self.folder)

    @cached_property
    def stores(self) -> Stores:
        """The training tokens of the plan's sources, as they are packed for it."""
        return {name: planned_sequences(self.workspace, self.folder, name, self.recipe) for name in self.plan.names}
