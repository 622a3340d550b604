"""Score the recognisers on labelled text: precision, recall and leak-free recall by type, with Wilson intervals.

A case is a JSON object {"text": …, "spans": [[start, end, type], …], "target": type or null}, offsets in characters.
Where `target` names a type the case speaks for that type only: a negative of an IBAN may well be a telephone number,
and a positive of one country's number may be another's too, so what the recognisers of the target find is counted
before overlaps are settled.

recall             labelled spans that a finding of their type overlaps
leak-free recall   labelled spans of which no letter or digit is left in the output, whatever type removed it
precision          findings that overlap a labelled span of their type, among those in cases that speak for the type
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import re2

from corpus.deidentify.labels import type_of
from corpus.deidentify.profiles import scanner
from corpus.deidentify.recogniser import Span, characters
from corpus.deidentify.step import DeidentifySettings
from corpus.errors import DataError

# Labelled as dates, and not finer than a year or no day at all: Safe Harbor lets them stand, so they are not scored.
_NO_DATE = re2.compile(r"(?i)^(?:\d{4}s?|(?:mon|tues|wednes|thurs|fri|satur|sun)day|today|yesterday|tomorrow)$")
_AGE = re2.compile(r"\b\d{1,3}")


@dataclass(frozen=True)
class Share:
    """hits of total, with the 95% interval of Wilson (1927), which stays inside [0, 1] and holds at 0 and 1 too."""

    hits: int
    total: int

    @property
    def value(self) -> float | None:
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        if not self.total:
            return None
        z, n, p = 1.959963984540054, self.total, self.hits / self.total
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        if self.value is None or self.interval is None:
            return "–"
        low, high = self.interval
        return f"{self.value:.3f} [{low:.3f}, {high:.3f}]"


@dataclass(frozen=True)
class Score:
    """What one type's recognisers found of what was labelled."""

    precision: Share
    recall: Share
    leak_free: Share


def score(cases: Path | Iterable[Mapping[str, Any]], settings: DeidentifySettings) -> dict[str, Score]:
    """Scores by type, for the types that `settings` looks for, and "ALL" over them. No key is needed.

    DataError names the line of a case that cannot be read. The cases' text is in no message.
    """
    types = frozenset(settings.policies())
    scan = scanner(settings.search(), types)
    counts: Counter[tuple[str, str]] = Counter()
    for text, spans, target in _read(cases):
        data = text.encode()
        every = scan.findings(data)
        settled = characters(data, scan.find(data))
        meant, register = type_of(target) if target is not None else ("", "")
        found = (
            settled
            if target is None
            else characters(
                data, [span for rank, span in every if span.type == meant and not scan.recognisers[rank].shield]
            )
        )
        labelled = [Span(start, end, *type_of(label)) for start, end, label in spans]
        speaks_for = types if target is None else types & {meant}
        for span in labelled:
            if span.type in speaks_for and not _let_stand(text, span):
                counts[span.type, "labelled"] += 1
                counts[span.type, "recalled"] += any(_overlap(span, f) and _means(f.type, span.type) for f in found)
                counts[span.type, "leak-free"] += _removed(text, span, settled)
        for finding in found:
            if register and finding.recogniser != register:
                continue
            right = any(_overlap(finding, span) and _means(finding.type, span.type) for span in labelled)
            elsewhere = any(_overlap(finding, span) and span.type not in types for span in labelled)
            # What overlaps a label of a type that is not looked for is neither right nor wrong.
            if finding.type in speaks_for and (right or not elsewhere):
                counts[finding.type, "found"] += 1
                counts[finding.type, "right"] += right
    kinds = ("right", "found", "recalled", "labelled", "leak-free")
    for kind in kinds:
        counts["ALL", kind] = sum(counts[type, kind] for type in types)
    return {
        type: Score(
            precision=Share(counts[type, "right"], counts[type, "found"]),
            recall=Share(counts[type, "recalled"], counts[type, "labelled"]),
            leak_free=Share(counts[type, "leak-free"], counts[type, "labelled"]),
        )
        for type in [*sorted(types), "ALL"]
    }


def _read(cases: Path | Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, list[Any], str | None]]:
    if not isinstance(cases, Path):
        yield from ((case["text"], case["spans"], case.get("target")) for case in cases)
        return
    try:
        lines = cases.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError("the labelled cases cannot be read", where=cases, found=error.strerror) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            case = orjson.loads(line)
            yield case["text"], [(int(a), int(b), str(type)) for a, b, type in case["spans"]], case.get("target")
        except (ValueError, KeyError, TypeError):
            raise DataError(
                "this line is no labelled case",
                where=f"{cases}:{number}",
                todo='write one JSON object a line: {"text": …, "spans": [[start, end, type], …]}',
            ) from None


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _means(found: str, labelled: str) -> bool:
    """A ZIP code is a part of what data sets label as a place."""
    return found == labelled or (found, labelled) == ("ZIP", "LOCATION")


def _let_stand(text: str, span: Span) -> bool:
    """What Safe Harbor lets stand: a year, a day of the week, an age of 89 or less."""
    value = text[span.start : span.end]
    if span.type == "AGE":
        figures = _AGE.findall(value)
        return bool(figures) and max(map(int, figures)) < 90
    return span.type == "DATE" and _NO_DATE.match(value) is not None


def _removed(text: str, span: Span, found: list[Span]) -> bool:
    left = set(range(span.start, span.end))
    for finding in found:
        left -= set(range(finding.start, finding.end))
    return not any(text[i].isalnum() for i in left)
