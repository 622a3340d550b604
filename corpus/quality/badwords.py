"""C4's filter by a list of words, the list being a file of the user's own (one word or phrase a line).

A word counts where no letter, digit or underscore touches it; for languages that write without spaces `whole_words:
false` counts it anywhere. datatrove's C4BadWordsFilter does the same with lists it downloads.
"""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import re2
from pydantic import Field

from corpus.artifact import content_hash
from corpus.document import Batch
from corpus.errors import ConfigError
from corpus.rules import Rule, at_most
from corpus.settings import Settings
from corpus.step import Step

# What \\W is to Python: RE2's own knows ASCII only.
_APART = r"[^\pL\pN_]"


class BadWordsSettings(Settings):
    """Count the words of a list."""

    kind: Literal["bad_words"]
    words: str = Field(description="path of a UTF-8 file with a word or phrase a line")
    whole_words: bool = Field(True, description="false for Chinese, Japanese and Thai")

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"words": content_hash(self.path())}

    def path(self) -> Path:
        path = Path(self.words)
        if not path.is_file():
            raise ConfigError("no such list of words", where=path, todo="correct `words` of the bad_words step")
        return path

    def build(self) -> "BadWords":
        return BadWords(self)


class BadWords(Step):
    """Adds bad_words.matches. Two matches do not share a sign: of "bad bad" one is counted. About 110 MB/s."""

    name: ClassVar[str] = "bad_words"
    columns: ClassVar[dict[str, pa.DataType]] = {"bad_words.matches": pa.int32()}

    def __init__(self, settings: BadWordsSettings) -> None:
        super().__init__()
        self.settings = settings

    def process(self, batch: Batch) -> Batch:
        pattern = _pattern(str(self.settings.path()), self.settings.whole_words)
        matches = pc.count_substring_regex(pc.utf8_lower(batch.text), pattern)
        return batch.with_columns({"bad_words.matches": pc.cast(matches, pa.int32())})


@cache
def _pattern(path: str, whole_words: bool) -> str:
    """The regular expression (RE2) of a list. Raises ConfigError for a list without words or not in UTF-8."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ConfigError("the list of words is not UTF-8", where=path) from None
    words = sorted({line.strip().lower() for line in lines} - {""})
    if not words:
        raise ConfigError("the list of words is empty", where=path, todo="write a word a line")
    either = "|".join(re2.escape(word) for word in words)
    return f"(?:{_APART}|^)(?:{either})(?:{_APART}|$)" if whole_words else f"(?:{either})"


class BadWordsRule(Settings):
    """Drop documents with more than some words of the list."""

    rule: Literal["bad_words"]
    max_matches: int = Field(0, ge=0, description="matches that a document may have; 0 as in C4: a single one drops it")
    keep_share: float = Field(0, ge=0, le=1, description="of those that would be dropped; the lot is their id's")

    def rules(self) -> list[Rule]:
        rule = at_most("bad_words", "words of the list", "bad_words.matches", self.max_matches)
        if self.keep_share:
            lot = pl.col("id").str.slice(0, 8).str.to_integer(base=16) / 2.0**32
            rule = Rule(rule.step, rule.reason, rule.fails & (lot >= self.keep_share), rule.detail)
        return [rule]
