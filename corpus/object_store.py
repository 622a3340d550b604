"""Artefacts on an object store: published whole, read in one version, fetched back under their hashes.

    <url>/v-<hash>/<file> …       the files of one version, never changed
    <url>/v-<hash>/manifest.json  last of them
    <url>/manifest.json           the same with `at: v-<hash>`: which version stands

Work is done in a local folder; an object store has no rename, so what it holds is switched by the one object that is
written last. It is put on the condition that nobody put another since it was read (If-Match, If-None-Match), where the
store knows conditions: S3 and its likes do, through s3fs. A reader takes the manifest once and sees one version, old or
new; files are fetched under their SHA-256. A killed push goes on with the files that are missing.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from corpus.artifact import MANIFEST, FileEntry, Manifest, RunLock, current, fsync, move_into_place, write_atomic
from corpus.engine import Progress, silent
from corpus.errors import ArtifactError, ConfigError

AT = "at"
HANDED_ON = ("corpus", "tokens/*/*", "plans/*", "runs/*/step-*", "runs/*/model")  # artefacts of a workspace, by path
BLOCK = 1 << 22
T = TypeVar("T")
AT_ONCE = 8  # files on their way: most of the time of a small one is waiting for the store's answer


@dataclass(frozen=True)
class Pushed:
    """Files sent, and files that were there already."""

    sent: int
    there: int


class RemoteArtefact:
    """An artefact under a URL of any kind that fsspec knows."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError for a URL that cannot be used."""
        self.url = url.rstrip("/")
        try:
            self.filesystem, path = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise ConfigError(
                "this address cannot be used",
                where=self.url,
                found=error,
                todo="s3:// needs the package s3fs (pip install 'provender[s3]'), gs:// gcsfs",
            ) from None
        self.path = path.rstrip("/")

    def manifest(self) -> tuple[Manifest, bytes, str] | None:
        """The standing manifest, its bytes, and the folder of its files relative to the URL; None: nothing there.
        Raises ArtifactError where the store fails or the manifest is damaged."""
        data = self._head()
        if data is None:
            return None
        manifest = Manifest.parse(data, f"{self.url}/{MANIFEST}")
        return manifest, data, str(json.loads(data).get(AT, ""))

    def _head(self) -> bytes | None:
        self.filesystem.invalidate_cache()
        try:
            return bytes(self.filesystem.cat_file(f"{self.path}/{MANIFEST}"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreachable(self.url, error) from None

    def push(self, folder: Path, progress: Progress = silent) -> Pushed:
        """Publish the artefact in `folder`. Raises ArtifactError when its files are not as its manifest says, when
        the store fails, or when another push came in between."""
        local = Manifest.read(folder)
        version = f"v-{hashlib.sha256(local.to_json()).hexdigest()[:16]}"
        before = self._state()
        there = self._there(version)

        def send(entry: FileEntry) -> bool:
            return self._send(folder / entry.path, f"{self.path}/{version}/{entry.path}", entry, there)

        sent = sum(_at_once(local.files, send, progress))
        body = json.loads(local.to_json())
        self._put(f"{self.path}/{version}/{MANIFEST}", local.to_json())
        head = json.dumps({**body, AT: version}, indent=1, ensure_ascii=False).encode() + b"\n"
        if self._head() != head:
            self._switch(head, before)
        return Pushed(sent, len(local.files) - sent)

    def _state(self) -> str | None:
        """Names the standing manifest's object, for the condition; None: there is none."""
        self.filesystem.invalidate_cache()
        try:
            found = self.filesystem.info(f"{self.path}/{MANIFEST}")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreachable(self.url, error) from None
        return str(found.get("ETag") or found.get("created") or found.get("mtime") or "")

    def _there(self, version: str) -> dict[str, int]:
        """Bytes of the objects that an earlier push of this version sent, by their paths; of a store that keeps hashes
        with them, for others are sent again."""
        if not self._conditional:
            return {}
        try:
            found = self.filesystem.find(f"{self.path}/{version}", detail=True)
        except OSError as error:
            raise unreachable(self.url, error) from None
        return {path: int(info["size"]) for path, info in found.items()}

    def _send(self, source: Path, target: str, entry: FileEntry, there: dict[str, int]) -> bool:
        """Put one file unless the same is there; whether it was sent."""
        if there.get(target) == entry.bytes and self._hash_of(target) == entry.sha256:
            return False
        with open(source, "rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
        if found != entry.sha256:
            raise ArtifactError(
                "a file differs from its manifest; nothing was published",
                where=source,
                todo="delete the folder, run the stage again and push then",
            )
        extra = {"Metadata": {"sha256": entry.sha256}} if self._conditional else {}
        try:
            if self._folders:
                self.filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
            self.filesystem.put_file(str(source), target, **extra)
        except OSError as error:
            raise unreachable(self.url, error) from None
        return True

    def _hash_of(self, target: str) -> str | None:
        """The SHA-256 that was put with an object."""
        try:
            return self.filesystem.metadata(target).get("sha256")
        except OSError:
            return None

    @property
    def _conditional(self) -> bool:
        return "s3" in self.filesystem.protocol

    @property
    def _folders(self) -> bool:
        """Whether this is a file system under file://, such as a shared one, where folders are made and files grow."""
        return "file" in self.filesystem.protocol

    def _put(self, target: str, data: bytes, **condition: str) -> None:
        try:
            if self._folders:
                return write_atomic(Path(target), data)
            self.filesystem.pipe_file(target, data, **condition)
        except FileExistsError:
            raise
        except OSError as error:
            refusal = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code")
            if refusal in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise FileExistsError from None
            raise unreachable(self.url, error) from None

    def _switch(self, head: bytes, before: str | None) -> None:
        condition: dict[str, str] = {}
        if self._conditional:
            condition = {"mode": "create"} if before is None else {"IfMatch": before}
        try:
            if not condition and self._state() != before:
                raise FileExistsError
            self._put(f"{self.path}/{MANIFEST}", head, **condition)
        except FileExistsError:
            raise ArtifactError(
                "another push published here in the meantime; what it published stands",
                where=self.url,
                todo="see what it was, then push again",
            ) from None

    def pull(self, folder: Path, lock: RunLock | None = None, progress: Progress = silent) -> bool:
        """Publish what stands here in a local folder, whole and with its hashes compared; False: it was there already.
        Raises ArtifactError where nothing stands, the store fails or a file is not what its manifest says."""
        found = self.manifest()
        if found is None:
            raise ArtifactError("nothing is published there", where=self.url, todo="check the address, or push first")
        manifest, _, at = found
        if lock is not None:
            lock.check()
        if _stands(folder, manifest):
            return False
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = folder.parent / f".{folder.name}.draft-{secrets.token_hex(6)}"

        def take(entry: FileEntry) -> None:
            target = inside(draft, entry.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.fetch("/".join(filter(None, [at, entry.path])), target, entry.sha256)
            fsync(target)

        try:
            _at_once(manifest.files, take, progress)
            draft.mkdir(exist_ok=True)
            (draft / MANIFEST).write_bytes(manifest.to_json())
            fsync(draft / MANIFEST)
            if lock is not None:
                lock.check()
            move_into_place(draft, folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return True

    def fetch(self, name: str, target: Path, sha256: str) -> None:
        """Copy one object to a local file. Raises ArtifactError when it is missing or not of this hash."""
        where = f"{self.url}/{name}"
        try:
            write_checked(self._blocks(f"{self.path}/{name}"), target, sha256, where=where, todo="publish it again")
        except FileNotFoundError:
            raise ArtifactError("a file of the artefact is missing", where=where) from None
        except OSError as error:
            raise unreachable(self.url, error) from None

    def _blocks(self, path: str) -> Iterator[bytes]:
        with self.filesystem.open(path, "rb", block_size=4 * BLOCK) as handle:
            while block := handle.read(BLOCK):
                yield block


def _at_once(files: Sequence[FileEntry], work: Callable[[FileEntry], T], progress: Progress) -> list[T]:
    """The work on every file, AT_ONCE of them at a time; the first error ends it, with nothing begun after it."""
    total, done, results = sum(entry.bytes for entry in files), 0, []
    workers = ThreadPoolExecutor(AT_ONCE)
    try:
        for number, (entry, result) in enumerate(zip(files, workers.map(work, files), strict=True), start=1):
            results.append(result)
            done += entry.bytes
            progress(done, total, number, len(files))
    finally:
        workers.shutdown(cancel_futures=True)
    return results


def write_checked(blocks: Iterable[bytes], target: Path, sha256: str, *, where: str, todo: str) -> None:
    """Write what is fetched from `where` to a local file. Raises ArtifactError when it is not of this hash."""
    digest = hashlib.sha256()
    with open(target, "wb") as out:
        for block in blocks:
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != sha256:
        raise ArtifactError(
            "a fetched file differs from its manifest",
            where=where,
            found=f"SHA-256 {digest.hexdigest()[:12]}, manifest has {sha256[:12]}",
            todo=todo,
        )


def inside(folder: Path, name: str) -> Path:
    """folder/name. Raises ArtifactError for a name that leads out of the folder: manifests come from elsewhere."""
    target = Path(os.path.normpath(folder / name))
    if not target.is_relative_to(folder):
        raise ArtifactError("a manifest names a file outside its folder", where=name, todo="do not use this source")
    return target


def _stands(folder: Path, manifest: Manifest) -> bool:
    return current(folder, manifest.function) == manifest


def artefacts(workspace: Path) -> list[str]:
    """The artefacts of a workspace that are handed on, by relative path: corpus, token stores, plans, checkpoints."""
    found = [path.parent for pattern in HANDED_ON for path in workspace.glob(f"{pattern}/{MANIFEST}")]
    return sorted(path.relative_to(workspace).as_posix() for path in found if not path.name.startswith("."))


def unreachable(url: str, error: Any) -> ArtifactError:
    """The error of a store that fails."""
    return ArtifactError(
        "the object store cannot be used",
        where=url,
        found=f"{type(error).__name__}: {error}",
        todo="check the address, your credentials and that the store answers; then run the same command again",
    )
