"""The demo's text, from packages and not from the repository.

code        the interpreter's standard library (PSF-2.0)
docs        python3.11-doc from Debian, HTML (PSF-2.0)
handbook    debian-handbook from Debian, HTML in many languages (CC-BY-SA-3.0 / GPL-2+)
wikipedia   an English Wikipedia extract in gensim's test data (CC-BY-SA-3.0)
"""

import bz2
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

from corpus.artifact import Manifest, fingerprint
from pipelines.demo.packages import Progress, debian_files, wheel_files
from pipelines.demo.wikitext import Section, sections

WIKIPEDIA = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
DOCS_PARTS = ("library", "howto", "tutorial", "reference", "faq", "using", "whatsnew", "extending")
LANGUAGES = ("de-DE", "es-ES", "fr-FR", "ja-JP", "nb-NO", "pt-BR", "ru-RU", "zh-CN")
ENGLISH = "en-US"
# Standard library folders that are data of tests, or not part of every build.
_LEFT_OUT = frozenset(
    {"test", "tests", "idle_test", "lib2to3", "site-packages", "dist-packages", "__pycache__", "pydoc_data"}
)

MB = 1_000_000
FULL = {"code": 12 * MB, "docs": 12 * MB, "handbook": 3 * MB, "wikipedia": 4 * MB}
FAST = {"code": MB, "docs": MB // 2, "handbook": MB // 4, "wikipedia": MB // 2}

Files = tuple[tuple[str, str], ...]  # (path relative to the source, text)


@dataclass(frozen=True)
class Texts:
    """The demo's text in memory: what plants are planted in."""

    code: Files
    docs: Files
    handbook: Files
    translations: dict[str, Files]
    wikipedia: tuple[Section, ...]


@dataclass(frozen=True)
class DemoTexts:
    """Where the text lies: folders of package files in the cache, and the interpreter's own library."""

    library: Path
    docs: Path
    handbook: Path
    wikipedia: Path

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the very bytes the demo is made of."""
        packages = {
            name: [e.sha256 for e in Manifest.read(getattr(self, name)).files]
            for name in ("docs", "handbook", "wikipedia")
        }
        return fingerprint({"code": library_files(self.library), "packages": packages})

    def load(self, fast: bool) -> Texts:
        """Read and parse (about 10 s, mostly Wikipedia's markup); `fast` takes a slice of a tenth."""
        budget = FAST if fast else FULL
        articles = wikipedia_sections(self.wikipedia)
        pages = {language: folder_files(self.handbook / language, "*.html") for language in (ENGLISH, *LANGUAGES)}
        return Texts(
            code=_slice(library_files(self.library), budget["code"]),
            docs=_slice(folder_files(self.docs, "**/*.html"), budget["docs"]),
            handbook=_slice(pages.pop(ENGLISH), budget["handbook"]),
            translations=pages,
            wikipedia=tuple(_slice_sections(articles, budget["wikipedia"])),
        )


def fetch_texts(cache: Path, progress: Progress) -> DemoTexts:
    """Download what is not in the cache yet (75 MB in all). Raises DataError naming the package that failed."""
    return DemoTexts(
        library=Path(sysconfig.get_path("stdlib")),
        docs=debian_files(cache, "python3.11-doc", "usr/share/doc/python3.11/html", _is_docs_page, progress),
        handbook=debian_files(cache, "debian-handbook", "usr/share/doc/debian-handbook/html", _is_chapter, progress),
        wikipedia=wheel_files(cache, "gensim", "4.4.0", (WIKIPEDIA,), progress),
    )


def wikipedia_sections(folder: Path) -> list[Section]:
    """All sections of the Wikipedia extract in the package's folder of the cache (about 10 s)."""
    with bz2.open(folder / WIKIPEDIA) as stream:
        return list(sections(stream))


def _is_docs_page(path: str) -> bool:
    return path.split("/")[0] in DOCS_PARTS


def _is_chapter(path: str) -> bool:
    language, _, rest = path.partition("/")
    return language in (ENGLISH, *LANGUAGES) and "/" not in rest


def library_files(root: Path) -> Files:
    """The modules of a standard library that have something in them, without its tests."""
    return tuple(
        (path, text)
        for path, text in folder_files(root, "**/*.py")
        if text.strip() and not _LEFT_OUT & set(path.split("/"))
    )


def folder_files(root: Path, pattern: str) -> Files:
    """(relative path, text) of the files matching `pattern`, sorted; those that are not UTF-8 are left out."""
    files = []
    for path in sorted(root.glob(pattern)):
        relative = path.relative_to(root)
        if path.is_file() and not _LEFT_OUT & set(relative.parts):
            try:
                files.append((relative.as_posix(), path.read_bytes().decode()))
            except UnicodeDecodeError:
                continue
    return tuple(files)


def _slice(files: Files, budget: int) -> Files:
    """Files in a fixed shuffled order until their characters reach `budget`, sorted again; none above a fifth of it."""
    return tuple(sorted(_until(files, budget, lambda file: len(file[1]))))


def _slice_sections(articles: list[Section], budget: int) -> Iterable[Section]:
    return _until(articles, budget, lambda section: len(section.text))


def _until(items, budget, size):  # type: ignore[no-untyped-def]
    order = list(items)
    Random("slice").shuffle(order)
    taken, total = [], 0
    for item in order:
        if size(item) * 5 <= budget and total < budget:
            taken.append(item)
            total += size(item)
    return taken
