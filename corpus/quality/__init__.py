"""Quality: statistics of a text as columns, and the rules that decide on them."""

from corpus.quality.badwords import BadWordsRule, BadWordsSettings
from corpus.quality.c4 import C4ParagraphRule, C4ParagraphSettings, C4Rule, C4Settings
from corpus.quality.classifier import ClassifierRule, ClassifierSettings
from corpus.quality.code import CodeQualityRule, CodeQualitySettings
from corpus.quality.fineweb import FineWebRule, FineWebSettings
from corpus.quality.prose import QualitySettings
from corpus.quality.rules import GopherQualityRule, GopherRepetitionRule, LengthRule

__all__ = [
    "BadWordsRule",
    "BadWordsSettings",
    "C4ParagraphRule",
    "C4ParagraphSettings",
    "C4Rule",
    "C4Settings",
    "ClassifierRule",
    "ClassifierSettings",
    "CodeQualityRule",
    "CodeQualitySettings",
    "FineWebRule",
    "FineWebSettings",
    "GopherQualityRule",
    "GopherRepetitionRule",
    "LengthRule",
    "QualitySettings",
]
