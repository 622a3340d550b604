"""Files that are one document each; plain text here, pages and source code build on it."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal

from corpus.readers.base import FileSettings, Member, Reader, Reading, Tally, found, quarantined, too_large
from corpus.readers.files import read_at_most


class TextSettings(FileSettings):
    """Text files (.txt, .text, .md, .rst), one document a file."""

    kind: Literal["text"] = "text"


class LoadedFileReader(Reader):
    """Loads each file whole, up to `max_bytes`."""

    def readings(self, member: Member, tally: Tally) -> Iterator[Reading]:
        content = read_at_most(member.stream, self.settings.max_bytes)
        if isinstance(content, int):
            tally.count(content)
            yield too_large(self.settings.max_bytes, content)
        else:
            yield from self.loaded_readings(member, content, tally)

    @abstractmethod
    def loaded_readings(self, member: Member, content: bytes, tally: Tally) -> Iterator[Reading]:
        """The records in `content`, counted; raises DamagedError where the rest of it cannot be read."""


class WholeFileReader(LoadedFileReader):
    """One record a file."""

    def loaded_readings(self, member: Member, content: bytes, tally: Tally) -> Iterator[Reading]:
        tally.count(len(content))
        yield self.reading(member.path, content)

    @abstractmethod
    def reading(self, path: str, content: bytes) -> Reading:
        """What the bytes of the file called `path` say."""


class TextReader(WholeFileReader):
    suffixes = (".txt", ".text", ".md", ".rst")
    settings: TextSettings

    def reading(self, path: str, content: bytes) -> Reading:
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
