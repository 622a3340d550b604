"""Files that kill the process that reads them: read in a child, up to the record that does.

    unit whose process died ─ file ─► child ─ records, one message each ─► the worker
                                        └─ dies twice after as many records: one quarantined row stands for the rest

It is what becomes of a damaged file, too (corpus/readers/base.py): the records before stay, and the rest is one row of
the ledger, `crashed in read`. A file that is one document is that row. PDFs and books have children of their own, which
are asked for one document each.
"""

from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Protocol

from corpus.document import QUARANTINE, Document
from corpus.engine.child import MEMORY, Child, DiedError, begin, may_use, tell
from corpus.engine.limits import PATIENCE, GuardSettings
from corpus.readers import InputFile, Tally

READING = 3.0  # times the seconds of a document that a record may take to be read: what is passed over counts, too
START = 600.0  # seconds in which a child must have come up
TRIES = 2  # times that a child must die at a record


class FileReader(Protocol):
    """A reader, as far as it is needed here."""

    source: str

    def read(self, file: InputFile, tally: Tally) -> Iterator[Document]: ...

    def close(self) -> None: ...


def isolated(reader: FileReader, file: InputFile, tally: Tally, settings: GuardSettings) -> Iterator[Document]:
    """The documents of `file` as `reader.read` gives them and counts them into `tally`, read in a child process. Where
    that dies, what came before stays and one quarantined document stands for the rest, with the bytes of the file that
    no document accounts for (of a compressed file: none, where it had given as many by then). Raises what the reader
    raises. Costs a message a record, and each record before a death once more for each try."""
    came, died_at, died = 0, -1, 0
    counted = Tally()
    while True:
        try:
            for document, so_far in _from_child(reader, file, settings, came):
                counted = so_far
                if document is not None:
                    came += 1
                    yield document
            break
        except DiedError as death:
            died = died + 1 if died_at == came else 1
            died_at = came
            if died < TRIES:
                continue
            rest = max(0, file.bytes - counted.bytes)
            counted = Tally(came, counted.blank, counted.bytes)
            counted.count(rest)
            reason = f"{death.how} in read"
            yield Document(reader.source, file.path, came, "", rest, None, None, QUARANTINE, reason)
            break
    tally.records += counted.records
    tally.blank += counted.blank
    tally.bytes += counted.bytes


def _from_child(
    reader: FileReader, file: InputFile, settings: GuardSettings, passed: int
) -> Iterator[tuple[Document | None, Tally]]:
    """(document, what was counted by then) from record `passed` on, and (None, all that was counted)."""
    seconds = settings.seconds * READING
    with Child(_serve, reader, file, passed, seconds) as child:
        child.hear(START)
        child.allow(settings.memory_gb)
        while True:
            word, said, counted = child.hear(seconds * PATIENCE)
            if word == "raised":
                raise DiedError(MEMORY) if isinstance(said, MemoryError) else said
            if word != "passed":
                yield said, counted
            if word == "end":
                return


def _serve(line: Connection, reader: FileReader, file: InputFile, passed: int, seconds: float) -> None:
    """The child: every record a message, those that the parent has without their text."""
    begin()
    tell(line, "started")
    tally = Tally()
    try:
        may_use(seconds)
        for number, document in enumerate(reader.read(file, tally)):
            may_use(0)
            tell(line, ("passed", None, None) if number < passed else ("document", document, tally))
            may_use(seconds)
        may_use(0)
        tell(line, ("end", None, tally))
    except Exception as error:
        may_use(0)
        tell(line, ("raised", error, None))
    finally:
        reader.close()
