"""Where the files of a token store lie: in a folder, on a remote file system, or in a folder that datatrove wrote.

A remote store (any fsspec URL) is read through a local cache: every file is fetched once, under the name of its SHA-256
in the manifest, and is there only after the hash of what came has been compared. Stores that share a shard share its
copy. The cache lies in `$PROVENDER_CACHE`, by default `~/.cache/provender`.

datatrove's DocumentTokenizer writes the same `.ds` and `.ds.index` without a manifest; `open_files` makes one in
memory, a function of the files' hashes, so that a plan notices when a shard is another one.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from corpus.artifact import MANIFEST, FileEntry, Manifest, content_hash
from corpus.errors import ArtifactError, ConfigError

ADOPTED = "datatrove.tokens"
INDEX_BYTES = 8  # of one document end


def open_files(folder: Path | str, tokenizer: dict[str, Any] | None) -> tuple[Manifest, Callable[[str], Path] | None]:
    """The manifest of the store in `folder` and, unless its files lie there, a function from name to local path.

    `tokenizer` (sha256, vocab_size, eos_id) is what the ids of a store without a manifest mean.
    Raises ArtifactError when there is no store, or what was fetched is not what its manifest says.
    """
    if "://" not in str(folder):
        if (Path(folder) / MANIFEST).exists() or not list(Path(folder).glob("*.ds")):
            return Manifest.read(Path(folder)), None
        return adopt(Path(folder), tokenizer), None
    mirror = Mirror(str(folder).rstrip("/"), cache_folder())
    manifest, mirror = mirror.manifest()
    hashes = {entry.path: entry.sha256 for entry in manifest.files}
    return manifest, partial(_fetched, mirror, hashes)


def _fetched(mirror: "Mirror", hashes: dict[str, str], name: str) -> Path:
    return mirror.path(name, hashes[name])


def cache_folder() -> Path:
    """Where copies of remote shards are kept."""
    return Path(os.environ.get("PROVENDER_CACHE") or Path.home() / ".cache" / "provender")


@dataclass(frozen=True)
class Mirror:
    """Checked local copies of the files of a remote folder."""

    url: str
    cache: Path

    def manifest(self) -> tuple[Manifest, "Mirror"]:
        """The remote manifest, read anew each time, and where its files lie: of an artefact that was pushed
        (corpus/object_store.py) in the folder of the version that stands."""
        import fsspec

        from corpus.object_store import AT

        folder = self.cache / "manifests" / hashlib.sha256(self.url.encode()).hexdigest()
        try:
            with fsspec.open(f"{self.url}/{MANIFEST}", "rb") as handle:
                data = handle.read()
        except (OSError, ValueError, ImportError) as error:  # an unknown protocol, or one whose package is missing
            raise ArtifactError(
                "no token store can be read there",
                where=self.url,
                found=f"{type(error).__name__}: {error}",
                todo="check the address and your credentials; s3:// needs the package s3fs, gs:// gcsfs",
            ) from None
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / MANIFEST, data)
        manifest = Manifest.read(folder)
        at = json.loads(data).get(AT)
        return manifest, replace(self, url=f"{self.url}/{at}") if at else self

    def path(self, name: str, sha256: str) -> Path:
        """The local copy of a file, fetched when there is none. Raises ArtifactError when its hash differs."""
        import fsspec

        from corpus.object_store import BLOCK, write_checked

        target = self.cache / "files" / sha256[:2] / sha256
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{sha256}.{secrets.token_hex(6)}")
        where, todo = f"{self.url}/{name}", "publish the store again, or fetch it when its upload has ended"
        try:
            with fsspec.open(where, "rb") as source:
                write_checked(iter(partial(source.read, BLOCK), b""), draft, sha256, where=where, todo=todo)
            os.replace(draft, target)
        except FileNotFoundError:
            raise ArtifactError("a file of the artefact is missing", where=where) from None
        finally:
            draft.unlink(missing_ok=True)
        return target


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    draft.write_bytes(data)
    os.replace(draft, path)


def adopt(folder: Path, tokenizer: dict[str, Any] | None) -> Manifest:
    """A manifest for the `.ds` files of datatrove's DocumentTokenizer, in the order of their names.

    Costs one reading of the files, for their hashes. Raises ConfigError without `tokenizer`, ArtifactError when a shard
    has no index or is not as long as its index says.
    """
    if tokenizer is None:
        raise ConfigError(
            "token files without a manifest, as datatrove writes them, and no tokenizer",
            where=folder,
            todo="say which tokenizer made the ids: its SHA-256, vocabulary size and EOS id",
        )
    widths, entries, documents, tokens = set(), [], 0, 0
    for shard in sorted(folder.glob("*.ds")):
        index = shard.with_name(f"{shard.name}.index")
        if not index.exists():
            raise ArtifactError(
                "a token shard has no index of its documents",
                where=shard,
                todo="tokenize again with save_index=True: document boundaries are needed",
            )
        count = index.stat().st_size // INDEX_BYTES
        end = int(np.fromfile(index, "<u8", 1, offset=(count - 1) * INDEX_BYTES)[0]) if count else 0
        width, over = divmod(shard.stat().st_size, end) if end else (0, shard.stat().st_size)
        if over or (end and width not in (2, 4)):
            raise ArtifactError(
                "a token shard and its index disagree",
                where=shard,
                found=f"{shard.stat().st_size} bytes, index ends at token {end}",
                todo="tokenize this folder again",
            )
        widths |= {width} if end else set()
        documents, tokens = documents + count, tokens + end
        entries += [FileEntry(path.name, path.stat().st_size, content_hash(path)) for path in (shard, index)]
    if len(widths) > 1:
        raise ArtifactError("token shards of 2 and of 4 bytes in one folder", where=folder, todo="keep them apart")
    function = {"files": {entry.path: entry.sha256 for entry in entries}, "tokenizer": tokenizer}
    totals = {
        "documents": documents,
        "tokens": tokens,
        "shards": len(entries) // 2,
        "token_bytes": max(widths, default=2),
    }
    return Manifest(ADOPTED, function, tuple(entries), totals | {"tokenizer": tokenizer})
