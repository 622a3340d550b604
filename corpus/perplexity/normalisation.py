"""How a text is written before an n-gram model reads it.

Counts are only comparable to text that was written the same way, so the normalisation belongs to the model:

    model/
      lm.binary            or lm-0.binary and lm-1.binary, learned from halves of a corpus
      normalisation.json   {"normalisation": {…}, "sha256": of its canonical JSON}
      manifest.json        hashes of both

A bare .binary or .arpa file is read with the default: lower case, digits as 0, punctuation apart. That is cc_net's
(Wenzek et al. 2020) without the removal of accents and of punctuation, which `accents` and `punctuation` can ask for.
"""

import json
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, ValidationError

from corpus.artifact import fingerprint
from corpus.document import utf8_buffers
from corpus.errors import ArtifactError
from corpus.kernels.normalising import BLANK, LETTER, MARK, OTHER, PLANE, write_texts
from corpus.settings import Settings

NORMALISATION_FILE = "normalisation.json"

# Linear patterns: one character class each. Angle brackets become separate marks, so a text can spell neither <s> nor
# <unk> to the estimator.
_DIGITS = r"[0-9]"
_MARKS = r"([^\p{L}\p{N}\p{M}\s])"
_ACCENTS = r"\p{Mn}"
_SIGMA = 0x3A3  # Σ, whose lower case depends on its place in the word


class Normalisation(Settings):
    """What becomes of a text before it is counted or scored. Lines stay lines, white space is one space."""

    version: Literal[1] = Field(
        1, description="of the rules below, stored with a model; another version would read texts otherwise"
    )
    case: Literal["lower", "keep"] = Field(
        "lower", description="lower: fewer kinds of words, so that little text tells more"
    )
    digits: Literal["zero", "keep"] = Field(
        "zero", description="zero: every digit is 0, so that numbers of a length are one word"
    )
    accents: Literal["keep", "strip"] = Field("keep", description="strip: letters lose them")
    punctuation: Literal["apart", "drop"] = Field(
        "apart", description="apart: signs are words of their own; drop: they are left out"
    )


DEFAULT = Normalisation()


def normalised(text: pa.StringArray, how: Normalisation = DEFAULT) -> Iterator[str]:
    """The lines of each document as the model reads them, documents one after another, empty lines left out."""
    for document in normalised_documents(text, how):
        yield from document


def normalised_documents(text: pa.StringArray, how: Normalisation = DEFAULT) -> Iterator[list[str]]:
    """The lines of each document as the model reads them, empty lines left out."""
    for document in normalised_column(text, how).to_pylist():
        yield [line for line in document.split("\n") if line]


def normalised_column(text: pa.StringArray, how: Normalisation = DEFAULT) -> pa.LargeStringArray:
    """Each document as the model reads it: its lines, the last with or without a line feed.

    One compiled pass, which a text with a character outside of the basic plane (an emoji) or with a final sigma does
    not take: it goes the general way, by expressions.
    """
    if how.accents == "strip":
        return _by_expressions(text, how)
    data, offsets = utf8_buffers(text)
    out, bounds, untold = write_texts(data, offsets, *_tables(how))
    column = pa.LargeStringArray.from_buffers(len(text), pa.py_buffer(bounds), pa.py_buffer(out))
    if not untold.any():
        return column
    mask = pa.array(untold)
    return pc.replace_with_mask(column, mask, _by_expressions(text.filter(mask), how))


def _by_expressions(text: pa.StringArray, how: Normalisation) -> pa.LargeStringArray:
    column: Any = pl.Series("text", pl.from_arrow(text), pl.String)
    if how.case == "lower":
        column = column.str.to_lowercase()
    if how.accents == "strip":
        column = column.str.normalize("NFD").str.replace_all(_ACCENTS, "").str.normalize("NFC")
    if how.digits == "zero":
        column = column.str.replace_all(_DIGITS, "0")
    column = column.str.replace_all(_MARKS, " $1 " if how.punctuation == "apart" else " ")
    lines = ((" ".join(line.split()) for line in document.split("\n")) for document in column.to_list())
    return pa.array(["\n".join(filter(None, document)) for document in lines], pa.large_string())


@cache
def _tables(how: Normalisation) -> tuple[np.ndarray, np.ndarray]:
    """Kinds and characters for `write_texts`; characters that Python does not know are OTHER, for the expressions may
    know them."""
    kinds, written = np.full(PLANE, MARK, np.uint8), np.arange(PLANE, dtype=np.int32)
    for code in range(PLANE):
        character = chr(code)
        category, lower = unicodedata.category(character), character.lower()
        if category in ("Cn", "Cs") or len(lower) != 1 or code == _SIGMA:
            kinds[code] = OTHER
        elif character.isspace():
            kinds[code] = BLANK
        elif category[0] in "LNM":
            kinds[code] = LETTER
        if how.case == "lower" and len(lower) == 1:
            written[code] = ord(lower)
    if how.punctuation == "drop":
        kinds[kinds == MARK] = BLANK
    if how.digits == "zero":
        written[ord("0") : ord("9") + 1] = ord("0")
    return kinds, written


def write_normalisation(folder: Path, how: Normalisation) -> None:
    """Store the normalisation of the model in `folder`."""
    body = {"normalisation": how.identity(), "sha256": fingerprint(how.identity())}
    (folder / NORMALISATION_FILE).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def read_normalisation(model: Path) -> Normalisation:
    """The normalisation of a model folder, or the default for a bare file and for a folder without one.

    Raises ArtifactError when it is unreadable or was edited: the counts were not made with another one.
    """
    path = model / NORMALISATION_FILE
    if not path.is_file():
        return DEFAULT
    try:
        body = json.loads(path.read_bytes())
        how, stored = Normalisation.model_validate(body["normalisation"]), body["sha256"]
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ArtifactError(
            "unreadable normalisation of a language model",
            where=path,
            found=type(error).__name__,
            todo="train the model again, or remove the file to read it with the default normalisation",
        ) from None
    if stored != fingerprint(how.identity()):
        raise ArtifactError(
            "the normalisation of a language model differs from the one it was made with",
            where=path,
            found=fingerprint(how.identity()),
            todo="it was edited: undo that, or train the model again",
        )
    return how
