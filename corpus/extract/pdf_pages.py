"""PDF → the lines of its pages with their places, and its bookmarks; an engine of worker.py (imports nothing of ours).

    in     the file
    out    JSON: {"pages": [[[text, left, bottom, right, top], …], …], "outline": [[level, title, page], …],
           "title": …}, places in points from the page's lower left corner; or {"fault": reason}

PDFium writes a hyphen at which a word was broken as U+0002; it comes out as a soft hyphen. About 250 pages/s.
"""

import ctypes
import json
from typing import Any

TEXT_CHARACTERS = 50_000_000
PASSWORD = 4  # FPDF_ERR_PASSWORD
BROKEN_WORD = "\u00ad"


def extract(data: bytes) -> bytes:
    """The lines of the document, or why it has none."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        return json.dumps({"fault": "encrypted" if error.err_code == PASSWORD else "damaged file"}).encode()
    pages: list[list[Any]] = []
    characters = 0
    for index in range(len(document)):
        try:
            page = document[index]
        except pypdfium2.PdfiumError:
            return json.dumps({"fault": "damaged page"}).encode()
        text = page.get_textpage()
        lines = page_lines(text.raw)
        characters += sum(len(line[0]) for line in lines)
        if characters > TEXT_CHARACTERS:
            return json.dumps({"fault": f"text above {TEXT_CHARACTERS} characters"}).encode()
        pages.append(lines)
        text.close()
        page.close()
    title = document.get_metadata_value("Title")
    return json.dumps({"pages": pages, "outline": outline(document), "title": title}).encode()


def outline(document: Any) -> list[tuple[int, str, int]]:
    """(level, title, page index) of the bookmarks that lead to a page."""
    found = []
    for bookmark in document.get_toc(max_depth=4):
        destination = bookmark.get_dest()
        page = destination.get_index() if destination is not None else None
        if page is not None:
            found.append((bookmark.level, " ".join(bookmark.get_title().split()), page))
    return found


def page_lines(text: Any) -> list[list[Any]]:
    """The lines of a page in PDFium's order of reading, each with the box around it."""
    from pypdfium2 import raw

    lines: list[list[Any]] = []
    characters: list[str] = []
    first = 0
    count = raw.FPDFText_CountChars(text)
    for index in range(count + 1):
        code = raw.FPDFText_GetUnicode(text, index) if index < count else 10
        broken = code == 2 or (code == 45 and raw.FPDFText_IsHyphen(text, index) == 1)
        if broken:
            characters.append(BROKEN_WORD)
        if broken or code in (10, 13):  # PDFium goes on in the same line after a hyphen
            line = "".join(characters)
            if line and not line.isspace():
                lines.append([line, *box(text, first, index - 1)])
            characters, first = [], index + 1
        elif code and not 0xD800 <= code < 0xE000 and code not in (0xFFFE, 0xFFFF):
            characters.append(chr(code))
    return lines


def box(text: Any, first: int, last: int) -> tuple[float, float, float, float]:
    """left, bottom, right, top of the characters from `first` to `last`, from the first and the last that has a box."""
    from pypdfium2 import raw

    rectangle = raw.FS_RECTF()
    edges: list[tuple[float, float, float, float]] = []
    for indices in (range(first, last + 1), range(last, first - 1, -1)):
        for index in indices:
            found = raw.FPDFText_GetLooseCharBox(text, index, ctypes.byref(rectangle))
            if found and rectangle.right > rectangle.left:
                edges.append((rectangle.left, rectangle.bottom, rectangle.right, rectangle.top))
                break
    if not edges:
        return 0.0, 0.0, 0.0, 0.0
    left, bottom, right, top = zip(*edges, strict=True)
    return round(min(left), 1), round(min(bottom), 1), round(max(right), 1), round(max(top), 1)
