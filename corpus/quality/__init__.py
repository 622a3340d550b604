"""Quality: statistics of a text as columns, and the rules that decide on them."""

from corpus.quality.code import CodeQualityRule, CodeQualitySettings
from corpus.quality.prose import QualitySettings
from corpus.quality.rules import GopherQualityRule, GopherRepetitionRule, LengthRule

__all__ = [
    "CodeQualityRule",
    "CodeQualitySettings",
    "GopherQualityRule",
    "GopherRepetitionRule",
    "LengthRule",
    "QualitySettings",
]
