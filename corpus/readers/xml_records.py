"""XML files of records: the elements of some tags, parsed as a stream, one held at a time.

No entity is expanded, no DTD and no network is used, and libxml2's limits on depth and node size stay on, so neither a
deep file nor a "billion laughs" costs more than its bytes. XML cannot be picked up again after a fault, so a record
above `max_bytes` ends its file, as damage does.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from lxml import etree

from corpus.readers.base import Member, Reader, Reading, Tally, too_large
from corpus.readers.files import ByteStream, DamagedError

BLOCK = 1 << 16


class XmlReader(Reader):
    """Records are the elements called one of `tags`."""

    tags: ClassVar[tuple[str, ...]]

    def readings(self, member: Member, tally: Tally) -> Iterator[Reading]:
        parser = etree.XMLPullParser(
            events=("end",), tag=self.tags, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
        )
        pending = 0  # bytes fed since the last record ended
        records = 0
        while block := self._block(member.stream, pending):
            pending += len(block)
            damaged = not self._feed(parser, block)
            for _, element in parser.read_events():
                tally.count(pending)
                yield self.reading(element, pending)
                pending = 0
                records += 1
                forget(element)
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
        if not records:
            raise DamagedError(pending, f"no <{self.tags[0]}> in it")

    @abstractmethod
    def reading(self, element: etree._Element, raw: int) -> Reading:
        """What a record of `raw` bytes says."""

    @staticmethod
    def _block(handle: ByteStream, pending: int) -> bytes:
        try:
            return handle.read(BLOCK)
        except DamagedError as damage:
            raise damage.after(pending) from None

    @staticmethod
    def _feed(parser: etree.XMLPullParser, block: bytes) -> bool:
        try:
            parser.feed(block)
        except etree.XMLSyntaxError:
            return False
        return True


def prose(element: etree._Element | None) -> str:
    """The text of an element and its inline mark-up (<i>, <sup>, …), white space folded."""
    return "" if element is None else " ".join("".join(element.itertext()).split())


def forget(record: etree._Element) -> None:
    """Free a record and what stands before it in the tree."""
    record.clear()
    parent = record.getparent()
    while parent is not None and record.getprevious() is not None:
        del parent[0]
