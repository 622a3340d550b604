"""Texts as answers and reports may show them: what any recogniser takes for personal data is a tag, whatever the recipe
did or did not remove.

A dropped document may never have met the de-identification of its source (an unreadable page, a source without the
step), so samples are searched again, under the strictest profile and for every type there is.
"""

from collections.abc import Sequence
from functools import cache

from corpus.deidentify import DeidentifySettings
from corpus.deidentify.profiles import DEFAULT_TYPES
from corpus.deidentify.replace import Deidentifier, tag
from corpus.deidentify.scanner import Scanner

READ, SHOWN = 20_000, 240  # characters of a text that are searched, and shown


@cache
def _scanner() -> Scanner:
    from corpus.deidentify.profiles import scanner

    types = sorted({type for known in DEFAULT_TYPES.values() for type in known})
    settings = DeidentifySettings(
        profile="hipaa_safe_harbor", types=tuple(types), policy=dict.fromkeys(types, "tag"), replace="tag"
    )
    return scanner(settings.search(), frozenset(types))


def masked(texts: Sequence[str | None]) -> list[str | None]:
    """The beginnings of the texts, on one line, with tags for what looks like personal data."""
    beginnings = [(text or "")[:READ].encode() for text in texts]
    tagged = Deidentifier(_scanner(), lambda document, type, value: tag(type)).run(beginnings).texts
    shown = [_shown(tagged.get(row, beginning).decode()) for row, beginning in enumerate(beginnings)]
    return [None if text is None else line for text, line in zip(texts, shown, strict=True)]


def residual(texts: Sequence[str], types: Sequence[str]) -> int:
    """How many values of these types the strictest profile finds in the texts."""
    wanted = frozenset(types)
    return sum(span.type in wanted for text in texts for span in _scanner().find(text.encode()))


def _shown(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= SHOWN else plain[: SHOWN - 1] + "…"
