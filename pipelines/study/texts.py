"""The study's text: what a fresh machine can fetch as packages, in pieces, held out by file.

    wikipedia   general    an English Wikipedia extract in gensim's test data (CC-BY-SA-3.0)
    essays      general    An Anarchist FAQ, Debian's package anarchism: long English prose (GFDL-1.3 / GPL-2+)
    docs        weak       python3.11-doc from Debian: English, technical, with examples of code (PSF-2.0)
    code        strong     the interpreter's standard library (PSF-2.0)
    handbook    matrix     debian-handbook in English (GPL-2+ / CC-BY-SA-3.0)
    german      strong     debian-handbook in German
    pool        selection  pieces of files of essays, docs and code that are in no other source

Files and articles come in a fixed shuffled order: the first are held out (`<kind>-test`), the next go to the pool, the
rest is trained on. A file is cut between paragraphs, so that a test set has many documents and a standard error.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from corpus.artifact import Manifest, code_version, content_hash, current, publish
from corpus.extract.page_text import resiliparse
from pipelines.demo.packages import Progress, debian_files
from pipelines.demo.texts import DemoTexts, fetch_texts, folder_files, library_files, wikipedia_sections
from pipelines.study.sizes import Kind, TextSize

GENERAL: tuple[Kind, ...] = ("wikipedia", "essays")
DOMAINS: tuple[Kind, ...] = ("docs", "code", "handbook", "german")
POOLED: tuple[Kind, ...] = ("essays", "docs", "code")
POOL = "pool"


class StudyFile(NamedTuple):
    """One file or article; `page`: it is HTML, of which the main content is the text."""

    name: str
    text: str
    page: bool = False


def study_texts(cache: Path, folder: Path, size: TextSize, progress: Progress) -> Path:
    """The folder with a folder of JSON lines for every source, made on first use. Raises DataError when a package
    cannot be fetched."""
    packages = fetch_texts(cache, progress)
    essays = debian_files(cache, "anarchism", "usr/share/doc/anarchism/html", lambda path: "/" not in path, progress)
    function: dict[str, Any] = {
        "size": size.identity(),
        "texts": packages.fingerprint,
        "essays": Manifest.read(essays).fingerprint,
        "code": [code_version("corpus.extract", "pipelines.demo"), content_hash(__file__)],
    }
    if current(folder, function) is None:
        progress("cutting the study's text into documents")
        return publish_texts(kinds(packages, essays), folder, size, function)
    return folder


def kinds(packages: DemoTexts, essays: Path) -> dict[Kind, list[StudyFile]]:
    """All files of each kind."""
    articles: dict[str, list[str]] = {}
    for section in wikipedia_sections(packages.wikipedia):
        articles.setdefault(section.title, []).append(section.text)
    return {
        "wikipedia": [StudyFile(title, "\n\n".join(parts)) for title, parts in articles.items()],
        "essays": _pages(essays, "*.html"),
        "docs": _pages(packages.docs, "**/*.html"),
        "code": [StudyFile(name, text) for name, text in library_files(packages.library)],
        "handbook": _pages(packages.handbook / "en-US", "*.html"),
        "german": _pages(packages.handbook / "de-DE", "*.html"),
    }


def _pages(folder: Path, pattern: str) -> list[StudyFile]:
    return [StudyFile(name, text, page=True) for name, text in folder_files(folder, pattern)]


def publish_texts(
    files: Mapping[Kind, Iterable[StudyFile]], folder: Path, size: TextSize, function: dict[str, Any]
) -> Path:
    """Share the files out over `<kind>-test`, the pool and `<kind>`, and write each as JSON lines under `folder`."""
    with publish(folder, kind="study.texts", function=function) as draft:
        pooled: list[str] = []
        for kind, found in files.items():
            found_pieces = _shuffled_pieces(kind, found, size.piece)
            _write(draft.path / f"{kind}-test", list(_until(found_pieces, size.test)), kind)
            pooled += list(_until(found_pieces, size.pool)) if kind in POOLED else []
            _write(draft.path / kind, list(_until(found_pieces, size.train[kind])), kind)
        _write(draft.path / POOL, pooled, POOL)
    return folder


def _shuffled_pieces(kind: str, files: Iterable[StudyFile], length: int) -> Iterator[list[str]]:
    """The pieces of one file after another, extracted only as far as they are asked for."""
    order = sorted(files, key=lambda file: file.name)
    Random(kind).shuffle(order)
    for file in order:
        if found := pieces(resiliparse(file.text) if file.page else file.text, length):
            yield found


def _until(files: Iterator[list[str]], budget: int) -> Iterator[str]:
    """Pieces of whole files until they have `budget` characters; of the last file as many as are needed, its rest is
    in no source."""
    total = 0
    while total < budget:
        found = next(files, None)
        if found is None:
            return
        for piece in found:
            if total >= budget:
                return
            total += len(piece)
            yield piece


def pieces(text: str, length: int) -> list[str]:
    """The text in pieces of at most `length` characters, cut at blank lines, or within a paragraph that is longer.
    Joined by blank lines they are the text, but for blank lines at the cuts."""
    out: list[str] = []
    current_piece = ""
    for paragraph in text.split("\n\n"):
        joined = f"{current_piece}\n\n{paragraph}" if current_piece else paragraph
        if len(joined) <= length:
            current_piece = joined
            continue
        out += [current_piece] if current_piece.strip() else []
        cut = [paragraph[at : at + length] for at in range(0, len(paragraph), length)]
        out += [piece for piece in cut[:-1] if piece.strip()]
        current_piece = cut[-1] if cut else ""
    return [*out, *([current_piece] if current_piece.strip() else [])]


def _write(folder: Path, texts: list[str], seed: str) -> None:
    """Documents in a shuffled order: an evaluation reads a set from its start."""
    order = list(texts)
    Random(seed).shuffle(order)
    folder.mkdir()
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in order))
