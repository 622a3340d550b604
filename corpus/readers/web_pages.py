"""HTML pages, one document a file: the page itself is the text, taking the prose out of it is the step `extract`."""

import re
from typing import Literal

from corpus.readers.base import FileSettings, Reading, found, quarantined
from corpus.readers.files import InputFile
from corpus.readers.plain_text import WholeFileReader, decode

META_CHARSET = re.compile(rb"""<meta[^>]{0,256}?charset\s*=\s*["']?\s*([a-zA-Z0-9_:.\-]+)""", re.IGNORECASE)
PRESCAN = 4096  # bytes searched for the declaration


class HtmlSettings(FileSettings):
    """HTML pages (.html, .htm, .xhtml), one document a file."""

    kind: Literal["html"] = "html"


class HtmlReader(WholeFileReader):
    """Decodes by the `encoding` of the settings; else UTF-16 by its byte order mark, UTF-8 where the bytes are that
    (so many pages declare something older), then as the page declares."""

    suffixes = (".html", ".htm", ".xhtml")
    settings: HtmlSettings

    def reading(self, file: InputFile, content: bytes) -> Reading:
        if self.settings.encoding is not None:
            text = decode(content, self.settings.encoding)
        elif content.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = decode(content, "utf-16")
        else:
            text = decode(content, "utf-8", *declared(content))
        if text is None:
            return quarantined(
                f"not {self.settings.encoding}" if self.settings.encoding else "unknown encoding", len(content)
            )
        return found(text)


def declared(page: bytes) -> list[str]:
    """The encoding that a page's `<meta>` declares, by the WHATWG's reading of names (latin-1 means windows-1252)."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    match = META_CHARSET.search(page[:PRESCAN])
    if match is None:
        return []
    name = map_encoding_to_html5(match[1].decode(), fallback_utf8=False)
    return [name] if name else []
