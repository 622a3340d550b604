"""Source code in parquet, as The Stack and its descendants have it: a row a file, with language, path and licences."""

from typing import Any, Literal

from pydantic import Field

from corpus.readers.base import Reading, RecordSettings, plain
from corpus.readers.languages import language_by_name, language_by_shebang
from corpus.readers.parquet import ParquetReader
from corpus.readers.source_code import LanguagesSettings, only_asked


class StackSettings(RecordSettings, LanguagesSettings):
    """Parquet of source files. The columns are The Stack's (v1, dedup, smol); null for one that a data set lacks."""

    kind: Literal["stack"] = "stack"
    text_field: str = Field("content", description="Column of the source code.")
    language_field: str | None = Field("lang", description="Column of the language; by path and `#!` line if null.")
    file_field: str | None = Field("max_stars_repo_path", description="Column of the file's path in its repository.")
    repository_field: str | None = Field("max_stars_repo_name", description="Column of the repository.")
    license_field: str | None = Field("max_stars_repo_licenses", description="Column of the licence or licences.")

    @property
    def columns(self) -> dict[str, str]:
        """Column by the name under which it is carried, but for the language."""
        own = {"path": self.file_field, "repository": self.repository_field, "license": self.license_field}
        return {name: column for name, column in own.items() if column} | {name: name for name in self.metadata}


class StackReader(ParquetReader):
    """The language is the column's in lower case; where it says none, that of the file's name or of its `#!` line."""

    settings: StackSettings

    @property
    def fields(self) -> tuple[str, ...]:
        own = self.settings
        names = (own.text_field, own.id_field, own.language_field, *own.columns.values())
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def reading(self, record: dict[str, Any], raw: int) -> Reading:
        reading = super().reading(record, raw)
        return only_asked(reading, self._language(record), self.settings.languages) if reading.text else reading

    def carried(self, record: dict[str, Any]) -> str | None:
        values = {name: record.get(column) for name, column in self.settings.columns.items()}
        return plain({"language": self._language(record), **values})

    def _language(self, record: dict[str, Any]) -> str | None:
        own = self.settings
        stated = record.get(own.language_field) if own.language_field else None
        if isinstance(stated, str) and stated:
            return stated.lower()
        path = record.get(own.file_field) if own.file_field else None
        named = language_by_name(path) if isinstance(path, str) else None
        text = record.get(own.text_field)
        return named or (language_by_shebang(text[:256].encode("utf-8", "replace")) if isinstance(text, str) else None)
