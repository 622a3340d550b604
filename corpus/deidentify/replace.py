"""Replacing the findings of one document until nothing is left to find.

A surrogate can meet its neighbours in a way that looks like a finding again. So the result is scanned, a surrogate
that was found becomes a tag, and what only now appears is replaced too; after that a second pass finds nothing, by
construction. Only documents with findings pay for it.
"""

from collections.abc import Callable

from corpus.deidentify.recogniser import Span
from corpus.deidentify.scanner import Scanner

Replacement = Callable[[str, str], str]  # type, value → what stands for it


def tag(type: str) -> str:
    return f"[{type}]"


def deidentify(
    data: bytes,
    scanner: Scanner,
    replacement: Replacement,
    recurring: frozenset[str] = frozenset(),
    settled: frozenset[str] = frozenset(),
) -> tuple[list[Span], bytes]:
    """The spans removed from `data` (UTF-8), in bytes of it, and the text without them.

    `recurring`: types whose replacements are themselves findings (a shifted date), which are left alone.
    `settled`: types that an earlier pass has replaced in this text by what is found again.
    """
    found = [span for span in scanner.find(data) if span.type not in settled]
    chosen = {span: replacement(span.type, data[span.start : span.end].decode()) for span in found}
    while True:
        spans = sorted(chosen)
        result, places = _apply(data, spans, chosen)
        again = [span for span in scanner.find(result) if span.type not in recurring] if spans else []
        before = dict(chosen)
        for finding in again:
            _settle(finding, places, chosen)
        if chosen == before:
            return spans, result


def _settle(finding: Span, places: dict[Span, tuple[int, int]], chosen: dict[Span, str]) -> None:
    """Change `chosen` so that `finding`, made in the result, is not made again: surrogates it touches become tags;
    where it touches none, it is a finding of the original, together with the tags in it."""
    surrogates = [
        span
        for span, (start, end) in places.items()
        if start < finding.end and finding.start < end and chosen.get(span, tag(span.type)) != tag(span.type)
    ]
    if surrogates:
        chosen.update((span, tag(span.type)) for span in surrogates)
        return
    start, end = _origin(finding.start, places, first=True), _origin(finding.end, places, first=False)
    merged = [span for span in chosen if span.start < end and start < span.end]
    start = min([start, *(span.start for span in merged)])
    end = max([end, *(span.end for span in merged)])
    for span in merged:
        del chosen[span]
    chosen[Span(start, end, finding.type)] = tag(finding.type)


def _apply(data: bytes, spans: list[Span], chosen: dict[Span, str]) -> tuple[bytes, dict[Span, tuple[int, int]]]:
    """The edited text and where in it each replacement stands."""
    pieces, places = [], {}
    at = length = 0
    for span in spans:
        new = chosen[span].encode()
        pieces += [data[at : span.start], new]
        length += span.start - at
        places[span] = (length, length + len(new))
        length += len(new)
        at = span.end
    pieces.append(data[at:])
    return b"".join(pieces), places


def _origin(offset: int, places: dict[Span, tuple[int, int]], *, first: bool) -> int:
    """The offset in the original of an offset in the result; inside a replacement, the edge of what it replaced."""
    shift = 0
    for span, (start, end) in places.items():
        if start < offset < end:
            return span.start if first else span.end
        if end <= offset:
            shift += (span.end - span.start) - (end - start)
    return offset + shift
