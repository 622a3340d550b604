"""The rules on prose: length, Gopher quality, Gopher repetition; every bound configurable, None leaves a rule out."""

from typing import Literal

from pydantic import Field

from corpus.kernels.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS
from corpus.rules import Rule, at_least, at_most
from corpus.settings import Settings


class LengthRule(Settings):
    """Bounds on the length of a document."""

    rule: Literal["length"]
    min_words: int | None = Field(None, ge=0, description="fewest words; null: no bound")
    max_words: int | None = Field(None, ge=0, description="most words; null: no bound")
    min_characters: int | None = Field(None, ge=0, description="fewest characters; null: no bound")
    max_characters: int | None = Field(None, ge=0, description="most characters; null: no bound")

    def rules(self) -> list[Rule]:
        low = [("words", self.min_words), ("characters", self.min_characters)]
        high = [("words", self.max_words), ("characters", self.max_characters)]
        short = [at_least("length", f"too few {name}", f"quality.{name}", b) for name, b in low if b is not None]
        return short + [
            at_most("length", f"too many {name}", f"quality.{name}", b) for name, b in high if b is not None
        ]


class GopherQualityRule(Settings):
    """Rae et al. 2021, appendix A.1, without its bounds on the number of words, which are the rule `length`."""

    rule: Literal["gopher_quality"]
    min_mean_word_length: float | None = Field(3, description="characters a word, on average")
    max_mean_word_length: float | None = Field(10, description="characters a word, on average")
    max_symbol_share: float | None = Field(0.1, description="of # and of ellipses, each per token")
    max_bullet_line_share: float | None = Field(0.9, description="of lines that begin with a bullet point")
    max_ellipsis_line_share: float | None = Field(0.3, description="of lines that end in an ellipsis")
    min_alphabetic_share: float | None = Field(
        0.8, description="of words with at least one letter; source code and tables have fewer"
    )
    min_stop_words: int | None = Field(2, description="different English stop words; None for other languages")

    def rules(self) -> list[Rule]:
        low = (
            ("short words", "mean_word_length", self.min_mean_word_length),
            ("few alphabetic words", "alphabetic_share", self.min_alphabetic_share),
            ("few stop words", "stop_words", self.min_stop_words),
        )
        high = (
            ("long words", "mean_word_length", self.max_mean_word_length),
            ("many hash signs", "hash_share", self.max_symbol_share),
            ("many ellipses", "ellipsis_share", self.max_symbol_share),
            ("many bullet lines", "bullet_line_share", self.max_bullet_line_share),
            ("many lines end in an ellipsis", "ellipsis_line_share", self.max_ellipsis_line_share),
        )
        step = "gopher_quality"
        below = [at_least(step, why, f"quality.{name}", bound) for why, name, bound in low if bound is not None]
        return below + [at_most(step, why, f"quality.{name}", bound) for why, name, bound in high if bound is not None]


class GopherRepetitionRule(Settings):
    """Rae et al. 2021, table A1."""

    rule: Literal["gopher_repetition"]
    max_duplicate_lines: float | None = Field(0.30, description="share of lines that stood before")
    max_duplicate_paragraphs: float | None = Field(0.30, description="share of paragraphs that stood before")
    max_duplicate_line_chars: float | None = Field(0.20, description="share of characters in such lines")
    max_duplicate_paragraph_chars: float | None = Field(0.20, description="share of characters in such paragraphs")
    max_top_ngram_chars: tuple[float, float, float] | None = Field((0.20, 0.18, 0.16), description="n = 2, 3, 4")
    max_duplicate_ngram_chars: tuple[float, float, float, float, float, float] | None = Field(
        (0.15, 0.14, 0.13, 0.12, 0.11, 0.10), description="n = 5 … 10"
    )

    def rules(self) -> list[Rule]:
        bounds: list[tuple[str, str, float | None]] = [
            ("duplicate lines", "duplicate_lines", self.max_duplicate_lines),
            ("duplicate lines by characters", "duplicate_line_chars", self.max_duplicate_line_chars),
            ("duplicate paragraphs", "duplicate_paragraphs", self.max_duplicate_paragraphs),
            ("duplicate paragraphs by characters", "duplicate_paragraph_chars", self.max_duplicate_paragraph_chars),
        ]
        for n, bound in zip(TOP_NGRAMS, self.max_top_ngram_chars or (None,) * 3, strict=True):
            bounds.append((f"one {n}-gram too often", f"top_{n}gram_chars", bound))
        for n, bound in zip(DUPLICATE_NGRAMS, self.max_duplicate_ngram_chars or (None,) * 6, strict=True):
            bounds.append((f"duplicate {n}-grams", f"duplicate_{n}gram_chars", bound))
        step = "gopher_repetition"
        return [at_most(step, why, f"quality.{name}", bound) for why, name, bound in bounds if bound is not None]
