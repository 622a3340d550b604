"""Source code, one document a file, its programming language in the metadata."""

import posixpath
import re
from typing import Literal

from pydantic import Field, field_validator

from corpus.readers.base import FileSettings, Reading, found, plain, quarantined
from corpus.readers.files import glob_matcher, without_compression
from corpus.readers.languages import LANGUAGES, language_by_name, language_by_shebang
from corpus.readers.plain_text import WholeFileReader, decode
from corpus.settings import Settings

PEP_263 = re.compile(rb"^(?:[ \t\f]*(?:#[^\n]*)?\n)?[ \t\f]*#[^\n]*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)")


class LanguagesSettings(Settings):
    """Which programming languages are taken."""

    languages: tuple[str, ...] = Field((), description="Only these, such as `python`; all that are known if empty.")

    @field_validator("languages")
    @classmethod
    def _known_languages(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        for language in languages:
            if language not in LANGUAGES:
                raise ValueError(f"unknown language {language!r}; known are {', '.join(sorted(LANGUAGES))}")
        return languages


class CodeSettings(FileSettings, LanguagesSettings):
    """Source files, one document a file. Folders and archives: files whose name tells a language, and files without an
    extension, which are looked at for a `#!` line."""

    kind: Literal["code"] = "code"
    exclude: tuple[str, ...] = Field(
        (".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "*.min.js"),
        description="Globs of files and folders to leave out, by name, or by path where they contain a slash.",
    )


class CodeReader(WholeFileReader):
    """Decodes as UTF-8, as PEP 263 says in a Python file, or as the settings say; a file with a NUL is binary."""

    settings: CodeSettings

    def takes(self, path: str) -> bool:
        name = without_compression(path)
        language = language_by_name(name)
        if language is None:
            return "." not in posixpath.basename(name)
        return not self.settings.languages or language in self.settings.languages

    def excludes(self, path: str) -> bool:
        for pattern in self.settings.exclude:
            matches = glob_matcher(pattern)
            if matches(path) if "/" in pattern else any(matches(part) for part in path.split("/")):
                return True
        return False

    def reading(self, path: str, content: bytes) -> Reading:
        if b"\0" in content:
            return quarantined("binary file", len(content))
        language = language_by_name(without_compression(path)) or language_by_shebang(content)
        cookie = PEP_263.match(content) if language == "python" else None
        encodings = [cookie[1].decode(), None] if cookie else [None]
        text = decode(content, *([self.settings.encoding] if self.settings.encoding else encodings))
        if text is None:
            return quarantined(f"not {self.settings.encoding or 'UTF-8'}", len(content))
        if not self.settings.languages and self.settings.glob is not None and language is None:
            return found(text, metadata=plain({"language": None}))
        return only_asked(found(text, metadata=plain({"language": language})), language, self.settings.languages)


def only_asked(reading: Reading, language: str | None, asked: tuple[str, ...]) -> Reading:
    """The reading of a source file, dropped where its language is none of `asked`, or not known if all are."""
    if reading.reason is None and (language not in asked if asked else language is None):
        return reading._replace(step="read", reason="not in a language asked for")
    return reading
