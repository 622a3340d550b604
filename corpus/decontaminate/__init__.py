"""Decontamination: documents that overlap with evaluation items, from files or the recipe's own held-out documents."""

from corpus.decontaminate.evaluation_sets import EvaluationSet, Items, read_items
from corpus.decontaminate.find import Contamination, DecontaminateSettings, HeldOutSettings, find_contamination

__all__ = [
    "Contamination",
    "DecontaminateSettings",
    "EvaluationSet",
    "HeldOutSettings",
    "Items",
    "find_contamination",
    "read_items",
]
