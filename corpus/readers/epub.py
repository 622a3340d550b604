"""EPUB (2 and 3): the documents of the spine, and the chapters that the table of contents makes of them.

META-INF/container.xml ─► package (.opf): metadata, manifest, spine ─► nav.xhtml or toc.ncx: titles and targets
"""

import io
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from lxml import etree

from corpus.readers.archives import zipped
from corpus.readers.files import ByteStream, DamagedError, read_at_most
from corpus.readers.xml_records import prose

PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
TYPE = "{http://www.idpf.org/2007/ops}type"


class TocEntry(NamedTuple):
    """A line of a table of contents: its depth from 0, its title, and the document and element it leads to."""

    level: int
    title: str
    path: str
    anchor: str | None


@dataclass
class SpineDocument:
    """A document of the book in its order of reading; `fault` says why it has no content."""

    path: str
    content: bytes = b""
    fault: str | None = None


@dataclass
class Epub:
    """A book: its title, its table of contents, and its documents, which are read one at a time."""

    title: str | None
    language: str | None
    toc: list[TocEntry]
    spine: list[str]
    max_bytes: int
    _files: dict[str, ByteStream] = field(default_factory=dict)
    _encrypted: frozenset[str] = frozenset()

    def documents(self) -> Iterator[SpineDocument]:
        for path in self.spine:
            if path in self._encrypted:
                yield SpineDocument(path, fault="encrypted")
                continue
            try:
                yield SpineDocument(path, _content(self._files, path, self.max_bytes))
            except DamagedError as damage:
                yield SpineDocument(path, fault=damage.reason)


def read_epub(book: bytes, max_bytes: int, limit: int) -> Epub:
    """The book in `book`; its documents may have `max_bytes` each and `limit` together. Raises DamagedError."""
    files = dict(zipped(io.BytesIO(book), lambda name: True, limit))
    container = _xml(_content(files, "META-INF/container.xml", max_bytes))
    rootfile = container.find(".//{*}rootfile")
    package_path = _resolved("", rootfile.get("full-path", "") if rootfile is not None else "")[0]
    package = _xml(_content(files, package_path, max_bytes))
    manifest = {}
    for item in package.iterfind("./{*}manifest/{*}item"):
        path = _resolved(package_path, item.get("href", ""))[0]
        manifest[item.get("id", "")] = (path, item.get("media-type", ""), (item.get("properties") or "").split())
    spine_element = package.find("./{*}spine")
    spine = []
    for reference in package.iterfind("./{*}spine/{*}itemref"):
        path, media, properties = manifest.get(reference.get("idref", ""), ("", "", []))
        if media in PAGES and "nav" not in properties:
            spine.append(path)
    if not spine:
        raise DamagedError(reason="EPUB without a spine")
    ncx = manifest.get(spine_element.get("toc", "") if spine_element is not None else "", ("", "", []))[0]
    nav = next((path for path, _, properties in manifest.values() if "nav" in properties), None)
    ncx = ncx or next((path for path, media, _ in manifest.values() if media == "application/x-dtbncx+xml"), "")
    toc = _nav(files, nav, max_bytes) if nav else []
    return Epub(
        prose(package.find("./{*}metadata/{*}title")) or None,
        prose(package.find("./{*}metadata/{*}language")) or None,
        toc or (_ncx(files, ncx, max_bytes) if ncx else []),
        list(dict.fromkeys(spine)),
        max_bytes,
        files,
        _encrypted(files, max_bytes),
    )


def _nav(files: dict[str, ByteStream], path: str, max_bytes: int) -> list[TocEntry]:
    """EPUB 3's table of contents; empty where it cannot be read."""
    tree = _optional(files, path, max_bytes)
    if tree is None:
        return []
    navs = list(tree.iterfind(".//{*}nav"))
    toc = next((nav for nav in navs if "toc" in (nav.get(TYPE) or "").split()), navs[0] if navs else None)
    entries = []
    for link in toc.iterfind(".//{*}a") if toc is not None else []:
        level = sum(1 for above in link.iterancestors("{*}ol")) - 1
        entries.append(TocEntry(level, prose(link), *_resolved(path, link.get("href", ""))))
    return entries


def _ncx(files: dict[str, ByteStream], path: str, max_bytes: int) -> list[TocEntry]:
    """EPUB 2's table of contents; empty where it cannot be read."""
    tree = _optional(files, path, max_bytes)
    entries = []
    for point in tree.iterfind(".//{*}navPoint") if tree is not None else []:
        target = point.find("./{*}content")
        if target is not None:
            level = sum(1 for above in point.iterancestors("{*}navPoint"))
            title = prose(point.find("./{*}navLabel"))
            entries.append(TocEntry(level, title, *_resolved(path, target.get("src", ""))))
    return entries


def _encrypted(files: dict[str, ByteStream], max_bytes: int) -> frozenset[str]:
    """Paths of the files that are encrypted (fonts may be, in a book that is not)."""
    tree = _optional(files, "META-INF/encryption.xml", max_bytes)
    references = tree.iterfind(".//{*}CipherReference") if tree is not None else []
    return frozenset(_resolved("", reference.get("URI", ""))[0] for reference in references)


def _optional(files: dict[str, ByteStream], path: str, max_bytes: int) -> etree._Element | None:
    try:
        return _xml(_content(files, path, max_bytes), recover=True)
    except DamagedError:
        return None


def _content(files: dict[str, ByteStream], path: str, max_bytes: int) -> bytes:
    if path not in files:
        raise DamagedError(reason="EPUB without a file it names")
    content = read_at_most(files[path], max_bytes)
    if isinstance(content, int):
        raise DamagedError(reason="part of the EPUB above `max_bytes`")
    return content


def _xml(content: bytes, recover: bool = False) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=recover, remove_comments=True
    )
    try:
        tree = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError):
        tree = None
    if tree is None:
        raise DamagedError(reason="malformed EPUB")
    return tree


def _resolved(base: str, reference: str) -> tuple[str, str | None]:
    """The path in the book and the anchor that a reference in the file `base` means."""
    try:
        parts = urlsplit(reference)
    except ValueError:
        return "", None
    path = posixpath.join(posixpath.dirname(base), unquote(parts.path)) if parts.path else base
    return posixpath.normpath("/" + path)[1:].lstrip("/"), unquote(parts.fragment) or None
