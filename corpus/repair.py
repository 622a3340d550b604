"""Repair: mojibake, Unicode form, control characters and white space, each booked as an edit of its own kind.

What a text says is left alone: quotes stay curly, ligatures and full-width forms stay (NFC, not NFKC), indentation
stays. The edits are repeated until none changes anything, so repairing twice is the same as repairing once. Rows that
an edit cannot concern are passed over by one compiled pass over the Arrow buffers (corpus/kernels/blemishes.py).
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache, partial
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpus.document import Batch, utf8_buffers
from corpus.kernels import blemishes
from corpus.kernels.layout import plain_layout
from corpus.settings import Settings
from corpus.step import Step

Edit = Callable[[pa.StringArray], pa.StringArray]

# The blemishes that each kind of edit can mend.
CONCERNS = {
    "mojibake": blemishes.MOJIBAKE,
    "unicode": blemishes.UNICODE,
    "controls": blemishes.CONTROL,
    "whitespace": blemishes.LAYOUT,
}
# UTF-8 read as a single-byte encoding leaves two neighbouring characters beyond ASCII, not both dashes or quotes (no
# encoding has those for a first byte), unless the second was lost (U+00A0 → space, unmappable → "?" or U+001A); a stray
# C1 control is Windows-1252 read as Latin-1.
MOJIBAKE = (
    r"[^\x00-\x7f\x{2010}-\x{2027}][^\x00-\x7f]|[\x{2010}-\x{2027}][^\x00-\x7f\x{2010}-\x{2027}]"
    r"|[ÂÃÄÅÎÏÐÑØÙâã√¬][ ?\x1a]|[\x{80}-\x{9f}]"
)
# ASCII that no other character stands near. ftfy's signs of mojibake, and what it decodes, are characters beyond ASCII
# with at most two of ASCII before and after.
FAR_INSIDE_ASCII = re.compile(r"(?<=[\x00-\x7f]{3})([\x01-\x7f]+)(?=[\x00-\x7f]{3})")
# C0 without tab and the line ends, DEL, C1 without NEL; soft hyphen, zero-width space, word joiner, byte order mark,
# interlinear annotation, non-characters. The zero-width (non-)joiners stay: Persian, Indic scripts and emoji need them.
CONTROLS = (
    r"[\x00-\x08\x0e-\x1f\x7f\x{80}-\x{84}\x{86}-\x{9f}"
    r"\x{ad}\x{200b}\x{2060}\x{feff}\x{fff9}-\x{fffb}\x{fdd0}-\x{fdef}\x{fffe}\x{ffff}]"
)
CODE_CONTROLS = r"[\x00-\x08\x0e-\x1f\x7f\x{feff}]"
BLANK = r"\A[\s\p{Z}\x0b\x1c-\x1f\x{85}]*\z"
LINE_ENDS = r"\r\n?|[\x0b\x0c\x{85}\x{2028}\x{2029}]"
CODE_LINE_ENDS = r"\r\n?"
_NEWLINE = 10
PASSES = 16  # far above what any text was seen to need (3)


class RepairSettings(Settings):
    """Repair the text of documents."""

    kind: Literal["repair"] = "repair"
    mojibake: bool = Field(True, description="Undo UTF-8 that was read as another encoding. Never done to code.")
    nfc: bool = Field(True, description="Unicode normalisation form C. Never done to code.")
    controls: bool = Field(True, description="Remove control characters, byte order marks and invisible characters.")
    whitespace: bool = Field(
        True,
        description="Line ends to \\n; no blanks at line ends but the tabs of a table's empty cells; no empty lines at "
        "either end, at most two in between but in fenced code.",
    )
    code: bool = Field(False, description="The documents are source code: literals and form feeds are left alone.")

    def build(self) -> "Repair":
        return Repair(self)


class Repair(Step):
    """Edit the texts; a document that has nothing left is dropped as empty."""

    name = "repair"

    def __init__(self, settings: RepairSettings) -> None:
        super().__init__()
        self.settings = settings
        self.edits = tuple(self._edits())  # type: ignore[misc]

    def _edits(self) -> dict[str, Edit]:
        """The edits asked for, by kind, in the order in which they are made."""
        settings, code = self.settings, self.settings.code
        edits: dict[str, Edit] = {}
        if settings.mojibake and not code:
            edits["mojibake"] = mojibake
        if settings.nfc and not code:
            edits["unicode"] = normalized
        if settings.controls:
            edits["controls"] = lambda text: replaced(text, CODE_CONTROLS if code else CONTROLS, "")
        if settings.whitespace:
            edits["whitespace"] = lambda text: laid_out(text, CODE_LINE_ENDS if code else LINE_ENDS)
        return edits

    def process(self, batch: Batch) -> Batch:
        edits = self._edits()
        active = batch.readable
        marks = found_in(batch.text)
        for _ in range(PASSES):
            before = batch.text
            for kind, edit in edits.items():
                concerned = active & (marks & CONCERNS[kind] != 0)
                text = batch.text
                batch = batch.with_text(on_rows(text, concerned, edit), edit=kind)
                if concerned.any():
                    changed = np.asarray(pc.not_equal(text, batch.text))
                    marks[changed] = found_in(batch.text.filter(pa.array(changed)))
            active = np.asarray(pc.not_equal(before, batch.text))
            if not active.any():
                break
        empty = np.asarray(pc.match_substring_regex(batch.text, BLANK))
        return batch.with_verdicts(empty, step=self.name, reason="empty text")


def found_in(text: pa.StringArray) -> np.ndarray:
    """uint8[rows]: the blemishes of each text."""
    return blemishes.blemishes(*utf8_buffers(text), blemishes.CLASSES, blemishes.LOST)


def on_rows(text: pa.StringArray, rows: np.ndarray, edit: Edit) -> pa.StringArray:
    """`text` with `edit` applied to the rows of the mask."""
    if not rows.any():
        return text
    if rows.all():
        return edit(text)
    mask = pa.array(rows)
    return pc.replace_with_mask(text, mask, edit(text.filter(mask)))


def replaced(text: pa.StringArray, pattern: str, replacement: str) -> pa.StringArray:
    """Replace a regular expression (RE2) where it matches; the other rows are only searched."""
    rows = np.asarray(pc.match_substring_regex(text, pattern))
    return on_rows(text, rows, partial(pc.replace_substring_regex, pattern=pattern, replacement=replacement))


def laid_out(text: pa.StringArray, line_ends: str) -> pa.StringArray:
    """Line ends and blank space in their plain form."""
    return plain_layout(replaced(text, line_ends, "\n"))


def normalized(text: pa.StringArray) -> pa.StringArray:
    """Unicode normalisation form C."""
    return _each(text, partial(unicodedata.normalize, "NFC"))


def mojibake(text: pa.StringArray) -> pa.StringArray:
    """Undo mojibake line by line (a page may hold sound and broken lines) with ftfy's detector and decoder, which only
    see the lines that may be broken."""
    data, offsets = utf8_buffers(text)
    starts, ends = suspects(data, offsets)
    lines = pa.array([data[start:end].tobytes() for start, end in zip(starts, ends, strict=True)], pa.binary())
    lines = lines.cast(pa.string())
    suspect = np.asarray(pc.match_substring_regex(lines, MOJIBAKE))
    starts, ends, lines = starts[suspect], ends[suspect], lines.filter(pa.array(suspect))
    edited = _each(lines, decoded)
    changed = np.asarray(pc.not_equal(lines, edited))
    return with_spans(text, starts[changed], ends[changed], edited.filter(pa.array(changed)))


def suspects(data: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(starts, ends) of the lines that may hold mojibake, without their line feeds."""
    breaks = np.flatnonzero(data[offsets[0] : offsets[-1]] == _NEWLINE) + offsets[0] + 1
    bounds = np.unique(np.concatenate([offsets, breaks]))
    marks = blemishes.blemishes(data, bounds, blemishes.CLASSES, blemishes.LOST)
    rows = np.flatnonzero(marks & blemishes.MOJIBAKE)
    starts, ends = bounds[rows], bounds[rows + 1]
    return starts, ends - (data[ends - 1] == _NEWLINE)


