"""WARC files of crawls (.warc, .warc.gz): HTML pages, with their address and date in the metadata.

The page itself is the text, as with HTML folders: taking the prose out of it is the step `extract`.
"""

import io
from collections.abc import Iterator
from typing import Literal

from fastwarc.warc import ArchiveIterator
from pydantic import Field

from corpus.readers.archives import is_archive
from corpus.readers.base import FileSettings, Member, Reader, Reading, Tally, found, plain, quarantined, too_large
from corpus.readers.files import InputFile, Stored
from corpus.readers.warc_records import Gap, WarcFault, WarcRecord, gzip_pieces, plain_pieces, warc_records
from corpus.readers.web_pages import decode_page

HTML = ("text/html", "application/xhtml+xml")


class WarcSettings(FileSettings):
    """WARC files; every record is a row of the ledger, and those that hold a page are documents."""

    kind: Literal["warc"] = "warc"
    content_types: tuple[str, ...] = Field(
        HTML, min_length=1, description="Media types that are taken; `text/plain` is what a .wet file holds."
    )


class WarcReader(Reader):
    """Response and conversion records of the asked content types, fetched with success, are documents.

    Their transfer and content encodings are undone (FastWARC); they are decoded as UTF-8 where they are that, then by
    the charset of the HTTP header, then as the page declares. About 45 MB/s of pages a core.
    """

    suffixes = (".warc", ".wet")
    settings: WarcSettings

    def members(self, file: InputFile, stored: Stored) -> Iterator[Member]:
        if file.path.lower().endswith(".gz") and not is_archive(file.path):  # decompressed by member, below
            yield Member(file.path, stored, file.bytes, f"{self.root.folder}/{file.path}")
        else:
            yield from super().members(file, stored)

    def readings(self, member: Member, tally: Tally) -> Iterator[Reading]:
        pieces: Iterator[bytes | Gap]
        if isinstance(member.stream, Stored) and member.path.lower().endswith(".gz"):
            pieces = gzip_pieces(member.stream, self.expansion_limit(member.bytes))
        else:
            pieces = plain_pieces(member.stream)
        for record in warc_records(pieces, self.settings.max_bytes):
            tally.count(record.bytes)
            if isinstance(record, WarcFault):
                yield quarantined(record.reason, record.bytes)
            else:
                yield self._reading(record)

    def _reading(self, record: WarcRecord) -> Reading:
        fields = record.fields
        record_id, kind = fields.get("warc-record-id"), fields.get("warc-type", "")
        if kind not in ("response", "conversion"):
            return dropped(f"{kind or 'unknown'} record", record, record_id)
        if not record.content:
            return too_large(self.settings.max_bytes, record.bytes)._replace(record_id=record_id)
        try:
            status, media, charset, payload = content(record, self.settings.max_bytes)
        except (OSError, ValueError, UnicodeError):
            return quarantined("payload cannot be decoded", record.bytes, record_id)
        if status is not None and not 200 <= status < 300:
            return dropped(f"HTTP status {status}", record, record_id)
        if media not in self.settings.content_types:
            return dropped("content type not asked for", record, record_id)
        if len(payload) > self.settings.max_bytes:
            return too_large(self.settings.max_bytes, record.bytes)._replace(record_id=record_id)
        text = decode_page(payload, self.settings.encoding, charset)
        if text is None:
            return quarantined("unknown encoding", record.bytes, record_id)
        carried = {"url": fields.get("warc-target-uri"), "date": fields.get("warc-date")}
        return found(text, record_id, plain(carried))


def dropped(reason: str, record: WarcRecord, record_id: str | None) -> Reading:
    """A record that is sound and holds no page asked for."""
    return Reading("", record.bytes, record_id, None, "read", reason)


def content(record: WarcRecord, max_bytes: int) -> tuple[int | None, str, str | None, bytes]:
    """HTTP status (None for what is not HTTP), media type, charset and decoded payload, of which no more is made than
    `max_bytes` and one. Raises OSError or ValueError for HTTP that cannot be read."""
    kind = record.fields.get("content-type", "")
    http = kind.lower().startswith("application/http")
    iterator = ArchiveIterator(io.BytesIO(record.content), parse_http=http, auto_decode="all" if http else "none")
    parsed = next(iter(iterator), None)
    if parsed is None:
        raise ValueError
    if not http:
        media, _, parameters = kind.partition(";")
        charset = parameters.lower().partition("charset=")[2].strip(" \"'") or None
        return None, media.strip().lower(), charset, parsed.reader.read(max_bytes + 1)
    headers = parsed.http_headers
    if headers is None or headers.status_code is None:
        raise ValueError
    media = (parsed.http_content_type or "").lower()
    return headers.status_code, media, parsed.http_charset, parsed.reader.read(max_bytes + 1)
