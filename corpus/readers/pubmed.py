"""PubMed / MEDLINE XML (the NLM's baseline and update files): title and abstract of each citation.

https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html
"""

from typing import Any, Literal

from lxml import etree
from pydantic import Field

from corpus.readers.base import FileSettings, Reading, found, plain, quarantined
from corpus.readers.xml_records import XmlReader, prose

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


class PubmedReader(XmlReader):
    """Records are citations."""

    suffixes = (".xml",)
    tags = ("PubmedArticle", "PubmedBookArticle")
    settings: PubmedSettings

    def reading(self, element: etree._Element, raw: int) -> Reading:
        pmid = element.findtext(".//PMID")
        title = prose(element.find(".//ArticleTitle"))
        if not title:
            title = prose(element.find(".//VernacularTitle"))
        parts = [title] if title else []
        for part in element.iterfind(".//Abstract/AbstractText"):
            text, label = prose(part), part.get("Label")
            if text:
                parts.append(f"{label}: {text}" if label and label != "UNLABELLED" else text)
        values: dict[str, Any] = {}
        for name in self.settings.metadata:
            texts = [prose(element) for element in element.iterfind(PATHS[name])]
            values[name] = texts if name in LISTS else texts[0] if texts else None
        if not parts and pmid is None:
            return quarantined("neither PMID nor text", raw)
        return found("\n\n".join(parts), pmid, plain(values) if values else None)
