"""Generalisation: the coarser value that Safe Harbor lets stand in the place of a finding."""

from collections.abc import Callable

from corpus.deidentify import ages, dates, places

# By type: value → what it generalises to, or None where it says nothing coarser that may stand: then a tag does.
GENERALISERS: dict[str, Callable[[str], str | None]] = {
    "AGE": ages.ninety_or_more,
    "DATE": dates.year,
    "ZIP": places.zip3,
}
