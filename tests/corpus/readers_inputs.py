"""Small inputs of every kind of reader, written by code: what the tests of the readers corrupt and read."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Sequence

PROSE = [
    "The wound was inspected and found to be clean and dry, with no sign of infection around its edges.",
    "A second course of treatment was started after the results of the first culture had come back.",
    "Patients who were older than sixty recovered more slowly than those in the younger group did.",
]


def warc_record(
    kind: str, block: bytes, number: int = 0, content_type: str = "application/http; msgtype=response"
) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: https://example.org/{number}\r\n"
        f"WARC-Date: 2024-05-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def http(page: bytes, content_type: str = "text/html; charset=utf-8", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + page


def warc(texts: Sequence[str]) -> list[bytes]:
    return [warc_record("response", http(f"<p>{text}</p>".encode()), number) for number, text in enumerate(texts)]


def pdf(pages: Sequence[Sequence[str]], bookmarks: Sequence[tuple[str, int]] = (), encrypted: bool = False) -> bytes:
    """A PDF with lines of 12 point Helvetica at 14 points' distance; an empty line leaves a gap. No lines: no text."""
    count = len(pages)
    first_page, first_content = 4, 4 + count
    first_mark = first_content + count
    kids = " ".join(f"{first_page + i} 0 R" for i in range(count))
    outlines = f" /Outlines {first_mark} 0 R" if bookmarks else ""
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R{outlines} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for i in range(count):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {first_content + i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
    for lines in pages:
        shown = []
        for row, line in enumerate(lines):
            escaped = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
            if line:
                shown.append(f"BT /F1 12 Tf 72 {720 - 14 * row} Td ({escaped}) Tj ET")
        stream = "\n".join(shown)
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    if bookmarks:
        last = first_mark + len(bookmarks)
        objects.append(f"<< /Type /Outlines /First {first_mark + 1} 0 R /Last {last} 0 R /Count {len(bookmarks)} >>")
        for i, (title, page) in enumerate(bookmarks):
            at = first_mark + 1 + i
            links = (f" /Prev {at - 1} 0 R" if i else "") + (f" /Next {at + 1} 0 R" if at < last else "")
            objects.append(
                f"<< /Title ({title}) /Parent {first_mark} 0 R /Dest [{first_page + page} 0 R /Fit]{links} >>"
            )
    trailer = f"<< /Size {len(objects) + 1} /Root 1 0 R"
    if encrypted:
        owner = "00" * 32
        objects.append(f"<< /Filter /Standard /V 1 /R 2 /O <{owner}> /U <{owner}> /P -4 >>")
        trailer = f"<< /Size {len(objects) + 1} /Root 1 0 R /Encrypt {len(objects)} 0 R /ID [<00> <00>]"
    out = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    start = len(out)
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n{trailer} >>\n".encode()
    return out + f"startxref\n{start}\n%%EOF\n".encode()


CONTAINER = """<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""


def epub(documents: Sequence[str], toc: Sequence[tuple[str, str]] = (), ncx: bool = False) -> bytes:
    """A book of XHTML documents c0.xhtml, c1.xhtml, …; `toc` has (title, target) of a flat table of contents."""
    items = "".join(
        f'<item id="c{i}" href="text/c{i}.xhtml" media-type="application/xhtml+xml"/>' for i in range(len(documents))
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(documents)))
    nav = '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    if ncx:
        nav = '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/" version="3.0">'
        "<metadata><dc:title>A Book</dc:title><dc:language>en</dc:language></metadata>"
        f"<manifest>{items}{nav if toc else ''}</manifest>"
        f"<spine{' toc=' + chr(34) + 'ncx' + chr(34) if ncx else ''}>{spine}</spine></package>"
    )
    links = "".join(f'<li><a href="text/{target}">{title}</a></li>' for title, target in toc)
    points = "".join(
        f'<navPoint><navLabel><text>{title}</text></navLabel><content src="text/{target}"/></navPoint>'
        for title, target in toc
    )
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": package,
        **{f"OEBPS/text/c{i}.xhtml": document for i, document in enumerate(documents)},
    }
    if toc and ncx:
        files["OEBPS/toc.ncx"] = f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{points}</navMap></ncx>'
    elif toc:
        files["OEBPS/nav.xhtml"] = (
            '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>'
            f'<nav epub:type="toc"><ol>{links}</ol></nav></body></html>'
        )
    return zipped({name: text.encode() for name, text in files.items()})


def xhtml(body: str) -> str:
    return f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head><body>{body}</body></html>'


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def tarred(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def gzipped_members(records: Sequence[bytes]) -> bytes:
    return b"".join(gzip.compress(record, mtime=0) for record in records)


ARTICLE = """<article xmlns:xlink="http://www.w3.org/1999/xlink" article-type="research-article"><front>
<journal-meta><journal-title-group><journal-title>J Tests</journal-title></journal-title-group></journal-meta>
<article-meta><article-id pub-id-type="pmid">{pmid}</article-id><article-id pub-id-type="pmc">{pmc}</article-id>
<article-id pub-id-type="doi">10.1/{pmid}</article-id>
<title-group><article-title>On <italic>E. coli</italic> in milk</article-title></title-group>
<pub-date><year>2021</year></pub-date>
<permissions><license xlink:href="https://creativecommons.org/licenses/by/4.0/"><license-p>Free.</license-p></license>
</permissions>
<abstract><sec><title>Aim</title><p>To see.</p></sec></abstract>
<abstract abstract-type="graphical"><p>not this</p></abstract></article-meta></front>
<body><sec><label>1</label><title>Methods</title><p>{text}<sup><xref ref-type="bibr">4</xref></sup> was CO<sub>2</sub>
<xref ref-type="bibr">[5]</xref>.</p><list><list-item><p>one</p></list-item><list-item><p>two</p></list-item></list>
<p>Where <inline-formula><alternatives>
<tex-math>\\documentclass{{x}}\\begin{{document}}$a^2$\\end{{document}}</tex-math>
<mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:mi>a</mml:mi></mml:math>
</alternatives></inline-formula> holds.
<table-wrap><label>Table 1</label><caption><p>Counts</p></caption><table><tr><th>drug</th><th>n</th></tr>
<tr><td>aspirin</td><td>4</td></tr></table></table-wrap> After.</p></sec></body>
<back><ack><p>Thanks.</p></ack><ref-list><ref><mixed-citation>Ref</mixed-citation></ref></ref-list></back></article>"""


def greedy(page: str) -> str:
    """An engine that takes as many bytes as the page says."""
    return "x" * int(page)
