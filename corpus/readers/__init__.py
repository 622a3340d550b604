"""Readers: input files → documents, one document for every record, whatever state it is in.

reader = make_reader(JsonlSettings(path="notes/*.jsonl.zst", text_field="note"), source="notes")
for file in reader.files():
    tally = Tally()
    for document in reader.read(file, tally): ...

files       find, open, decompress, cut into lines
base        settings, tally, what an unreadable record looks like
json_lines, parquet, delimited, pubmed          records within files
plain_text, web_pages, source_code              files that are one document
"""

from typing import Annotated

from pydantic import Field

from corpus.readers.base import FileSettings, Reader, RecordSettings, Tally
from corpus.readers.delimited import CsvReader, CsvSettings
from corpus.readers.files import InputFile
from corpus.readers.json_lines import JsonlReader, JsonlSettings
from corpus.readers.parquet import ParquetReader, ParquetSettings
from corpus.readers.plain_text import TextReader, TextSettings
from corpus.readers.pubmed import PubmedReader, PubmedSettings
from corpus.readers.source_code import CodeReader, CodeSettings
from corpus.readers.web_pages import HtmlReader, HtmlSettings

__all__ = [
    "CodeSettings",
    "CsvSettings",
    "FileSettings",
    "HtmlSettings",
    "InputFile",
    "JsonlSettings",
    "ParquetSettings",
    "PubmedSettings",
    "Reader",
    "ReaderSettings",
    "RecordSettings",
    "Tally",
    "TextSettings",
    "make_reader",
]

ReaderSettings = Annotated[
    JsonlSettings | ParquetSettings | CsvSettings | TextSettings | HtmlSettings | CodeSettings | PubmedSettings,
    Field(discriminator="kind"),
]

READERS: dict[str, type[Reader]] = {
    "jsonl": JsonlReader,
    "parquet": ParquetReader,
    "csv": CsvReader,
    "text": TextReader,
    "html": HtmlReader,
    "code": CodeReader,
    "pubmed": PubmedReader,
}


def make_reader(settings: ReaderSettings, source: str) -> Reader:
    """The reader of the source called `source`."""
    return READERS[settings.kind](settings, source)
