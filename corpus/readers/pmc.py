"""PMC's full texts in JATS XML: title, abstract and sections of each article, its identifiers and its licence.

https://jats.nlm.nih.gov/archiving/ · https://pmc.ncbi.nlm.nih.gov/tools/openftlist/
"""

import re
from typing import Any, Literal

from lxml import etree
from pydantic import Field

from corpus.readers.base import FileSettings, Reading, found, plain, quarantined
from corpus.readers.xml_records import XmlReader, prose

Part = Literal["title", "abstract", "body", "back"]
Carried = Literal["pmid", "pmcid", "doi", "license", "journal", "year", "article_type"]
META = "./{*}front/{*}article-meta/"
PATHS: dict[Part, tuple[str, ...]] = {
    "title": (META + "{*}title-group/{*}article-title",),
    "abstract": (META + "{*}abstract",),
    "body": ("./{*}body", "./{*}floats-group"),
    "back": ("./{*}back/{*}ack", "./{*}back/{*}app-group", "./{*}back/{*}notes"),
}
HREF = "{http://www.w3.org/1999/xlink}href"
SHORT_ABSTRACTS = ("graphical", "teaser", "toc", "video")
# What stands on lines of its own; anything else is part of the line it is in.
BLOCKS = frozenset(
    """abstract ack app app-group body boxed-text caption def def-item def-list disp-formula disp-quote fig fig-group
    floats-group fn notes p sec sig-block speech statement supplementary-material table-wrap table-wrap-foot
    table-wrap-group term title verse-group verse-line""".split()  # noqa: SIM905
)
SKIPPED = frozenset(
    ("alt-text", "attrib", "graphic", "inline-graphic", "long-desc", "media", "object-id", "permissions", "ref-list")
)
FORMULAS = ("tex-math", "textual-form", "math")  # of the alternatives for one formula, the first that there is
TEX_BODY = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)


class PmcSettings(FileSettings):
    """PMC JATS articles (.xml, .nxml), in files or in PMC's .tar.gz bundles. The record id is the PMCID."""

    kind: Literal["pmc"] = "pmc"
    parts: tuple[Part, ...] = Field(("title", "abstract", "body"), min_length=1, description="What makes up the text.")
    metadata: tuple[Carried, ...] = Field(
        ("pmid", "pmcid", "doi", "license"), description="What to carry along of each article."
    )


class PmcReader(XmlReader):
    """Records are articles: one in a file of PMC's, many in what E-utilities gives. About 40 MB/s a core."""

    suffixes = (".xml", ".nxml")
    tags = ("{*}article",)
    settings: PmcSettings

    def reading(self, element: etree._Element, raw: int) -> Reading:
        writer = Writer()
        for part in self.settings.parts:
            for path in PATHS[part]:
                for piece in element.iterfind(path):
                    if piece.get("abstract-type") not in SHORT_ABSTRACTS:
                        writer.element(piece)
                        writer.close()
        values = identifiers(element)
        if not writer.blocks and not any(values.values()):
            return quarantined("neither identifier nor text", raw)
        record_id = values["pmcid"] or values["pmid"] or values["doi"]
        values |= described(element)
        carried = {name: values[name] for name in self.settings.metadata}
        return found("\n\n".join(writer.blocks), record_id, plain(carried) if carried else None)


def identifiers(article: etree._Element) -> dict[str, Any]:
    """pmid, pmcid (as PMC and digits) and doi, None where the article does not say."""
    values: dict[str, Any] = dict.fromkeys(("pmid", "pmcid", "doi"))
    for element in article.iterfind(META + "{*}article-id"):
        kind, value = element.get("pub-id-type"), prose(element)
        if kind in ("pmid", "doi"):
            values[kind] = value or None
        elif kind in ("pmc", "pmcid") and value:
            values["pmcid"] = value if value.upper().startswith("PMC") else f"PMC{value}"
    return values