def with_spans(text: pa.StringArray, starts: np.ndarray, ends: np.ndarray, new: pa.StringArray) -> pa.StringArray:
    """The texts with other bytes in place of those of the spans [starts, ends), which are in order and each within a
    text."""
    if not len(new):
        return text
    data, offsets = utf8_buffers(text)
    pieces: list[bytes | memoryview] = []
    whole = data.data
    done = int(offsets[0])
    for start, end, value in zip(starts.tolist(), ends.tolist(), new.to_pylist(), strict=True):
        pieces += [whole[done:start], value.encode()]
        done = end
    pieces.append(whole[done : int(offsets[-1])])
    growth = np.asarray(pc.binary_length(new)).astype(np.int64) - (ends - starts)
    before = np.append(0, np.cumsum(growth))
    bounds = offsets - offsets[0] + before[np.searchsorted(ends, offsets, side="right")]
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(b"".join(pieces)))


def decoded(line: str) -> str:
    """The line as ftfy decodes it, or itself where ftfy sees nothing wrong.

    ftfy's expressions are slow, and are only shown what stands near a character beyond ASCII.
    """
    if line.isascii():
        return line
    is_bad, fixed = _detector_and_decoder()
    if "\0" in line:
        return fixed(line)
    pieces = FAR_INSIDE_ASCII.split(line)  # near and far by turns
    near = "\0".join(pieces[::2])
    if not is_bad(near):
        return line
    pieces[::2] = fixed(near).split("\0")
    return "".join(pieces)


@cache
def _detector_and_decoder() -> tuple[Callable[[str], bool], Callable[[str], str]]:
    """ftfy's: whether a text looks broken, and its repair with everything off but the encoding.

    plsfix is faster, but its Python package has no way to switch off that it uncurls quotes and folds characters.
    """
    import ftfy
    from ftfy.badness import is_bad

    config = ftfy.TextFixerConfig(unescape_html=False, explain=False)
    return is_bad, lambda text: ftfy.fix_encoding(text, config)


def _each(text: pa.StringArray, edit: Callable[[str], str]) -> pa.StringArray:
    return pa.array([edit(value) for value in text.to_pylist()], pa.string())
