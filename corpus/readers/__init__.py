"""Readers: input files → documents, one document for every record, whatever state it is in.

reader = make_reader(JsonlSettings(path="notes/*.jsonl.zst", text_field="note"), source="notes")
for file in reader.files():
    tally = Tally()
    for document in reader.read(file, tally): ...

files          find, open, decompress, cut into lines
archives       a .zip or .tar as the folder it is; any reader reads through it
base           settings, tally, what an unreadable record looks like
json_lines, parquet, delimited, clinical_notes, the_stack, hugging_face     records with named fields
xml_records: pubmed, pmc; warc_records: warc                                records within files
plain_text, web_pages, source_code, pdf (pdf_layout)                        files that are one document
textbooks (epub)                                                            files that are a document a chapter
"""

from typing import Annotated

from pydantic import Field

from corpus.readers.base import FileSettings, Reader, RecordSettings, Tally
from corpus.readers.clinical_notes import ClinicalNotesReader, ClinicalNotesSettings
from corpus.readers.delimited import CsvReader, CsvSettings
from corpus.readers.files import InputFile
from corpus.readers.hugging_face import HuggingFaceReader, HuggingFaceSettings
from corpus.readers.json_lines import JsonlReader, JsonlSettings
from corpus.readers.parquet import ParquetReader, ParquetSettings
from corpus.readers.pdf import PdfReader, PdfSettings
from corpus.readers.plain_text import TextReader, TextSettings
from corpus.readers.pmc import PmcReader, PmcSettings
from corpus.readers.pubmed import PubmedReader, PubmedSettings
from corpus.readers.source_code import CodeReader, CodeSettings
from corpus.readers.textbooks import TextbookReader, TextbookSettings
from corpus.readers.the_stack import StackReader, StackSettings
from corpus.readers.warc import WarcReader, WarcSettings
from corpus.readers.web_pages import HtmlReader, HtmlSettings

__all__ = [
    "ClinicalNotesSettings",
    "CodeSettings",
    "CsvSettings",
    "FileSettings",
    "HtmlSettings",
    "HuggingFaceSettings",
    "InputFile",
    "JsonlSettings",
    "ParquetSettings",
    "PdfSettings",
    "PmcSettings",
    "PubmedSettings",
    "Reader",
    "ReaderSettings",
    "RecordSettings",
    "StackSettings",
    "Tally",
    "TextSettings",
    "TextbookSettings",
    "WarcSettings",
    "make_reader",
]

ReaderSettings = Annotated[
    JsonlSettings
    | ParquetSettings
    | CsvSettings
    | HuggingFaceSettings
    | ClinicalNotesSettings
    | TextSettings
    | HtmlSettings
    | WarcSettings
    | PdfSettings
    | TextbookSettings
    | PubmedSettings
    | PmcSettings
    | CodeSettings
    | StackSettings,
    Field(discriminator="kind"),
]

READERS: dict[str, type[Reader]] = {
    "jsonl": JsonlReader,
    "parquet": ParquetReader,
    "csv": CsvReader,
    "hugging_face": HuggingFaceReader,
    "clinical_notes": ClinicalNotesReader,
    "text": TextReader,
    "html": HtmlReader,
    "warc": WarcReader,
    "pdf": PdfReader,
    "textbooks": TextbookReader,
    "pubmed": PubmedReader,
    "pmc": PmcReader,
    "code": CodeReader,
    "stack": StackReader,
}


def make_reader(settings: ReaderSettings, source: str) -> Reader:
    """The reader of the source called `source`."""
    return READERS[settings.kind](settings, source)
