"""Wikipedia's XML export to plain prose: one document for the lead and one for each section of an article.

Tables, templates, references, pictures and categories go; links and emphasis leave their words. About 1 MB/s.
"""

import re
from collections.abc import Iterator
from typing import IO, NamedTuple
from xml.etree import ElementTree

MINIMUM = 400  # characters: shorter sections are lists of links and stubs
_APPARATUS = re.compile(r"(?i)references|notes|footnotes|external links|see also|further reading|bibliography|sources")
_NAMESPACE = re.compile(r"(?i)\s*:?(?:file|image|category|wikt|[a-z]{2,3}(?:-[a-z]+)?):")
_DROPPED_TAGS = frozenset({"table", "ref", "gallery", "math", "timeline", "score", "references"})


class Section(NamedTuple):
    """A section of an encyclopaedia article, without markup."""

    title: str
    heading: str
    text: str


def sections(stream: IO[bytes]) -> Iterator[Section]:
    """The sections of all articles (namespace 0, redirects left out) in an export, in its order."""
    for title, markup in _articles(stream):
        for heading, body in _split(markup):
            text = plain(body)
            if len(text) >= MINIMUM:
                yield Section(title, heading, text)


def _articles(stream: IO[bytes]) -> Iterator[tuple[str, str]]:
    for _, element in ElementTree.iterparse(stream):
        namespace, _, name = element.tag.rpartition("}")
        if name != "page":
            continue
        space = namespace + "}" if namespace else ""
        if element.findtext(f"{space}ns") == "0" and element.find(f"{space}redirect") is None:
            yield element.findtext(f"{space}title") or "", element.findtext(f"{space}revision/{space}text") or ""
        element.clear()


def _split(markup: str) -> Iterator[tuple[str, str]]:
    """(heading, markup) of the lead and of every second-level section that is prose."""
    pieces = re.split(r"(?m)^==([^=].*?)==\s*$", markup)
    yield "", pieces[0]
    for heading, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if not _APPARATUS.fullmatch(heading.strip()):
            yield heading.strip(), body


def plain(markup: str) -> str:
    """The prose of wiki markup, paragraphs apart by one blank line."""
    import mwparserfromhell

    code = mwparserfromhell.parse(markup)
    for tag in code.filter_tags(recursive=True):
        if str(tag.tag).strip().lower() in _DROPPED_TAGS:
            _remove(code, tag)
    for link in code.filter_wikilinks(recursive=True):
        if _NAMESPACE.match(str(link.title)):
            _remove(code, link)
    text = code.strip_code(normalize=True, collapse=True)
    lines = (re.sub(r"[ \t]+", " ", line).strip(" *#:;") for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _remove(code, node) -> None:  # type: ignore[no-untyped-def]
    try:
        code.remove(node)
    except ValueError:
        return  # it went with the table or the reference that held it