def described(article: etree._Element) -> dict[str, Any]:
    """license, journal, year and article type, None where the article does not say."""
    years = [prose(year) for year in article.iterfind(META + "{*}pub-date/{*}year")]
    journal = article.find("./{*}front/{*}journal-meta//{*}journal-title")
    return {
        "license": licence(article.find(META + "{*}permissions/{*}license")),
        "journal": prose(journal) or None,
        "year": min(filter(None, years), default=None),
        "article_type": article.get("article-type"),
    }


def licence(element: etree._Element | None) -> str | None:
    """The address of a licence; where it has none its type, or the beginning of what it says."""
    if element is None:
        return None
    addresses = [element.get(HREF), prose(element.find(".//{*}license_ref"))]
    addresses += [link.get(HREF) for link in element.iterfind(".//{*}ext-link")]
    return next(filter(None, addresses), None) or element.get("license-type") or prose(element)[:200] or None


class Writer:
    """JATS mark-up as paragraphs: `element` for what is to be written, then `close`; the result is in `blocks`."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._pieces: list[str] = []
        self._label = ""  # of a section, a figure or a table: stands before its title or caption

    def close(self) -> None:
        """End the paragraph."""
        text = " ".join("".join(self._pieces).split())
        self._pieces.clear()
        if text:
            self.blocks.append(f"{self._label} {text}" if self._label else text)
            self._label = ""

    def element(self, element: etree._Element) -> None:
        """Write an element without what follows it."""
        if not isinstance(element.tag, str):
            return  # a comment, a processing instruction, an entity
        name = local_name(element)
        if name in SKIPPED or reference(element, name):
            return
        if name == "label":
            self._label = prose(element)
        elif name == "tex-math":
            body = TEX_BODY.search(element.text or "")
            self._pieces.append((body[1] if body else element.text or "").strip())
        elif name == "alternatives":
            self._alternatives(element)
        elif name == "list":
            self._lines(element, "list-item", "\n", "- ")
        elif name == "table":
            self._lines(element, "tr", " | ", "")
        elif name == "break":
            self._pieces.append(" ")
        elif name in BLOCKS:
            self.close()
            self._content(element)
            self.close()
        else:
            self._content(element)

    def _content(self, element: etree._Element) -> None:
        if element.text:
            self._pieces.append(element.text)
        for child in element:
            self.element(child)
            if child.tail:
                self._pieces.append(child.tail)

    def _alternatives(self, element: etree._Element) -> None:
        named = {local_name(child): child for child in element if isinstance(child.tag, str)}
        chosen = next((named[name] for name in FORMULAS if name in named), None)
        for child in named.values() if chosen is None else [chosen]:
            self.element(child)

    def _lines(self, element: etree._Element, item: str, joiner: str, mark: str) -> None:
        """A list or a table as one block, an item or a row a line."""
        self.close()
        lines = []
        found = element.iterfind(f"./{{*}}{item}") if item == "list-item" else element.iterfind(f".//{{*}}{item}")
        for part in found:
            cells = []
            for cell in [part] if item == "list-item" else part:
                inner = Writer()
                inner._content(cell)
                inner.close()
                cells.append("\n".join(inner.blocks) if item == "list-item" else " ".join(inner.blocks))
            line = joiner.join(cells).strip()
            if line:
                lines.append(mark + line)
        if lines:
            self.blocks.append("\n".join(lines))


def local_name(element: etree._Element) -> str:
    """The tag without its name space, and without a prefix that no name space was declared for."""
    return element.tag.rpartition("}")[2].rpartition(":")[2]


def reference(element: etree._Element, name: str) -> bool:
    """Whether an element is a superscript pointer to the literature, which would stand glued to a word."""
    if name == "sup":
        return element.find(".//{*}xref[@ref-type='bibr']") is not None
    return name == "xref" and element.get("ref-type") == "bibr" and element.find("./{*}sup") is not None
