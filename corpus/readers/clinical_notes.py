"""Clinical notes in tables (csv, tsv or parquet) such as MIMIC's, with the patient of each note.

The patient goes into the metadata as `subject`, whatever the column is called: by that name the dates of one patient
are shifted together (`deidentify`) and the notes of one patient are found again.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from corpus.document import SUBJECT
from corpus.readers.base import FileSettings, Member, Reading, RecordReader, TableReader, Tally, plain, quarantined
from corpus.readers.delimited import CsvReader, CsvSettings
from corpus.readers.parquet import ParquetReader, ParquetSettings


class ClinicalNotesSettings(FileSettings):
    """Tables of notes (.csv, .tsv, .parquet), one document a row. Columns are named as in MIMIC-IV-Note."""

    kind: Literal["clinical_notes"] = "clinical_notes"
    text: str = Field("text", description="Column of the note itself.")
    patient: str = Field("subject_id", description="Column that names the patient; a note without one is quarantined.")
    id: str | None = Field(None, description="Column of the note's own identifier, such as `note_id`.")
    encounter: str | None = Field(None, description="Column of the stay or visit, such as `hadm_id`.")
    date: str | None = Field(None, description="Column of the date, such as `charttime`.")
    type: str | None = Field(None, description="Column of the kind of note, such as `note_type`.")
    metadata: tuple[str, ...] = Field((), description="Other columns to carry along.")

    @property
    def columns(self) -> dict[str, str]:
        """Column by the name under which it is carried."""
        own = {SUBJECT: self.patient, "encounter": self.encounter, "date": self.date, "type": self.type}
        return {name: column for name, column in own.items() if column} | {name: name for name in self.metadata}


class NoteRecords(RecordReader):
    """Rows that are notes: mixed into the reader of a table."""

    columns: dict[str, str]

    def reading(self, record: dict[str, Any], raw: int) -> Reading:
        if identity(record.get(self.columns[SUBJECT])) is None:
            return quarantined("no patient", raw)
        return super().reading(record, raw)

    def carried(self, record: dict[str, Any]) -> str | None:
        values = {name: record.get(column) for name, column in self.columns.items()}
        for name in (SUBJECT, "encounter"):
            if name in values:
                values[name] = identity(values[name])
        return plain(values)


class NoteCsvReader(NoteRecords, CsvReader):
    """Notes in csv and tsv."""


class NoteParquetReader(NoteRecords, ParquetReader):
    """Notes in parquet."""


class ClinicalNotesReader(TableReader):
    """Reads each table by its extension; a file of another name, where the path asks for it, is read as csv."""

    suffixes = (".csv", ".tsv", ".parquet")
    settings: ClinicalNotesSettings

    @cached_property
    def tables(self) -> dict[str, NoteCsvReader | NoteParquetReader]:
        own = self.settings
        shared: dict[str, Any] = own.model_dump(include={"path", "glob", "max_bytes", "max_expansion", "encoding"})
        shared |= {"text_field": own.text, "id_field": own.id, "metadata": tuple(dict.fromkeys(own.columns.values()))}
        tables: dict[str, NoteCsvReader | NoteParquetReader] = {
            ".csv": NoteCsvReader(CsvSettings(**shared), self.source),
            ".tsv": NoteCsvReader(CsvSettings(**shared, delimiter="\t"), self.source),
            ".parquet": NoteParquetReader(ParquetSettings(**shared), self.source),
        }
        for table in tables.values():
            table.columns = own.columns
        return tables

    def readings(self, member: Member, tally: Tally) -> Iterator[Reading]:
        return self.tables.get(member.suffix, self.tables[".csv"]).readings(member, tally)


def identity(value: Any) -> str | None:
    """A patient or encounter as a string, the same from csv as from parquet; None where there is none."""
    if value is None or value != value:  # pandas writes a missing number as NaN
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # and whole numbers beside it as floats
    return str(value).strip() or None
