"""Where everything came from: artefacts with their fingerprints, package versions, the recipe, the runs."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl

from corpus.artifact import Manifest
from corpus.errors import ArtifactError
from pipelines.audit.workspace import artefacts, runs

PACKAGES = (
    "accelerate", "datasets", "datatrove", "fasttext-numpy2-wheel", "gigatoken", "google-re2", "kenlm", "numba",
    "numpy", "polars", "provender", "pyarrow", "resiliparse", "tokenizers", "torch", "transformers",
)  # fmt: skip
RECIPES = ("recipe.yaml", "recipe.json")


def provenance(workspace: Path) -> pl.DataFrame:
    """artefact (its folder), kind → fingerprint, files, bytes; one row per published folder."""
    rows: list[tuple[str, str, str | None, int | None, int | None]] = []
    for folder in artefacts(workspace):
        try:
            manifest = Manifest.read(workspace / folder)
        except ArtifactError:
            rows.append((folder.as_posix(), "unreadable manifest", None, None, None))
            continue
        size = sum(entry.bytes for entry in manifest.files)
        rows.append((folder.as_posix(), manifest.kind, manifest.fingerprint, len(manifest.files), size))
    schema = {
        "artefact": pl.String, "kind": pl.String, "fingerprint": pl.String, "files": pl.Int64, "bytes": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema, orient="row")


def packages() -> pl.DataFrame:
    """package → version, of what is installed where the audit runs."""
    rows = []
    for name in PACKAGES:
        try:
            rows.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return pl.DataFrame(rows, {"package": pl.String, "version": pl.String}, orient="row")


def run_settings(workspace: Path) -> pl.DataFrame:
    """run, setting → value, from the start event of each run."""
    rows = [
        (run.name, name, _shown(value))
        for run in runs(workspace)
        for name, value in run.start.items()
        if name not in ("event", "step")
    ]
    return pl.DataFrame(rows, {"run": pl.String, "setting": pl.String, "value": pl.String}, orient="row")


def recipe(workspace: Path) -> str | None:
    """The resolved recipe as text, if the stages left one in the workspace."""
    found = next((workspace / name for name in RECIPES if (workspace / name).is_file()), None)
    return found.read_text(encoding="utf-8", errors="replace") if found else None


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(entry)}" for name, entry in value.items())
    if isinstance(value, list):
        return ", ".join(_shown(entry) for entry in value)
    return str(value)
