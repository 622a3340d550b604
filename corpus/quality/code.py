"""Quality of source code: does it parse, how is it laid out, was it written by a person."""

import ast
import re
import warnings
from typing import ClassVar, Literal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpus.document import Batch
from corpus.rules import Rule, at_least, at_most
from corpus.settings import Settings
from corpus.step import Step

# Looked for in the first lines, where generators sign.
_GENERATED = re.compile(
    r"auto-?generated|automatically generated|generated (?:by|from|with|file)|do not (?:edit|modify)", re.IGNORECASE
)
_HEAD = 1200  # characters


class CodeQualitySettings(Settings):
    """Measure source code."""

    kind: Literal["code_quality"]
    parse: bool = Field(True, description="parse Python with `ast`")
    parse_characters: int = Field(1_000_000, ge=1, description="a longer file is not parsed: code.parses is null")

    def build(self) -> "CodeQuality":
        return CodeQuality(self)


class CodeQuality(Step):
    """Adds the code.* columns. `code.parses` is null for files that are not Python or too long to parse."""

    name: ClassVar[str] = "code"
    columns: ClassVar[dict[str, pa.DataType]] = {
        "code.parses": pa.bool_(),
        "code.comment_share": pa.float32(),  # characters of comment lines / characters
        "code.line_max": pa.int32(),  # characters
        "code.line_mean": pa.float32(),
        "code.alphanumeric_share": pa.float32(),  # ASCII letters and digits / bytes
        "code.generated": pa.bool_(),
    }

    def __init__(self, settings: CodeQualitySettings) -> None:
        super().__init__()
        self.settings = settings

    def process(self, batch: Batch) -> Batch:
        frame = pl.DataFrame({"text": pl.Series(pl.from_arrow(batch.text), dtype=pl.String)})
        text, lines = pl.col("text"), pl.col("text").str.split("\n")
        chars = text.str.len_chars()
        lengths = lines.list.eval(pl.element().str.len_chars())
        comments = lines.list.eval(
            pl.when(pl.element().str.contains(r"^\s*(#|//|\*|/\*|--)")).then(pl.element().str.len_chars()).otherwise(0)
        )
        measured = frame.select(
            (comments.list.sum() / chars).alias("code.comment_share"),
            lengths.list.max().alias("code.line_max"),
            lengths.list.mean().alias("code.line_mean"),
            (text.str.count_matches("[A-Za-z0-9]") / text.str.len_bytes()).alias("code.alphanumeric_share"),
        ).fill_nan(None)
        texts = batch.text.to_pylist()
        names = batch["file"].to_pylist()
        readable = batch.readable
        columns = {name: pa.array(measured[name].to_list(), self.columns[name]) for name in measured.columns}
        columns["code.parses"] = pa.array(
            [
                self._parses(text) if alive and name.endswith((".py", ".pyi")) else None
                for text, name, alive in zip(texts, names, readable, strict=True)
            ],
            pa.bool_(),
        )
        heads = pc.utf8_slice_codeunits(batch.text, 0, _HEAD).to_pylist()
        columns["code.generated"] = pa.array([_GENERATED.search(head) is not None for head in heads])
        return batch.with_columns({name: columns[name] for name in self.columns})

    def _parses(self, text: str) -> bool | None:
        if not self.settings.parse or len(text) > self.settings.parse_characters:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes of the user's code are not our warnings
            try:
                ast.parse(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return False
        return True


class CodeQualityRule(Settings):
    """Drop code that does not parse, is generated, minified or data."""

    rule: Literal["code_quality"]
    must_parse: bool = True
    drop_generated: bool = True
    max_line: int | None = Field(1000, description="longest line, characters")
    max_line_mean: float | None = Field(100, description="mean line, characters")
    min_alphanumeric_share: float | None = 0.25
    max_comment_share: float | None = 0.8

    def rules(self) -> list[Rule]:
        step = "code_quality"
        rules = []
        if self.must_parse:
            rules.append(Rule(step, "does not parse", ~pl.col("code.parses"), pl.lit("syntax error")))
        if self.drop_generated:
            rules.append(Rule(step, "generated", pl.col("code.generated"), pl.lit("a generator's mark in its head")))
        if self.max_line is not None:
            rules.append(at_most(step, "long line", "code.line_max", self.max_line))
        if self.max_line_mean is not None:
            rules.append(at_most(step, "long lines", "code.line_mean", self.max_line_mean))
        if self.min_alphanumeric_share is not None:
            rules.append(at_least(step, "few letters", "code.alphanumeric_share", self.min_alphanumeric_share))
        if self.max_comment_share is not None:
            rules.append(at_most(step, "mostly comments", "code.comment_share", self.max_comment_share))
        return rules
