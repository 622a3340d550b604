"""Files that are one document each; plain text here, pages and source code build on it."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal

from corpus.readers.base import FileSettings, Reader, Reading, Tally, found, quarantined, too_large
from corpus.readers.files import InputFile, read_at_most


class TextSettings(FileSettings):
    """Text files (.txt, .text, .md, .rst), one document a file."""

    kind: Literal["text"] = "text"


class WholeFileReader(Reader):
    """One record a file: the position is always 0."""

    def readings(self, file: InputFile, tally: Tally) -> Iterator[Reading]:
        with self.root.open(file) as handle:
            content = read_at_most(handle, self.settings.max_bytes)
        if isinstance(content, int):
            tally.count(content)
            yield too_large(self.settings.max_bytes, content)
            return
        tally.count(len(content))
        yield self.reading(file, content)

    @abstractmethod
    def reading(self, file: InputFile, content: bytes) -> Reading:
        """What the bytes of one file say."""


class TextReader(WholeFileReader):
    suffixes = (".txt", ".text", ".md", ".rst")
    settings: TextSettings

    def reading(self, file: InputFile, content: bytes) -> Reading:
        text = decode(content, self.settings.encoding)
        return (
            found(text) if text is not None else quarantined(f"not {self.settings.encoding or 'UTF-8'}", len(content))
        )


def decode(content: bytes, *encodings: str | None) -> str | None:
    """The text in the first of the encodings (None stands for UTF-8) that fits; None if none does.

    A UTF-8 byte order mark stays in the text: taking it out is an edit, which `repair` books.
    """
    for encoding in encodings:
        try:
            text = content.decode(encoding or "utf-8")
            text.encode()  # utf-7 and the like can produce lone surrogates
        except (LookupError, UnicodeError):
            continue
        return text
    return None
