"""`provender push-hub`: a corpus or a model to the Hugging Face Hub, by this command and by nothing else.

What is marked as holding health information is refused, and so is a model that was trained on it. What is pushed is
hashed again first, so that it is what its manifest says. The token is that of `hf auth login` or HF_TOKEN.
"""

import json
from pathlib import Path
from typing import Any

from corpus.artifact import MANIFEST, Manifest
from corpus.errors import ArtifactError, ConfigError, DataError
from pipelines.audit.workspace import settings_of
from pipelines.croissant import NAME, croissant

HUB = "https://huggingface.co"


def push_corpus(workspace: Path, repository: str, *, private: bool = True, api: Any = None) -> str:
    """Upload `<workspace>/corpus` with its card and Croissant metadata; the address.

    Raises DataError for a corpus that may hold health information, ArtifactError for one that is damaged or not there,
    ConfigError when the Hub does not take it.
    """
    corpus = workspace / "corpus"
    refuse_phi(workspace)
    Manifest.read(corpus).verify(corpus)
    address = f"{HUB}/datasets/{repository}"
    metadata = json.dumps(croissant(corpus, location=address, url=address), ensure_ascii=False, indent=1).encode()
    _upload(corpus, repository, "dataset", private, {NAME: metadata}, api)
    return address


def push_model(workspace: Path, repository: str, model: Path, *, private: bool = True, api: Any = None) -> str:
    """Upload a model of the workspace that `provender train export` wrote to the folder `model`; the address. Errors as
    for a corpus."""
    refuse_phi(workspace)
    if not (model / MANIFEST).is_file():
        raise ArtifactError(
            "no exported model", where=model, todo="run `provender train export`, or name another --run"
        )
    Manifest.read(model).verify(model)
    _upload(model, repository, "model", private, {}, api)
    return f"{HUB}/{repository}"


def refuse_phi(workspace: Path) -> None:
    """Raises DataError when the corpus, or the recipe it was last run with, is marked as holding health information, or
    when neither says that it does not."""
    recipe = settings_of(workspace)
    try:
        described = Manifest.read(workspace / "corpus").function.get("description", {})
    except ArtifactError:
        described = {}
    marks = [source["phi"] for source in (recipe, described) if "phi" in source]
    if not marks or any(marks):
        raise DataError(
            "what may hold health information is not pushed"
            if marks
            else "nothing says that there is no health information in this, so it is not pushed",
            where=workspace,
            found=f"phi: {str(any(marks)).lower()}" if marks else "no recipe.json and no description of the corpus",
            todo="push what was prepared with `phi: false` only",
        )


def _upload(folder: Path, repository: str, kind: str, private: bool, more: dict[str, bytes], api: Any) -> None:
    from huggingface_hub import HfApi

    api = api or HfApi()
    try:
        api.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        for name, data in more.items():
            api.upload_file(path_or_fileobj=data, path_in_repo=name, repo_id=repository, repo_type=kind)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            repo_type=kind,
            commit_message="Pushed by Provender",
            ignore_patterns=[MANIFEST] if kind == "model" else None,
        )
    except Exception as error:  # of the Hub's client: no login, no right, no network
        raise ConfigError(
            "the Hub did not take it", where=repository, found=type(error).__name__, todo="see `hf auth whoami`"
        ) from error
