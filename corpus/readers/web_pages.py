"""HTML pages, one document a file: the page itself is the text, taking the prose out of it is the step `extract`."""

import re
from typing import Literal

from corpus.readers.base import FileSettings, Reading, found, quarantined
from corpus.readers.plain_text import WholeFileReader, decode

META_CHARSET = re.compile(rb"""<meta[^>]{0,256}?charset\s*=\s*["']?\s*([a-zA-Z0-9_:.\-]+)""", re.IGNORECASE)
PRESCAN = 4096  # bytes searched for the declaration


class HtmlSettings(FileSettings):
    """HTML pages (.html, .htm, .xhtml), one document a file."""

    kind: Literal["html"] = "html"


class HtmlReader(WholeFileReader):
    """Pages are decoded as UTF-8 where the bytes are that (so many declare something older), then as they declare."""

    suffixes = (".html", ".htm", ".xhtml")
    settings: HtmlSettings

    def reading(self, path: str, content: bytes) -> Reading:
        text = decode_page(content, self.settings.encoding)
        if text is None:
            return quarantined(
                f"not {self.settings.encoding}" if self.settings.encoding else "unknown encoding", len(content)
            )
        return found(text)


def decode_page(content: bytes, encoding: str | None, header: str | None = None) -> str | None:
    """The text of a page, None where no encoding fits: `encoding` if given; else by its UTF-16 byte order mark, as
    UTF-8, by the charset that the HTTP `header` names, as it declares itself."""
    if encoding is not None:
        return decode(content, encoding)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return decode(content, "utf-16")
    return decode(content, "utf-8", *web_encoding(header or ""), *declared(content))


def declared(page: bytes) -> list[str]:
    """The encoding that a page's `<meta>` declares."""
    match = META_CHARSET.search(page[:PRESCAN])
    return web_encoding(match[1].decode()) if match else []


def web_encoding(label: str) -> list[str]:
    """The encoding a label means by the WHATWG's reading of names (latin-1 means windows-1252), if any."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    name = map_encoding_to_html5(label, fallback_utf8=False) if label else None
    return [name] if name else []
