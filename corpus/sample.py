"""A sample of a source: documents drawn evenly from what a budget allows to read of several files.

    files in an order drawn by the seed ─ each its part of the budget, whole or from the beginning ─ a reservoir

What is left of the budget when every file had its part goes to those that have more.
"""

import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from corpus.annotate import SourceLine
from corpus.document import Document
from corpus.readers import InputFile, Tally
from corpus.readers.files import DamagedError, decompressed

READ_BYTES = 64 << 20  # decompressed bytes of a source that are read for its sample, at the most
READ_PER_DOCUMENT = 50  # and records, per document of the sample
FILES = 16  # files that the budget is parted among, where there are so many
RATE_BYTES = 8 << 20  # decompressed, to learn how far a file is compressed


@dataclass
class FileRead:
    """A file that is read as far as its part of the budget goes."""

    file: InputFile
    documents: Iterator[Document]
    tally: Tally
    records: int = 0
    whole: bool = False


@dataclass
class Sample:
    """The documents drawn, each with the place of its file in `read`; how many files the source has, of how many
    bytes."""

    files: int
    all_bytes: int
    read: list[FileRead] = field(default_factory=list)
    drawn: list[tuple[Document, int]] = field(default_factory=list)


def draw(line: SourceLine, count: int, seed: int) -> Sample:
    """`count` documents, in order of file. Raises DataError when the source has no files, or none that can be read."""
    files = line.reader.files()
    line.reader.check(files)
    files = [file for file in files if file.bytes]
    files.sort(key=lambda file: xxhash.xxh3_64_intdigest(f"{seed}\0{line.name}\0{file.path}".encode()))
    sample = Sample(len(files), sum(file.bytes for file in files))
    random = Random(f"{seed} {line.name}")
    documents = _read(line, files, READ_PER_DOCUMENT * count, sample.read)
    for seen, (place, document) in enumerate(documents, 1):
        if len(sample.drawn) < count:
            sample.drawn.append((document, place))
        elif (at := random.randrange(seen)) < count:
            sample.drawn[at] = (document, place)
    sample.drawn.sort(key=lambda drawn: (drawn[0].file, drawn[0].position))
    return sample


def _read(
    line: SourceLine, files: list[InputFile], most_records: int, read: list[FileRead]
) -> Iterator[tuple[int, Document]]:
    """(place in `read`, document) of all that the budget allows to read."""
    waiting, more = deque(files), deque[int]()
    left_bytes, left_records = float(READ_BYTES), most_records
    try:
        while (waiting or more) and left_bytes > 0 and left_records > 0:
            if waiting:
                sharing = min(FILES - len(read), len(waiting)) if len(read) < FILES else FILES
                tally, place = Tally(), len(read)
                file = waiting.popleft()
                read.append(FileRead(file, line.reader.read(file, tally), tally))
            else:
                sharing, place = len(more), more.popleft()
            own = read[place]
            begun_bytes, begun_records = own.tally.bytes, own.records
            part_bytes, part_records = left_bytes / sharing, -(-left_records // sharing)
            while own.tally.bytes - begun_bytes < part_bytes and own.records - begun_records < part_records:
                document = next(own.documents, None)
                if document is None:
                    own.whole = True
                    break
                own.records += 1
                yield place, document
            if not own.whole:
                more.append(place)
            left_bytes -= own.tally.bytes - begun_bytes
            left_records -= own.records - begun_records
    finally:
        for own in read:
            own.documents.close()  # type: ignore[attr-defined]
        line.reader.close()


def share_read(line: SourceLine, own: FileRead) -> float:
    """Which share of a file was read: of its rows, or of its bytes at the rate at which its first megabytes are
    compressed."""
    if own.whole:
        return 1.0
    root = line.reader.root
    with root.filesystem.open(f"{root.folder}/{own.file.path}", "rb") as stored:
        with contextlib.suppress(pa.ArrowException, OSError):
            if own.file.path.lower().endswith(".parquet"):
                return own.records / max(pq.ParquetFile(stored).metadata.num_rows, own.records, 1)
        stored.seek(0)
        stream, out = decompressed(stored, own.file.path, RATE_BYTES), 0
        with contextlib.suppress(DamagedError):  # also raised at the limit
            while piece := stream.read(1 << 20):
                out += len(piece)
                if out >= RATE_BYTES:
                    break
        return min(1.0, own.tally.bytes * stored.tell() / max(out, 1) / own.file.bytes)
