"""The base of every configuration class: unknown keys are errors, values are frozen.

A configuration class stands beside the component it configures; steps and readers are told apart by `kind`.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A part of a recipe. `identity()` is the part of it that decides the bytes of an artefact."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, protected_namespaces=())

    def identity(self) -> dict[str, Any]:
        """The settings as plain values, without those that only say where something lies.

        A subclass whose settings name a file replaces the path by the content hash of the file.
        """
        return self.model_dump(mode="json")
