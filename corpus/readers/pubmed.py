"""PubMed / MEDLINE XML (the NLM's baseline and update files): title and abstract of each citation.

https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html
"""

from collections.abc import Iterator
from typing import Any, Literal

from lxml import etree
from pydantic import Field

from corpus.readers.base import FileSettings, Reader, Reading, Tally, found, plain, quarantined, too_large
from corpus.readers.files import DamagedError, InputFile

BLOCK = 1 << 16
CITATIONS = ("PubmedArticle", "PubmedBookArticle")
Carried = Literal["journal", "year", "language", "doi", "mesh", "publication_types"]
PATHS: dict[str, str] = {
    "journal": ".//Journal/Title",
    "year": ".//Journal/JournalIssue/PubDate/Year",
    "language": ".//Language",
    "doi": ".//PubmedData/ArticleIdList/ArticleId[@IdType='doi']",
    "mesh": ".//MeshHeadingList/MeshHeading/DescriptorName",
    "publication_types": ".//PublicationTypeList/PublicationType",
}
LISTS = ("mesh", "publication_types")


class PubmedSettings(FileSettings):
    """PubMed XML files (.xml, .xml.gz). The text is the title and the abstract, the record id the PMID."""

    kind: Literal["pubmed"] = "pubmed"
    metadata: tuple[Carried, ...] = Field((), description="What to carry along of each citation.")


class PubmedReader(Reader):
    """Records are citations, parsed as a stream; one citation is held at a time.

    No entity is expanded, no DTD and no network is used, and libxml2's limits on depth and node size stay on.
    XML cannot be picked up again after a fault, so a citation above `max_bytes` ends its file, as damage does.
    """

    suffixes = (".xml",)
    settings: PubmedSettings

    def readings(self, file: InputFile, tally: Tally) -> Iterator[Reading]:
        parser = etree.XMLPullParser(
            events=("end",), tag=CITATIONS, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
        )
        pending = 0  # bytes fed since the last citation ended
        with self.root.open(file) as handle:
            while block := self._block(handle, pending):
                pending += len(block)
                damaged = not self._feed(parser, block)
                for _, citation in parser.read_events():
                    tally.count(pending)
                    yield self._reading(citation, pending)
                    pending = 0
                    forget(citation)
                if damaged:
                    raise DamagedError(pending)
                if pending > self.settings.max_bytes:
                    tally.count(pending)
                    yield too_large(self.settings.max_bytes, pending)
                    return
        try:
            parser.close()
        except etree.XMLSyntaxError:
            raise DamagedError(pending) from None

    @staticmethod
    def _block(handle: Any, pending: int) -> bytes:
        try:
            return handle.read(BLOCK)
        except DamagedError:
            raise DamagedError(pending) from None

    @staticmethod
    def _feed(parser: etree.XMLPullParser, block: bytes) -> bool:
        try:
            parser.feed(block)
        except etree.XMLSyntaxError:
            return False
        return True

    def _reading(self, citation: etree._Element, raw: int) -> Reading:
        pmid = citation.findtext(".//PMID")
        title = prose(citation.find(".//ArticleTitle"))
        if not title:
            title = prose(citation.find(".//VernacularTitle"))
        parts = [title] if title else []
        for part in citation.iterfind(".//Abstract/AbstractText"):
            text, label = prose(part), part.get("Label")
            if text:
                parts.append(f"{label}: {text}" if label and label != "UNLABELLED" else text)
        values: dict[str, Any] = {}
        for name in self.settings.metadata:
            texts = [prose(element) for element in citation.iterfind(PATHS[name])]
            values[name] = texts if name in LISTS else texts[0] if texts else None
        if not parts and pmid is None:
            return quarantined("neither PMID nor text", raw)
        return found("\n\n".join(parts), pmid, plain(values) if values else None)


def prose(element: etree._Element | None) -> str:
    """The text of an element and its inline mark-up (<i>, <sup>, …), white space folded."""
    return "" if element is None else " ".join("".join(element.itertext()).split())


def forget(citation: etree._Element) -> None:
    """Free a citation and what stands before it in the tree."""
    citation.clear()
    parent = citation.getparent()
    while parent is not None and citation.getprevious() is not None:
        del parent[0]
